/** How a lease moves: into the line, to its models, back, and away. Each is one place where everything that counts it changes. */
import { Map as Dictionary, List } from 'immutable';
import type { Resolved } from '../../../shared/cortex.ts';
import { refuse, type WireError } from '../../../shared/errors.ts';
import { type Book, type Entry, placeOf, providersOf, put, type Setback, type Turn } from './lease-book.ts';
import { lookAgain } from './lease-choice.ts';
import { noteOvertaking, standingOf } from './lease-line.ts';
import { needKey } from './lease-view.ts';
import { withItem, withoutItem } from './ordered.ts';

export function refused(turn: Turn, entry: Entry, plan: Resolved): void {
  forget(turn, entry);
  // Why its last candidate failed says more than that none is left.
  const error = entry.error ?? plan.error ?? refuse('no_capability', 'Nothing offers this.');
  turn.effects.push({ type: 'unleased', lease: entry.ask.id, error });
}

/** Takes it out of everything. */
export function forget(turn: Turn, entry: Entry): void {
  const { next } = turn;
  if (entry.phase === 'waiting') leave(turn, entry);
  else letGo(turn, entry);
  if (entry.deadline !== null) next.deadlines = withoutItem(next.deadlines, entry.deadline);
  put(next, entry.ask.id, null);
}

export function letGo(turn: Turn, { ask: { id, holder, need }, plan, phase }: Entry): void {
  const { next } = turn;
  for (const provider of providersOf(plan!)) {
    const users = (next.uses.get(provider) ?? Dictionary()).delete(id);
    next.uses = users.size === 0 ? next.uses.delete(provider) : next.uses.set(provider, users);
    if (users.size > 0 || phase !== 'held') continue;
    const known = next.known?.providers.get(provider);
    // Whoever only had it loaded did not use it: it makes room as it always does.
    const priority = holder.kind === 'load' ? (known?.priority ?? 0) : need.priority;
    next.used = next.used.set(provider, { at: next.now, priority });
    turn.effects.push({ type: 'used', provider, priority });
    const idleMs = known?.idleMs ?? null;
    if (idleMs !== null) lookAgain(turn, next.now + idleMs);
  }
  leasesChanged(next, plan!);
}

/** The view has who uses what; nothing of that is in it for what is in no memory. */
function leasesChanged(book: Book, plan: Resolved): void {
  if (book.view !== null && plan.assignments.some((assigned) => book.view!.residents.has(placeOf(assigned)))) book.view = null;
}

/** What is resident, or soon will be, is another than before. */
export function groundChanged(book: Book): void {
  book.view = null;
  book.warm = new Map();
}

export function enter({ next }: Turn, entry: Entry): void {
  put(next, entry.ask.id, entry);
  next.line = withItem(next.line, entry.stand);
  const { excluded, stale } = entry;
  const group = next.groups.get(entry.key) ?? { need: entry.ask.need, excluded, stale, line: null, overtakenAt: null };
  next.groups = next.groups.set(entry.key, { ...group, line: withItem(group.line, entry.stand) });
}

export function leave({ next }: Turn, { key, stand }: Entry): void {
  next.line = withoutItem(next.line, stand);
  const group = next.groups.get(key);
  if (group === undefined) return;
  const line = withoutItem(group.line, stand);
  next.groups = line === null ? next.groups.delete(key) : next.groups.set(key, { ...group, line });
}

