/** Decides who gets which models when: the line for the GPU, leases, batches, evictions. Pure, a part of the schedule. */
import { Map as Dictionary } from 'immutable';
import type { GpuWaiter, Lease, Need, Resolved } from '../../../shared/cortex.ts';
import { assertNever, refuse, type WireError } from '../../../shared/errors.ts';
import type { Waits } from '../../../shared/model.ts';
import {
  type Animation,
  type Book,
  type Entry,
  type LeaseEffect,
  type LeaseEvent,
  noteLength,
  nothingFound,
  placeOf,
  providersOf,
  put,
  type Setback,
  type Turn,
} from './lease-book.ts';
import { choose, lookAgain, settledChoice, viewOf } from './lease-choice.ts';
import { enter, expired, forget, give, groundChanged, over, refused, requeue, serve, tell, withDeadline } from './lease-hold.ts';
import { blockedBy, type Hands, serveLine, standingOf } from './lease-line.ts';
import { needKey, residentOf } from './lease-view.ts';
import { firstItems, firstOf, itemsOf } from './ordered.ts';

export type { LeaseAsk, LeaseEffect, LeaseEvent } from './lease-book.ts';

/** Only the functions here read it. */
export type Leases = Readonly<Book>;

/** How often a plan may turn out not to fit the world before its lease is given up. */
const MISFITS_MOST = 5;
/** A world that explains a misfit should be there by then. */
const STALE_MS = 1000;
/** Those who are told that their place in the line changed. */
const TOLD_MOST = 32;
/** Leases that are named to each who waits for them: hundreds may use one model, and hundreds wait for it. */
const WAITS_FOR_MOST = 8;
/** An eviction that was told and shows no effect is forgotten so long after it should have been done. */
const EVICT_MORE_MS = 5000;

/** Nobody has or wants anything, and nobody said yet what there is. */
export function createLeases(): Leases {
  return {
    now: 0,
    starveMs: 60_000,
    known: null,
    entries: Dictionary(),
    waitingJobs: 0,
    groups: Dictionary(),
    line: null,
    uses: Dictionary(),
    animations: Dictionary(),
    made: Dictionary(),
    leaving: Dictionary(),
    used: Dictionary(),
    lengths: Dictionary(),
    deadlines: null,
    again: null,
    ticket: 0,
    view: null,
    warm: new Map(),
    found: nothingFound,
  };
}

export function configureLeases(leases: Leases, starveMs: number): Leases {
  return leases.starveMs === starveMs ? leases : { ...leases, starveMs };
}

/** When `time` is to be stepped; null: never. */
export function leasesDue({ deadlines, again }: Leases): number | null {
  const due = firstOf(deadlines)?.at ?? null;
  return due === null || (again !== null && again < due) ? again : due;
}

/**
 * What is to be done about one event, in order, and the leases afterwards. Pure. A lease whose models are warm is O(log n); what can move
 * the line costs one resolve for each distinct need in it.
 *
 * An event about a lease that is not there, or not in a state for it, has no effect. Each `animate` has to be answered once by `animated` or
 * `not_animated`, whatever became of its lease: others may wait for the same load.
 */
export function stepLeases(leases: Leases, event: LeaseEvent | { type: 'time'; at: number }): { leases: Leases; effects: LeaseEffect[] } {
  const turn: Turn = { next: { ...leases, now: Math.max(leases.now, event.at) }, effects: [] };
  handle(turn, event);
  return { leases: turn.next, effects: turn.effects };
}

/** What a lease for this would get now. */
export function peekLease(leases: Leases, need: Need, at: number): Resolved {
  const turn: Turn = { next: { ...leases, now: Math.max(leases.now, at) }, effects: [] };
  const { now } = turn.next;
  const { plan, ready, hopeless, reason, eta } = choose(turn, { need, excluded: [], stale: null }, { view: viewOf(turn), since: now });
  if (ready || hopeless) return plan;
  return {
    ...plan,
    outcome: 'wait',
    etaMs: eta === null ? null : eta - now,
    error: null,
    reasons: [...new Set([reason, ...plan.reasons])],
  };
}

