/** Decides everything about jobs, limits, deliveries and leases of models: what starts, waits, is refused, tried again or given up. Acts on nothing. */
import { Map as Dictionary } from 'immutable';
import type { Need as ModelNeed, Resolved } from '../../../shared/cortex.ts';
import { assertNever } from '../../../shared/errors.ts';
import type { CallLimits, Lane, Waits } from '../../../shared/model.ts';
import {
  configureLeases,
  createLeases,
  type LeaseEffect,
  type LeaseEvent,
  type Leases,
  leasesDue,
  leasesOf,
  leaseWaits,
  peekLease,
  stepLeases,
} from './leases.ts';
import { callsLeft, configureLimits, createLimits, type Limits, rememberLimits, takeAction, takeCall, takeSubject } from './limits.ts';
import { countBefore, firstOf, itemsOf, type Ordered, type Ranked, sizeOf, withItem, withoutItem } from './ordered.ts';

/** Something a job needs a place in before it runs. */
export interface Resource {
  /** `lane:stories`, `service:FND.salesforce`. */
  key: string;
  kind: 'lane' | 'concurrency';
  name: string;
  capacity: number;
}

/** A job as the schedule knows it. Times are milliseconds on a clock that never goes back. */
export interface Submitted {
  id: string;
  resources: readonly Resource[];
  retry: { times: number; backoffMs: number; maxMs: number } | null;
  /** It is given up when it has not started by then. */
  expiresAt: number | null;
  /** How often it was started already. */
  starts: number;
}

export interface Settings {
  calls: CallLimits | null;
  actionsPerMinute: number;
  cooldownMs: number;
  queueMost: number;
  deliveryTries: number;
  /** Nobody in line for models is overtaken for longer. */
  starveMs: number;
}

export type ScheduleEvent =
  | LeaseEvent
  | ({ type: 'configure' } & Settings)
  /** The registry changed: how many calls each service takes at one time; one that is not named takes any number. */
  | { type: 'capacities'; at: number; services: ReadonlyMap<string, number> }
  /** One call of a principal, counted whichever door it came through. `action`: one of seed 004's. Equal subjects within the cooldown are refused. */
  | { type: 'admit'; at: number; principal: string; action: boolean; subject: string | null }
  | { type: 'submit'; at: number; job: Submitted }
  /** Found at start: jobs in line, oldest first, and jobs that wait. `suspect`: it ran when the core crashed, so suspects run one at a time. */
  | { type: 'restore'; at: number; jobs: readonly (Submitted & { waits: Waits | null; suspect: boolean })[] }
  /** The counters of what was admitted before this start: times in the past of the same clock. */
  | {
      type: 'remember';
      at: number;
      actions: readonly { principal: string; at: number }[];
      subjects: readonly { subject: string; at: number }[];
    }
  /** A run ended. `again`: the failure can pass, so a retry may help. `random` is 0..1, for the jitter. */
  | { type: 'finished'; at: number; job: string; ok: boolean; again: boolean; retryAfterMs: number | null; random: number }
  /** A run handed its work over and a callback will end the job. It keeps its place in the lane. */
  | { type: 'handed'; at: number; job: string; until: number }
  /** The callback came. */
  | { type: 'arrived'; at: number; job: string }
  | { type: 'cancel'; at: number; job: string }
  | { type: 'deliver'; at: number; delivery: string; tries: number; notBefore: number }
  | { type: 'delivered'; at: number; delivery: string; ok: boolean; again: boolean; retryAfterMs: number | null; random: number }
  | { type: 'tick'; at: number };

export type Effect =
  | LeaseEffect
  /** Start number `start` of this job, from 1. */
  | { type: 'start'; job: string; start: number }
  | { type: 'wait'; job: string; state: 'queued' | 'waiting'; waits: Waits }
  | { type: 'refuse'; retryAfterMs: number; reason: string }
  /** Cut the run off; `finished` will follow. */
  | { type: 'stop'; job: string }
  | { type: 'end'; job: string; how: 'done' | 'cancelled' | 'expired' | 'callback_expired' }
  | { type: 'send'; delivery: string; attempt: number }
  | { type: 'dead'; delivery: string }
  | { type: 'retry_delivery'; delivery: string; at: number }
  /** The lanes whose line or places changed. */
  | { type: 'lanes'; keys: readonly string[] }
  /** When the next `tick` is due; null: never. Only when it changed, and after a `tick`, which uses up the one before. */
  | { type: 'wake'; at: number | null };

