import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Resolved } from '../../../shared/cortex.ts';
import { refuse } from '../../../shared/errors.ts';
import { someNeed, someProvider, someTier } from '../cortex/resolve.testing.ts';
import { createMachine, type Machine, model } from './leases.testing.ts';
import { type LeaseEvent, leasesDue, leasesOf, peekLease, stepLeases } from './leases.ts';

const GB = 1e9;
const providers = () => [
  model('a', 14, { priority: 0, concurrency: 2 }),
  model('b', 12, { priority: 0, capabilities: ['a', 'b'], concurrency: 1, idleMs: 40_000 }),
  model('c', 9, { priority: 60, idleMs: 20_000 }),
  someProvider('d', {
    capabilities: ['b', 'd'],
    priority: 0,
    tiers: [someTier('L', 20 * GB), someTier('M', 10 * GB), someTier('S', 3 * GB)],
  }),
  someProvider('far', {
    ...{ capabilities: ['a', 'e'], egress: 'remote', controller: { kind: 'openai' }, tiers: [someTier('S', 0)], concurrency: 2 },
  }),
];

const pick = fc.nat({ max: 1000 });
const action = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      capabilities: fc.subarray(['a', 'b', 'c', 'd', 'e'], { minLength: 1, maxLength: 2 }),
      priority: fc.constantFrom(10, 40, 50, 50, 50, 80),
      context: fc.constantFrom('interactive' as const, 'training' as const, 'background' as const),
      egress: fc.constantFrom('remote' as const, 'local' as const),
      lasts: fc.constantFrom(null, null, 5000, 90_000),
      patience: fc.constantFrom(null, null, null, 30_000),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('release' as const), pick }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('load' as const), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), pick, blame: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sovereign' as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('others' as const), gigabytes: fc.nat({ max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('unload' as const), pick }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 1000, 20_000, 70_000) }) },
);
type Action = typeof action extends fc.Arbitrary<infer One> ? One : never;
const scripts = fc.array(action, { minLength: 5, maxLength: 60 });

/** Plays it, and evicts what is told to go. */
function play(machine: Machine, one: Action, ids: { next: number }): void {
  const all = leasesOf(machine.leases);
  const any = [...all.leases, ...all.queue].map(({ id }) => id);
  const pending = machine.pending();
  switch (one.do) {
    case 'ask': {
      const { capabilities, priority, context, egress, lasts, patience } = one;
      machine.ask(
        `l${ids.next++}`,
        { capabilities, priority, context, egress },
        {
          ...(lasts !== null && { holder: { kind: 'grant' as const, id: 'g' } }),
          lastsMs: lasts,
          expiresAt: patience === null ? null : machine.now + patience,
        },
      );
      break;
    }
    case 'release':
      if (any.length > 0) machine.release(any[one.pick % any.length]!);
      break;
    case 'load':
      if (pending.length > 0) machine.load(pending[one.pick % pending.length]!);
      break;
    case 'fail':
      if (pending.length > 0) {
        const lease = pending[one.pick % pending.length]!;
        const provider = one.blame ? (machine.planOf(lease).loads[0]?.provider ?? null) : null;
        machine.fail(lease, provider, provider === null ? null : refuse('upstream_refused', 'It broke.'));
      }
      break;
    case 'sovereign':
      machine.say({ sovereign: one.on });
      break;
    case 'others':
      machine.say({
        devices: machine.world.devices.map((device) => ({ ...device, others: { bytes: one.gigabytes * GB, source: 'measured' } })),
      });
      break;
    case 'unload':
      machine.take({ type: 'unload', at: machine.now, provider: ['a', 'b', 'c', 'd'][one.pick % 4]! });
      break;
    case 'wait':
      machine.wait(one.ms);
      break;
  }
}

/** Those whose leases are given, or loaded for. */
function usersOf(machine: Machine): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>();
  for (const { id, models } of leasesOf(machine.leases).leases) {
    for (const { provider, tier } of models) users.set(`${provider} ${tier}`, (users.get(`${provider} ${tier}`) ?? new Set()).add(id));
  }
  return users;
}

