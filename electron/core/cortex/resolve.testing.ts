/** Worlds for tests and benchmarks, in which everything has a value and only what matters has to be said. */
import type { Figure, Need, Provider, Resident, Tier, World, WorldDevice } from '../../../shared/cortex.ts';

export const figure = (bytes: number): Figure => ({ bytes, source: 'measured' });

export const someNeed = (more: Partial<Need> = {}): Need => ({
  ...{
    capabilities: [],
    tier: null,
    model: null,
    priority: 50,
    context: 'interactive',
    contextTokens: null,
    sensitive: false,
    egress: 'remote',
  },
  ...more,
});

export const someTier = (name: string, bytes: number | null, more: Partial<Tier> = {}): Tier => ({
  ...{ name, model: `model-${name}`, vram: bytes === null ? null : figure(bytes), context: 8192, loadMs: 10_000 },
  ...more,
});

export const someProvider = (name: string, more: Partial<Provider> = {}): Provider => ({
  ...{
    name,
    description: null,
    controller: { kind: 'ollama' },
    endpoint: 'http://127.0.0.1:1',
    egress: 'local',
    auth: null,
    capabilities: [],
  },
  ...{ tiers: [someTier('S', 1)], tools: [], groups: [], devices: [], priority: 50, pinned: false, concurrency: null, idleMs: null },
  ...{ drainMs: 120_000, warmMs: 180_000, stopMs: 5_000, settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 } },
  ...{ origin: { kind: 'registry', file: null, line: null }, demo: false },
  ...more,
});

export const someResident = (provider: Provider, tier: string, more: Partial<Resident> = {}): Resident => {
  const found = provider.tiers.find(({ name }) => name === tier)!;
  return {
    ...{ provider: provider.name, tier, model: found.model, device: 'gpu0', vram: found.vram, phase: 'warm', leases: [] },
    ...{
      priority: provider.priority,
      pinned: provider.pinned,
      stopMs: provider.stopMs,
      reloadMs: found.loadMs,
      contextMs: 0,
      idleAt: null,
    },
    ...more,
  };
};

export const someDevice = (id: string, bytes: number | null, more: Partial<WorldDevice> = {}): WorldDevice => ({
  ...{ id, name: id, total: bytes === null ? null : figure(bytes), others: figure(0), reservedBytes: 0 },
  ...more,
});

export const someWorld = (more: Partial<World> = {}): World => ({
  ...{ version: 1, at: 1_000_000, sovereign: false, devices: [], providers: [], residents: [], unavailable: [], inertiaMs: 10_000 },
  ...more,
});

/** mulberry32: the same numbers in every run. */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
