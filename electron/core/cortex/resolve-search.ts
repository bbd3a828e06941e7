/** The best plan by the order that `resolve` has in its docstring: dominance, then branch and bound. */
import { bitCount, createCompatible, type Form } from './resolve-candidates.ts';
import { type Effort, type Heap, spent, type View } from './resolve-room.ts';

export interface Choice {
  form: Form;
  /** Place in `Room.devices`; -1: no device matters. */
  device: number;
}

export interface Plan {
  /** By names. */
  choices: Choice[];
  evictions: Heap;
}

/** Whatever a plan has `other` in, this could stand in its place as far as memory, groups and evictions go. */
function asEasy(form: Form, other: Form): boolean {
  if ((form.mask & other.mask) !== other.mask || form.remote > other.remote) return false;
  if (form.inPlace !== null && form.inPlace !== other.inPlace && (form.inPlace.evictable || form.inPlace.goneAt !== null)) return false;
  if (form.bytes > 0) {
    if (form.bytes > other.bytes || form.pinned !== other.pinned) return false;
    if (form.reach !== '' && form.reach !== other.reach) return false;
  }
  if (form.groups !== '' && form.groups !== other.groups) return false;
  return form.forced.every((occupant) => other.forced.includes(occupant));
}

const asGood = (form: Form, other: Form) =>
  form.position <= other.position &&
  form.loads <= other.loads &&
  form.lan <= other.lan &&
  form.readyMs <= other.readyMs &&
  (form.rank <= other.rank || form.position < other.position || form.loads < other.loads || form.lan < other.lan);

/** Those that no other one makes needless. */
function undominated(sorted: readonly Form[], better: (form: Form, other: Form) => boolean, effort: Effort): Form[] {
  const kept: Form[] = [];
  for (const form of sorted) {
    let needless = false;
    // Past the limit all are kept: more work for the search, and no other answer.
    for (const other of effort.steps < effort.limit ? kept : []) {
      effort.steps += 1;
      if (better(other, form)) {
        needless = true;
        break;
      }
    }
    if (!needless) kept.push(form);
  }
  return kept;
}

/** Enough to find out whether there is a plan at all: what is worse only by rank is left out. */
export function easiest(forms: readonly Form[], effort: Effort): Form[] {
  return undominated(
    [...forms].sort((a, b) => a.ease - b.ease),
    asEasy,
    effort,
  );
}

/** Enough to find the best plan within bounds. */
export function worthwhile(forms: readonly Form[], bounds: Bounds, effort: Effort): Form[] {
  const fewest = createCover([...new Set(forms.map(({ mask }) => mask))], effort);
  const useful = forms.filter(({ remote, mask }) => remote <= bounds.remote && fewest(bounds.all & ~mask) < bounds.providers);
  return undominated(
    useful.sort((a, b) => a.merit - b.merit),
    (form, other) => asEasy(form, other) && asGood(form, other),
    effort,
  );
}

/** How many providers with these masks it takes to cover something, memory aside; at least so many where there is too much to cover to know. */
function createCover(masks: readonly number[], effort: Effort): (open: number) => number {
  const widest = masks.reduce((most, mask) => Math.max(most, bitCount(mask)), 1);
  const known = new Map<number, number>([[0, 0]]);
  const fewest = (open: number): number => {
    const before = known.get(open);
    if (before !== undefined) return before;
    const width = bitCount(open);
    if (width > 8) return Math.ceil(width / widest);
    const bit = open & -open;
    let least = Number.POSITIVE_INFINITY;
    for (const mask of masks) {
      effort.steps += 1;
      if ((mask & bit) !== 0) least = Math.min(least, 1 + fewest(open & ~mask));
    }
    known.set(open, least);
    return least;
  };
  return fewest;
}

/** A form with the devices that have room for it, cheapest first. */
interface Entry {
  form: Form;
  devices: { device: number; costMs: number; paid: number }[];
}

/** Lower bounds of what it takes to cover a set of capabilities. */
interface Least {
  providers: number;
  costMs: number;
  tiers: number;
  loads: number;
  lan: number;
  readyMs: number;
  ranks: number[];
}

export interface Bounds {
  all: number;
  remote: number;
  providers: number;
}

