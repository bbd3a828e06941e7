/**
 * Idempotency keys (IETF draft Idempotency-Key-Header; seed 003): per principal, the same key and the same request run once. While it
 * runs, a second call attaches to it; afterwards a success is replayed. Failures are not: the key is free again. Keys live 24 hours.
 */
import { hash } from 'node:crypto';
import type { Call } from '../../../shared/contract.ts';
import { assertNever, refuse, type WireError } from '../../../shared/errors.ts';
import type { Crossing } from '../../../shared/model.ts';
import { canonicalJson } from '../crossing.ts';
import type { HeldKey, NewKey } from '../store/keys.ts';
import { redact } from '../store/redact.ts';

export type Look =
  /** Nothing stands against running it; `reserve` must follow in the same turn. */
  | { is: 'new'; key: NewKey }
  | { is: 'running'; key: NewKey; job: string; crossing: Promise<Crossing> }
  /** `crossing` null: the store has it. */
  | { is: 'done'; key: NewKey; job: string; crossing: Crossing | null }
  | { is: 'refused'; key: NewKey; job: string; error: WireError; differed: string[] };

export interface Keys {
  /** What a call is known by; null: it has no key. */
  of(call: Call, route: string): NewKey | null;
  /** null: the call has no key. `route`: the one it was resolved to, for a key made from the content. */
  look(call: Call, route: string): Look | null;
  /** Holds the key until the call it belongs to is on record. */
  reserve(caller: string, key: NewKey, running: { job: string; crossing: Promise<Crossing>; recorded: Promise<unknown> }): void;
}

/** Most places named where two requests under one key differ. */
const DIFFERENCES = 20;

export function createKeys({ find }: { find(caller: string, key: string): HeldKey | null }): Keys {
  const live = new Map<string, NewKey & { job: string; crossing: Promise<Crossing>; ended: Crossing | null }>();
  const nameOf = (caller: string, key: string) => `${caller}\n${key}`;

  return {
    of: keyOf,
    look(call, route) {
      const key = keyOf(call, route);
      if (key === null) return null;
      const { bodyHash } = key;
      const caller = call.principal.id;
      const running = live.get(nameOf(caller, key.key));
      // Its end is on the way to the disk, in front of whatever is written now: who heard of the failure may try again at once.
      if (running?.ended?.ok === false) return { is: 'new', key };
      const earlier = running ?? find(caller, key.key);
      if (earlier === null) return { is: 'new', key };
      if (earlier.bodyHash !== bodyHash) {
        const differed = differences(readAsked(earlier.asked), readAsked(key.asked));
        return { is: 'refused', key, job: earlier.job, differed, error: mismatch(key.key, earlier.job, differed) };
      }
      if (running?.ended) return { is: 'done', key, job: running.job, crossing: running.ended };
      if (running) return { is: 'running', key, job: running.job, crossing: running.crossing };
      const { state, job } = earlier as HeldKey;
      switch (state) {
        case 'succeeded':
          return { is: 'done', key, job, crossing: null };
        case 'failed':
        case 'cancelled':
          return { is: 'new', key };
        case 'unknown':
          return { is: 'refused', key, job, differed: [], error: undecided(key.key, job) };
        case 'queued':
        case 'waiting':
        case 'running':
          return { is: 'refused', key, job, differed: [], error: elsewhere(key.key, job) };
        default:
          return assertNever(state);
      }
    },
    reserve(caller, key, { job, crossing, recorded }) {
      const name = nameOf(caller, key.key);
      const entry = { ...key, job, crossing, ended: null as Crossing | null };
      live.set(name, entry);
      const release = () => {
        if (live.get(name) === entry) live.delete(name);
      };
      crossing.then((ended) => {
        entry.ended = ended;
      }, release);
      recorded.then(release, release);
    },
  };
}

function keyOf(call: Call, route: string): NewKey | null {
  if (call.key === undefined && call.content !== true) return null;
  const asked = { params: call.params ?? {}, route, text: call.text ?? null };
  const bodyHash = hash('sha256', canonicalJson(asked), 'hex');
  return { key: call.key ?? `content:${bodyHash}`, content: call.key === undefined, bodyHash, asked: redact(asked) };
}

const mismatch = (key: string, job: string, differed: string[]) =>
  refuse('key_mismatch', `The idempotency key ${key.slice(0, 80)} was used for another request.`, {
    hint: `Use a new key, or send what ${job} was sent${differed.length > 0 ? `: ${differed.slice(0, 3).join(', ')} differed` : ''}.`,
    issues: differed.map((path) => ({ path, message: `not as in ${job}` })),
  });
const undecided = (key: string, job: string) =>
  refuse('unknown_outcome', `Whether ${job}, the first under the key ${key.slice(0, 80)}, happened is not known.`, {
    hint: 'Look at the service, then send it again with a new key.',
  });
const elsewhere = (key: string, job: string) =>
  refuse('conflict', `${job}, the first under the key ${key.slice(0, 80)}, has not ended.`, { hint: `Look at GET /jobs/${job}.` });

function readAsked(asked: string): unknown {
  return JSON.parse(asked);
}

/** Paths of the members in which two JSON values differ, at most 20. */
export function differences(a: unknown, b: unknown, path = ''): string[] {
  if (a === b) return [];
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return [path];
  const found: string[] = [];
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const next = path === '' ? name : `${path}.${name}`;
    found.push(...differences((a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name], next));
    if (found.length >= DIFFERENCES) return found.slice(0, DIFFERENCES);
  }
  return found;
}
