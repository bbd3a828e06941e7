/** What the schedule knows of leases. Nothing in it is ever changed; only the lease modules read it. */
import type { Map as Dictionary, List } from 'immutable';
import type { Assignment, Lease, Need, Provider, Resident, Resolved, World } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { Waits } from '../../../shared/model.ts';
import type { Ordered, Ranked } from './ordered.ts';

/** Somebody wants models. Times are of the schedule's clock. */
export interface LeaseAsk {
  id: string;
  holder: Lease['holder'];
  caller: string;
  /** What its holder is for, in words of whoever asked; null: nobody said. */
  task: string | null;
  need: Need;
  /** It is given up when it has none by then; null: it waits for ever. */
  expiresAt: number | null;
  /** How long it is held at most, from when it is given; null: until it is released. */
  lastsMs: number | null;
}

export type LeaseEvent =
  | { type: 'lease'; at: number; ask: LeaseAsk }
  /** It is not wanted any more: in line, while it is animated, or held. */
  | { type: 'release'; at: number; lease: string }
  | { type: 'world'; at: number; world: World }
  /** What was to be animated is warm and has answered a pulse. */
  | { type: 'animated'; at: number; lease: string }
  /** It is not. `provider`: whose fault it was, which is no candidate for this lease any more; null: the world changed, so it is resolved again. */
  | { type: 'not_animated'; at: number; lease: string; provider: string | null; error: WireError | null }
  /** It should go: it was idle long enough, or somebody said so. Nothing happens while somebody uses it. */
  | { type: 'unload'; at: number; provider: string };

export type LeaseEffect =
  | { type: 'animate'; lease: string; plan: Resolved }
  /** It stands in line, or what it needs is loading. */
  | { type: 'hold'; lease: string; waits: Waits; plan: Resolved }
  | { type: 'leased'; lease: string; plan: Resolved }
  /** It gets none, or what it held was taken back. */
  | { type: 'unleased'; lease: string; error: WireError }
  | { type: 'evict'; provider: string; tier: string }
  /** Somebody let go of it who had `priority`: its idle time starts again. */
  | { type: 'used'; provider: string; priority: number };

export interface Book {
  now: number;
  /** Nobody is overtaken for longer. */
  starveMs: number;
  /** null: nobody said yet what there is, so everybody waits. */
  known: Known | null;
  entries: Dictionary<string, Entry>;
  /** Jobs among them that have no models yet. */
  waitingJobs: number;
  /** Who waits, by what they can be resolved as one. */
  groups: Dictionary<string, Group>;
  /** All who wait: priority, then age. */
  line: Ordered<Stand>;
  /** By provider: the leases on it, given or being loaded for. */
  uses: Dictionary<string, Dictionary<string, Use>>;
  /** By the lease that they were begun for, which may be gone. */
  animations: Dictionary<string, Animation>;
  /** By `placeOf`: what animations made, until a world that is no older says so itself. null: it is gone. */
  made: Dictionary<string, { at: number; resident: Resident | null }>;
  /** By `placeOf`: told to go because they were idle. */
  leaving: Dictionary<string, { at: number; until: number }>;
  /** Who let go of it last, until the world is newer. */
  used: Dictionary<string, { at: number; priority: number }>;
  /** How long the last leases of a provider's tier were held. */
  lengths: Dictionary<string, readonly number[]>;
  deadlines: Ordered<Deadline>;
  /** When the line has to be looked at although nothing happened; null: never. */
  again: number | null;
  ticket: number;
  /** The world with leases; null: it has to be made anew. */
  view: View | null;
  /** Plans that leases of others do not change. A memo of a pure function: filling it changes nothing. */
  warm: Map<string, Resolved>;
  /** What was found out about the line when it was last looked at. */
  found: Found;
}

export interface Known {
  world: World;
  providers: ReadonlyMap<string, Provider>;
}

export interface Stand extends Ranked {
  lease: string;
}

export interface Deadline extends Ranked {
  lease: string;
}