test('any demand: no memory planned twice, nothing evicted that is in use, one load of a provider at a time, as many leases as it takes', () => {
  fc.assert(
    fc.property(scripts, (script) => {
      const machine = createMachine({ providers: providers() });
      const ids = { next: 0 };
      for (const one of script) {
        const before = usersOf(machine);
        const evicts = (plan: Pick<Resolved['evictions'][number], 'provider' | 'tier'>, by: string) => {
          // Whoever stands in line again has let go of what it had, and may plan without it.
          const leases = new Set(
            leasesOf(machine.leases)
              .leases.map(({ id }) => id)
              .filter((id) => id !== by),
          );
          const users = [...(before.get(`${plan.provider} ${plan.tier}`) ?? [])].filter((id) => leases.has(id));
          assert.deepEqual(users, [], `${by} evicts ${plan.provider}`);
        };
        machine.onAnimate = (lease, plan, others) => {
          const { world } = machine;
          for (const eviction of plan.evictions) evicts(eviction, lease);
          const loading = others.flatMap(({ loads }) => loads);
          for (const { provider } of plan.loads) assert.ok(!loading.some((load) => load.provider === provider), `${provider} twice`);
          const stays = world.residents.filter(
            ({ provider, tier }) => !plan.evictions.some((gone) => gone.provider === provider && gone.tier === tier),
          );
          const there = stays.filter(({ provider, tier }) => !loading.some((load) => load.provider === provider && load.tier === tier));
          const bytes = [...there, ...loading, ...plan.loads].reduce((sum, { vram }) => sum + vram!.bytes, world.devices[0]!.others.bytes);
          assert.ok(plan.loads.length === 0 || bytes <= world.devices[0]!.total!.bytes, `${lease} plans ${bytes / GB} GB`);
        };
        machine.onEvict = (provider, tier) => evicts({ provider, tier }, 'time');
        play(machine, one, ids);
        for (const { name, concurrency } of machine.world.providers) {
          const users = new Set([...usersOf(machine)].flatMap(([place, leases]) => (place.startsWith(`${name} `) ? [...leases] : [])));
          assert.ok(concurrency === null || users.size <= concurrency, `${users.size} on ${name}`);
        }
        for (const lease of leasesOf(machine.leases).leases) {
          if (lease.state !== 'held') continue;
          for (const { provider, tier } of lease.models) {
            const there = machine.world.residents.some((resident) => resident.provider === provider && resident.tier === tier);
            assert.ok(there || provider === 'far', `${lease.id} has ${provider}, which is not there`);
          }
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('any demand: what is remembered of plans is what resolving anew gives', () => {
  const asked = [['a'], ['b'], ['a', 'b'], ['c'], ['d'], ['a', 'e']].map((capabilities) => someNeed({ capabilities }));
  fc.assert(
    fc.property(scripts, (script) => {
      const machine = createMachine({ providers: providers() });
      const ids = { next: 0 };
      for (const one of script) {
        play(machine, one, ids);
        for (const need of asked) {
          const known = peekLease(machine.leases, need, machine.now);
          const anew = peekLease({ ...machine.leases, view: null, warm: new Map() }, need, machine.now);
          const pith = ({ outcome, assignments, loads, evictions, waitsFor }: Resolved) => ({
            outcome,
            assignments,
            loads,
            evictions,
            waitsFor,
          });
          assert.deepEqual(pith(known), pith(anew));
        }
        for (const [key, plan] of machine.leases.warm) {
          const busy = plan.assignments.some(({ provider, tier }) => {
            const { concurrency } = machine.world.providers.find(({ name }) => name === provider)!;
            return concurrency !== null && (usersOf(machine).get(`${provider} ${tier}`)?.size ?? 0) >= concurrency;
          });
          // One that takes no more at a time has another do it, or waits.
          if (busy) continue;
          const anew = peekLease({ ...machine.leases, view: null, warm: new Map() }, plan.need, machine.now);
          assert.deepEqual(anew.assignments, plan.assignments, key);
        }
      }
    }),
    { numRuns: 100 },
  );
});

test('any demand: everybody has theirs or hears why not once loads and leases end', () => {
  fc.assert(
    fc.property(scripts, (script) => {
      const machine = createMachine({ providers: providers() });
      const ids = { next: 0 };
      for (const one of script) play(machine, one, ids);
      let rounds = 0;
      for (; machine.leases.entries.size + machine.pending().length > 0 && rounds < 500; rounds++) {
        for (const lease of machine.pending()) machine.load(lease);
        for (const { id, state } of leasesOf(machine.leases).leases) if (state === 'held') machine.release(id);
        machine.wait(1000);
      }
      const { leases, queue } = leasesOf(machine.leases);
      const { groups, uses, waitingJobs, animations, deadlines } = machine.leases;
      assert.deepEqual(
        [leases, queue, groups.size, uses.size, waitingJobs, animations.size, deadlines],
        [[], [], 0, 0, 0, 0, null],
        `after ${rounds} rounds`,
      );
    }),
    { numRuns: 200 },
  );
});

test('any demand: the leases passed in are not changed, and give the same again; it does not matter when ticks come', () => {
  fc.assert(
    fc.property(scripts, (script) => {
      const machine = createMachine({ providers: providers() });
      const first = machine.leases;
      const events: LeaseEvent[] = [];
      machine.onEvent = (event) => void (event.type !== 'time' && events.push(event));
      const ids = { next: 0 };
      for (const one of script) play(machine, one, ids);
      const told = machine.told.map((effect) => JSON.stringify(effect));
      // Late: time passes only when something happens.
      let leases = first;
      const late: string[] = [];
      const take = (event: Parameters<typeof stepLeases>[1]) => {
        const stepped = stepLeases(leases, event);
        leases = stepped.leases;
        late.push(...stepped.effects.map((effect) => JSON.stringify(effect)));
      };
      for (const event of [...events, { type: 'time' as const, at: machine.now }]) {
        for (let due = leasesDue(leases); due !== null && due <= event.at; due = leasesDue(leases)) take({ type: 'time', at: due });
        if (event.type !== 'time') take(event);
      }
      assert.deepEqual(late, told);
    }),
    { numRuns: 100 },
  );
});