/** Why a lease has no models yet, as it is now; null when it has, or is not there. */
export function leaseWaits(leases: Leases, lease: string): Waits | null {
  const entry = leases.entries.get(lease);
  if (entry === undefined || entry.phase === 'held') return null;
  if (entry.phase === 'animating') return entry.told;
  const { position, eta, reason } = standingOf(leases, entry);
  return { kind: 'gpu', reason, until: eta, position };
}

/** Everybody who has models or stands in line for some, first to last. */
export function leasesOf(leases: Leases): { leases: Lease[]; queue: GpuWaiter[] } {
  const given: Lease[] = [];
  for (const { ask, phase, plan, since, until } of leases.entries.values()) {
    if (phase === 'waiting') continue;
    const models = new Map(plan!.assignments.map(({ provider, tier, model, device }) => [provider, { provider, tier, model, device }]));
    const { id, holder, caller, task, need } = ask;
    given.push({ id, holder, caller, task, models: [...models.values()], priority: need.priority, since, until, state: phase });
  }
  const queue = itemsOf(leases.line).map(({ lease }): GpuWaiter => {
    const entry = leases.entries.get(lease)!;
    const { id, holder, caller, task, need } = entry.ask;
    const { position, eta, reason, plan } = standingOf(leases, entry);
    return {
      id,
      holder,
      caller,
      task,
      need,
      since: entry.since,
      position,
      eta,
      reason,
      waitsFor: (plan?.waitsFor ?? []).slice(0, WAITS_FOR_MOST),
    };
  });
  return { leases: given.sort((a, b) => a.since - b.since), queue };
}

function handle(turn: Turn, event: LeaseEvent | { type: 'time'; at: number }): void {
  const { next } = turn;
  switch (event.type) {
    case 'lease':
      ask(turn, event.ask);
      return;
    case 'release': {
      const entry = next.entries.get(event.lease);
      if (entry !== undefined) release(turn, entry);
      return;
    }
    case 'world':
      hear(turn, event.world);
      return;
    case 'animated': {
      const animation = next.animations.get(event.lease);
      if (animation !== undefined) animated(turn, event.lease, animation);
      return;
    }
    case 'not_animated':
      notAnimated(turn, event);
      return;
    case 'unload': {
      for (const { provider, tier, phase, leases } of viewOf(turn)?.world.residents ?? []) {
        if (provider === event.provider && phase === 'warm' && leases.length === 0) evict(turn, { provider, tier });
      }
      look(turn);
      return;
    }
    case 'time':
      passTime(turn);
      return;
    default:
      assertNever(event);
  }
}

// --- asking and letting go --------------------------------------------------------------------------------------------

function ask(turn: Turn, asked: (LeaseEvent & { type: 'lease' })['ask']): void {
  const { next } = turn;
  if (next.entries.has(asked.id)) return;
  const { now } = next;
  const stand = { at: -asked.need.priority, ticket: next.ticket++, lease: asked.id };
  const key = needKey(asked.need);
  const entry: Entry = {
    ...{ ask: asked, phase: 'waiting', since: now, stand, key, deadline: null, plan: null, heldAt: now, until: null },
    ...{ awaits: [], excluded: [], error: null, misfits: 0, stale: null, spoiled: null, told: null },
  };
  // Whoever wants a grant and waits for no time at all has it if it is warm.
  if (asked.expiresAt !== null && asked.expiresAt <= now && asked.holder.kind !== 'grant') {
    turn.effects.push({ type: 'unleased', lease: asked.id, error: expired(entry) });
    return;
  }
  const waiting = withDeadline(turn, entry, asked.expiresAt);
  // Those who want the same and stand there already would have it if it could be had.
  if (next.groups.has(key)) {
    enter(turn, waiting);
    tell(turn, waiting);
    return;
  }
  const chosen =
    settledChoice(next, key) ?? choose(turn, { need: asked.need, excluded: [], stale: null }, { view: viewOf(turn), since: now });
  const before = chosen.ready ? blockedBy(next, waiting, chosen.plan) : null;
  if (chosen.ready && before === null) serve(turn, waiting, chosen.plan);
  else if (chosen.hopeless) refused(turn, waiting, chosen.plan);
  else {
    enter(turn, waiting);
    look(turn);
    // Whoever is far back hears where that is once.
    if (next.entries.get(asked.id)?.told === null) tell(turn, next.entries.get(asked.id)!);
  }
}