/** What the schedule knows. Nothing in it is ever changed, so an older one can be stepped again; only the functions here read it. */
export type State = Readonly<Draft>;

interface Draft {
  /** The latest time of any event: an earlier `at` counts as this. */
  now: number;
  queueMost: number;
  deliveryTries: number;
  limits: Limits;
  leases: Leases;
  jobs: Dictionary<string, Entry>;
  places: Dictionary<string, Place>;
  deliveries: Dictionary<string, Sending>;
  timers: Ordered<Timer>;
  /** The `wake` that was told last. */
  wakeAt: number | null;
  /** The next of the rising numbers that order whatever stands in an order. */
  ticket: number;
  queued: number;
  waiting: number;
}

/** new: not counted yet. running and stopping: between `start` and `finished`. retry and callback: the two that are called waiting. */
type Phase = 'new' | 'queued' | 'running' | 'stopping' | 'retry' | 'callback';

interface Entry {
  job: Submitted;
  phase: Phase;
  starts: number;
  /** What it stands in line for, or has a place in. */
  needs: readonly Need[];
  /** Its stand, the same in each of its lines and places; null while it has none. */
  stand: Stand | null;
  /** When it is given up or goes on, if its phase ends by itself. */
  timer: Timer | null;
}

/** A suspect needs the one place there is for suspects, beside what it needs anyway. */
type Need = Omit<Resource, 'kind'> & { kind: Resource['kind'] | 'suspect' };

interface Stand extends Ranked {
  job: string;
}

/** A resource, while jobs have places in it or stand in line for it. */
interface Place {
  need: Need;
  running: Ordered<Stand>;
  line: Ordered<Stand>;
}

interface Timer extends Ranked {
  of: 'job' | 'delivery';
  id: string;
}

interface Sending {
  /** The one under way, or the last. */
  attempt: number;
  /** When the next one is due; null while one is under way. */
  timer: Timer | null;
}

/** A step in the making: `next` is a copy of the state that nobody else has yet. */
interface Turn {
  next: Draft;
  effects: Effect[];
  /** Keys of resources whose line or places changed. */
  touched: Set<string> | null;
}

const SUSPECT: Need = { key: 'suspect', kind: 'suspect', name: 'suspect', capacity: 1 };

/** Nobody can know when a full queue has room again. */
const QUEUE_RETRY_MS = 1000;

/** 5 s, 30 s, 3 min, 18 min, 1.8 h, then every 10 h: near the schedule that Standard Webhooks proposes. */
const DELIVERY_BACKOFF = { firstMs: 5000, factor: 6, mostMs: 36_000_000 };

/** Nothing runs or waits; limits are the defaults of seed 004 until they are configured. */
export function createSchedule(): State {
  return {
    now: 0,
    queueMost: 100_000,
    deliveryTries: 8,
    limits: createLimits({ calls: { perSecond: 100, burst: 200 }, actionsPerMinute: 10, cooldownMs: 5000 }),
    leases: createLeases(),
    jobs: Dictionary(),
    places: Dictionary(),
    deliveries: Dictionary(),
    timers: null,
    wakeAt: null,
    ticket: 0,
    queued: 0,
    waiting: 0,
  };
}

/**
 * What is to be done about one event, in order, and the state afterwards. Pure; O(log n) for each effect.
 *
 * Timers that are due come first, each as if its tick had been punctual, so it does not matter when ticks come.
 *
 * A job stands in all its lines at once and holds nothing meanwhile. It starts when it is the oldest in each and each has a free place.
 * The oldest job of all is the oldest in each of its lines, so somebody can always start (no deadlock) and everybody's turn comes.
 *
 * An event about a job or delivery that is not there, or not in a state for it, has no effect: the first end of a job stands.
 */