export interface Finder {
  /** The best plan of at most so many providers, so many of them remote; null: there is none. `first`: any will do. */
  find(bounds: Bounds, wanted: 'best' | 'first'): Plan | null;
}

export function createFinder(forms: readonly Form[], view: View, effort: Effort): Finder {
  const compatible = createCompatible();
  const entries: Entry[] = [];
  for (const form of forms) {
    const devices: Entry['devices'] = [];
    for (const device of form.devices) {
      if (spent(effort)) break;
      const heap = view.evictions([{ form, device }]);
      if (heap !== null) devices.push({ device, costMs: heap.costMs, paid: heap.paid });
    }
    if (devices.length === 0) continue;
    if (devices.length > 1) devices.sort((a, b) => a.costMs - b.costMs || a.paid - b.paid || a.device - b.device);
    entries.push({ form, devices });
  }
  entries.sort(
    (a, b) =>
      a.devices[0]!.costMs - b.devices[0]!.costMs ||
      a.devices[0]!.paid - b.devices[0]!.paid ||
      a.form.position - b.form.position ||
      a.form.loads - b.form.loads ||
      a.form.readyMs - b.form.readyMs ||
      a.form.lan - b.form.lan ||
      a.form.rank - b.form.rank,
  );
  const byRemote = new Map<number, Finder['find']>();
  return {
    find: (bounds, wanted) => {
      const nearby = bounds.remote === 0 ? 0 : 1;
      let find = byRemote.get(nearby);
      if (find === undefined) {
        find = createSearch(nearby === 0 ? entries.filter(({ form }) => form.remote === 0) : entries, { view, effort, compatible });
        byRemote.set(nearby, find);
      }
      return find(bounds, wanted);
    },
  };
}

interface Score {
  costMs: number;
  paid: number;
  tiers: number;
  loads: number;
  readyMs: number;
  lan: number;
}

const compareScores = (a: Score, b: Score) =>
  a.costMs - b.costMs || a.paid - b.paid || a.tiers - b.tiers || a.loads - b.loads || a.readyMs - b.readyMs || a.lan - b.lan;

