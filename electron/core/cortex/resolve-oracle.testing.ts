/** What `resolve` should answer, by plain exhaustive search: written from its docstring and nothing else of it. */
import type { Need, Provider, Resident, Resolved, Tier, World } from '../../../shared/cortex.ts';

const weights = { speech: 10, interactive: 5, background: 2, training: 1 };
const near = ['local', 'lan', 'remote'];

interface Part {
  provider: Provider;
  tier: Tier;
  device: string | null;
  here: Resident | null;
  served: boolean;
}

interface Found {
  parts: Part[];
  evicted: Resident[];
  free: Resident[];
  key: (number | string)[];
}

/** When leases end and when it goes by itself; never: undefined. */
function times(resident: Resident, world: World): { ends: number; goes: number | undefined } {
  const provider = world.providers.find(({ name }) => name === resident.provider);
  const ends = resident.leases.length === 0 ? null : Math.max(...resident.leases.map(({ until }) => Math.max(until ?? Infinity, world.at)));
  let goes: number | undefined;
  if (!resident.pinned && !provider?.pinned) {
    if (ends === null) goes = resident.idleAt === null ? undefined : Math.max(resident.idleAt, world.at);
    else if (provider !== undefined && provider.idleMs !== null) goes = ends + provider.idleMs;
  }
  return { ends: ends ?? -Infinity, goes };
}

const sharesGroup = (a: Provider, b: Provider) =>
  a.groups.length === 0 || b.groups.length === 0 || a.groups.some((group) => b.groups.includes(group));

function compare(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] === b[i]) continue;
    return a[i] === undefined || a[i]! < b[i]! ? -1 : 1;
  }
  return 0;
}

function subsets<T>(items: readonly T[]): T[][] {
  const sets: T[][] = [[]];
  for (const item of items) sets.push(...sets.map((set) => [...set, item]));
  return sets;
}

function partsOf(need: Need, world: World): Part[][] {
  const wanted = (provider: Provider) =>
    need.capabilities.length > 0
      ? provider.capabilities.some((capability) => need.capabilities.includes(capability))
      : provider.name === need.model || provider.tiers.some(({ model }) => model === need.model);
  return world.providers
    .filter(wanted)
    .filter(
      ({ egress }) => !(egress === 'remote' && (world.sovereign || need.sensitive)) && near.indexOf(egress) <= near.indexOf(need.egress),
    )
    .filter(({ name }) => !world.unavailable.some(({ provider }) => provider === name))
    .map((provider) =>
      provider.tiers.flatMap((tier, place): Part[] => {
        if (need.model !== null && provider.name !== need.model && tier.model !== need.model) return [];
        if (need.tier !== null && !(place <= provider.tiers.findIndex(({ name }) => name === need.tier))) return [];
        if (need.contextTokens !== null && tier.context !== null && tier.context < need.contextTokens) return [];
        const here =
          world.residents.find((one) => one.provider === provider.name && one.tier === tier.name && one.phase !== 'draining') ?? null;
        const part = { provider, tier, here, served: provider.controller.kind === 'openai', device: null };
        if (here !== null || part.served || world.devices.length === 0 || tier.vram?.bytes === 0) return [part];
        if (tier.vram === null) return [];
        return world.devices
          .filter(({ id }) => provider.devices.length === 0 || provider.devices.includes(id))
          .map(({ id }) => ({ ...part, device: id }));
      }),
    );
}

const isLoad = ({ here, served }: Part) => here === null && !served;