export function step(state: State, event: ScheduleEvent): { state: State; effects: Effect[] } {
  const turn: Turn = { next: { ...state }, effects: [], touched: null };
  const { next, effects } = turn;
  if (event.type !== 'configure') passTime(turn, event.at);
  handle(turn, event);
  if (turn.touched !== null) effects.push({ type: 'lanes', keys: [...turn.touched] });
  const ticked = event.type === 'tick';
  if (next.timers !== state.timers || next.leases !== state.leases || ticked) {
    next.wakeAt = earlier(firstOf(next.timers)?.at ?? null, leasesDue(next.leases));
    if (next.wakeAt !== state.wakeAt || (ticked && next.wakeAt !== null)) effects.push({ type: 'wake', at: next.wakeAt });
  }
  return { state: next, effects };
}

/** Lanes and bounded services in use, or those of `keys`; one that is not in use any more is not among them. O(n) in the jobs they have. */
export function lanesOf(state: State, keys?: readonly string[]): Lane[] {
  const lanes: Lane[] = [];
  for (const key of keys ?? state.places.keys()) {
    const place = state.places.get(key);
    if (place === undefined || place.need.kind === 'suspect') continue;
    const { name, kind, capacity } = place.need;
    const jobs = (set: Ordered<Stand>) => itemsOf(set).map((stand) => stand.job);
    lanes.push({ name, kind, capacity, running: jobs(place.running), queued: jobs(place.line) });
  }
  return lanes;
}

/** Why this job does not run now; null when it runs, or is not there. */
export function waitsOf(state: State, job: string): Waits | null {
  const entry = state.jobs.get(job);
  return entry === undefined || entry.phase === 'running' || entry.phase === 'stopping' ? null : reasonOf(state, entry);
}

/** What a lease for this would get now, without taking it. */
export function peek(state: State, need: ModelNeed, at: number): Resolved {
  return peekLease(state.leases, need, Math.max(at, state.now));
}

/** Leases, and the line for models. */
export function leases(state: State): ReturnType<typeof leasesOf> {
  return leasesOf(state.leases);
}

/** What a principal has left of its calls, without taking any; null when calls have no limit. */
export function admission(state: State, principal: string, at: number): ReturnType<typeof callsLeft> {
  return callsLeft(state.limits, principal, Math.max(at, state.now));
}

/** Why a lease has no models yet; null when it has, or is not there. */
export function modelWaits(state: State, lease: string): Waits | null {
  return leaseWaits(state.leases, lease);
}

/** Jobs by state, and deliveries that are neither delivered nor dead. A job that waits for models is one that waits. */
export function counts({ jobs, queued, waiting: paused, deliveries, leases: { waitingJobs } }: State): {
  queued: number;
  waiting: number;
  running: number;
  deliveries: number;
} {
  const waiting = paused + waitingJobs;
  return { queued, waiting, running: jobs.size - queued - waiting, deliveries: deliveries.size };
}

function handle(turn: Turn, event: ScheduleEvent): void {
  const { next, effects } = turn;
  switch (event.type) {
    case 'configure': {
      const { calls, actionsPerMinute, cooldownMs, queueMost, deliveryTries, starveMs } = event;
      next.leases = configureLeases(next.leases, starveMs);
      next.limits = configureLimits(next.limits, { calls, actionsPerMinute, cooldownMs });
      next.queueMost = queueMost;
      next.deliveryTries = deliveryTries;
      return;
    }
    case 'capacities':
      fit(turn, event.services);
      return;
    case 'admit':
      admit(turn, event);
      return;
    case 'remember':
      next.limits = rememberLimits(next.limits, { ...event, at: next.now });
      return;
    case 'submit':
      submit(turn, event.job);
      return;
    case 'restore':
      restore(turn, event.jobs);
      return;
    case 'finished':
      finished(turn, event);
      return;
    case 'handed':
      handed(turn, event.job, event.until);
      return;
    case 'arrived': {
      const entry = next.jobs.get(event.job);
      if (entry?.phase === 'callback') end(turn, entry, 'done');
      return;
    }
    case 'cancel': {
      const entry = next.jobs.get(event.job);
      if (entry === undefined || entry.phase === 'stopping') return;
      if (entry.phase === 'running') {
        become(turn, entry, { ...entry, phase: 'stopping' });
        effects.push({ type: 'stop', job: event.job });
      } else end(turn, entry, 'cancelled');
      return;
    }
    case 'deliver':
      deliver(turn, event);
      return;
    case 'delivered':
      delivered(turn, event);
      return;
    case 'lease':
    case 'release':
    case 'world':
    case 'animated':
    case 'not_animated':
    case 'unload':
      decideLeases(turn, { ...event, at: next.now });
      return;
    case 'tick':
      return;
    default:
      assertNever(event);
  }
}

