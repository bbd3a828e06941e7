/** What stands in memory, and which of it may go: the cheapest evictions that make room for a set of loads, exactly. */
import type { Need, NeedContext, Provider, Resident, World } from '../../../shared/cortex.ts';

/** Seed 001's multipliers: how much it hurts to wait. */
export const contextWeights: Record<NeedContext, number> = { speech: 10, interactive: 5, background: 2, training: 1 };

/** Below this priority nothing is evicted. */
export const leastSwapPriority = 40;

/** A grant is resolved at this moment; a later one is a time at which leases have ended. */
export const rightNow = Number.NEGATIVE_INFINITY;

/** A resident that does not go by itself already. */
export interface Occupant {
  resident: Resident;
  provider: Provider | null;
  /** Place in `Room.occupants`, which is sorted by names. */
  index: number;
  /** Place in `Room.devices`; -1: on none that is known. */
  device: number;
  bytes: number;
  costMs: number;
  /** From when nobody uses it; `rightNow`: nobody does, Infinity: nobody knows. */
  endsAt: number;
  /** From when it is gone without an eviction; null: never. */
  goneAt: number | null;
  /** It may be evicted for this need once nobody uses it. */
  evictable: boolean;
}

export interface Shelf {
  id: string;
  /** Infinity: its total is not known, so nothing is budgeted. Negative: more is in use than there is. */
  free: number;
  reserved: number;
}

export interface Room {
  occupants: Occupant[];
  draining: Resident[];
  devices: Shelf[];
  /** What the swap rule allows: evictions cost less than this. */
  allowedMs: number;
}

/** What a load asks of the room. */
export interface Footprint {
  /** What it takes on a device; 0: nothing that is budgeted. */
  bytes: number;
  pinned: boolean;
  /** Used as it stands: it is not evicted. */
  inPlace: Occupant | null;
  /** Those who have to go for it wherever they are. */
  forced: readonly Occupant[];
}

/** A set of evictions; the empty one has no `last`. */
export interface Heap {
  freed: number;
  costMs: number;
  /** How many are evicted, without those that go by themselves. */
  paid: number;
  size: number;
  last: Occupant | null;
  rest: Heap | null;
}

const nothing: Heap = { freed: 0, costMs: 0, paid: 0, size: 0, last: null, rest: null };

const byName = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

export function createRoom(need: Need, world: World, providers: ReadonlyMap<string, Provider>): Room {
  const places = new Map(world.devices.map(({ id }, i) => [id, i]));
  const devices = world.devices.map(({ id, total, others, reservedBytes }) => ({
    id,
    free: total === null ? Number.POSITIVE_INFINITY : total.bytes - others.bytes,
    reserved: reservedBytes,
  }));
  const occupants = world.residents
    .filter(({ phase }) => phase !== 'draining')
    .map((resident): Occupant => {
      const provider = providers.get(resident.provider) ?? null;
      const pinned = resident.pinned || provider?.pinned === true;
      const endsAt = resident.leases.reduce((end, { until }) => Math.max(end, until ?? Number.POSITIVE_INFINITY, world.at), rightNow);
      const idleMs = provider?.idleMs ?? null;
      const gone = endsAt === rightNow ? resident.idleAt : idleMs === null ? null : endsAt + idleMs;
      return {
        resident,
        provider,
        index: 0,
        device: resident.device === null ? -1 : (places.get(resident.device) ?? -1),
        bytes: resident.vram?.bytes ?? 0,
        costMs: resident.stopMs + resident.reloadMs + resident.contextMs,
        endsAt,
        goneAt: pinned || gone === null ? null : Math.max(gone, world.at),
        evictable:
          !pinned &&
          provider !== null &&
          provider.controller.kind !== 'openai' &&
          need.priority >= leastSwapPriority &&
          resident.priority <= need.priority,
      };
    })
    .sort(
      ({ resident: a }, { resident: b }) =>
        byName(a.provider, b.provider) || byName(a.tier, b.tier) || byName(a.device ?? '', b.device ?? ''),
    );
  occupants.forEach((occupant, index) => {
    occupant.index = index;
    const shelf = devices[occupant.device];
    if (shelf) shelf.free -= occupant.bytes;
  });
  const draining = world.residents.filter(({ phase }) => phase === 'draining');
  const allowedMs = need.priority * contextWeights[need.context] * 1000 - world.inertiaMs;
  return { occupants, draining, devices, allowedMs };
}

/** Whether `a` comes first: cheaper, fewer evictions, smaller, and of two of one size the one with the first name that they do not share. */
function before(a: Heap, b: Heap): boolean {
  if (a.costMs !== b.costMs) return a.costMs < b.costMs;
  if (a.paid !== b.paid) return a.paid < b.paid;
  if (a.size !== b.size) return a.size < b.size;
  // From the last name to the first: what is left over when the lists part for the last time has the first name.
  let [mine, x, y] = [false, a, b];
  while (x !== y) {
    if (x.last === y.last) [x, y] = [x.rest!, y.rest!];
    else if (y.last === null || (x.last !== null && x.last.index > y.last.index)) [mine, x] = [true, x.rest!];
    else [mine, y] = [false, y.rest!];
  }
  return mine;
}