function release(turn: Turn, entry: Entry): void {
  const { next } = turn;
  const { phase, plan } = entry;
  if (phase === 'held' && entry.ask.holder.kind !== 'load') next.lengths = noteLength(next.lengths, plan!, next.now - entry.heldAt);
  const head = phase === 'waiting' && isHead(next, entry);
  forget(turn, entry);
  // What got idle has its time in `again` already, and while others use it too, nobody can have it evicted.
  if (next.line !== null && (head || (phase !== 'waiting' && providersOf(plan!).some((provider) => makesRoom(next, provider))))) look(turn);
}

/** Whether somebody may have something because one lease less is on it. */
const makesRoom = (book: Book, provider: string): boolean =>
  !book.uses.has(provider) || (book.known?.providers.get(provider)?.concurrency ?? null) !== null;

const isHead = (book: Book, { key, stand }: Entry): boolean => firstOf(book.groups.get(key)?.line ?? null) === stand;

// --- the line ---------------------------------------------------------------------------------------------------------

/** Looks who may have theirs now, and what was idle long enough. */
function look(turn: Turn): void {
  const { next } = turn;
  next.again = null;
  evictIdle(turn);
  serveLine(turn, hands);
  for (const { lease } of firstItems(next.line, TOLD_MOST)) tell(turn, next.entries.get(lease)!);
}

const hands: Hands = { serve, refuse: refused };

// --- what happens to models -------------------------------------------------------------------------------------------

function hear(turn: Turn, world: (LeaseEvent & { type: 'world' })['world']): void {
  const { next } = turn;
  next.known = { world, providers: new Map(world.providers.map((provider) => [provider.name, provider])) };
  next.made = next.made.filter(({ at }) => at >= world.at);
  next.used = next.used.filter((_, provider) => next.known!.providers.has(provider));
  const resident = new Set(world.residents.filter(({ phase }) => phase !== 'draining').map(placeOf));
  next.leaving = next.leaving.filter((_, place) => resident.has(place));
  groundChanged(next);
  for (const entry of next.entries.values()) {
    const error = entry.phase === 'held' ? lost(next, entry.plan!) : null;
    if (error === null) continue;
    forget(turn, entry);
    turn.effects.push({ type: 'unleased', lease: entry.ask.id, error });
  }
  look(turn);
}

/** Why its models may not be used any more; null: they may. */
function lost({ known }: Book, { assignments }: Resolved): WireError | null {
  const { world, providers } = known!;
  for (const { provider, egress } of assignments) {
    if (world.sovereign && egress === 'remote')
      return refuse('sovereign_refused', `${provider} is remote, and sovereign is on.`, {
        hint: 'Turn sovereign off, or ask for a local model.',
      });
    if (!providers.has(provider)) return refuse('upstream_unreachable', `${provider} is not among the providers any more.`);
    const gone = world.unavailable.find((one) => one.provider === provider);
    // A server that is only slow to say so still has it in memory.
    if (gone !== undefined && !world.residents.some((resident) => resident.provider === provider))
      return refuse('upstream_unreachable', `${provider} cannot be had any more: ${gone.reason}.`, { hint: 'Look at its server.' });
  }
  return null;
}

function animated(turn: Turn, lease: string, { plan, priority, waiters }: Animation): void {
  const { next } = turn;
  next.animations = next.animations.delete(lease);
  for (const eviction of plan.evictions) next.made = next.made.set(placeOf(eviction), { at: next.now, resident: null });
  for (const load of plan.loads)
    next.made = next.made.set(placeOf(load), { at: next.now, resident: residentOf(next.known!, load, { priority, at: next.now }) });
  groundChanged(next);
  for (const id of new Set(waiters)) {
    const entry = next.entries.get(id);
    if (entry?.phase !== 'animating' || !entry.awaits.includes(lease)) continue;
    const awaits = entry.awaits.filter((other) => other !== lease);
    if (entry.spoiled !== null) requeue(turn, entry, entry.spoiled);
    else if (awaits.length > 0) put(next, id, { ...entry, awaits });
    // What was planned may not be allowed any more.
    else if (lost(next, entry.plan!)?.code === 'sovereign_refused') requeue(turn, entry, entry);
    else give(turn, entry);
  }
  look(turn);
}

