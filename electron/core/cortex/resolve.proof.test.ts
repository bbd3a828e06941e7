/** `resolve` against plain exhaustive search. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Need, Provider, Resident, World } from '../../../shared/cortex.ts';
import { someDevice, someNeed, someProvider, someResident, someTier, someWorld } from './resolve.testing.ts';
import { resolve } from './resolve.ts';
import { expected, told } from './resolve-oracle.testing.ts';

const at = 1_000_000;
const abilities = ['hear', 'see', 'write'];
const span = fc.constantFrom(0, 20_000, 40_000, 90_000);

const arbitraryProvider = fc.record({
  capabilities: fc.oneof(
    { weight: 4, arbitrary: fc.subarray(abilities, { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.subarray(abilities, { minLength: 2, maxLength: 2 }) },
    { weight: 1, arbitrary: fc.constant(abilities) },
  ),
  tiers: fc.array(
    fc.record({
      bytes: fc.constantFrom(null, 0, 2, 4, 4, 5, 6, 6, 7, 8, 10, 12, 16),
      loadMs: span,
      context: fc.constantFrom(null, 4096, 8192),
    }),
    {
      minLength: 1,
      maxLength: 3,
    },
  ),
  kind: fc.constantFrom(...Array<string>(9).fill('ollama'), 'openai'),
  egress: fc.constantFrom('local', 'local', 'local', 'local', 'local', 'local', 'lan', 'remote'),
  groups: fc.constantFrom<string[][]>([], [], [], ['a'], ['b'], ['a', 'b'], ['c']),
  devices: fc.constantFrom<string[][]>([], [], [], ['gpu0'], ['gpu1'], ['gpu7']),
  priority: fc.constantFrom(0, 40, 50, 60),
  pinned: fc.constantFrom(false, false, false, false, false, true),
  idleMs: fc.constantFrom(null, null, 30_000, 500_000),
  available: fc.constantFrom(true, true, true, true, true, true, true, false),
  resident: fc.option(
    fc.record({
      tier: fc.nat(2),
      device: fc.constantFrom('gpu0', 'gpu0', 'gpu0', 'gpu1', 'gpu1', 'gpu1', null),
      bytes: fc.constantFrom(null, 0, 2, 4, 5, 6, 7, 8, 10, 12, 16),
      phase: fc.constantFrom('warm', 'warm', 'warm', 'warming', 'draining'),
      leases: fc.constantFrom<(number | null)[][]>([], [], [], [at + 50_000], [at - 5], [null], [at + 80_000, at + 10_000], [null, at + 7]),
      stopMs: span,
      reloadMs: span,
      contextMs: span,
      idleAt: fc.constantFrom(null, null, null, at - 10, at + 25_000, at + 60_000),
    }),
    { freq: 2 },
  ),
});

const arbitraryCase = fc.record({
  providers: fc.oneof(
    fc.array(arbitraryProvider, { minLength: 1, maxLength: 4 }),
    fc.array(arbitraryProvider, { minLength: 5, maxLength: 7 }),
  ),
  devices: fc.array(
    fc.record({
      total: fc.constantFrom(8, 10, 12, 13, 16, 18, 20, 24, null),
      others: fc.constantFrom(0, 0, 1, 3),
      reserved: fc.constantFrom(0, 0, 2),
    }),
    {
      minLength: 0,
      maxLength: 2,
    },
  ),
  need: fc.record({
    capabilities: fc.oneof(fc.subarray(abilities, { minLength: 1 }), fc.constant(abilities)),
    pick: fc.constantFrom(
      'capabilities',
      'capabilities',
      'capabilities',
      'capabilities',
      'capabilities',
      'tier',
      'model',
      'provider',
      'both',
    ),
    priority: fc.constantFrom(30, 40, 50, 60, 60, 100),
    context: fc.constantFrom('speech', 'interactive', 'background', 'training'),
    contextTokens: fc.constantFrom(null, null, null, 8000),
    sensitive: fc.constantFrom(false, false, false, true),
    egress: fc.constantFrom('remote', 'remote', 'remote', 'remote', 'lan', 'local'),
  }),
  sovereign: fc.constantFrom(false, false, false, true),
  inertiaMs: fc.constantFrom(0, 10_000, 60_000),
});

type Case = typeof arbitraryCase extends fc.Arbitrary<infer T> ? T : never;

function built({ providers, devices, need, sovereign, inertiaMs }: Case): { need: Need; world: World } {
  const names = ['M', 'K', 'Z', 'B', 'A', 'X', 'C'];
  const residents: Resident[] = [];
  const unavailable: World['unavailable'] = [];
  const made = providers.map(({ tiers, kind, available, resident, ...rest }, i) => {
    const provider = someProvider(names[i]!, {
      ...(rest as Partial<Provider>),
      controller: { kind: kind as 'ollama' },
      tiers: tiers.map(({ bytes, loadMs, context }, n) =>
        someTier(['L', 'M', 'S'][n]!, bytes, { loadMs, context, model: `model-${n === 0 ? i : n}` }),
      ),
    });
    if (!available) unavailable.push({ provider: provider.name, reason: 'its server is down' });
    if (resident !== null) {
      const { tier, bytes, leases, ...more } = resident;
      residents.push(
        someResident(provider, provider.tiers[tier % provider.tiers.length]!.name, {
          ...(more as Partial<Resident>),
          ...(bytes === null ? { vram: null } : { vram: { bytes, source: 'reported' } }),
          leases: leases.map((until, n) => ({ id: `${provider.name}${n}`, priority: 50, until })),
        }),
      );
    }
    return provider;
  });
  const { pick, capabilities, ...rest } = need;
  return {
    need: someNeed({
      ...(rest as Partial<Need>),
      capabilities: pick === 'model' || pick === 'provider' ? [] : capabilities,
      model: pick === 'model' || pick === 'both' ? 'model-1' : pick === 'provider' ? 'M' : null,
      tier: pick === 'tier' ? 'M' : null,
    }),
    world: someWorld({
      ...{ at, providers: made, residents, unavailable, sovereign, inertiaMs },
      devices: devices.map(({ total, others, reserved }, i) =>
        someDevice(`gpu${i}`, total, { others: { bytes: others, source: 'measured' }, reservedBytes: reserved }),
      ),
    }),
  };
}

/** Every provider local and resident or wanting to be, on cards too small for all: evictions and waits. */
const tightProvider = fc.record({
  capabilities: fc.oneof(
    { weight: 5, arbitrary: fc.subarray(abilities, { minLength: 1, maxLength: 1 }) },
    fc.subarray(abilities, { minLength: 2 }),
  ),
  tiers: fc.array(fc.record({ bytes: fc.constantFrom(3, 4, 5, 6, 7, 8, 9), loadMs: span, context: fc.constant(null) }), {
    minLength: 1,
    maxLength: 2,
  }),
  kind: fc.constant('ollama'),
  egress: fc.constantFrom('local', 'local', 'lan'),
  groups: fc.constantFrom<string[][]>([], [], [], [], ['a'], ['b']),
  devices: fc.constantFrom<string[][]>([], [], ['gpu0']),
  priority: fc.constantFrom(40, 50, 60),
  pinned: fc.constantFrom(...Array<boolean>(9).fill(false), true),
  idleMs: fc.constantFrom(null, 30_000),
  available: fc.constant(true),
  resident: fc.option(
    fc.record({
      tier: fc.nat(1),
      device: fc.constantFrom('gpu0', 'gpu0', 'gpu1'),
      bytes: fc.constantFrom(3, 4, 5, 6, 7),
      phase: fc.constantFrom('warm', 'warm', 'warm', 'warming'),
      leases: fc.constantFrom<(number | null)[][]>([], [], [], [], [], [at + 50_000], [null]),
      ...{ stopMs: span, reloadMs: span, contextMs: span },
      idleAt: fc.constantFrom(null, null, at + 25_000),
    }),
    { freq: 3 },
  ),
});

