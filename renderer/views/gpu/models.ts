/** Models by their providers, what they can do, and what bringing one up means for the others. Pure. */
import type { CortexState, GpuWaiter, ModelPhase, ModelState } from '../../../shared/cortex.ts';

/** A provider with its tiers, best first. */
export interface ProviderGroup {
  name: string;
  tiers: ModelState[];
  /** The tier that speaks for it: the one in memory, the one in trouble, else the best. */
  shown: ModelState;
  waiting: number;
  demo: boolean;
}

export type ModelFilter = 'memory' | 'cold' | 'trouble' | 'elsewhere' | null;

export type ModelRow = { kind: 'provider'; group: ProviderGroup; open: boolean } | { kind: 'tier'; group: ProviderGroup; tier: ModelState };

/** Which phase speaks for a provider first. */
const weight: Record<ModelPhase, number> = { warm: 0, warming: 1, draining: 2, halted: 3, error: 4, unknown: 5, cold: 6 };

export function isInMemory(phase: ModelPhase): boolean {
  return phase === 'warm' || phase === 'warming' || phase === 'draining';
}

export function isTrouble(phase: ModelPhase): boolean {
  return phase === 'error' || phase === 'halted' || phase === 'unknown';
}

/** By name: a list that changes all the time must not move. */
export function groupModels(models: readonly ModelState[]): ProviderGroup[] {
  return [...Map.groupBy(models, (model) => model.provider)]
    .map(([name, tiers]) => ({
      name,
      tiers,
      shown: tiers.reduce((best, one) => (weight[one.phase] < weight[best.phase] ? one : best)),
      waiting: tiers.reduce((most, one) => Math.max(most, one.waiting), 0),
      demo: tiers.some((one) => one.demo),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The lines of the table: a provider, and its tiers below it where it is open. One with a single tier has nothing to open. */
export function rowsOf(
  groups: readonly ProviderGroup[],
  { q, filter, open }: { q: string; filter: ModelFilter; open: ReadonlySet<string> },
): ModelRow[] {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  return groups
    .filter(({ name, tiers, shown }) => {
      if (filter !== null && placeOfModel(shown) !== filter) return false;
      const text = [name, ...tiers.flatMap(({ tier, model }) => [tier, model]), ...shown.capabilities].join(' ').toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .flatMap((group) => {
      const opened = open.has(group.name) && group.tiers.length > 1;
      return [
        { kind: 'provider' as const, group, open: opened },
        ...(opened ? group.tiers.map((tier) => ({ kind: 'tier' as const, group, tier })) : []),
      ];
    });
}

/** What runs elsewhere takes none of the memory here, whatever its state. */
export function placeOfModel({ phase, egress }: Pick<ModelState, 'phase' | 'egress'>): NonNullable<ModelFilter> {
  if (isTrouble(phase)) return 'trouble';
  return egress !== 'local' ? 'elsewhere' : isInMemory(phase) ? 'memory' : 'cold';
}

/** Something can be loaded or unloaded here: an `openai` server is always warm, and what is remote is not ours. */
export function isLoadable({ controller, egress }: Pick<ModelState, 'controller' | 'egress'>): boolean {
  return controller !== 'openai' && egress !== 'remote';
}

/** What bringing a provider into memory means for those who are there. */
export type Transition =
  /** They share no operational group with it. */
  | { kind: 'banishes'; names: string[] }
  /** It fits beside what is there; with a tier that is not its best, `instead` says what that one would need. */
  | { kind: 'fits'; tier: string; instead: { tier: string; needBytes: number; freeBytes: number } | null }
  /** Not even its smallest tier fits beside what is there. */
  | { kind: 'tight'; needBytes: number; freeBytes: number }
  /** Its groups banish nobody; what it takes, or what is free, is not known. */
  | { kind: 'free' };

/** null: nothing is to be loaded, or it is in memory. What the core would do is another matter, and `OS.resolve.need` knows it. */
export function transitionOf(
  { name, tiers, shown }: ProviderGroup,
  { transitions, devices }: Pick<CortexState, 'transitions' | 'devices'>,
): Transition | null {
  if (!isLoadable(shown) || shown.egress !== 'local' || isInMemory(shown.phase)) return null;
  const names = transitions.find((one) => one.provider === name)?.banishes ?? [];
  if (names.length > 0) return { kind: 'banishes', names };
  const known = devices.flatMap(({ freeBytes }) => (freeBytes === null ? [] : [freeBytes]));
  const sizes = tiers.flatMap(({ tier, vram }) => (vram === null ? [] : [{ tier, needBytes: vram.bytes }]));
  if (known.length === 0 || sizes.length < tiers.length) return { kind: 'free' };
  const freeBytes = Math.max(...known);
  const [best] = sizes;
  const fits = sizes.find((one) => one.needBytes <= freeBytes);
  if (!fits) return { kind: 'tight', needBytes: Math.min(...sizes.map((one) => one.needBytes)), freeBytes };
  return { kind: 'fits', tier: fits.tier, instead: fits === best ? null : { ...best!, freeBytes } };
}

/** Those in line who could be given this provider, as the core counts them: it is the one they name, or it can do some of what they need. */
export function waitersFor(queue: readonly GpuWaiter[], { name, tiers, shown }: ProviderGroup): GpuWaiter[] {
  return queue
    .filter(({ need: { model, capabilities } }) =>
      model === null
        ? capabilities.some((one) => shown.capabilities.includes(one))
        : model === name || tiers.some((tier) => tier.model === model),
    )
    .sort((a, b) => a.position - b.position);
}

export interface CapabilityEntry {
  name: string;
  providers: ProviderGroup[];
  /** How many of them answer now; they come first. */
  ready: number;
}

/** It answers now: it is warm, and not away while nothing may leave. */
export function isReady({ phase, egress }: Pick<ModelState, 'phase' | 'egress'>, sovereign: boolean): boolean {
  return phase === 'warm' && !(sovereign && egress === 'remote');
}

/** Capability to providers: those that are ready first, then by name. */
export function capabilitiesOf(groups: readonly ProviderGroup[], sovereign: boolean): CapabilityEntry[] {
  const index = new Map<string, ProviderGroup[]>();
  for (const group of groups)
    for (const capability of group.shown.capabilities) index.set(capability, [...(index.get(capability) ?? []), group]);
  return [...index]
    .map(([name, providers]) => ({
      name,
      providers: providers.sort(
        (a, b) => Number(isReady(b.shown, sovereign)) - Number(isReady(a.shown, sovereign)) || (a.name < b.name ? -1 : 1),
      ),
      ready: providers.filter(({ shown }) => isReady(shown, sovereign)).length,
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