/** The first set of evictions by the docstring, or null. */
function room(
  parts: Part[],
  { need, world, moment }: { need: Need; world: World; moment: number },
): Pick<Found, 'evicted' | 'free'> | null {
  const byName = new Map(world.providers.map((provider) => [provider.name, provider]));
  const standing = world.residents
    .filter(({ phase }) => phase !== 'draining')
    .sort((a, b) => compare([a.provider, a.tier, a.device ?? ''], [b.provider, b.tier, b.device ?? '']));
  const goesAlone = (one: Resident) => {
    const { goes } = times(one, world);
    return goes !== undefined && goes <= moment;
  };
  const mayGo = (one: Resident) => {
    const provider = byName.get(one.provider);
    if (goesAlone(one)) return true;
    if (one.pinned || provider === undefined || provider.pinned || provider.controller.kind === 'openai') return false;
    return one.priority <= need.priority && need.priority >= 40 && times(one, world).ends <= moment;
  };
  const loads = parts.filter(isLoad);
  const banished = standing.filter((one) =>
    loads.some(
      ({ provider }) => one.provider === provider.name || (byName.has(one.provider) && !sharesGroup(provider, byName.get(one.provider)!)),
    ),
  );
  let best: { found: Pick<Found, 'evicted' | 'free'>; key: number[]; set: Resident[] } | null = null;
  for (const set of subsets(standing)) {
    if (!banished.every((one) => set.includes(one)) || parts.some(({ here }) => here !== null && set.includes(here))) continue;
    if (!set.every(mayGo)) continue;
    const fits = world.devices.every((device) => {
      const put = loads.filter((load) => load.device === device.id);
      if (put.length === 0 || device.total === null) return true;
      const sum = (those: { bytes: number }[]) => those.reduce((total, { bytes }) => total + bytes, 0);
      const pinned = sum(put.filter(({ provider }) => provider.pinned).map(({ tier }) => tier.vram!));
      const plain = sum(put.filter(({ provider }) => !provider.pinned).map(({ tier }) => tier.vram!));
      const kept = sum(standing.filter((one) => one.device === device.id && !set.includes(one)).map(({ vram }) => vram ?? { bytes: 0 }));
      return plain + Math.max(device.reservedBytes, pinned) <= device.total.bytes - device.others.bytes - kept;
    });
    if (!fits) continue;
    const paid = set.filter((one) => !goesAlone(one));
    const cost = paid.reduce((total, one) => total + one.stopMs + one.reloadMs + one.contextMs, 0);
    if (paid.length > 0 && !(need.priority * weights[need.context] * 1000 > cost + world.inertiaMs)) continue;
    const key = [cost, paid.length, set.length];
    const order = best === null ? -1 : compare(key, best.key);
    const firstUnshared = best && standing.find((one) => set.includes(one) !== best!.set.includes(one));
    if (order < 0 || (order === 0 && firstUnshared && set.includes(firstUnshared))) {
      best = { found: { evicted: paid, free: set.filter(goesAlone) }, key, set };
    }
  }
  return best === null ? null : best.found;
}

function bestAt(need: Need, world: World, moment: number): Found | null {
  const options = partsOf(need, world);
  const deviceAt = new Map(world.devices.map(({ id }, i) => [id, i]));
  const most = Math.max(1, need.capabilities.length);
  let best: Found | null = null;
  const covers = (parts: Part[]) =>
    parts.length > 0 && need.capabilities.every((capability) => parts.some(({ provider }) => provider.capabilities.includes(capability)));
  const visit = (from: number, parts: Part[]): void => {
    if (covers(parts) && parts.every((a) => parts.every((b) => sharesGroup(a.provider, b.provider)))) {
      const made = room(parts, { need, world, moment });
      if (made !== null) {
        const sorted = [...parts].sort((a, b) => compare([a.provider.name], [b.provider.name]));
        const count = (which: (part: Part) => boolean) => parts.filter(which).length;
        const places = sorted.map(({ provider, tier }) => provider.tiers.indexOf(tier));
        const key = [
          count(({ provider }) => provider.egress === 'remote'),
          parts.length,
          made.evicted.reduce((total, one) => total + one.stopMs + one.reloadMs + one.contextMs, 0),
          made.evicted.length,
          places.reduce((a, b) => a + b, 0),
          count(isLoad),
          count(({ here }) => here?.phase === 'warming'),
          Math.max(...parts.map((part) => (isLoad(part) || part.here?.phase === 'warming' ? part.tier.loadMs : 0))),
          count(({ provider }) => provider.egress === 'lan'),
          ...sorted.map(({ provider }) => provider.name),
          ...places,
          ...sorted.map(({ device }) => (device === null ? -1 : deviceAt.get(device)!)),
        ];
        if (best === null || compare(key, best.key) < 0) best = { ...made, parts: sorted, key };
      }
    }
    if (parts.length === most) return;
    for (let i = from; i < options.length; i++) for (const part of options[i]!) visit(i + 1, [...parts, part]);
  };
  visit(0, []);
  return best;
}

/** What of an answer follows from the docstring. */
export interface Expected {
  outcome: Resolved['outcome'];
  code: string | null;
  assignments: string[];
  loads: string[];
  evictions: string[];
  waitsFor: string[];
  etaMs: number | null;
}

