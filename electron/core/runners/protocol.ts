/** How a call is written for a service and its answer read: seed 000's client, and what a protocol of another kind must offer. */
import { refuse, type WireError } from '../../../shared/errors.ts';
import type { Crossing, Route } from '../../../shared/model.ts';
import type { EgressAnswer } from '../egress.ts';
import { retryAfterMs } from '../retry-after.ts';
import { createMessages } from './lines.ts';
import type { Outcome, Run } from './runner.ts';

/** One request as its protocol wants it, and the reader of its answer. Made anew for each try. */
export interface Exchange {
  url: string;
  method: string;
  /** Name, value, name, value; content type and accept, nothing of the caller's. */
  headers: string[];
  body: string | null;
  onChunk?(text: string, contentType: string): void;
  read(answer: EgressAnswer): Outcome;
}

export type Protocol = (route: Route, run: Run) => Exchange;

const accept = 'application/json, application/x-ndjson, text/event-stream, */*;q=0.5';
const postHeaders = ['content-type', 'application/json', 'accept', accept];
const getHeaders = ['accept', accept];

/**
 * Seed 000's words: `{query, context: {}}` for a text alone, the params for params alone, both merged with the params winning.
 * GET and DELETE put the same into the query string. Answers are read by content type; a stream of events or JSON lines may carry
 * `progress` (0..1) with `note`, `chunk` or `delta`, and last `result` or `error`.
 */
export const httpProtocol: Protocol = (route, run) => {
  const { text } = run;
  const empty = isEmpty(run.params);
  const words = text === null ? run.params : empty ? { query: text, context: {} } : { query: text, ...run.params };
  const inQuery = route.method === 'GET' || route.method === 'DELETE';
  let stream: ReturnType<typeof createStream> | null = null;
  return {
    url: inQuery ? withQuery(route.endpoint!, text !== null && empty ? { query: text } : words) : route.endpoint!,
    method: route.method,
    headers: inQuery ? getHeaders : postHeaders,
    body: inQuery ? null : JSON.stringify(words),
    onChunk(piece, contentType) {
      stream ??= createStream(route, run);
      stream.push(piece, contentType);
    },
    read: (answer) => stream?.end() ?? readAnswer(route, answer),
  };
};

function isEmpty(params: Record<string, unknown>): boolean {
  for (const _ in params) return false;
  return true;
}

function withQuery(endpoint: string, params: Record<string, unknown>): string {
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries(params)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null && item !== undefined)
        url.searchParams.append(name, typeof item === 'object' ? JSON.stringify(item) : String(item));
    }
  }
  return url.href;
}

/**
 * Reads a progress stream while it comes. `end` answers null when nothing came that way. However many messages one piece holds, it gives
 * one chunk and the last progress: every one of them becomes an event for each watcher.
 */
function createStream(route: Route, run: Run): { push(text: string, contentType: string): void; end(): Outcome | null } {
  let messages: ReturnType<typeof createMessages> | null = null;
  let spoken = '';
  let saying = '';
  let progressed: { share: number | null; note: string | null } | null = null;
  let last: unknown = null;
  let final: Outcome | null = null;

  function take(data: string) {
    if (final !== null || data === '[DONE]') return;
    const message = parseJson(data);
    if (message === undefined || message === null || typeof message !== 'object') {
      saying += typeof message === 'string' ? message : data;
      return;
    }
    const { progress, note, chunk, delta, result, error } = message as Record<string, unknown>;
    if (error !== undefined && error !== null) {
      final = { ok: false, error: failed(route, 200, wordsOf(error)) };
      return;
    }
    const said = typeof chunk === 'string' ? chunk : typeof delta === 'string' ? delta : null;
    if (said !== null) saying += said;
    if (progress !== undefined || note !== undefined) {
      const share = typeof progress === 'number' && Number.isFinite(progress) ? Math.min(1, Math.max(0, progress)) : null;
      progressed = { share, note: typeof note === 'string' ? plain(note) : null };
    }
    if (result !== undefined) final = withDirectives(route, result);
    else if (said === null && progress === undefined && note === undefined) last = message;
  }

  function tell() {
    if (progressed !== null) run.progress(progressed.share, progressed.note);
    progressed = null;
    if (saying !== '') run.chunk(saying);
    spoken += saying;
    saying = '';
  }

  return {
    push(text, contentType) {
      messages ??= createMessages(contentType.startsWith('text/event-stream') ? 'events' : 'lines', take);
      messages.push(text);
      tell();
    },
    end() {
      if (messages === null) return null;
      messages.end();
      tell();
      return final ?? withDirectives(route, spoken !== '' ? spoken : last);
    },
  };
}

