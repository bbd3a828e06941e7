/** What models take and what devices have left, and how each figure is known. What loads taught is kept over restarts. */
import type { Figure, FigureSource, Provider, Resident, Tier, WorldDevice } from '../../../shared/cortex.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { GpuDevice, GpuState } from '../../../shared/model.ts';
import type { Footprint } from '../store/models.ts';
import type { Store } from '../store/store.ts';
import { ruleOfThumb } from './rule-of-thumb.ts';

export interface Load {
  provider: string;
  tier: string;
  model: string;
  context: number | null;
  device: string | null;
}

export interface Budget {
  /**
   * The best figure there is: learned from loads with this context (measured, else reported), then declared, then learned with a longer
   * context, then from the name's number of parameters (both estimated); null: none. For a day after a load ran out of memory, it is more
   * than what was free then.
   */
  footprint(provider: Provider, tier: Tier): Figure | null;
  /** Median of the loads so far, else what is declared. */
  loadMs(provider: Provider, tier: Tier): number;
  /** The devices as resolve sees them: what no resident accounts for is held by others. `reserved`: for the sidecar, by device. */
  devices(gpu: GpuState, residents: readonly Resident[], reserved: (device: string) => number): WorldDevice[];
  /** A load that worked: what it took, as it was measured or reported, and how long. Kept. */
  learn(load: Load & { took: Figure | null; loadMs: number }): void;
  /** A load ran out of memory: it takes more than what was free. Kept. */
  tooBig(load: Load & { freeBytes: number | null }): void;
}

export interface BudgetOptions {
  store: { read: Pick<Store['read'], 'footprints'>; saveFootprint: Store['saveFootprint'] };
  clock(): number;
}

const MIB = 2 ** 20;
/** Loads of one model that are remembered, as in the store; the newest of them that make one figure. */
const KEPT = 20;
const NEWEST = 5;
/** How long a load that ran out of memory counts. It may have been somebody else's doing, so that it is tried again some day. */
const TOO_BIG_MS = 24 * 3_600_000;
/** How much more than what was free it takes at least, and how much more than was thought where that is not known. */
const BEYOND = 1.05;
const BEYOND_BYTES = 64 * MIB;
const BEYOND_UNKNOWN = 1.1;
/** A change of memory that says nothing. */
const NOISE_BYTES = 64 * MIB;

export function createBudget({ store, clock }: BudgetOptions): Budget {
  const loads = new Map<string, Footprint[]>();
  for (const footprint of kept(store)) remember(footprint);
  /** What others held when each device was last looked at, and at which probe. */
  const others = new Map<string, { gpu: GpuState; figure: Figure }>();

  function remember(footprint: Footprint): void {
    const key = keyOf(footprint);
    loads.set(key, [...(loads.get(key) ?? []), footprint].slice(-KEPT));
  }

  function keep(footprint: Footprint): void {
    remember(footprint);
    store.saveFootprint(footprint);
  }

  const of = (provider: Provider, tier: Tier): Footprint[] =>
    loads.get(keyOf({ provider: provider.name, tier: tier.name, model: tier.model })) ?? [];

  function devicesAt(gpu: GpuState, device: GpuDevice, residents: readonly Resident[]): Figure {
    const last = others.get(device.id);
    const figure = othersOn(device, residents, { last: last?.figure ?? null, isSameProbe: last?.gpu === gpu });
    others.set(device.id, { gpu, figure });
    return figure;
  }

  return {
    footprint(provider, tier) {
      if (provider.egress !== 'local') return tier.vram ?? { bytes: 0, source: 'estimated' };
      const all = of(provider, tier);
      const base = learned(all, tier.context) ?? tier.vram ?? learnedLonger(all, tier.context) ?? guessed(provider, tier);
      return beyond(base, { all, context: tier.context, now: clock() });
    },
    loadMs(provider, tier) {
      return median(of(provider, tier).flatMap(({ loadMs }) => (loadMs === null ? [] : [loadMs]))) ?? tier.loadMs;
    },
    devices(gpu, residents, reserved) {
      const devices = gpu.devices.map((device): WorldDevice => {
        const { id, name, memoryTotalBytes: total, memorySource } = device;
        return {
          id,
          name,
          total: total === null ? null : { bytes: total, source: memorySource.total },
          others: devicesAt(gpu, device, residents),
          reservedBytes: Math.max(0, reserved(id)),
        };
      });
      for (const id of others.keys()) if (!devices.some((device) => device.id === id)) others.delete(id);
      return devices;
    },
    learn({ took, loadMs, ...load }) {
      // A server that says 0 holds it elsewhere for now, which says nothing of what it takes on a device.
      const { bytes, source } = took !== null && took.bytes > 0 ? took : { bytes: null, source: null };
      keep({ ...aLoad(load), outcome: 'loaded', bytes, source, loadMs: Math.max(0, loadMs), at: clock() });
    },
    tooBig({ freeBytes, ...load }) {
      const bytes = freeBytes === null ? null : Math.ceil(Math.max(freeBytes * BEYOND, freeBytes + BEYOND_BYTES, 0));
      keep({ ...aLoad(load), outcome: 'too_big', bytes, source: 'estimated', loadMs: null, at: clock() });
    },
  };
}

/**
 * What a load took on a device: what was in use after it less what was in use before, if nothing else seems to have changed meanwhile, else
 * what its server reports; null: neither is known. Something else changed where a program let memory go, where more than one took some, or
 * where the difference is nothing like what is reported.
 */
