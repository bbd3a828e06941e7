/**
 * How often a principal may call, and how often something may be about the same subject. Pure: every function takes the limits as they
 * are and answers with the next ones; `at` is milliseconds on a clock that never goes back. What has no bearing any more is forgotten.
 */
import { Map as Dictionary, List } from 'immutable';
import type { CallLimits } from '../../../shared/model.ts';

export interface LimitSettings {
  /** A token bucket for each principal; null: none. */
  calls: CallLimits | null;
  /** Within any 60 s. */
  actionsPerMinute: number;
  /** Between equal subjects. */
  cooldownMs: number;
}

export interface Limits {
  settings: LimitSettings;
  /**
   * When the bucket of a principal is full again, in thousandths of a token since time 0 (GCRA, ITU-T I.371): one number a principal,
   * and whole ones where the rate is, so that nothing is lost to rounding.
   */
  calls: Recent<number>;
  /** When each action of a principal was admitted, oldest first. */
  actions: Recent<List<number>>;
  /** When a subject came last. */
  subjects: Recent<number>;
}

/** `retryAfterMs` 0: it was taken. Else nothing changed, and so much later it is taken if nobody else comes. */
export interface Taken {
  limits: Limits;
  retryAfterMs: number;
}

/**
 * Values by name that mean nothing once they are older than `spanMs`. Two generations of at least that length: the older one
 * is dropped as a whole, so nobody ever has to look through them.
 */
interface Recent<Value> {
  spanMs: number;
  since: number;
  young: Dictionary<string, Value>;
  old: Dictionary<string, Value>;
}

const MINUTE_MS = 60_000;
const TOKEN = 1000;

export function createLimits(settings: LimitSettings): Limits {
  return { settings, calls: none(refillMs(settings.calls)), actions: none(MINUTE_MS), subjects: none(settings.cooldownMs) };
}

/** Another rate starts with full buckets; actions and subjects stay counted. */
export function configureLimits(limits: Limits, settings: LimitSettings): Limits {
  const before = limits.settings.calls;
  const same = before?.perSecond === settings.calls?.perSecond && before?.burst === settings.calls?.burst;
  return {
    settings,
    calls: same ? limits.calls : none(refillMs(settings.calls)),
    actions: limits.actions,
    subjects: { ...limits.subjects, spanMs: settings.cooldownMs },
  };
}

export function takeCall(limits: Limits, principal: string, at: number): Taken {
  const rate = limits.settings.calls;
  if (rate === null) return { limits, retryAfterMs: 0 };
  const retryAfterMs = callWait(limits, rate, { principal, at });
  if (retryAfterMs > 0) return { limits, retryAfterMs };
  const full = Math.max(lookup(limits.calls, principal) ?? 0, at * rate.perSecond) + TOKEN;
  return { limits: { ...limits, calls: note(limits.calls, at, [principal, full]) }, retryAfterMs: 0 };
}

/** What is left of a principal's bucket; null when calls have no limit. */
export function callsLeft(
  limits: Limits,
  principal: string,
  at: number,
): (CallLimits & { remaining: number; retryAfterMs: number }) | null {
  const rate = limits.settings.calls;
  if (rate === null) return null;
  const { perSecond, burst } = rate;
  const used = Math.max(0, (lookup(limits.calls, principal) ?? 0) - at * perSecond);
  const remaining = Math.max(0, Math.floor((burst * TOKEN - used) / TOKEN));
  return { remaining, perSecond, burst, retryAfterMs: callWait(limits, rate, { principal, at }) };
}

export function takeAction(limits: Limits, principal: string, at: number): Taken {
  const most = limits.settings.actionsPerMinute;
  let times = lookup(limits.actions, principal) ?? List<number>();
  while (times.size > 0 && times.first()! <= at - MINUTE_MS) times = times.shift();
  if (times.size >= most) {
    const blocking = most > 0 ? times.get(times.size - most)! : at;
    return { limits, retryAfterMs: Math.ceil(blocking + MINUTE_MS - at) };
  }
  return { limits: { ...limits, actions: note(limits.actions, at, [principal, times.push(at)]) }, retryAfterMs: 0 };
}

export function takeSubject(limits: Limits, subject: string, at: number): Taken {
  const last = lookup(limits.subjects, subject);
  const { cooldownMs } = limits.settings;
  if (last !== null && at - last < cooldownMs) return { limits, retryAfterMs: Math.ceil(last + cooldownMs - at) };
  return { limits: { ...limits, subjects: note(limits.subjects, at, [subject, at]) }, retryAfterMs: 0 };
}

export interface Remembered {
  at: number;
  actions: readonly { principal: string; at: number }[];
  subjects: readonly { subject: string; at: number }[];
}

/** Counts what was admitted earlier. A time in the future counts as now: a wall clock that was set back must not shut anybody out for longer. */
export function rememberLimits(limits: Limits, { at: now, actions, subjects }: Remembered): Limits {
  let next = limits;
  for (const action of actions) {
    const known = lookup(next.actions, action.principal) ?? List<number>();
    const times = known.push(Math.min(action.at, now));
    next = { ...next, actions: note(next.actions, now, [action.principal, times.sort()]) };
  }
  for (const { subject, at } of subjects) {
    const last = Math.max(lookup(next.subjects, subject) ?? -Infinity, Math.min(at, now));
    next = { ...next, subjects: note(next.subjects, now, [subject, last]) };
  }
  return next;
}

function callWait(limits: Limits, { perSecond, burst }: CallLimits, { principal, at }: { principal: string; at: number }): number {
  const now = at * perSecond;
  const full = Math.max(lookup(limits.calls, principal) ?? 0, now);
  return Math.max(0, Math.ceil((full + TOKEN - burst * TOKEN - now) / perSecond));
}

/** After so long any bucket is full. */
function refillMs(rate: CallLimits | null): number {
  return rate === null ? 0 : (rate.burst * 1000) / rate.perSecond;
}

function none<Value>(spanMs: number): Recent<Value> {
  return { spanMs, since: 0, young: Dictionary(), old: Dictionary() };
}

function lookup<Value>({ young, old }: Recent<Value>, name: string): Value | null {
  return young.get(name) ?? old.get(name) ?? null;
}

function note<Value>(recent: Recent<Value>, at: number, [name, value]: [string, Value]): Recent<Value> {
  const { spanMs, since, young, old } = recent;
  if (at - since < spanMs) return { spanMs, since, young: young.set(name, value), old };
  return { spanMs, since: at, young: Dictionary([[name, value]]), old: young };
}