/** Any complete answer as an outcome. Never throws. */
export function readAnswer(route: Route, { status, headers, body }: EgressAnswer, now = Date.now()): Outcome {
  const type = (headers['content-type'] ?? '').toLowerCase();
  if (status >= 400) {
    const error = failed(route, status, excerpt(type, body));
    const asked = status === 429 || status === 503 ? retryAfterMs(headers['retry-after'], now) : null;
    return { ok: false, error: asked === null ? error : { ...error, retryAfterMs: asked } };
  }
  if (status >= 300) return { ok: true, result: { status, location: headers.location ?? null } };
  if (body.length === 0) return { ok: true, result: null };
  if (/^(application|text)\/([\w.+-]+\+)?json\b/.test(type)) {
    const value = parseJson(body.toString());
    if (value === undefined) return { ok: false, error: failed(route, status, 'what it calls JSON is not JSON') };
    return withDirectives(route, value);
  }
  if (type === '' || type.startsWith('text/')) {
    const text = body.toString();
    // Bytes that are no text come back as U+FFFD; sent as text they are text all the same.
    if (type !== '' || !text.includes('\uFFFD')) {
      const value = type === '' && /^\s*[[{]/.test(text) ? parseJson(text) : undefined;
      return value === undefined ? { ok: true, result: text } : withDirectives(route, value);
    }
  }
  const contentType = type === '' ? 'application/octet-stream' : headers['content-type']!;
  return { ok: true, result: { contentType, bytes: body.length }, directives: { raw: { contentType, base64: body.toString('base64') } } };
}

/** `_halt`, `_html` and `_raw` of seed 002, taken out of a JSON object. `_halt` is a status, or `{status, message}`. */
function withDirectives(route: Route, value: unknown): Outcome {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return { ok: true, result: value };
  if (!('_halt' in value || '_html' in value || '_raw' in value)) return { ok: true, result: value };
  const { _halt: halt, _html: html, _raw: raw, ...result } = value as Record<string, unknown>;
  if (halt !== undefined && halt !== null && halt !== false) {
    const asked = typeof halt === 'object' ? (halt as { status?: unknown }).status : halt;
    const status = typeof asked === 'number' && Number.isInteger(asked) && asked >= 400 && asked <= 599 ? asked : 422;
    const words = wordsOf(typeof halt === 'object' ? halt : result);
    return {
      ok: false,
      error: refuse('halted', words === '' ? `${route.name} halted with ${status}.` : `${route.name} halted: ${words}`, { status }),
    };
  }
  const directives: NonNullable<Crossing['directives']> = {};
  if (typeof html === 'string') directives.html = html;
  if (typeof raw === 'string') directives.raw = { contentType: 'text/plain; charset=utf-8', base64: Buffer.from(raw).toString('base64') };
  else if (raw !== null && typeof raw === 'object') {
    const { contentType, base64, text } = raw as Record<string, unknown>;
    if (typeof base64 === 'string' || typeof text === 'string') {
      directives.raw = {
        contentType:
          typeof contentType === 'string' && /^[\w.+-]+\/[\w.+-]+(;[ -~]*)?$/.test(contentType) ? contentType : 'application/octet-stream',
        base64: typeof base64 === 'string' ? base64 : Buffer.from(text as string).toString('base64'),
      };
    }
  }
  return { ok: true, result, directives };
}

export function failed(route: Route, status: number, words: string): WireError {
  const detail = words === '' ? '' : `: ${words}`;
  return refuse('upstream_failed', `${route.name} answered ${status}${detail}`, {
    status,
    hint:
      status === 401 || status === 403
        ? 'Look at the auth of the service in the registry.'
        : status >= 500
          ? 'Look at the log of the service.'
          : null,
  });
}

/** undefined when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function excerpt(type: string, body: Buffer): string {
  if (body.length === 0) return '';
  const text = body.subarray(0, 4096).toString();
  if (type.includes('json')) {
    const words = wordsOf(parseJson(body.length <= 65_536 ? body.toString() : text));
    if (words !== '') return words;
  }
  return type === '' || type.startsWith('text/') || type.includes('json') ? plain(text) : '';
}

/** What an error object of a service says in words, wherever it keeps them, down to `depth` objects inside it. */
export function wordsOf(value: unknown, depth = 4): string {
  if (typeof value === 'string') return plain(value);
  if (depth === 0) return '';
  if (value === null || typeof value !== 'object') return value === undefined || value === null ? '' : plain(String(value));
  const { message, detail, error, reason, title } = value as Record<string, unknown>;
  for (const candidate of [message, detail, error, reason, title]) {
    const words =
      typeof candidate === 'string' || (typeof candidate === 'object' && candidate !== null) ? wordsOf(candidate, depth - 1) : '';
    if (words !== '') return words;
  }
  return '';
}

/** One line of at most 200 characters, without markup and control characters. */
function plain(text: string): string {
  const line = text
    .slice(0, 4096)
    .replace(/<(style|script)\b[^>]{0,200}>[^<]{0,4096}<\/\1>|<[^<>]{0,500}>/gi, ' ')
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim();
  return line.length <= 200 ? line : `${line.slice(0, 199)}…`;
}
