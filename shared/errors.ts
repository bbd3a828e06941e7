/**
 * The closed catalogue of expected failures. A failure is a value with one of these codes; a thrown exception is a bug.
 * `http` is the status of the problem body (RFC 9457), `exit` the exit code of the CLI, `retry` whether the same call can
 * succeed later without anybody changing anything.
 */
export const catalogue = {
  route_unknown: { http: 404, exit: 4, retry: false, title: 'No such route' },
  route_uncertain: { http: 422, exit: 4, retry: false, title: 'Not sure which route is meant' },
  not_found: { http: 404, exit: 4, retry: false, title: 'Nothing there' },
  method_refused: { http: 405, exit: 2, retry: false, title: 'Method not offered here' },
  input_invalid: { http: 400, exit: 2, retry: false, title: 'The input does not fit' },
  input_too_large: { http: 413, exit: 2, retry: false, title: 'The input is too large' },
  media_refused: { http: 415, exit: 2, retry: false, title: 'This content type is not accepted' },
  usage: { http: 400, exit: 2, retry: false, title: 'The command line does not fit' },
  unauthenticated: { http: 401, exit: 3, retry: false, title: 'No valid token' },
  forbidden: { http: 403, exit: 3, retry: false, title: 'Not allowed' },
  host_refused: { http: 421, exit: 3, retry: false, title: 'Wrong Host' },
  origin_refused: { http: 403, exit: 3, retry: false, title: 'Wrong Origin' },
  sovereign_refused: { http: 403, exit: 3, retry: false, title: 'Sovereign: nothing leaves this machine' },
  egress_refused: { http: 403, exit: 3, retry: false, title: 'This address is not allowed' },
  confirm_required: { http: 428, exit: 3, retry: false, title: 'Needs confirmation' },
  limited: { http: 429, exit: 5, retry: true, title: 'Too many calls' },
  conflict: { http: 409, exit: 4, retry: false, title: 'Conflicts with what is there' },
  key_mismatch: { http: 422, exit: 4, retry: false, title: 'The idempotency key belongs to another request' },
  halted: { http: 422, exit: 1, retry: false, title: 'The route halted' },
  breaker_open: { http: 503, exit: 5, retry: true, title: 'The breaker is open' },
  upstream_name_unknown: { http: 502, exit: 5, retry: true, title: 'The service name does not resolve' },
  upstream_refused: { http: 502, exit: 5, retry: true, title: 'The service refused the connection' },
  upstream_unreachable: { http: 502, exit: 5, retry: true, title: 'The service cannot be reached' },
  upstream_timeout: { http: 504, exit: 5, retry: true, title: 'The service did not answer in time' },
  upstream_failed: { http: 502, exit: 1, retry: true, title: 'The service answered with a failure' },
  upstream_too_large: { http: 502, exit: 1, retry: false, title: 'The answer is too large' },
  no_capability: { http: 503, exit: 5, retry: true, title: 'Nothing offers this capability' },
  vram_exhausted: { http: 503, exit: 5, retry: true, title: 'Not enough GPU memory' },
  wait_expired: { http: 504, exit: 5, retry: true, title: 'It waited too long' },
  dead_letter: { http: 502, exit: 1, retry: false, title: 'Given up' },
  cancelled: { http: 409, exit: 6, retry: false, title: 'Cancelled' },
  unknown_outcome: { http: 502, exit: 1, retry: false, title: 'It is not known whether it happened' },
  registry_invalid: { http: 422, exit: 2, retry: false, title: 'The registry is not valid' },
  store_unavailable: { http: 503, exit: 7, retry: true, title: 'The record cannot be written' },
  database_newer: { http: 503, exit: 7, retry: false, title: 'The database is from a newer version' },
  port_taken: { http: 503, exit: 7, retry: false, title: 'The port is taken' },
  core_unreachable: { http: 503, exit: 7, retry: true, title: 'No core answers' },
  shutting_down: { http: 503, exit: 7, retry: true, title: 'Shutting down' },
  internal: { http: 500, exit: 70, retry: false, title: 'A bug in Dispatcher' },
} as const;

export type ErrorCode = keyof typeof catalogue;

/** One place in the input that does not fit: a JSON path such as `params.seconds`, and what to write instead. */
export interface Issue {
  path: string;
  message: string;
}

/** A failure as every door carries it. `message` says what happened, `hint` what to do; never a stack. */
export interface WireError {
  code: ErrorCode;
  message: string;
  hint: string | null;
  /** The places that do not fit, for `input_invalid` and `registry_invalid`. */
  issues?: Issue[];
  /** Names the caller may have meant, for `route_unknown` and `route_uncertain`. */
  choices?: { route: string; confidence: number | null; reason: string }[];
  /** For `limited` and `breaker_open`. */
  retryAfterMs?: number;
  /** For `vram_exhausted`, in bytes; `free` null: not known. */
  vram?: {
    need: number | null;
    free: number | null;
    holders: { name: string; bytes: number | null; source: 'measured' | 'reported' | 'estimated' }[];
  };
  /** What a principal would have needed, for `forbidden`. */
  needed?: string[];
  /** The HTTP status a service answered with, for `upstream_failed`; the one a route asked for, for `halted`. */
  status?: number;
}

/** An expected failure on its way up a stack that has no place for a value (streams, callbacks). */
export class Refusal extends Error {
  readonly wire: WireError;
  constructor(wire: WireError) {
    super(wire.message);
    this.name = 'Refusal';
    this.wire = wire;
  }
}

export function refuse(code: ErrorCode, message: string, more: Partial<WireError> = {}): WireError {
  return { code, message, hint: null, ...more };
}

/** Whatever was caught, as a value of the catalogue. Anything but a Refusal is `internal`, with no detail of ours in it. */
export function toWire(caught: unknown): WireError {
  if (caught instanceof Refusal) return caught.wire;
  return refuse('internal', 'Dispatcher failed in a way it did not foresee.', {
    hint: 'The log has the details; please report it.',
  });
}

/** For a failure that is told elsewhere or passes by itself. Throws on whatever is no Refusal: a bug. */
export function onlyRefusals(caught: unknown): void {
  if (!(caught instanceof Refusal)) throw caught;
}

/**
 * RFC 9457 problem body of a failure, with the failure itself as `ok` and `error`, where a crossing has it: one way to read
 * what went wrong, whether there was a call or not.
 */
export function toProblem(error: WireError): {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  ok: false;
  error: WireError;
} {
  const { code, message } = error;
  return {
    type: `urn:dispatcher:error:${code}`,
    title: catalogue[code].title,
    status: httpStatus(error),
    detail: message,
    code,
    ok: false,
    error,
  };
}

/** The failure as OpenAI's API words it, for clients that know no other shape. */
export function toOpenAi(error: WireError): { error: { message: string; type: string; param: string | null; code: ErrorCode } } {
  const { code, message, hint, issues } = error;
  const status = httpStatus(error);
  const type = openAiTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  return { error: { message: hint === null ? message : `${message} ${hint}`, type, param: issues?.[0]?.path || null, code } };
}

const openAiTypes: Record<number, string> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

export function httpStatus(error: WireError): number {
  return error.code === 'halted' && error.status !== undefined ? error.status : catalogue[error.code].http;
}

export function assertNever(value: never): never {
  throw new Error(`unhandled case: ${JSON.stringify(value)}`);
}