function notAnimated(turn: Turn, { lease, provider, error }: LeaseEvent & { type: 'not_animated' }): void {
  const { next } = turn;
  const animation = next.animations.get(lease);
  const holder = next.entries.get(lease);
  if (animation === undefined) {
    if (holder?.phase === 'held') fail(turn, holder, { provider, error, own: true });
    look(turn);
    return;
  }
  next.animations = next.animations.delete(lease);
  groundChanged(next);
  for (const id of new Set(animation.waiters)) {
    const entry = next.entries.get(id);
    if (entry?.phase === 'animating' && entry.awaits.includes(lease)) fail(turn, entry, { provider, error, own: id === lease });
  }
  look(turn);
}

/** What it was to have did not come up: another candidate, or another plan. */
function fail(turn: Turn, entry: Entry, about: { provider: string | null; error: WireError | null; own: boolean }): void {
  const { next } = turn;
  const { id } = entry.ask;
  const setback = setbackOf(next, entry, about);
  if (setback === null) {
    forget(turn, { ...entry, phase: 'animating' });
    const hint = 'Something else loads and unloads models.';
    const error = about.error ?? refuse('conflict', `What was planned did not fit ${MISFITS_MOST} times in a row.`, { hint });
    turn.effects.push({ type: 'unleased', lease: id, error });
  } else if (next.animations.has(id)) put(next, id, { ...entry, awaits: [id], spoiled: setback });
  else requeue(turn, entry, setback);
}

/** null: it is not tried again. */
function setbackOf(book: Book, entry: Entry, about: { provider: string | null; error: WireError | null; own: boolean }): Setback | null {
  const { provider, own } = about;
  const { excluded, error, misfits, stale } = entry.spoiled ?? entry;
  if (provider !== null && providersOf(entry.plan!).includes(provider)) {
    return { excluded: [...new Set([...excluded, provider])].sort(), error: about.error ?? error, misfits, stale };
  }
  const more = misfits + Number(own);
  if (more >= MISFITS_MOST) return null;
  return { excluded, error, misfits: more, stale: { version: entry.plan!.version, until: book.now + STALE_MS } };
}

function evict(turn: Turn, place: { provider: string; tier: string }): void {
  const { next } = turn;
  const provider = next.known?.providers.get(place.provider);
  const until = next.now + (provider?.drainMs ?? 0) + (provider?.stopMs ?? 0) + EVICT_MORE_MS;
  next.made = next.made.delete(placeOf(place));
  next.leaving = next.leaving.set(placeOf(place), { at: next.now, until });
  groundChanged(next);
  turn.effects.push({ type: 'evict', provider: place.provider, tier: place.tier });
}

function evictIdle(turn: Turn): void {
  const { next } = turn;
  for (const [place, { until }] of next.leaving) {
    if (until > next.now) lookAgain(turn, until);
    else {
      next.leaving = next.leaving.delete(place);
      groundChanged(next);
    }
  }
  for (const { provider, tier, phase, leases, pinned, idleAt } of viewOf(turn)?.world.residents ?? []) {
    if (phase !== 'warm' || leases.length > 0 || pinned || idleAt === null) continue;
    if (idleAt > next.now) lookAgain(turn, idleAt);
    else evict(turn, { provider, tier });
  }
}

// --- time -------------------------------------------------------------------------------------------------------------

function passTime(turn: Turn): void {
  const { next } = turn;
  let moved = next.again !== null && next.again <= next.now;
  for (let due = firstOf(next.deadlines); due !== null && due.at <= next.now; due = firstOf(next.deadlines)) {
    const entry = next.entries.get(due.lease)!;
    forget(turn, entry);
    turn.effects.push({ type: 'unleased', lease: due.lease, error: entry.phase === 'held' ? over(entry) : expired(entry) });
    moved = true;
  }
  if (moved) look(turn);
}