function decideLeases({ next, effects }: Turn, event: Parameters<typeof stepLeases>[1]): void {
  const stepped = stepLeases(next.leases, event);
  next.leases = stepped.leases;
  effects.push(...stepped.effects);
}

const earlier = (a: number | null, b: number | null): number | null => (a === null || b === null ? (a ?? b) : Math.min(a, b));

/** Does what is due until `at`, oldest first. */
function passTime(turn: Turn, at: number): void {
  const { next } = turn;
  for (;;) {
    const due = firstOf(next.timers);
    const leased = leasesDue(next.leases);
    if (leased !== null && leased <= at && (due === null || leased < due.at)) {
      next.now = Math.max(next.now, leased);
      decideLeases(turn, { type: 'time', at: next.now });
      continue;
    }
    if (due === null || due.at > at) break;
    next.now = Math.max(next.now, due.at);
    if (due.of === 'delivery') {
      next.timers = withoutItem(next.timers, due);
      send(turn, due.id, next.deliveries.get(due.id)!.attempt + 1);
    } else {
      const entry = next.jobs.get(due.id)!;
      if (entry.phase === 'retry') standInLine(turn, entry);
      else end(turn, entry, entry.phase === 'callback' ? 'callback_expired' : 'expired');
    }
  }
  next.now = Math.max(next.now, at);
}

/** Whoever stood in line for a place that there is now begins. What runs beyond a smaller bound ends by itself. */
function fit(turn: Turn, services: ReadonlyMap<string, number>): void {
  for (const { need } of [...turn.next.places.values()]) {
    if (need.kind !== 'concurrency') continue;
    const capacity = services.get(need.name) ?? Number.MAX_SAFE_INTEGER;
    if (capacity === need.capacity) continue;
    change(turn, need, (place) => ({ ...place, need: { ...need, capacity } }));
    settle(turn, [need]);
  }
}

/** What is refused counts for nothing. */
function admit({ next, effects }: Turn, { principal, action, subject }: ScheduleEvent & { type: 'admit' }): void {
  const { calls, actionsPerMinute, cooldownMs } = next.limits.settings;
  const apart = subject === null ? { limits: next.limits, retryAfterMs: 0 } : takeSubject(next.limits, subject, next.now);
  if (apart.retryAfterMs > 0) {
    effects.push({ type: 'refuse', retryAfterMs: apart.retryAfterMs, reason: `${subject} came less than ${cooldownMs / 1000} s ago` });
    return;
  }
  const taken = (action ? takeAction : takeCall)(apart.limits, principal, next.now);
  if (taken.retryAfterMs === 0) {
    next.limits = taken.limits;
    return;
  }
  const reason = action
    ? `${actionsPerMinute} actions a minute are the limit`
    : `${calls?.perSecond} calls a second with bursts of ${calls?.burst} are the limit`;
  effects.push({ type: 'refuse', retryAfterMs: taken.retryAfterMs, reason });
}

// --- jobs -----------------------------------------------------------------------------------------------------------

function submit(turn: Turn, job: Submitted): void {
  const { next, effects } = turn;
  if (next.jobs.has(job.id)) return;
  const free = ({ key }: Resource) => {
    const place = next.places.get(key);
    return place === undefined || (place.line === null && !isFull(place));
  };
  if (next.queued >= next.queueMost && !job.resources.every(free)) {
    effects.push({ type: 'refuse', retryAfterMs: QUEUE_RETRY_MS, reason: `${next.queued} jobs stand in line, and more are not taken` });
    return;
  }
  standInLine(turn, newcomer(job));
}