export function serve(turn: Turn, entry: Entry, plan: Resolved): void {
  const { next, effects } = turn;
  const { id, need, lastsMs } = entry.ask;
  const until = lastsMs === null ? null : next.now + (plan.etaMs ?? 0) + lastsMs;
  noteOvertaking(turn, entry, plan);
  if (next.groups.has(entry.key)) {
    leave(turn, entry);
    const group = next.groups.get(entry.key);
    if (group !== undefined) next.groups = next.groups.set(entry.key, { ...group, overtakenAt: null });
  }
  for (const { provider, tier } of plan.assignments) {
    const users = next.uses.get(provider) ?? Dictionary();
    next.uses = next.uses.set(provider, users.set(id, { tier, priority: need.priority, until }));
  }
  const joined = [...next.animations].filter(([, { providers }]) => plan.assignments.some(({ provider }) => providers.includes(provider)));
  const awaited = new Set(joined.flatMap(([, { providers }]) => providers));
  const own = [
    ...new Set(
      plan.assignments.filter(({ provider, phase }) => phase !== 'warm' && !awaited.has(provider)).map(({ provider }) => provider),
    ),
  ];
  const waits = joined.map(([leader]) => leader);
  for (const [leader, animation] of joined)
    next.animations = next.animations.set(leader, { ...animation, waiters: animation.waiters.push(id) });
  const moves = own.length > 0 || plan.evictions.length > 0;
  // A grant is for models that answer, also where they are warm already.
  if (moves || entry.ask.holder.kind === 'grant') {
    waits.push(id);
    next.animations = next.animations.set(id, { plan, priority: need.priority, providers: own, waiters: List([id]) });
    if (moves) groundChanged(next);
    else leasesChanged(next, plan);
    effects.push({ type: 'animate', lease: id, plan });
  } else leasesChanged(next, plan);
  const served: Entry = { ...entry, phase: 'animating', plan, until, awaits: waits, stale: null };
  if (waits.length === 0) {
    give(turn, served);
    return;
  }
  const told = {
    kind: 'gpu' as const,
    reason: loadingWords(plan),
    until: plan.etaMs === null ? null : next.now + plan.etaMs,
    position: null,
  };
  // That it is asked whether it answers is no wait: whoever waits for no time at all has what is warm.
  const isThere = waits.length === 1 && waits[0] === id && !moves;
  put(next, id, { ...(isThere ? withDeadline(turn, served, null) : served), told });
  effects.push({ type: 'hold', lease: id, waits: told, plan });
}

function loadingWords({ assignments, loads }: Resolved): string {
  const load = loads[0] ?? assignments.find(({ phase }) => phase !== 'warm');
  if (load === undefined) return `${assignments[0]!.model} is asked whether it answers`;
  return `${load.model} is being loaded${load.device === null ? '' : ` on ${load.device}`}`;
}

export function give(turn: Turn, entry: Entry): void {
  const { next } = turn;
  const { id, lastsMs } = entry.ask;
  const until = lastsMs === null ? null : next.now + lastsMs;
  if (until !== entry.until) {
    for (const provider of providersOf(entry.plan!))
      next.uses = next.uses.update(provider, Dictionary(), (users) => users.update(id, (use) => ({ ...use!, until })));
    leasesChanged(next, entry.plan!);
  }
  const held = withDeadline(turn, { ...entry, phase: 'held', heldAt: next.now, until, awaits: [], told: null, misfits: 0 }, until);
  put(next, id, held);
  turn.effects.push({ type: 'leased', lease: id, plan: entry.plan! });
}

/** It had, or was to have, something, and stands in line again at its old place. */
export function requeue(turn: Turn, entry: Entry, { excluded, error, misfits, stale }: Setback): void {
  letGo(turn, { ...entry, phase: 'animating' });
  const { need, expiresAt } = entry.ask;
  const more = excluded.length === 0 && stale === null ? '' : ` ${JSON.stringify([excluded, stale])}`;
  const back: Entry = {
    ...entry,
    excluded,
    error,
    misfits,
    stale,
    phase: 'waiting',
    plan: null,
    until: null,
    awaits: [],
    spoiled: null,
    told: null,
    key: needKey(need) + more,
  };
  enter(turn, withDeadline(turn, back, expiresAt));
}

/** Tells where it stands, if that is something else than it heard last. */
export function tell({ next, effects }: Turn, entry: Entry): void {
  const { position, eta, reason, plan } = standingOf(next, entry);
  const { told } = entry;
  const same =
    told !== null &&
    told.position === position &&
    told.reason === reason &&
    (told.until === null) === (eta === null) &&
    Math.abs((told.until ?? 0) - (eta ?? 0)) < 1000;
  if (same || plan === null) return;
  const waits = { kind: 'gpu' as const, reason, until: eta, position };
  put(next, entry.ask.id, { ...entry, told: waits });
  effects.push({ type: 'hold', lease: entry.ask.id, waits, plan });
}

export function withDeadline({ next }: Turn, entry: Entry, at: number | null): Entry {
  if (entry.deadline !== null) next.deadlines = withoutItem(next.deadlines, entry.deadline);
  const deadline = at === null ? null : { at, ticket: next.ticket++, lease: entry.ask.id };
  if (deadline !== null) next.deadlines = withItem(next.deadlines, deadline);
  return { ...entry, deadline };
}

export const expired = ({ told, phase }: Entry): WireError =>
  refuse(
    'wait_expired',
    `It had no model within its deadline: ${told?.reason ?? (phase === 'waiting' ? 'it stood in line' : 'it was being loaded')}.`,
    {
      hint: 'Give it more time, or look at who has the models.',
    },
  );

export const over = ({ ask: { holder } }: Entry): WireError =>
  refuse('cancelled', `The time that ${holder.kind} ${holder.id} had its models for is over.`, { hint: 'Ask again.' });