export interface Entry {
  ask: LeaseAsk;
  phase: 'waiting' | 'animating' | 'held';
  /** When it was asked for. */
  since: number;
  /** It keeps its place when it has to stand in line again. */
  stand: Stand;
  /** Of its group. */
  key: string;
  deadline: Deadline | null;
  /** What it holds or what is loaded for it. */
  plan: Resolved | null;
  heldAt: number;
  /** When it is taken back, as far as that can be said while it is loaded for; null: when it is released, or it has nothing yet. */
  until: number | null;
  /** Animations that have to end first. */
  awaits: readonly string[];
  /** Whose fault it was that it has none yet; the newest error. */
  excluded: readonly string[];
  error: WireError | null;
  /** How often a plan did not fit the world any more, and which version it was resolved in. */
  misfits: number;
  stale: { version: number; until: number } | null;
  /** Something else it waited for did not come up while its own load went on: it stands in line again once that is over. */
  spoiled: Setback | null;
  told: Waits | null;
}

/** With what somebody goes back in line. */
export type Setback = Pick<Entry, 'excluded' | 'error' | 'misfits' | 'stale'>;

/** Those whose needs are equal get equal plans, so one stands for all. */
export interface Group {
  need: Need;
  excluded: readonly string[];
  stale: Entry['stale'];
  line: Ordered<Stand>;
  /** Since when others go before its first one; null: nobody did. */
  overtakenAt: number | null;
}

export interface Use {
  tier: string;
  priority: number;
  until: number | null;
}

export interface Animation {
  plan: Resolved;
  priority: number;
  /** Whom it loads or waits for. */
  providers: readonly string[];
  waiters: List<string>;
}

export interface View {
  world: World;
  /** By `placeOf`. */
  residents: ReadonlyMap<string, Resident>;
  /** A memo of a pure function: filling it changes nothing. */
  plans: Map<string, Resolved>;
}

export interface Found {
  plans: ReadonlyMap<string, { plan: Resolved; reason: string; eta: number | null }>;
  /** By what is claimed (`resourcesOf`): who waits for it to be let go of. */
  claims: ReadonlyMap<string, readonly Claim[]>;
}

export interface Claim {
  group: string;
  /** When those who are in the way are done; null: nobody knows. */
  startsAt: number | null;
}

/** A step in the making: `next` is a copy that nobody else has yet. */
export interface Turn {
  next: Book;
  effects: LeaseEffect[];
}

/** The one place where an entry changes, with what is counted of it; null: it is gone. */
export function put(book: Book, id: string, entry: Entry | null): void {
  const waits = (one: Entry | null | undefined) => Number(one?.ask.holder.kind === 'job' && one.phase !== 'held');
  book.waitingJobs += waits(entry) - waits(book.entries.get(id));
  book.entries = entry === null ? book.entries.delete(id) : book.entries.set(id, entry);
}

/** Of a provider whose leases nobody has timed yet. */
export const lengthIfUnknownMs = 60_000;
const LENGTHS_KEPT = 15;

export const nothingFound: Found = { plans: new Map(), claims: new Map() };

/** Names a provider at a tier. */
export const placeOf = ({ provider, tier }: { provider: string; tier: string }): string => `${provider}\n${tier}`;

export const providersOf = ({ assignments }: Resolved): string[] => [...new Set(assignments.map(({ provider }) => provider))];

/** Nothing has to be loaded or evicted by whoever gets it. */
export const isFree = ({ outcome, loads, evictions }: Resolved): boolean =>
  outcome === 'grant' && loads.length === 0 && evictions.length === 0;

export const remoteOf = ({ assignments }: Resolved): number =>
  new Set(assignments.filter(({ egress }) => egress === 'remote').map(({ provider }) => provider)).size;

/** How long the model is held as a rule, in milliseconds; null: nobody held it yet. */
export function lengthOf({ lengths }: Book, place: Pick<Assignment, 'provider' | 'tier'>): number | null {
  const kept = lengths.get(placeOf(place));
  return kept === undefined ? null : [...kept].sort((a, b) => a - b)[kept.length >> 1]!;
}

export function noteLength(lengths: Book['lengths'], plan: Resolved, ms: number): Book['lengths'] {
  let next = lengths;
  for (const place of new Set(plan.assignments.map(placeOf))) next = next.set(place, [...(next.get(place) ?? []), ms].slice(-LENGTHS_KEPT));
  return next;
}
