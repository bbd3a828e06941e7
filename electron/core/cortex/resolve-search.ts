/** The best plan by the order that `resolve` has in its docstring: branch and bound. */
import { createCompatible, type Form } from './resolve-candidates.ts';
import { type Bounds, createCover } from './resolve-dominance.ts';
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

/** The least that a plan comes to that goes on from here. */
function boundOf(score: Score, rest: Least | null): Score {
  if (rest === null) return score;
  return {
    costMs: Math.max(score.costMs, rest.costMs),
    paid: rest.costMs > score.costMs ? 0 : score.paid,
    tiers: score.tiers + rest.tiers,
    loads: score.loads + rest.loads,
    readyMs: Math.max(score.readyMs, rest.readyMs),
    lan: score.lan + rest.lan,
  };
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
    // Whoever else comes covers some of it, and it takes so many.
    const touching = entries.filter(({ form }) => (form.mask & open) !== 0).map(({ form }) => form);
    const each = (of: (form: Form) => number) => touching.reduce((lowest, form) => Math.min(lowest, of(form)), Number.POSITIVE_INFINITY);
    least.tiers = Math.max(least.tiers, least.providers * each(({ position }) => position));
    least.loads = Math.max(least.loads, least.providers * each(({ loads }) => loads));
    least.lan = Math.max(least.lan, least.providers * each(({ lan }) => lan));
    least.ranks = [...new Set(touching.map(({ rank }) => rank))].sort((a, b) => a - b);
    bounds.set(open, least);
    return least;
  }

  const leastDevice = new Map<number, number>();
  for (const { form, devices } of entries) {
    const least = devices.reduce((lowest, { device }) => Math.min(lowest, device), leastDevice.get(form.rank) ?? Number.POSITIVE_INFINITY);
    leastDevice.set(form.rank, least);
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

    /** How the least names that a plan can have that goes on from here compare with the best. */
    function compareNames(open: number, slots: number): number {
      const ranks = chosen.map(({ form }) => form.rank);
      let added = 0;
      for (const rank of open === 0 ? [] : leastFor(open).ranks) {
        if (added === slots) break;
        if (ranks.includes(rank)) continue;
        ranks.push(rank);
        added += 1;
      }
      ranks.sort((a, b) => a - b);
      return compareLists(ranks, best!.ranks);
    }

    /** Of plans of the same names as the best: whether tiers or devices may still come first. */
    function placesMayWin(): boolean {
      const { ranks, plan } = best!;
      const places = ranks.map((rank) => chosen.find(({ form }) => form.rank === rank) ?? null);
      const order =
        compareLists(
          places.map((choice) => choice?.form.position ?? 0),
          plan.choices.map(({ form }) => form.position),
        ) ||
        compareLists(
          places.map((choice, i) => choice?.device ?? leastDevice.get(ranks[i]!)!),
          plan.choices.map(({ device }) => device),
        );
      return order < 0;
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
        let names: number | null = null;
        const mayWin = (reached: Score): boolean => {
          if (best === null) return true;
          const order = compareScores(boundOf(reached, rest), best.score);
          if (order !== 0) return order < 0;
          // The same on every device, and no better than this when another plan has become the best meanwhile.
          names ??= compareNames(after, slots - 1);
          return names < 0 || (names === 0 && placesMayWin());
        };
        for (const { device, costMs, paid } of devices) {
          chosen.push({ form, device });
          next.costMs = Math.max(score.costMs, costMs);
          next.paid = costMs > score.costMs ? paid : costMs < score.costMs ? score.paid : Math.max(score.paid, paid);
          if (mayWin(next)) {
            const evictions = view.evictions(chosen);
            if (evictions !== null) {
              const reached = { ...next, costMs: evictions.costMs, paid: evictions.paid };
              if (after === 0) finish(reached, evictions);
              else if (mayWin(reached)) go(after, remote + form.remote, reached);
            }
          }
          chosen.pop();
          if (spent(effort) || (wanted === 'first' && best !== null)) return;
        }
      }
    }

    if (providersFor(all) <= providers) go(all, 0, { costMs: 0, paid: 0, tiers: 0, loads: 0, readyMs: 0, lan: 0 });
    return (best as { plan: Plan } | null)?.plan ?? null;
  };
}
