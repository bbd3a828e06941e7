/** What must not change an answer, and inputs made to take long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Need, Resident, World } from '../../../shared/cortex.ts';
import { createRandom, someDevice, someNeed, someProvider, someResident, someTier, someWorld } from './resolve.testing.ts';
import { resolve, resolveCounted } from './resolve.ts';

const abilities = Array.from({ length: 16 }, (_, i) => `can-${String(i).padStart(2, '0')}`);

function drawWorld(random: () => number): World {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const residents: Resident[] = [];
  const providers = Array.from({ length: 12 }, (_, i) => {
    const provider = someProvider(`p${i}`, {
      capabilities: [...new Set([pick(abilities.slice(0, 4)), pick(abilities.slice(0, 4))])].sort(),
      tiers: [someTier('L', pick([6, 8, 12])), someTier('S', pick([2, 4]))],
      egress: pick(['local', 'local', 'local', 'lan', 'remote']),
      groups: pick([[], [], ['a'], ['b']]),
    });
    if (random() < 0.5)
      residents.push(
        someResident(provider, pick(['L', 'S']), {
          device: pick(['gpu0', 'gpu1']),
          leases: pick([[], [], [{ id: `l${i}`, priority: 50, until: null }]]),
        }),
      );
    return provider;
  });
  return someWorld({ devices: [someDevice('gpu0', 20), someDevice('gpu1', 16)], providers, residents, sovereign: random() < 0.5 });
}

test('the order of providers, residents and capabilities is nothing, and so is a remote provider under sovereign', () => {
  const random = createRandom(5);
  for (let i = 0; i < 500; i++) {
    const world = drawWorld(random);
    const need = someNeed({
      capabilities: abilities
        .slice(0, 4)
        .filter(() => random() < 0.6)
        .concat(abilities[3]!)
        .filter((one, n, all) => all.indexOf(one) === n),
    });
    const answer = resolve(need, world);
    const turned = { ...world, providers: world.providers.toReversed(), residents: world.residents.toReversed() };
    assert.deepEqual(resolve(need, turned), answer);

    const sovereign = { ...world, sovereign: true };
    const remote = someProvider('a-remote', {
      capabilities: abilities,
      egress: 'remote',
      controller: { kind: 'openai' },
      tiers: [someTier('XL', 0)],
    });
    const { rejected, ...plan } = resolve(need, sovereign);
    const { rejected: more, ...same } = resolve(need, { ...sovereign, providers: [remote, ...sovereign.providers] });
    // Who is asked for in vain is another matter: then it is the only one who could.
    if (plan.outcome !== 'refusal') assert.deepEqual(same, plan);
    assert.deepEqual(more, [{ provider: 'a-remote', tier: null, reason: 'remote, and sovereign is on' }, ...rejected]);
  }
});

/** Worlds in which much is nearly the same, nothing fits, or only one of very many sets does. */
const adversarial: Record<string, () => { need: Need; world: World }> = {
  'sixteen capabilities, each of twelve providers, and loads that fill eight cards to the last byte': () => ({
    need: someNeed({ capabilities: abilities }),
    world: someWorld({
      devices: Array.from({ length: 8 }, (_, i) => someDevice(`gpu${i}`, 200)),
      providers: Array.from({ length: 192 }, (_, i) =>
        someProvider(`p${i}`, {
          capabilities: [abilities[i % 16]!],
          tiers: [103 + (i % 13), 101 + ((i * 7) % 11), 99 + (i % 3)].map((bytes, n) => someTier(`t${n}`, bytes)),
        }),
      ),
    }),
  }),
  'two hundred that differ in nothing but name and size': () => ({
    need: someNeed({ capabilities: abilities.slice(0, 4) }),
    world: someWorld({
      devices: Array.from({ length: 8 }, (_, i) => someDevice(`gpu${i}`, 1000)),
      providers: Array.from({ length: 200 }, (_, i) =>
        someProvider(`p${1000 + i}`, { capabilities: [abilities[i % 4]!], tiers: [someTier('t', 500 - i)] }),
      ),
    }),
  }),
  'sixty residents whose sizes and costs are powers of two': () => {
    const held = Array.from({ length: 60 }, (_, i) =>
      someProvider(`held-${i}`, { capabilities: ['other'], tiers: [someTier('t', 2 ** (i % 40) + i)] }),
    );
    const total = held.reduce((sum, { tiers }) => sum + tiers[0]!.vram!.bytes, 0);
    return {
      need: someNeed({ capabilities: abilities.slice(0, 2), priority: 100, context: 'speech' }),
      world: someWorld({
        devices: [someDevice('gpu0', total)],
        providers: [
          ...held,
          ...Array.from({ length: 40 }, (_, i) =>
            someProvider(`p${i}`, { capabilities: [abilities[i % 2]!], tiers: [someTier('t', Math.floor(total / 3) + i * 977)] }),
          ),
        ],
        residents: held.map((provider, i) =>
          someResident(provider, 't', { stopMs: 0, reloadMs: 0, contextMs: 2 ** (i % 18) + ((i * 7919) % 1000) }),
        ),
      }),
    };
  },
  'every provider in a group of its own, beside a hundred residents': () => {
    const held = Array.from({ length: 100 }, (_, i) =>
      someProvider(`held-${i}`, { groups: [`h${i}`, `g${i % 40}`], tiers: [someTier('t', 10 + i)] }),
    );
    return {
      need: someNeed({ capabilities: abilities.slice(0, 4) }),
      world: someWorld({
        devices: Array.from({ length: 8 }, (_, i) => someDevice(`gpu${i}`, 1000)),
        providers: [
          ...held,
          ...Array.from({ length: 200 }, (_, i) =>
            someProvider(`p${i}`, {
              capabilities: [abilities[i % 4]!],
              groups: [`g${i % 40}`, `g${(i * 3) % 40}`],
              tiers: [someTier('t', 300 + i)],
            }),
          ),
        ],
        residents: held.map((provider, i) =>
          someResident(provider, 't', {
            device: `gpu${i % 8}`,
            leases: i % 3 === 0 ? [{ id: `l${i}`, priority: 50, until: 1_000_000 + i }] : [],
          }),
        ),
      }),
    };
  },
  'sixteen capabilities, each provider any five of them': () => {
    const random = createRandom(6);
    return {
      need: someNeed({ capabilities: abilities }),
      world: someWorld({
        devices: Array.from({ length: 8 }, (_, i) => someDevice(`gpu${i}`, 100)),
        providers: Array.from({ length: 200 }, (_, i) =>
          someProvider(`p${i}`, {
            capabilities: abilities.filter(() => random() < 5 / 16),
            tiers: [someTier('L', 60 + (i % 30)), someTier('S', 40 + (i % 20))],
          }),
        ),
      }),
    };
  },
};

for (const [what, made] of Object.entries(adversarial)) {
  test(`bounded work: ${what}`, () => {
    const { need, world } = made();
    const limit = 400_000;
    const { resolved, steps, exact } = resolveCounted(need, world, limit);
    // What has begun when the limit is reached is a round over providers or residents.
    assert.ok(steps <= limit * 2, `${steps} steps`);
    assert.equal(
      resolved.reasons.some((reason) => reason.startsWith('Not every plan was compared')),
      !exact,
    );
  });
}
