/** Which forms need not be looked at, because another one is as good in every plan that they could be in. */
import { bitCount, type Form } from './resolve-candidates.ts';
import type { Effort } from './resolve-room.ts';

export interface Bounds {
  all: number;
  remote: number;
  providers: number;
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
export function createCover(masks: readonly number[], effort: Effort): (open: number) => number {
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
