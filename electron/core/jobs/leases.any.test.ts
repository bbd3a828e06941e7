import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Need, Resolved } from '../../../shared/cortex.ts';
import { refuse } from '../../../shared/errors.ts';
import { someNeed, someProvider, someTier } from '../cortex/resolve.testing.ts';
import { createMachine, type Machine, model } from './leases.testing.ts';
import { type LeaseEvent, type Leases, leasesDue, leasesOf, peekLease, stepLeases } from './leases.ts';

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

/**
 * Who uses what at each moment of a step, by what is told in order: from when a lease has something, or it is loaded for it, until that ends.
 * Once what it waited for ends it may let go of the rest unheard, and is told what it has or waits for then.
 */
function watchUsers(machine: Machine): Map<string, string[]> {
  const users = new Map<string, string[]>();
  let entries = machine.leases.entries;
  machine.onEvent = (event) => {
    if (event.type === 'release') users.delete(event.lease);
    if (event.type === 'animated' || event.type === 'not_animated') {
      for (const [id, { phase, awaits, plan }] of entries) {
        if (phase === 'animating' && awaits.includes(event.lease) && machine.leases.entries.get(id)?.plan !== plan) users.delete(id);
      }
    }
    entries = machine.leases.entries;
  };
  machine.onEffect = (effect) => {
    if (effect.type === 'unleased') users.delete(effect.lease);
    // Whoever stands in line has a place there.
    if (effect.type === 'leased' || (effect.type === 'hold' && effect.waits.position === null))
      users.set(effect.lease, [...new Set(effect.plan.assignments.map(({ provider, tier }) => `${provider} ${tier}`))]);
    const gone = effect.type === 'evict' ? [effect] : effect.type === 'animate' ? effect.plan.evictions : [];
    for (const { provider, tier } of gone) {
      const inUse = [...users].filter(([, places]) => places.includes(`${provider} ${tier}`)).map(([id]) => id);
      assert.deepEqual(inUse, [], `${effect.type === 'animate' ? effect.lease : 'time'} evicts ${provider}`);
    }
  };
  return users;
}

test('any demand: no memory planned twice, nothing evicted that is in use, one load of a provider at a time, as many leases as it takes', () => {
  fc.assert(
    fc.property(scripts, (script) => {
      const machine = createMachine({ providers: providers() });
      const ids = { next: 0 };
      const users = watchUsers(machine);
      machine.onAnimate = (lease, plan, others) => {
        const { world } = machine;
        const loading = others.flatMap(({ loads }) => loads);
        for (const { provider } of plan.loads) assert.ok(!loading.some((load) => load.provider === provider), `${provider} twice`);
        for (const { provider, tier } of plan.evictions)
          assert.ok(!loading.some((load) => load.provider === provider && load.tier === tier), `${provider} goes while it is loaded`);
        const stays = world.residents.filter(
          ({ provider, tier }) => !plan.evictions.some((gone) => gone.provider === provider && gone.tier === tier),
        );
        const there = stays.filter(({ provider, tier }) => !loading.some((load) => load.provider === provider && load.tier === tier));
        const bytes = [...there, ...loading, ...plan.loads].reduce((sum, { vram }) => sum + vram!.bytes, world.devices[0]!.others.bytes);
        assert.ok(plan.loads.length === 0 || bytes <= world.devices[0]!.total!.bytes, `${lease} plans ${bytes / GB} GB`);
      };
      for (const one of script) {
        play(machine, one, ids);
        const used = new Map<string, Set<string>>();
        for (const [id, places] of users) for (const place of places) used.set(place, (used.get(place) ?? new Set()).add(id));
        assert.deepEqual(used, usersOf(machine));
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

const pith = ({ outcome, assignments, loads, evictions, waitsFor }: Resolved) => ({ outcome, assignments, loads, evictions, waitsFor });

/** By what is remembered, and without. */
const bothWays = (leases: Leases, need: Need, at: number): [Resolved, Resolved] => [
  peekLease(leases, need, at),
  peekLease({ ...leases, view: null, warm: new Map() }, need, at),
];

test('any demand: what is remembered of plans is what resolving anew gives', () => {
  const asked = [['a'], ['b'], ['a', 'b'], ['c'], ['d'], ['a', 'e']].map((capabilities) => someNeed({ capabilities }));
  fc.assert(
    fc.property(scripts, (script) => {
      const machine = createMachine({ providers: providers() });
      const ids = { next: 0 };
      for (const one of script) {
        play(machine, one, ids);
        // How long others take is guessed as of when the view was made, and only who has to wait is told by that.
        const then = machine.leases.view?.world.at ?? machine.now;
        for (const need of asked) {
          const [known, anew] = bothWays(machine.leases, need, machine.now);
          assert.equal(known.outcome, anew.outcome);
          if (known.outcome === 'grant') assert.deepEqual(pith(known), pith(anew));
          const [knownThen, anewThen] = bothWays({ ...machine.leases, now: then }, need, then);
          assert.deepEqual(pith(knownThen), pith(anewThen));
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