export function measure(load: { before: GpuState; after: GpuState; device: string | null; reported: Figure | null }): Figure | null {
  const { before, after, device, reported } = load;
  const [was, is] = [before, after].map(({ devices }) => devices.find(({ id }) => id === device));
  if (!was || !is || was.memoryUsedBytes === null || is.memoryUsedBytes === null) return reported;
  const bytes = is.memoryUsedBytes - was.memoryUsedBytes;
  if (bytes < NOISE_BYTES || hasOtherChanges(was, is)) return reported;
  if (reported !== null && reported.bytes > 0 && (bytes < reported.bytes / 2 || bytes > reported.bytes * 2 + 1024 * MIB)) return reported;
  return { bytes, source: weakest(was.memorySource.used, is.memorySource.used) };
}

function hasOtherChanges(was: GpuDevice, is: GpuDevice): boolean {
  const held = ({ processes }: GpuDevice) => new Map(processes.map(({ pid, memoryUsedBytes }) => [pid, memoryUsedBytes]));
  const [before, after] = [held(was), held(is)];
  const changes = [...new Set([...before.keys(), ...after.keys()])].map((pid) => {
    const [from, to] = [before, after].map((one) => (one.has(pid) ? one.get(pid)! : 0));
    return from === null || to === null ? 0 : to! - from!;
  });
  return changes.some((change) => change < -NOISE_BYTES) || changes.filter((change) => change > NOISE_BYTES).length > 1;
}

/** The one that is known worst. */
function weakest(...sources: FigureSource[]): FigureSource {
  if (sources.includes('estimated')) return 'estimated';
  return sources.includes('reported') ? 'reported' : 'measured';
}

/**
 * What others hold: what is in use less what residents account for. Of a model that is being loaded or unloaded nobody knows how much of it is
 * in use by now, so the answer lies between counting it whole and not at all, and what others held before says where. Between two probes
 * residents change and what is in use does not: what somebody let go since is not held by others because of that.
 */
function othersOn(device: GpuDevice, residents: readonly Resident[], known: { last: Figure | null; isSameProbe: boolean }): Figure {
  const { last, isSameProbe } = known;
  const used = device.memoryUsedBytes;
  if (used === null) return { bytes: last?.bytes ?? 0, source: 'estimated' };
  const here = residents.filter((resident) => resident.device === device.id && resident.vram !== null);
  const warm = here.filter(({ phase }) => phase === 'warm');
  const most = Math.max(0, used - bytesOf(warm));
  const least = Math.max(0, used - bytesOf(here));
  const between = Math.min(most, Math.max(least, last?.bytes ?? most));
  const bytes = last !== null && isSameProbe ? Math.min(last.bytes, between) : between;
  return { bytes, source: weakest(device.memorySource.used, ...here.map(({ vram }) => vram!.source)) };
}

const bytesOf = (residents: readonly Resident[]): number => residents.reduce((sum, { vram }) => sum + Math.max(0, vram?.bytes ?? 0), 0);

// --- what loads taught ------------------------------------------------------------------------------------------------

/** Measured, else reported; of several devices the one on which it takes most. */
function learned(all: readonly Footprint[], context: number | null): Figure | null {
  for (const source of ['measured', 'reported', 'estimated'] as const) {
    const those = all.filter((one) => one.outcome === 'loaded' && one.source === source && one.bytes !== null && one.context === context);
    const each = [...Map.groupBy(those, ({ device }) => device).values()].map(
      (on) => median(on.slice(-NEWEST).map(({ bytes }) => bytes!))!,
    );
    if (each.length > 0) return { bytes: Math.max(...each), source };
  }
  return null;
}

/** With the shortest of the contexts that are longer: it does not take more than that. */
function learnedLonger(all: readonly Footprint[], context: number | null): Figure | null {
  if (context === null) return null;
  const longer = [...new Set(all.map((one) => one.context))].filter((one) => one !== null && one > context).sort((a, b) => a! - b!);
  const found = longer.map((one) => learned(all, one)).find((figure) => figure !== null);
  return found ? { bytes: found.bytes, source: 'estimated' } : null;
}

function guessed({ controller, name }: Provider, tier: Tier): Figure | null {
  const bytes = ruleOfThumb([tier.model, tier.name, name], { context: tier.context, controller: controller.kind });
  return bytes === null ? null : { bytes, source: 'estimated' };
}

/** More than what was free when it ran out of memory with this context. */
function beyond(base: Figure | null, known: { all: readonly Footprint[]; context: number | null; now: number }): Figure | null {
  const { all, context, now } = known;
  const failed = all.filter((one) => one.outcome === 'too_big' && one.context === context && now - one.at < TOO_BIG_MS);
  const unknown = failed.filter(({ bytes }) => bytes === null).length;
  const thought = base === null ? 0 : Math.ceil(base.bytes * BEYOND_UNKNOWN ** unknown);
  const bytes = Math.max(thought, ...failed.map((one) => one.bytes ?? 0));
  return bytes > (base?.bytes ?? 0) ? { bytes, source: 'estimated' } : base;
}

function kept(store: BudgetOptions['store']): Footprint[] {
  try {
    return store.read.footprints();
  } catch (caught) {
    // It is learned again.
    if (caught instanceof Refusal) return [];
    throw caught;
  }
}

const keyOf = ({ provider, tier, model }: Pick<Load, 'provider' | 'tier' | 'model'>) => JSON.stringify([provider, tier, model]);
const aLoad = ({ provider, tier, model, context, device }: Load): Load => ({ provider, tier, model, context, device });

/** The lower one of two in the middle; null of none. */
function median(values: readonly number[]): number | null {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? null;
}