/** Those that wait for callbacks first: they have their places already. */
function restore(turn: Turn, jobs: (ScheduleEvent & { type: 'restore' })['jobs']): void {
  const { next } = turn;
  const fresh = jobs.filter(({ id }) => !next.jobs.has(id));
  for (const { waits, suspect: _, ...job } of fresh) {
    if (waits?.kind !== 'callback' && waits?.kind !== 'retry') continue;
    const entry = newcomer(job);
    if (waits.kind === 'callback') waitForCallback(turn, entry, waits.until ?? next.now);
    else waitForRetry(turn, entry, waits.until ?? next.now);
  }
  for (const { waits, suspect, ...job } of fresh) {
    if (waits?.kind === 'callback' || waits?.kind === 'retry') continue;
    standInLine(turn, suspect ? { ...newcomer(job), needs: [SUSPECT, ...job.resources] } : newcomer(job));
  }
}

function finished(turn: Turn, event: ScheduleEvent & { type: 'finished' }): void {
  const { next } = turn;
  const entry = next.jobs.get(event.job);
  if (entry?.phase === 'stopping') end(turn, entry, 'cancelled');
  if (entry?.phase !== 'running') return;
  const at = event.ok || !event.again ? null : retryAt(entry, next.now, event);
  if (at === null) end(turn, entry, 'done');
  else waitForRetry(turn, entry, at);
}

/** When it starts again; null when it does not: no tries are left, or it would be given up before (its failure says more than that). */
function retryAt({ job, starts }: Entry, now: number, event: Jitter): number | null {
  const { retry, expiresAt } = job;
  if (retry === null || starts > retry.times) return null;
  const at = now + pauseMs({ firstMs: retry.backoffMs, factor: 2, mostMs: retry.maxMs }, starts, event);
  return expiresAt !== null && at >= expiresAt ? null : at;
}

function handed(turn: Turn, job: string, until: number): void {
  const entry = turn.next.jobs.get(job);
  if (entry?.phase === 'stopping') end(turn, entry, 'cancelled');
  else if (entry?.phase === 'running') waitForCallback(turn, entry, until);
}

function standInLine(turn: Turn, entry: Entry): void {
  const { next } = turn;
  const { id, expiresAt } = entry.job;
  if (expiresAt !== null && expiresAt <= next.now) {
    end(turn, entry, 'expired');
    return;
  }
  if (entry.needs.length === 0) {
    begin(turn, entry);
    return;
  }
  const stand = { at: next.now, ticket: next.ticket++, job: id };
  for (const need of entry.needs) {
    // Of a job that is tried again the capacity may be an old one.
    const capacity = entry.phase === 'new' ? need.capacity : (next.places.get(need.key) ?? { need }).need.capacity;
    change(turn, need, ({ running, line }) => ({ need: { ...need, capacity }, running, line: withItem(line, stand) }));
  }
  const timer = expiresAt === null ? null : setTimer(turn, expiresAt, { of: 'job', id });
  become(turn, entry, { ...entry, phase: 'queued', stand, timer });
  settle(turn, entry.needs);
  const now = next.jobs.get(id)!;
  if (now.phase === 'queued') turn.effects.push({ type: 'wait', job: id, state: 'queued', waits: reasonOf(next, now) });
}

/** Starts whoever may, now that something changed in the lines of these. */
function settle(turn: Turn, needs: readonly Need[]): void {
  const { next } = turn;
  const changed = [...needs];
  for (let need = changed.pop(); need !== undefined; need = changed.pop()) {
    const head = firstOf(next.places.get(need.key)?.line ?? null);
    const entry = head === null ? undefined : next.jobs.get(head.job);
    if (entry === undefined || !entry.needs.every(({ key }) => hasTurn(next.places.get(key), entry.stand))) continue;
    begin(turn, entry);
    changed.push(...entry.needs);
  }
}