const tightCase = fc.record({
  providers: fc.array(tightProvider, { minLength: 4, maxLength: 7 }),
  devices: fc.array(fc.record({ total: fc.constantFrom(10, 13, 16), others: fc.constantFrom(0, 1), reserved: fc.constantFrom(0, 0, 2) }), {
    minLength: 1,
    maxLength: 2,
  }),
  need: fc.record({
    capabilities: fc.subarray(abilities, { minLength: 2 }),
    pick: fc.constant('capabilities'),
    priority: fc.constantFrom(50, 60, 100),
    context: fc.constantFrom('speech', 'interactive', 'background'),
    contextTokens: fc.constant(null),
    sensitive: fc.constant(false),
    egress: fc.constant('remote'),
  }),
  sovereign: fc.boolean(),
  inertiaMs: fc.constantFrom(0, 10_000, 60_000),
});

test('10,000 small worlds: the answer is that of exhaustive search', () => {
  const outcomes: Record<string, number> = {};
  fc.assert(
    fc.property(fc.oneof(arbitraryCase, tightCase as fc.Arbitrary<Case>), (drawn) => {
      const { need, world } = built(drawn);
      const resolved = resolve(need, world);
      const what =
        resolved.error?.code ??
        `${resolved.outcome}${resolved.evictions.length > 0 ? ' with evictions' : ''} of ${new Set(resolved.assignments.map(({ provider }) => provider)).size}`;
      outcomes[what] = (outcomes[what] ?? 0) + 1;
      assert.deepEqual(told(resolved), expected(need, world));
    }),
    { numRuns: 10_000, seed: 4 },
  );
  // A generator that never gets there proves nothing.
  for (const what of [
    'grant of 1',
    'grant of 2',
    'grant of 3',
    'grant with evictions of 1',
    'grant with evictions of 2',
    'wait of 1',
    'wait of 2',
  ]) {
    assert.ok((outcomes[what] ?? 0) >= 20, `${what}: ${outcomes[what]} of ${JSON.stringify(outcomes)}`);
  }
  for (const code of ['no_capability', 'sovereign_refused', 'vram_exhausted', 'conflict'])
    assert.ok((outcomes[code] ?? 0) >= 20, `${code}: ${JSON.stringify(outcomes)}`);
});
