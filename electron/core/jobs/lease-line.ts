/**
 * The line for models: who gets theirs next.
 *
 * Who counts more goes first: by priority, and those of 40 and more count 20 more for each `starveMs` that they wait, up to 100. Of equals,
 * whoever can use what is warm or warming goes before an older one for whom something would have to be loaded, so that ABCABC becomes AABBCC;
 * after that the oldest goes first. Two things bound it. Nothing that somebody who counts more waits for is given to one who counts less. And what
 * somebody waits for who was overtaken for `starveMs` is given to nobody younger that counts no more, until that one had its turn.
 * Whoever will be done before the others let go of it delays nobody, and may go.
 *
 * A swap that a need of 40 or more is not worth yet is worth it later: each second of waiting counts as a second of whim, and after `starveMs`
 * it is worth any, and the priority of whoever used a model last does not protect that any more. What its provider's own priority protects, what is pinned
 * or in use stays so. A need below 40 never swaps, however long it waits.
 */
import type { Need, Resolved } from '../../../shared/cortex.ts';
import { leastSwapPriority } from '../cortex/resolve-room.ts';
import {
  type Book,
  type Claim,
  type Entry,
  type Found,
  type Group,
  isFree,
  lengthIfUnknownMs,
  providersOf,
  type Turn,
} from './lease-book.ts';
import { type Choice, choose, endOf, usualOf, viewOf } from './lease-choice.ts';
import { countBefore, firstOf } from './ordered.ts';

const AGED_MORE = 20;
const PRIORITY_MOST = 100;

// --- who goes first ---------------------------------------------------------------------------------------------------

/** What somebody counts after waiting. */
function weightOf({ now, starveMs }: Book, { priority }: Need, since: number): number {
  if (priority < leastSwapPriority) return priority;
  return Math.max(priority, Math.min(PRIORITY_MOST, priority + AGED_MORE * Math.floor(Math.max(0, now - since) / starveMs)));
}

/** What a plan takes or waits for. */
function resourcesOf(book: Book, { assignments, loads, evictions, waitsFor, outcome }: Resolved): Set<string> {
  const named = new Set<string>();
  for (const { device } of loads) if (device !== null) named.add(`d:${device}`);
  for (const { provider } of evictions) named.add(`p:${provider}`);
  if (outcome === 'grant') for (const { provider } of assignments) named.add(`p:${provider}`);
  for (const lease of waitsFor) for (const { provider } of book.entries.get(lease)?.plan?.assignments ?? []) named.add(`p:${provider}`);
  return named;
}

/** When those in the way of a plan are done. */
function startOf(book: Book, { waitsFor }: Resolved): number | null {
  let startsAt: number | null = book.now;
  for (const lease of waitsFor) {
    const entry = book.entries.get(lease);
    const ends = entry === undefined ? null : endOf(book, entry);
    startsAt = ends === null || startsAt === null ? null : Math.max(startsAt, ends);
  }
  return startsAt;
}

/** Those who would be delayed if it got this now. */
function* delayedBy(book: Book, { ask, key }: Entry, plan: Resolved): Generator<{ group: Group; claim: Claim; head: Entry }> {
  if (book.found.claims.size === 0) return;
  const usual = usualOf(book, plan) ?? lengthIfUnknownMs;
  const ends = book.now + (plan.etaMs ?? 0) + (ask.holder.kind === 'grant' ? (ask.lastsMs ?? Number.POSITIVE_INFINITY) : usual);
  for (const resource of resourcesOf(book, plan)) {
    for (const claim of book.found.claims.get(resource) ?? []) {
      const group = claim.group === key ? undefined : book.groups.get(claim.group);
      const spare = claim.startsAt !== null && claim.startsAt > book.now && ends <= claim.startsAt;
      if (group !== undefined && !spare) yield { group, claim, head: headOf(book, group) };
    }
  }
}

const headOf = (book: Book, { line }: Group): Entry => book.entries.get(firstOf(line)!.lease)!;

/** Who is not to be delayed by it; null: it may have this. */
export function blockedBy(book: Book, entry: Entry, plan: Resolved): Entry | null {
  const mine = weightOf(book, entry.ask.need, entry.since);
  for (const { group, head } of delayedBy(book, entry, plan)) {
    const theirs = weightOf(book, head.ask.need, head.since);
    const starved = group.overtakenAt !== null && book.now - group.overtakenAt >= book.starveMs && head.stand.ticket < entry.stand.ticket;
    if (theirs > mine || (theirs === mine && starved)) return head;
  }
  return null;
}

/** Those it goes before from now on know since when. */
export function noteOvertaking({ next }: Turn, entry: Entry, plan: Resolved): void {
  const mine = weightOf(next, entry.ask.need, entry.since);
  for (const { group, claim, head } of delayedBy(next, entry, plan)) {
    if (group.overtakenAt !== null || head.stand.ticket > entry.stand.ticket || weightOf(next, head.ask.need, head.since) < mine) continue;
    next.groups = next.groups.set(claim.group, { ...group, overtakenAt: next.now });
  }
}

export interface Hands {
  serve(turn: Turn, entry: Entry, plan: Resolved): void;
  refuse(turn: Turn, entry: Entry, plan: Resolved): void;
}