function compareLists(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

function createSearch(
  entries: readonly Entry[],
  { view, effort, compatible }: { view: View; effort: Effort; compatible: (a: string, b: string) => boolean },
): Finder['find'] {
  const byBit = new Map<number, Entry[]>();
  const offering = (bit: number): Entry[] => {
    let those = byBit.get(bit);
    if (those === undefined) {
      those = entries.filter(({ form }) => (form.mask & bit) !== 0);
      byBit.set(bit, those);
    }
    return those;
  };
  const providersFor = createCover([...new Set(entries.map(({ form }) => form.mask))], effort);

  const bounds = new Map<number, Least>();
  function leastFor(open: number): Least {
    const known = bounds.get(open);
    if (known !== undefined) return known;
    const least: Least = { providers: providersFor(open), costMs: 0, tiers: 0, loads: 0, lan: 0, readyMs: 0, ranks: [] };
    for (let rest = open; rest !== 0; rest &= rest - 1) {
      let [costMs, tiers, loads, lan, readyMs] = Array<number>(5).fill(Number.POSITIVE_INFINITY) as [
        number,
        number,
        number,
        number,
        number,
      ];
      for (const { form, devices } of offering(rest & -rest)) {
        if (devices[0]!.costMs < costMs) costMs = devices[0]!.costMs;
        if (form.position < tiers) tiers = form.position;
        if (form.loads < loads) loads = form.loads;
        if (form.lan < lan) lan = form.lan;
        if (form.readyMs < readyMs) readyMs = form.readyMs;
      }
      least.costMs = Math.max(least.costMs, costMs);
      least.tiers = Math.max(least.tiers, tiers);
      least.loads = Math.max(least.loads, loads);
      least.lan = Math.max(least.lan, lan);
      least.readyMs = Math.max(least.readyMs, readyMs);
    }
    least.ranks = [...new Set(entries.filter(({ form }) => (form.mask & open) !== 0).map(({ form }) => form.rank))].sort((a, b) => a - b);
    bounds.set(open, least);
    return least;
  }

  const rarest = new Map<number, number>();
  function branchOn(open: number): number {
    let bit = rarest.get(open);
    if (bit === undefined) {
      bit = open & -open;
      for (let rest = open; rest !== 0; rest &= rest - 1) {
        if (offering(rest & -rest).length < offering(bit).length) bit = rest & -rest;
      }
      rarest.set(open, bit);
    }
    return bit;
  }

  return ({ all, remote: mostRemote, providers }, wanted) => {
    let best: { plan: Plan; score: Score; ranks: number[] } | null = null;
    const chosen: Choice[] = [];

    const sorted = () => [...chosen].sort((a, b) => a.form.rank - b.form.rank);

    /** Whether the names of a plan that goes on from here could still come first. */
    function namesMayWin(open: number, slots: number): boolean {
      const ranks = chosen.map(({ form }) => form.rank);
      let added = 0;
      for (const rank of open === 0 ? [] : leastFor(open).ranks) {
        if (added === slots) break;
        if (ranks.includes(rank)) continue;
        ranks.push(rank);
        added += 1;
      }
      return (
        compareLists(
          ranks.sort((a, b) => a - b),
          best!.ranks,
        ) <= 0
      );
    }

    function finish(score: Score, evictions: Heap): void {
      const choices = sorted();
      const ranks = choices.map(({ form }) => form.rank);
      if (best !== null) {
        const order =
          choices.length - best.plan.choices.length ||
          compareScores(score, best.score) ||
          compareLists(ranks, best.ranks) ||
          compareLists(
            choices.map(({ form }) => form.position),
            best.plan.choices.map(({ form }) => form.position),
          ) ||
          compareLists(
            choices.map(({ device }) => device),
            best.plan.choices.map(({ device }) => device),
          );
        if (order >= 0) return;
      }
      best = { plan: { choices, evictions }, score, ranks };
    }

    function go(open: number, remote: number, score: Score): void {
      const slots = providers - chosen.length;
      for (const { form, devices } of offering(branchOn(open))) {
        if (spent(effort) || (wanted === 'first' && best !== null)) return;
        effort.steps += 1;
        const after = open & ~form.mask;
        if (after === 0 ? slots < 1 : slots < 2 || providersFor(after) > slots - 1) continue;
        if (remote + form.remote > mostRemote) continue;
        if (chosen.some((other) => other.form.rank === form.rank || !compatible(other.form.groups, form.groups))) continue;
        const rest = after === 0 ? null : leastFor(after);
        const next: Score = {
          costMs: score.costMs,
          paid: score.paid,
          tiers: score.tiers + form.position,
          loads: score.loads + form.loads,
          readyMs: Math.max(score.readyMs, form.readyMs),
          lan: score.lan + form.lan,
        };
        for (const { device, costMs, paid } of devices) {
          chosen.push({ form, device });
          next.costMs = Math.max(score.costMs, costMs);
          next.paid = costMs > score.costMs ? paid : costMs < score.costMs ? score.paid : Math.max(score.paid, paid);
          if (mayWin(next, rest, { open: after, slots: slots - 1 })) {
            const evictions = view.evictions(chosen);
            if (evictions !== null) {
              const reached = { ...next, costMs: evictions.costMs, paid: evictions.paid };
              if (after === 0) finish(reached, evictions);
              else if (mayWin(reached, rest, { open: after, slots: slots - 1 })) go(after, remote + form.remote, reached);
            }
          }
          chosen.pop();
          if (spent(effort) || (wanted === 'first' && best !== null)) return;
        }
      }
    }

    function mayWin(score: Score, rest: Least | null, { open, slots }: { open: number; slots: number }): boolean {
      if (best === null) return true;
      const costMs = rest === null ? score.costMs : Math.max(score.costMs, rest.costMs);
      const bound: Score = {
        costMs,
        paid: costMs > score.costMs ? 0 : score.paid,
        tiers: score.tiers + (rest?.tiers ?? 0),
        loads: score.loads + (rest?.loads ?? 0),
        readyMs: Math.max(score.readyMs, rest?.readyMs ?? 0),
        lan: score.lan + (rest?.lan ?? 0),
      };
      const order = compareScores(bound, best.score);
      return order < 0 || (order === 0 && namesMayWin(open, slots));
    }

    if (providersFor(all) <= providers) go(all, 0, { costMs: 0, paid: 0, tiers: 0, loads: 0, readyMs: 0, lan: 0 });
    return (best as { plan: Plan } | null)?.plan ?? null;
  };
}