export function expected(need: Need, world: World): Expected {
  const moments = world.residents
    .filter(({ phase }) => phase !== 'draining')
    .flatMap((one) => Object.values(times(one, world)))
    .filter((time): time is number => time !== undefined && time !== -Infinity);
  for (const moment of [-Infinity, ...[...new Set(moments)].sort((a, b) => a - b)]) {
    const found = bestAt(need, world, moment);
    if (found === null) continue;
    const now = moment === -Infinity;
    const { parts, evicted, free } = found;
    const loads = parts.filter(isLoad);
    const nearest = [...parts].sort((a, b) =>
      compare([near.indexOf(a.provider.egress), a.provider.name], [near.indexOf(b.provider.egress), b.provider.name]),
    );
    const capabilities = need.capabilities.length > 0 ? need.capabilities : parts[0]!.provider.capabilities;
    const stops = [
      ...evicted,
      ...free,
      ...world.residents.filter(
        (one) =>
          one.phase === 'draining' &&
          loads.some(({ provider, device }) => provider.name === one.provider || (device !== null && device === one.device)),
      ),
    ].map(({ stopMs }) => stopMs);
    const ready = parts.map((part) => (isLoad(part) || part.here?.phase === 'warming' ? part.tier.loadMs : 0));
    const causeOf = (one: Resident) => {
      if (loads.some(({ provider }) => provider.name === one.provider)) return 'tier';
      const provider = world.providers.find(({ name }) => name === one.provider);
      return loads.some((load) => provider !== undefined && !sharesGroup(load.provider, provider)) ? 'group' : 'memory';
    };
    return {
      outcome: now ? 'grant' : 'wait',
      code: null,
      assignments: capabilities.map((capability) => {
        const { provider, tier, here, device } = nearest.find((part) => part.provider.capabilities.includes(capability))!;
        return `${capability} ${provider.name} ${tier.name} ${here?.device ?? device} ${here?.phase ?? (provider.controller.kind === 'openai' ? 'warm' : 'cold')}`;
      }),
      loads: loads.map(({ provider, tier, device }) => `${provider.name} ${tier.name} ${device}`),
      evictions: evicted.map((one) => `${one.provider} ${one.tier} ${causeOf(one)}`),
      waitsFor: now ? [] : [...evicted, ...free].flatMap(({ leases }) => leases.map(({ id }) => id)).sort(),
      etaMs: moment === Infinity ? null : (now ? 0 : moment - world.at) + Math.max(0, ...stops) + Math.max(...ready),
    };
  }
  const parts = partsOf(need, world).flat();
  const offers = (those: { provider: Provider }[]) =>
    need.capabilities.length > 0
      ? need.capabilities.every((capability) => those.some(({ provider }) => provider.capabilities.includes(capability)))
      : those.length > 0;
  let code = 'vram_exhausted';
  if (!offers(parts)) {
    const anybody = (capability: string | null) =>
      world.providers.filter(({ name, capabilities, tiers }) =>
        capability === null ? name === need.model || tiers.some(({ model }) => model === need.model) : capabilities.includes(capability),
      );
    const missing = (need.capabilities.length > 0 ? need.capabilities : [null]).filter(
      (capability) => !parts.some(({ provider }) => capability === null || provider.capabilities.includes(capability)),
    );
    const purged = (provider: Provider) => provider.egress === 'remote' && (world.sovereign || need.sensitive);
    code = missing.every((capability) => anybody(capability).length > 0 && anybody(capability).every(purged))
      ? 'sovereign_refused'
      : 'no_capability';
  } else {
    const roomy = { ...world, devices: world.devices.map((device) => ({ ...device, total: null })) };
    if (bestAt(need, roomy, Infinity) === null) code = 'conflict';
  }
  return { outcome: 'refusal', code, assignments: [], loads: [], evictions: [], waitsFor: [], etaMs: null };
}

export const told = (resolved: Resolved): Expected => ({
  outcome: resolved.outcome,
  code: resolved.error?.code ?? null,
  assignments: resolved.assignments.map(
    ({ capability, provider, tier, device, phase }) => `${capability} ${provider} ${tier} ${device} ${phase}`,
  ),
  loads: resolved.loads.map(({ provider, tier, device }) => `${provider} ${tier} ${device}`),
  evictions: resolved.evictions.map(({ provider, tier, cause }) => `${provider} ${tier} ${cause}`),
  waitsFor: resolved.waitsFor,
  etaMs: resolved.etaMs,
});
