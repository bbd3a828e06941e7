/** The world as resolve has to see it, so that no two leases plan the same memory: what is under way counts as done or on its way. */
import type { Need, Resident, Resolved, World } from '../../../shared/cortex.ts';
import { resolve } from '../cortex/resolve.ts';
import { type Book, isFree, type Known, lengthOf, placeOf, providersOf, remoteOf, type View } from './lease-book.ts';

/** Plans kept of one view: needs with figures of their own must not fill the memory. */
const PLANS_MOST = 2000;

/** O(residents and leases on them). */
export function createView(book: Book, known: Known): View {
  const residents = new Map(known.world.residents.map((resident): [string, Resident] => [placeOf(resident), resident]));
  const become = (place: string, phase: Resident['phase']) => {
    const resident = residents.get(place);
    if (resident !== undefined) residents.set(place, { ...resident, phase });
  };
  const drain = (place: string) => {
    const mates = residents.get(place)?.sharedWith ?? [];
    become(place, 'draining');
    for (const [other, { provider }] of mates.length === 0 ? [] : residents) if (mates.includes(provider)) become(other, 'draining');
  };
  for (const [place, { at, resident }] of book.made) {
    // Whoever made it says so to the world as well, so a newer one knows better.
    if (known.world.at > at) continue;
    if (resident === null) residents.delete(place);
    else residents.set(place, { ...(residents.get(place) ?? resident), phase: 'warm' });
  }
  for (const { plan, priority, providers } of book.animations.values()) {
    for (const eviction of plan.evictions) drain(placeOf(eviction));
    for (const load of plan.loads)
      residents.set(placeOf(load), { ...residentOf(known, load, { priority, at: book.now }), phase: 'warming' });
    for (const assigned of plan.assignments) if (providers.includes(assigned.provider)) become(placeOf(assigned), 'warming');
  }
  for (const place of book.leaving.keys()) drain(place);
  for (const [place, resident] of residents) {
    const last = lastUseOf(book, resident);
    const idleMs = known.providers.get(resident.provider)?.idleMs ?? null;
    const later = last === undefined || idleMs === null || resident.idleAt === null ? null : last.at + idleMs;
    residents.set(place, {
      ...resident,
      leases: leasesOn(book, resident),
      idleAt: later === null ? resident.idleAt : Math.max(resident.idleAt!, later),
      priority: last === undefined || last.at < known.world.at ? resident.priority : last.priority,
    });
  }
  return { world: { ...known.world, at: book.now, residents: [...residents.values()] }, residents, plans: new Map() };
}

/** What a load makes, if it is done `at`. */
export function residentOf(known: Known, load: Resolved['loads'][number], { priority, at }: { priority: number; at: number }): Resident {
  const provider = known.providers.get(load.provider);
  const idleMs = provider?.idleMs ?? null;
  const { tier, model, device, vram, loadMs } = load;
  return {
    ...{ provider: load.provider, tier, model, device, vram, phase: 'warm', leases: [], priority },
    pinned: provider?.pinned ?? false,
    stopMs: provider?.stopMs ?? 0,
    reloadMs: loadMs,
    contextMs: 0,
    idleAt: idleMs === null ? null : at + idleMs,
  };
}

function lastUseOf({ used }: Book, { provider, sharedWith = [] }: Resident): { at: number; priority: number } | undefined {
  const uses = [provider, ...sharedWith].flatMap((name) => used.get(name) ?? []);
  return uses.length < 2 ? uses[0] : uses.reduce((a, b) => (b.at > a.at ? b : a));
}

/** Those on what it shares its memory with are on it as well. */
function leasesOn(book: Book, resident: Resident): Resident['leases'] {
  const found = new Map<string, Resident['leases'][number]>();
  for (const provider of [resident.provider, ...(resident.sharedWith ?? [])])
    for (const lease of leasesAt(book, { provider, tier: provider === resident.provider ? resident.tier : null }))
      found.set(lease.id, lease);
  return [...found.values()];
}

/** `tier` null: whichever it is. */
function leasesAt(book: Book, { provider, tier }: { provider: string; tier: string | null }): Resident['leases'] {
  const leases: Resident['leases'] = [];
  for (const [id, { priority, until, tier: used }] of book.uses.get(provider) ?? []) {
    if (tier !== null && used !== tier) continue;
    const entry = book.entries.get(id)!;
    const usual = lengthOf(book, { provider, tier: used });
    const expected =
      usual === null || entry.ask.holder.kind !== 'job'
        ? null
        : Math.max(book.now, (entry.phase === 'held' ? entry.heldAt : book.now) + usual);
    leases.push({ id, priority, until: expected === null || until === null ? (until ?? expected) : Math.min(until, expected) });
  }
  // Nobody may want any more what is being loaded; it is not evicted in the middle.
  for (const [id, { plan, providers, priority }] of book.animations) {
    const loads =
      providers.includes(provider) &&
      plan.assignments.some((assigned) => assigned.provider === provider && (tier === null || assigned.tier === tier));
    if (loads && !leases.some((lease) => lease.id === id)) leases.push({ id, priority, until: null });
  }
  return leases;
}

export function needKey(need: Need): string {
  const { capabilities, tier, model, priority, context, contextTokens, sensitive, egress } = need;
  return JSON.stringify([capabilities, tier, model, priority, context, contextTokens, sensitive, egress]);
}

/** `without`: providers that are no candidates, and why. O(1) for what was resolved in this view before. */
export function resolveIn(view: View, need: Need, without: ReadonlyMap<string, string>): Resolved {
  const key = without.size === 0 ? needKey(need) : `${needKey(need)} without ${[...without.keys()].sort().join()}`;
  let plan = view.plans.get(key);
  if (plan === undefined) {
    plan = resolve(need, without.size === 0 ? view.world : withLess(view.world, without));
    if (view.plans.size >= PLANS_MOST) view.plans.clear();
    view.plans.set(key, plan);
  }
  return plan;
}

function withLess(world: World, without: ReadonlyMap<string, string>): World {
  const less = [...without].map(([provider, reason]) => ({ provider, reason }));
  return { ...world, unavailable: [...world.unavailable.filter(({ provider }) => !without.has(provider)), ...less] };
}

/** Leases that others take or let go of do not change it: it is local and warm, one provider does all of it, and nobody has to make room. */
export function isSettled(plan: Resolved): boolean {
  return isFree(plan) && remoteOf(plan) === 0 && providersOf(plan).length === 1 && plan.assignments.every(({ phase }) => phase === 'warm');
}

/** Those of its providers that take no more leases at a time. */
export function fullOf(book: Book, plan: Resolved): string[] {
  return providersOf(plan).filter((name) => {
    const most = book.known?.providers.get(name)?.concurrency ?? null;
    return most !== null && (book.uses.get(name)?.size ?? 0) >= most;
  });
}

/** Its loads fit beside what still drains, so that it need not wait for that to go. */
export function fitsNow({ world }: View, plan: Resolved): boolean {
  const evicted = new Set(plan.evictions.map(placeOf));
  return plan.loads.every(({ device }) => {
    const found = device === null ? undefined : world.devices.find(({ id }) => id === device);
    if (found === undefined || found.total === null) return true;
    const there = world.residents.filter((resident) => resident.device === device);
    if (!there.some(({ phase }) => phase === 'draining')) return true;
    let bytes = found.others.bytes;
    for (const resident of there) if (!evicted.has(placeOf(resident))) bytes += resident.vram?.bytes ?? 0;
    for (const load of plan.loads) if (load.device === device) bytes += load.vram?.bytes ?? 0;
    return bytes <= found.total.bytes;
  });
}