function begin(turn: Turn, entry: Entry): void {
  const { stand } = entry;
  if (stand !== null) {
    for (const need of entry.needs) {
      change(turn, need, (place) => ({ ...place, running: withItem(place.running, stand), line: withoutItem(place.line, stand) }));
    }
  }
  const starts = entry.starts + 1;
  become(turn, entry, { ...entry, phase: 'running', starts, timer: null });
  turn.effects.push({ type: 'start', job: entry.job.id, start: starts });
}

function waitForRetry(turn: Turn, entry: Entry, at: number): void {
  leave(turn, entry, entry.needs);
  const timer = setTimer(turn, at, { of: 'job', id: entry.job.id });
  wait(turn, entry, { ...entry, phase: 'retry', needs: entry.job.resources, stand: null, timer });
  settle(turn, entry.needs);
}

function waitForCallback(turn: Turn, entry: Entry, until: number): void {
  const { id } = entry.job;
  const kept = entry.needs.filter(({ kind }) => kind === 'lane');
  const left = entry.needs.filter(({ kind }) => kind !== 'lane');
  let { stand } = entry;
  if (entry.phase === 'new') {
    const taken = { at: turn.next.now, ticket: turn.next.ticket++, job: id };
    for (const need of kept) change(turn, need, (place) => ({ ...place, running: withItem(place.running, taken) }));
    stand = taken;
  } else leave(turn, entry, left);
  const timer = setTimer(turn, until, { of: 'job', id });
  wait(turn, entry, { ...entry, phase: 'callback', needs: kept, stand, timer });
  settle(turn, left);
}

function wait(turn: Turn, entry: Entry, waiting: Entry): void {
  become(turn, entry, waiting);
  turn.effects.push({ type: 'wait', job: entry.job.id, state: 'waiting', waits: reasonOf(turn.next, waiting) });
}

function end(turn: Turn, entry: Entry, how: (Effect & { type: 'end' })['how']): void {
  leave(turn, entry, entry.needs);
  become(turn, entry, null);
  turn.effects.push({ type: 'end', job: entry.job.id, how });
  settle(turn, entry.needs);
}

/** Gives up the stand in the lines or places of these. */
function leave(turn: Turn, { stand }: Entry, needs: readonly Need[]): void {
  if (stand === null) return;
  for (const need of needs) {
    change(turn, need, (place) => ({ ...place, running: withoutItem(place.running, stand), line: withoutItem(place.line, stand) }));
  }
}

function change(turn: Turn, need: Need, edit: (place: Place) => Place): void {
  const { next } = turn;
  const place = edit(next.places.get(need.key) ?? { need, running: null, line: null });
  const unused = place.running === null && place.line === null;
  next.places = unused ? next.places.delete(need.key) : next.places.set(need.key, place);
  if (need.kind === 'suspect') return;
  turn.touched ??= new Set();
  turn.touched.add(need.key);
}

/** The one place where an entry changes, with what is counted of it and its timer; null: it is gone. */
function become({ next }: Turn, was: Entry, now: Entry | null): void {
  const { id } = was.job;
  next.jobs = now === null ? next.jobs.delete(id) : next.jobs.set(id, now);
  if (was.timer !== null) next.timers = withoutItem(next.timers, was.timer);
  next.queued += Number(now?.phase === 'queued') - Number(was.phase === 'queued');
  next.waiting += Number(isWaiting(now)) - Number(isWaiting(was));
}

function newcomer(job: Submitted): Entry {
  return { job, phase: 'new', starts: job.starts, needs: job.resources, stand: null, timer: null };
}

function isWaiting(entry: Entry | null): boolean {
  return entry?.phase === 'retry' || entry?.phase === 'callback';
}

function isFull({ need, running }: Place): boolean {
  return sizeOf(running) >= need.capacity;
}

function hasTurn(place: Place | undefined, stand: Stand | null): boolean {
  return place !== undefined && firstOf(place.line) === stand && !isFull(place);
}

