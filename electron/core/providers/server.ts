/** One provider's HTTP server as a controller asks it: its address, its secret, bounds on bytes and time, and its failures as values. */
import type { Provider } from '../../../shared/cortex.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import { inert } from '../mcp/display.ts';
import { wordsOf } from '../runners/protocol.ts';
import type { ControllerParts } from './controller.ts';

export interface Ask {
  path: string;
  method: 'GET' | 'POST';
  body?: Record<string, unknown>;
  /** Default 5 s. */
  timeoutMs?: number;
  signal: AbortSignal;
}

export interface Reply {
  status: number;
  /** undefined when the body is not JSON. */
  json: unknown;
  text: string;
}

export interface Server {
  /** Whatever status it answers. Rejects with Refusal. */
  ask(ask: Ask): Promise<Reply>;
  /** The JSON object of an answer below 300. Rejects with Refusal: those of `ask`, and `failed` of any other status or body. */
  object(ask: Ask): Promise<Record<string, unknown>>;
  /**
   * `GET path` of what only some servers have; null where it is not there, which is believed for a minute, or fails: nothing depends on it.
   * Rejects only with what the signal was aborted with.
   */
  optional(path: string, signal: AbortSignal): Promise<Reply | null>;
  /** What an answer means that is a failure, by its status or its body. */
  failed(ask: Pick<Ask, 'method' | 'path'>, reply: Reply): Refusal;
}

const ASK_MS = 5000;
const OPTIONAL_MS = 2000;
const ABSENT_MS = 60_000;
/** A list of two thousand models with all their metadata is about one. */
const MOST_BYTES = 4 * 1024 ** 2;
const MOST_WORDS = 300;

/** `path` of an ask stands below the provider's endpoint, whether that ends in `/v1` or not. */
export function createServer(provider: Provider, { egress, secret, clock }: ControllerParts): Server {
  const absentUntil = new Map<string, number>();
  const { name, auth } = provider;
  const base = provider.endpoint.replace(/\/+$/, '').replace(/\/v1$/, '');

  function headers(body: boolean): string[] {
    const sent = ['accept', 'application/json', ...(body ? ['content-type', 'application/json'] : [])];
    if (auth === null) return sent;
    const value = secret(auth.env)?.trim();
    if (!value) {
      throw new Refusal(
        refuse('registry_invalid', `${name} needs a secret in ${auth.env}, which is not set.`, {
          hint: `Set the environment variable ${auth.env} and start Dispatcher again.`,
        }),
      );
    }
    if (auth.kind === 'bearer') return [...sent, 'authorization', `Bearer ${value}`];
    return [...sent, auth.header ?? 'x-api-key', value];
  }

  async function ask({ path, method, body, timeoutMs = ASK_MS, signal }: Ask): Promise<Reply> {
    const answer = await egress.request({
      url: `${base}${path}`,
      method,
      headers: headers(body !== undefined),
      body: body === undefined ? null : JSON.stringify(body),
      egress: provider.egress,
      signal,
      timeoutMs,
      maxBytes: MOST_BYTES,
    });
    const text = answer.body.toString();
    return { status: answer.status, json: parse(text), text };
  }

  function failed({ method, path }: Pick<Ask, 'method' | 'path'>, { status, json, text }: Reply): Refusal {
    const words = inert(wordsOf(json) || (json === undefined ? text : ''), MOST_WORDS);
    const said = words === '' ? '.' : `: ${words}`;
    const asked = `${method} ${path}`;
    if (status < 300 && !fails(json))
      return new Refusal(refuse('upstream_failed', `${name} answered ${asked} with what is no JSON object.`));
    if (outOfMemory(json === undefined ? text : JSON.stringify(json))) return new Refusal(exhausted(name, words));
    if (status < 300) return new Refusal(refuse('upstream_failed', `${name} answered ${asked} with an error${said}`, { status }));
    const hint = status === 401 || status === 403 ? `Look at the auth of the provider ${name} in the registry.` : null;
    return new Refusal(refuse('upstream_failed', `${name} answered ${status} to ${asked}${said}`, { status, hint }));
  }

  return {
    ask,
    failed,
    async optional(path, signal) {
      if (clock() < (absentUntil.get(path) ?? 0)) return null;
      try {
        const reply = await ask({ path, method: 'GET', timeoutMs: OPTIONAL_MS, signal });
        if (reply.status < 300) return reply;
        if ([404, 405, 501].includes(reply.status)) absentUntil.set(path, clock() + ABSENT_MS);
        return null;
      } catch (caught) {
        if (signal.aborted || !(caught instanceof Refusal)) throw caught;
        return null;
      }
    },
    async object(asked) {
      const reply = await ask(asked);
      if (reply.status < 300 && isObject(reply.json) && !fails(reply.json)) return reply.json;
      throw failed(asked, reply);
    },
  };
}

/**
 * Whether words of a server or program say that it ran out of memory: CUDA, HIP and Metal through llama.cpp and PyTorch, Ollama's own estimate
 * before a load, and vLLM's.
 */
export function outOfMemory(words: string): boolean {
  return /out[ _]of[ _]memory|OutOfMemoryError|CUDA error: 2\b|cudaMalloc failed|hipMalloc failed|failed to allocate .{0,60}buffer|unable to allocate .{0,60}buffer|requires more system memory|enough available memory|No available memory for the cache blocks|less than desired GPU memory utilization/i.test(
    words,
  );
}

export function exhausted(name: string, words: string): WireError {
  return refuse('vram_exhausted', `${name} ran out of memory${words === '' ? '.' : `: ${words}`}`, {
    hint: 'Unload something, or declare a smaller tier.',
    vram: { need: null, free: null, holders: [] },
  });
}

/** A server that fails late says so in the body of a 200. */
export function fails(json: unknown): boolean {
  return isObject(json) && json.error !== undefined && json.error !== null;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The objects in the array that a server gives at `key`; none where it gives something else. Bounded, as everything of a server is. */
export function objectsOf(value: Record<string, unknown>, key: string): Record<string, unknown>[] {
  const list = value[key];
  return Array.isArray(list) ? list.slice(0, 2000).filter(isObject) : [];
}

/** A model's name as a server tells it; null where that can be no name. */
export function modelName(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= 300 && !/[\p{Cc}\p{Cf}]/u.test(value) ? value : null;
}

/** A whole number that a server gives; null where it gives something else, or more than can be counted with. */
export function countOf(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