/** Gives whoever may have theirs what they wait for. One resolve for each distinct need, and again for those after somebody for whom something is loaded. */
export function serveLine(turn: Turn, hands: Hands): void {
  const { next } = turn;
  if (next.line === null) {
    next.found = { plans: new Map(), claims: new Map() };
    return;
  }
  const first = viewOf(turn);
  const choices = new Map<string, Choice>();
  const free: string[] = [];
  const rest: string[] = [];
  for (const [key, group] of next.groups) {
    const choice = choose(turn, group, { view: first, since: headOf(next, group).since });
    choices.set(key, choice);
    (isFree(choice.plan) ? free : rest).push(key);
  }
  next.found = foundOf(next, choices);
  // What is warm: leases that are added make nobody else's plan better, so those of the first view still hold.
  inOrder(next, free, (key, group) => {
    const head = headOf(next, group);
    const choice = choose(turn, group, { view: first, since: head.since });
    choices.set(key, choice);
    return attempt(turn, { key, head, choice, choices, hands });
  });
  inOrder(next, rest, (key, group) => {
    const head = headOf(next, group);
    const choice = choose(turn, group, { view: viewOf(turn), since: head.since });
    choices.set(key, choice);
    if (choice.hopeless) {
      hands.refuse(turn, head, choice.plan);
      return true;
    }
    return attempt(turn, { key, head, choice, choices, hands });
  });
  next.found = foundOf(next, choices);
}

/** Whether its first one was served, so that the next one may be. */
function attempt(
  turn: Turn,
  { key, head, choice, choices, hands }: { key: string; head: Entry; choice: Choice; choices: Map<string, Choice>; hands: Hands },
): boolean {
  if (!choice.ready) return false;
  const before = blockedBy(turn.next, head, choice.plan);
  if (before !== null) {
    // When that one is done nobody can say before it began.
    choices.set(key, { ...choice, reason: keptFor(before), eta: null });
    return false;
  }
  hands.serve(turn, head, choice.plan);
  return true;
}

const keptFor = ({ ask: { holder } }: Entry): string => `${holder.kind} ${holder.id} goes first`;

/** As long as a group's first one is served it stays, with its next one. */
function inOrder(book: Book, keys: readonly string[], take: (key: string, group: Group) => boolean): void {
  const rank = (key: string) => {
    const head = headOf(book, book.groups.get(key)!);
    return { key, weight: weightOf(book, head.ask.need, head.since), ticket: head.stand.ticket };
  };
  type Ranked = ReturnType<typeof rank>;
  const order = (a: Ranked, b: Ranked) => b.weight - a.weight || a.ticket - b.ticket;
  const queue = keys
    .filter((key) => book.groups.has(key))
    .map(rank)
    .sort(order);
  for (let i = 0; i < queue.length; i++) {
    const { key } = queue[i]!;
    const group = book.groups.get(key);
    if (group === undefined || !take(key, group) || !book.groups.has(key)) continue;
    const next = rank(key);
    let [low, high] = [i + 1, queue.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order(queue[middle]!, next) < 0) low = middle + 1;
      else high = middle;
    }
    // In place of those that are done, where nothing comes between: a long group costs nothing to move.
    if (low === i + 1) queue[i--] = next;
    else queue.splice(low, 0, next);
  }
}

// --- what is told -----------------------------------------------------------------------------------------------------

/** Claims of those who wait, and when they should have theirs: their own plan, after those before them on the same devices. */
function foundOf(book: Book, choices: ReadonlyMap<string, Choice>): Found {
  const plans = new Map<string, { plan: Resolved; reason: string; eta: number | null }>();
  const claims = new Map<string, Claim[]>();
  /** When a device is let go of by those before; null: nobody knows. */
  const busy = new Map<string, number | null>();
  inOrder(book, [...choices.keys()], (key) => {
    const { plan, reason, ...choice } = choices.get(key)!;
    let { eta } = choice;
    const devices = [...new Set(plan.loads.map(({ device }) => device ?? ''))];
    for (const device of devices) {
      const before = busy.get(device);
      if (before === null) eta = null;
      else if (before !== undefined && eta !== null)
        eta = Math.max(eta, before + (plan.loads.find((load) => load.device === (device || null))?.loadMs ?? 0));
    }
    const usual = usualOf(book, plan);
    for (const device of devices) busy.set(device, eta === null || usual === null ? null : eta + usual);
    plans.set(key, { plan, reason, eta });
    if (isFree(plan) || plan.outcome === 'refusal') return false;
    const claim = { group: key, startsAt: startOf(book, plan) };
    for (const resource of resourcesOf(book, plan)) {
      const others = claims.get(resource);
      if (others === undefined) claims.set(resource, [claim]);
      else others.push(claim);
    }
    return false;
  });
  return { plans, claims };
}

/** O(log n). */
export function standingOf(
  book: Book,
  { stand, key }: Entry,
): { position: number; eta: number | null; reason: string; plan: Resolved | null } {
  const found = book.found.plans.get(key);
  const group = book.groups.get(key);
  const position = countBefore(book.line, stand);
  if (found === undefined || group === undefined) return { position, eta: null, reason: 'it was not its turn yet', plan: null };
  const { plan, reason } = found;
  const before = countBefore(group.line, stand);
  const most = Math.min(
    ...providersOf(plan).map((provider) => book.known?.providers.get(provider)?.concurrency ?? Number.POSITIVE_INFINITY),
  );
  const rounds = Number.isFinite(most) ? Math.floor(before / most) : 0;
  const usual = rounds === 0 ? 0 : usualOf(book, plan);
  return { position, reason, plan, eta: found.eta === null || usual === null ? null : found.eta + rounds * usual };
}