/** Both sorted by what they free, and so is what comes of them: those for which nobody frees as much and comes first. */
function merged(a: readonly Heap[], b: readonly Heap[]): Heap[] {
  const kept: Heap[] = [];
  let [i, j] = [a.length - 1, b.length - 1];
  let least: Heap | null = null;
  while (i >= 0 || j >= 0) {
    const next: Heap = j < 0 || (i >= 0 && a[i]!.freed >= b[j]!.freed) ? a[i--]! : b[j--]!;
    if (least !== null && !before(next, least)) continue;
    if (least !== null && least.freed === next.freed) kept.pop();
    kept.push(next);
    least = next;
  }
  return kept.reverse();
}

/** Counts what is done, so that no input takes more than a bounded time. */
export interface Effort {
  steps: number;
  limit: number;
  /** Something was left out, so that what was found need not be the best. */
  cut: boolean;
}

/** Whether the search has to end here. */
export function spent(effort: Effort): boolean {
  if (effort.steps < effort.limit) return false;
  effort.cut = true;
  return true;
}

const mostHeaps = 4096;

/** The room as it is at a moment. */
export interface View {
  room: Room;
  moment: number;
  /** Whether it may go at this moment, and what that costs. null: it stays. */
  going(occupant: Occupant): { costMs: number; paid: 0 | 1 } | null;
  /** The first of all sets of evictions that make room for these loads; null: none does. `places`: their devices, -1 for none. */
  evictions(loads: readonly { form: Footprint; device: number }[]): Heap | null;
}

export function viewAt(room: Room, moment: number, effort: Effort): View {
  const going = ({ goneAt, evictable, endsAt, costMs }: Occupant): { costMs: number; paid: 0 | 1 } | null => {
    if (goneAt !== null && goneAt <= moment) return { costMs: 0, paid: 0 };
    return evictable && endsAt <= moment && costMs < room.allowedMs ? { costMs, paid: 1 } : null;
  };
  const movable = room.devices.map((): Occupant[] => []);
  for (const occupant of room.occupants) {
    if (occupant.device >= 0 && occupant.bytes > 0 && going(occupant) !== null) movable[occupant.device]!.push(occupant);
  }
  const most = movable.map((occupants) => occupants.reduce((sum, { bytes }) => sum + bytes, 0));
  const known = new Map<string, Heap[]>();

  const add = (heap: Heap, occupant: Occupant, { costMs, paid }: { costMs: number; paid: number }): Heap => ({
    freed: heap.freed + occupant.bytes,
    costMs: heap.costMs + costMs,
    paid: heap.paid + paid,
    size: heap.size + 1,
    last: occupant,
    rest: heap,
  });

  /** Every set of evictions on a device that may be the first for some need. */
  function heaps(device: number, without: readonly Occupant[]): Heap[] {
    const left = without.filter((occupant) => occupant.device === device);
    const key = `${device}:${left.map(({ index }) => index).join()}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    let made: Heap[] = [nothing];
    for (const occupant of movable[device]!) {
      if (left.includes(occupant)) continue;
      const price = going(occupant)!;
      const more: Heap[] = [];
      for (const heap of made) {
        if (heap.costMs + price.costMs < room.allowedMs || heap.paid + price.paid === 0) more.push(add(heap, occupant, price));
      }
      effort.steps += made.length;
      made = merged(made, more);
      const most = effort.steps < effort.limit ? mostHeaps : 8;
      if (made.length > most) {
        effort.cut = true;
        const stride = Math.ceil((2 * made.length) / most);
        made = made.filter((_, i) => i % stride === 0 || i === made.length - 1);
      }
    }
    known.set(key, made);
    return made;
  }

  function find(sorted: readonly Heap[], bytes: number): Heap | null {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle]!.freed >= bytes) high = middle;
      else low = middle + 1;
    }
    return sorted[low] ?? null;
  }

  function evictions(loads: readonly { form: Footprint; device: number }[]): Heap | null {
    effort.steps += 1;
    let all = nothing;
    const apart: Occupant[] = [];
    for (const { form } of loads) {
      if (form.inPlace !== null) apart.push(form.inPlace);
      effort.steps += form.forced.length;
      for (const occupant of form.forced) {
        const price = going(occupant);
        if (price === null) return null;
        if (apart.includes(occupant)) continue;
        apart.push(occupant);
        all = add(all, occupant, price);
      }
    }
    for (let i = 0; i < loads.length; i++) {
      const { device } = loads[i]!;
      if (device < 0 || loads.findIndex((load) => load.device === device) < i) continue;
      const shelf = room.devices[device]!;
      let [plain, pinned] = [0, 0];
      for (const load of loads) {
        if (load.device !== device) continue;
        if (load.form.pinned) pinned += load.form.bytes;
        else plain += load.form.bytes;
      }
      let short = plain + Math.max(shelf.reserved, pinned) - shelf.free;
      if (short <= 0) continue;
      for (let heap: Heap | null = all; heap !== null && heap.last !== null; heap = heap.rest) {
        if (heap.last.device === device && apart.includes(heap.last)) short -= heap.last.bytes;
      }
      if (short <= 0) continue;
      if (short > most[device]!) return null;
      const found = find(heaps(device, apart), short);
      if (found === null) return null;
      for (let heap: Heap | null = found; heap !== null && heap.last !== null; heap = heap.rest) {
        all = add(all, heap.last, going(heap.last)!);
      }
    }
    return all.paid === 0 || all.costMs < room.allowedMs ? all : null;
  }

  return { room, moment, going, evictions };
}

export function members(heap: Heap): Occupant[] {
  const found: Occupant[] = [];
  for (let at: Heap | null = heap; at !== null && at.last !== null; at = at.rest) found.push(at.last);
  return found.sort((a, b) => a.index - b.index);
}