function reasonOf(state: State, entry: Entry): Waits {
  const until = entry.timer?.at ?? null;
  if (entry.phase === 'retry')
    return { kind: 'retry', reason: `start ${entry.starts} failed; it starts again later`, until, position: null };
  if (entry.phase === 'callback') return { kind: 'callback', reason: 'it was handed over and ends with a callback', until, position: null };
  // What is furthest away keeps it longest: the longest line, else whatever has no free place.
  let [place, position] = [state.places.get(entry.needs[0]!.key)!, 0];
  for (const { key } of entry.needs) {
    const other = state.places.get(key)!;
    const before = countBefore(other.line, entry.stand!);
    if (before > position || (before === position && isFull(other) && !isFull(place))) [place, position] = [other, before];
  }
  return { kind: place.need.kind, reason: sentenceOf(state, place), until: null, position };
}

function sentenceOf(state: State, place: Place): string {
  const { kind, name, capacity } = place.need;
  if (kind === 'concurrency' && isFull(place)) return `${name} takes ${capacity} at a time`;
  const holder = firstOf(place.running);
  const first = (isFull(place) ? holder : firstOf(place.line))!.job;
  if (kind === 'suspect') return `jobs that ran when the core crashed start one at a time, and it is the turn of ${first}`;
  const where = kind === 'lane' ? `in the lane ${name}` : `for ${name}`;
  if (!isFull(place)) return `${first} is next ${where}`;
  return state.jobs.get(first)!.phase === 'callback' ? `${first} waits for its callback ${where}` : `${first} runs ${where}`;
}

// --- deliveries -----------------------------------------------------------------------------------------------------

function deliver(turn: Turn, { delivery, tries, notBefore }: ScheduleEvent & { type: 'deliver' }): void {
  const { next } = turn;
  const sending = next.deliveries.get(delivery);
  if (sending !== undefined) {
    if (sending.timer === null) return;
    next.timers = withoutItem(next.timers, sending.timer);
  }
  if (notBefore <= next.now) {
    send(turn, delivery, tries + 1);
    return;
  }
  const timer = setTimer(turn, notBefore, { of: 'delivery', id: delivery });
  next.deliveries = next.deliveries.set(delivery, { attempt: tries, timer });
}

function send({ next, effects }: Turn, delivery: string, attempt: number): void {
  next.deliveries = next.deliveries.set(delivery, { attempt, timer: null });
  effects.push({ type: 'send', delivery, attempt });
}

function delivered(turn: Turn, event: ScheduleEvent & { type: 'delivered' }): void {
  const { next, effects } = turn;
  const { delivery, ok, again } = event;
  const sending = next.deliveries.get(delivery);
  if (sending === undefined || sending.timer !== null) return;
  const { attempt } = sending;
  if (ok || !again || attempt >= next.deliveryTries) {
    next.deliveries = next.deliveries.delete(delivery);
    if (!ok) effects.push({ type: 'dead', delivery });
    return;
  }
  const at = next.now + pauseMs(DELIVERY_BACKOFF, attempt, event);
  next.deliveries = next.deliveries.set(delivery, { attempt, timer: setTimer(turn, at, { of: 'delivery', id: delivery }) });
  effects.push({ type: 'retry_delivery', delivery, at });
}

// --- time -----------------------------------------------------------------------------------------------------------

function setTimer({ next }: Turn, at: number, { of, id }: Pick<Timer, 'of' | 'id'>): Timer {
  const timer = { at, ticket: next.ticket++, of, id };
  next.timers = withItem(next.timers, timer);
  return timer;
}

interface Jitter {
  retryAfterMs: number | null;
  random: number;
}

/**
 * The pause after the failure of this number, from 1: it grows by `factor` up to `mostMs`, and `random` takes up to half of it away
 * ("equal jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog 2015), so that those that failed together do not come
 * back together, and nobody at once. Never less than what the other side asked for.
 */
function pauseMs({ firstMs, factor, mostMs }: typeof DELIVERY_BACKOFF, failure: number, { retryAfterMs, random }: Jitter): number {
  const whole = Math.min(mostMs, firstMs * factor ** Math.min(failure - 1, 50));
  return Math.max(Math.round(whole * (1 - random / 2)), retryAfterMs ?? 0);
}
