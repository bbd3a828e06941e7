/** What fronts draw of the cortex, made from what everybody else knows. */
import type {
  CortexState,
  DeviceBudget,
  GpuAlert,
  GpuWaiter,
  Grant,
  InvalidUnit,
  Lease,
  ModelPhase,
  ModelState,
  Need,
  Provider,
  Resident,
  Usage,
  World,
} from '../../../shared/cortex.ts';
import type { CortexSettings, GpuState } from '../../../shared/model.ts';
import { transitions } from './groups.ts';

export interface Seen {
  world: World;
  phase(provider: string): { phase: ModelPhase; detail: string | null };
  lastUsedAt(provider: string): number | null;
  usage(provider: string): Usage | null;
  gpu: GpuState;
  leases: Lease[];
  queue: GpuWaiter[];
  grants: Grant[];
  alerts: GpuAlert[];
  invalid: InvalidUnit[];
  settings: Pick<CortexSettings, 'pools' | 'sidecar'>;
}

/** So many leases and waiters are drawn; the others are counted. */
const LISTED_MOST = 200;

/** Without its version. */
export function stateOf(seen: Seen): Omit<CortexState, 'version'> {
  const { world, leases, queue, grants, alerts, invalid, settings } = seen;
  const { sidecar } = settings;
  const models = world.providers.flatMap((provider) => modelsOf(provider, seen));
  return {
    devices: world.devices.map((device) => deviceOf(device.id, seen)),
    models,
    leases: leases.slice(0, LISTED_MOST),
    queue: queue.slice(0, LISTED_MOST),
    unlisted: { leases: Math.max(0, leases.length - LISTED_MOST), queue: Math.max(0, queue.length - LISTED_MOST) },
    grants,
    pools: settings.pools.map(({ name, endpoint }) => {
      const members = world.providers
        .filter((provider) => address(provider.endpoint) === address(endpoint))
        .map((provider) => provider.name);
      const isOfPool = ({ provider }: ModelState) => members.includes(provider);
      return {
        name,
        endpoint,
        providers: members,
        warm: models.filter((model) => isOfPool(model) && model.phase === 'warm').map(({ model }) => model),
        waiting: queue.filter(({ need }) => world.providers.some((provider) => members.includes(provider.name) && serves(provider, need)))
          .length,
      };
    }),
    alerts,
    invalid,
    capabilities: indexOf(world.providers),
    transitions: transitions(world),
    sidecar: sidecar && { provider: sidecar.provider, state: seen.phase(sidecar.provider).phase },
  };
}

/** Capabilities, sorted, each with the providers that have it in the order that is given. */
export function indexOf(providers: readonly Provider[]): CortexState['capabilities'] {
  const found = new Map<string, string[]>();
  for (const { name, capabilities } of providers)
    for (const capability of capabilities) {
      const names = found.get(capability);
      if (names === undefined) found.set(capability, [name]);
      else names.push(name);
    }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([capability, names]) => ({ capability, providers: names }));
}

function modelsOf(provider: Provider, seen: Seen): ModelState[] {
  const { world, leases, queue } = seen;
  const { name, capabilities, egress, groups, origin, demo, pinned } = provider;
  const resident = world.residents.find((one) => one.provider === name) ?? null;
  const { phase, detail } = seen.phase(name);
  const waiting = queue.filter(({ need }) => serves(provider, need)).length;
  const shown = resident?.tier ?? provider.tiers[0]?.name;
  return provider.tiers.map((tier) => {
    const here = resident?.tier === tier.name ? resident : null;
    return {
      provider: name,
      tier: tier.name,
      model: tier.model,
      ...{ capabilities, egress, groups, origin, demo, pinned },
      phase: phaseOf(provider, { here, phase }),
      // Where no tier is in memory it is said once, with the best.
      detail: tier.name === shown ? detail : null,
      device: here?.device ?? null,
      vram: here?.vram ?? tier.vram,
      loadMs: tier.loadMs,
      stopMs: provider.stopMs,
      contextMs: here?.contextMs ?? 0,
      controller: provider.controller.kind,
      leases: leases.filter(({ models }) => models.some((one) => one.provider === name && one.tier === tier.name)).map(({ id }) => id),
      waiting: tier.name === shown ? waiting : 0,
      usage: tier.name === shown ? seen.usage(name) : null,
      idleAt: here?.idleAt ?? null,
      lastUsedAt: here === null && provider.controller.kind !== 'openai' ? null : seen.lastUsedAt(name),
    };
  });
}

function phaseOf({ controller }: Provider, { here, phase }: { here: Resident | null; phase: ModelPhase }): ModelPhase {
  if (phase === 'error' || phase === 'halted' || phase === 'unknown' || controller.kind === 'openai') return phase;
  return here?.phase ?? 'cold';
}

/** It is one of those that could be given for this. */
function serves({ name, capabilities, tiers }: Provider, { capabilities: wanted, model }: Need): boolean {
  if (model !== null) return name === model || tiers.some((tier) => tier.model === model);
  return wanted.some((capability) => capabilities.includes(capability));
}

function deviceOf(id: string, { world, gpu }: Seen): DeviceBudget {
  const { name, total, others, reservedBytes } = world.devices.find((device) => device.id === id)!;
  const read = gpu.devices.find((device) => device.id === id) ?? null;
  const models = world.residents
    .filter(({ device }) => device === id)
    .map(({ provider, tier, vram }) => ({ provider, tier, vram }))
    .sort((a, b) => (b.vram?.bytes ?? 0) - (a.vram?.bytes ?? 0));
  const held = models.reduce((bytes, { vram }) => bytes + (vram?.bytes ?? 0), 0);
  return {
    id,
    name,
    total,
    used: read?.memoryUsedBytes == null ? null : { bytes: read.memoryUsedBytes, source: read.memorySource?.used ?? 'measured' },
    models,
    others,
    reservedBytes,
    freeBytes: total === null ? null : Math.max(0, total.bytes - others.bytes - held - reservedBytes),
    utilization: read?.utilization ?? null,
    temperatureC: read?.temperatureC ?? null,
    powerW: read?.powerW ?? null,
    demo: read?.demo ?? false,
  };
}

const address = (endpoint: string) => endpoint.replace(/\/+$/, '').replace(/\/v1$/, '');
