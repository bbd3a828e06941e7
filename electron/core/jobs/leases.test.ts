import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuse } from '../../../shared/errors.ts';
import { someNeed, someTier } from '../cortex/resolve.testing.ts';
import { createMachine, model, START } from './leases.testing.ts';
import { leasesOf, peekLease } from './leases.ts';

/** Two of them never fit at once. */
const big = (name: string, more: Parameters<typeof model>[2] = {}) => model(name, 20, more);
const needs = (...capabilities: string[]) => ({ capabilities: capabilities.sort() });

// --- stories: loads, swaps, batches ---------------------------------------------------------------------------------

test('what is cold is loaded, once for two who want it, and both have it when it is warm', () => {
  const machine = createMachine({ providers: [big('a')] });
  machine.ask('1', needs('a'));
  machine.ask('2', needs('a'));
  machine.load('1');
  machine.ask('3', needs('a'));
  assert.deepEqual(machine.words(), ['1 loads a', '1 has a', '2 has a', '3 has a']);
});

test('a swap waits until the lease in its way ends', () => {
  const machine = createMachine({ providers: [big('a'), big('b')] });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.ask('2', needs('b'));
  machine.wait(5000);
  machine.release('1');
  machine.load('2');
  assert.deepEqual(machine.words(), ['1 loads a', '1 has a', '2 loads b, evicts a', '2 has b']);
});

test('ABCABC becomes AABBCC', () => {
  const machine = createMachine({ providers: ['a', 'b', 'c'].map((name) => big(name, { concurrency: 1 })) });
  for (const [i, name] of ['a', 'b', 'c', 'a', 'b', 'c'].entries()) machine.ask(`${name}${i}`, needs(name));
  const order: string[] = [];
  for (let round = 0; round < 20; round++) {
    for (const lease of machine.pending()) machine.load(lease);
    machine.wait(1000);
    for (const { id, state } of leasesOf(machine.leases).leases) {
      if (state !== 'held') continue;
      order.push(id);
      machine.release(id);
    }
  }
  assert.deepEqual(order, ['a0', 'a3', 'b1', 'b4', 'c2', 'c5']);
});

test('who is overtaken for a minute is overtaken no more, and the others wait for it', () => {
  const machine = createMachine({ providers: [big('a'), big('b')] });
  machine.ask('a0', needs('a'));
  machine.load('a0');
  machine.ask('b0', needs('b'));
  // There is always somebody on a: the next comes before the last one goes.
  for (let i = 1; i <= 9; i++) {
    machine.ask(`a${i}`, needs('a'));
    machine.release(`a${i - 1}`);
    machine.wait(10_000);
  }
  machine.release('a6');
  for (const lease of machine.pending()) machine.load(lease);
  machine.release('b0');
  assert.deepEqual(machine.words().slice(1), [
    ...['a0 has a', 'a1 has a', 'a2 has a', 'a3 has a', 'a4 has a', 'a5 has a', 'a6 has a'],
    ...['b0 loads b, evicts a', 'b0 has b', 'a9 loads a, evicts b'],
  ]);
});

test('the higher priority goes first, and nobody of a lower one keeps what it waits for busy', () => {
  const machine = createMachine({ providers: [big('a', { priority: 0 }), big('b'), big('c', { priority: 0 })] });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.ask('low', { ...needs('b'), priority: 45 });
  machine.ask('high', { ...needs('c'), priority: 70 });
  machine.ask('more', { ...needs('a'), priority: 60 });
  machine.release('1');
  machine.load('high');
  machine.release('high');
  const first = machine.words();
  machine.wait(60_000);
  // What high used last is not given up for less, but for a minute at most.
  assert.deepEqual(
    [first, machine.words()],
    [['1 loads a', '1 has a', 'high loads c, evicts a', 'high has c'], ['more loads a, evicts c']],
  );
});

test('whoever is done before a long lease ends delays nobody, and may share it', () => {
  const machine = createMachine({ providers: [big('a'), big('b')] });
  machine.ask('first', needs('a'));
  machine.load('first');
  machine.wait(5000);
  machine.release('first');
  machine.ask('grant', needs('a'), { holder: { kind: 'grant', id: 'g1' }, lastsMs: 3_595_000 });
  // Warm as it is, it is asked whether it answers.
  machine.load('grant');
  machine.ask('high', { ...needs('b'), priority: 90 });
  machine.ask('short', needs('a'));
  machine.wait(3_600_000 - 5000 - 1000);
  machine.release('short');
  machine.ask('late', { ...needs('a'), priority: 20 });
  assert.deepEqual(machine.words().slice(2), ['grant loads nothing', 'grant has a', 'short has a']);
});

test('a provider takes no more leases at a time than it can, unless another one is warm', () => {
  const one = model('a', 5, { concurrency: 1 });
  const two = model('b', 5, { concurrency: 1, capabilities: ['a', 'b'] });
  const machine = createMachine({ providers: [one, two] });
  machine.ask('1', needs('b'));
  machine.load('1');
  machine.release('1');
  machine.ask('2', needs('a'));
  machine.ask('3', needs('a'));
  machine.ask('4', needs('a'));
  machine.release('2');
  const words = machine.words();
  assert.deepEqual(words, ['1 loads b', '1 has b', '2 has b', '3 has b', '4 has b'].slice(0, words.length));
});

test('a need that is not worth a swap is worth it after waiting', () => {
  // Whim: 50 x 1 s. The swap costs 15 s and 60 s of reluctance, so 25 s are missing.
  const machine = createMachine({ providers: [big('a'), big('b')], more: { inertiaMs: 60_000 } });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.release('1');
  machine.ask('2', { ...needs('b'), context: 'training' });
  machine.ask('weak', { ...needs('b'), context: 'training', priority: 39 });
  machine.wait(25_000);
  const before = machine.words();
  machine.wait(10);
  assert.deepEqual([before, machine.words()], [['1 loads a', '1 has a', 'weak ends: vram_exhausted'], ['2 loads b, evicts a']]);
});

// --- stories: ends --------------------------------------------------------------------------------------------------

test('a lease that has nothing by its deadline ends, also while its model loads, and the load serves the next', () => {
  const machine = createMachine({ providers: [big('a')] });
  machine.ask('1', needs('a'), { expiresAt: START + 3000 });
  machine.wait(3000);
  machine.ask('2', needs('a'));
  machine.load('1');
  assert.deepEqual(machine.words(), ['1 loads a', '1 ends: wait_expired', '2 has a']);
});

test('a lease with an end is taken back then, and whoever waits goes on', () => {
  const machine = createMachine({ providers: [big('a'), big('b')] });
  machine.ask('1', needs('a'), { holder: { kind: 'grant', id: 'g' }, lastsMs: 9000 });
  machine.load('1');
  machine.ask('2', needs('b'));
  machine.wait(8999);
  const before = machine.words();
  machine.wait(1);
  assert.deepEqual(before, ['1 loads a', '1 has a']);
  assert.deepEqual(machine.words(), ['1 ends: cancelled', '2 loads b, evicts a']);
});

test('the time of a lease begins when its models are there, and whoever waits for it hears when that is over', () => {
  const machine = createMachine({ providers: [big('a'), big('b')] });
  machine.ask('1', needs('a'), { holder: { kind: 'grant', id: 'g' }, task: 'plan the week', lastsMs: 9000, expiresAt: START + 180_000 });
  const loading = leasesOf(machine.leases).leases.map(({ task, until }) => [task, until]);
  machine.wait(4000);
  machine.load('1');
  machine.ask('2', needs('b'));
  const { leases, queue } = leasesOf(machine.leases);
  assert.deepEqual(
    { loading, held: leases.map(({ until }) => until), eta: queue.map(({ eta }) => (eta === null ? null : eta < START + 60_000)) },
    { loading: [['plan the week', START + 10_000 + 9000]], held: [START + 4000 + 9000], eta: [true] },
  );
});

test('what another provider of the same model uses is not evicted, nor unloaded when idle or asked to', () => {
  const machine = createMachine({ providers: [big('a', { idleMs: 1000 }), big('mirror', { idleMs: 1000 }), big('b')] });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.release('1');
  const [there] = machine.world.residents;
  machine.say({
    residents: [
      { ...there!, sharedWith: ['mirror'], idleAt: machine.now + 1000 },
      {
        ...there!,
        provider: 'mirror',
        model: 'a-model',
        vram: { bytes: 0, source: 'reported' },
        sharedWith: ['a'],
        idleAt: machine.now + 1000,
      },
    ],
  });
  machine.ask('2', needs('mirror'));
  machine.ask('3', needs('b'));
  machine.take({ type: 'unload', at: machine.now, provider: 'a' });
  machine.wait(5000);
  const during = machine.words();
  machine.release('2');
  machine.ask('4', needs('mirror'));
  assert.deepEqual([during.slice(2), machine.words()], [['2 has mirror'], ['3 loads b, evicts a']]);
});

test('what somebody only had loaded makes room as it always does, in the same moment', () => {
  const machine = createMachine({ providers: [big('a', { priority: 30 }), big('b')] });
  machine.ask('1', { ...needs('a'), priority: 100 }, { holder: { kind: 'load', id: '1' } });
  machine.load('1');
  machine.release('1');
  machine.ask('2', { ...needs('b'), priority: 60 });
  assert.deepEqual(machine.words(), ['1 loads a', '1 has a', '2 loads b, evicts a']);
});

test('sovereign takes back what is remote, and whoever is left with nothing is refused', () => {
  const cloud = model('a', 0, { egress: 'remote', controller: { kind: 'openai' } });
  const machine = createMachine({ providers: [cloud, big('b')] });
  machine.ask('1', needs('a'));
  machine.ask('2', needs('b'));
  machine.load('2');
  machine.say({ sovereign: true });
  machine.ask('3', needs('a'));
  assert.deepEqual(machine.words(), ['1 has a', '2 loads b', '2 has b', '1 ends: sovereign_refused', '3 ends: sovereign_refused']);
});

test('a provider that goes takes its leases with it; one that is only slow does not', () => {
  const machine = createMachine({ providers: [big('a'), model('b', 1)] });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.ask('2', needs('b'));
  machine.load('2');
  machine.say({ unavailable: [{ provider: 'a', reason: 'its server does not answer' }] });
  machine.say({ residents: machine.world.residents.filter(({ provider }) => provider !== 'a') });
  machine.say({ providers: [big('a')] });
  assert.deepEqual(machine.words().slice(4), ['1 ends: upstream_unreachable', '2 ends: upstream_unreachable']);
});

// --- stories: what fails --------------------------------------------------------------------------------------------

test('what does not come up is no candidate any more, and whoever has none left hears why', () => {
  const machine = createMachine({ providers: [model('a', 5), model('b', 6, { capabilities: ['a'] })] });
  const refused = (by: string) => refuse('upstream_refused', `${by} refused.`);
  machine.ask('1', needs('a'));
  machine.ask('2', needs('a'));
  machine.fail('1', 'a', refused('a'));
  machine.fail('1', 'b', refused('b'));
  const errors = machine.told.flatMap((effect) => (effect.type === 'unleased' ? [`${effect.lease} ${effect.error.message}`] : []));
  assert.deepEqual(
    [errors, machine.words()],
    [
      ['1 b refused.', '2 b refused.'],
      ['1 loads a', '1 loads b', '1 ends: upstream_refused', '2 ends: upstream_refused'],
    ],
  );
});

test('whoever loses one of its two models lets go of the other one only when that is loaded, and has others in the same moment', () => {
  const providers = [model('a', 12, { priority: 0 }), model('b', 9, { priority: 60 }), model('c', 10, { capabilities: ['a', 'c'] })];
  const machine = createMachine({ providers });
  machine.ask('1', needs('b'));
  machine.ask('2', { ...needs('a', 'b'), priority: 10 });
  machine.fail('1', null);
  machine.ask('3', { ...needs('c'), priority: 10 });
  // 1 needs the room of a, which is still being loaded for 2.
  machine.wait(2000);
  const during = machine.words();
  machine.load('2');
  const then = machine.words();
  machine.load('3');
  machine.load('1');
  assert.deepEqual(
    [during, then, machine.words()],
    [['1 loads b', '2 loads a', '3 loads c'], ['1 loads b, evicts a'], ['3 has c', '1 has b', '2 has c+b']],
  );
});

test('a plan that does not fit the world any more is made again in the next world, five times at most', () => {
  const machine = createMachine({ providers: [big('a'), model('b', 4, { capabilities: ['a'] })] });
  machine.ask('1', needs('a'));
  machine.fail('1', null);
  const waiting = machine.words();
  machine.say({ devices: [{ ...machine.world.devices[0]!, others: { bytes: 10e9, source: 'measured' } }] });
  const again = machine.words();
  for (let i = 0; i < 4; i++) {
    machine.fail('1', null);
    machine.wait(1000);
  }
  assert.deepEqual(
    [waiting, again, machine.words()],
    [['1 loads a'], ['1 loads b'], ['1 loads b', '1 loads b', '1 loads b', '1 ends: conflict']],
  );
});

test('what is refused ends at once, unless something under way may change it', () => {
  const machine = createMachine({ providers: [model('a', 20, { priority: 80 }), big('b')] });
  machine.ask('nobody', needs('smell'));
  machine.ask('1', { ...needs('a'), priority: 80 });
  machine.ask('2', needs('b'));
  machine.load('1');
  machine.release('1');
  assert.deepEqual(machine.words(), ['nobody ends: no_capability', '1 loads a', '1 has a', '2 ends: vram_exhausted']);
});

test('nobody is refused, or sent far away, for a server that was only just asked', () => {
  const cloud = model('cloud', 0, { capabilities: ['a'], egress: 'remote', controller: { kind: 'openai' } });
  const unavailable = [{ provider: 'b', reason: 'its server has not answered yet', soon: true as const }];
  const machine = createMachine({ providers: [cloud, model('b', 5, { capabilities: ['a', 'b'] })], more: { unavailable } });
  machine.ask('1', needs('b'));
  machine.ask('2', needs('a'));
  const before = machine.words();
  machine.say({ unavailable: [] });
  assert.deepEqual([before, machine.words()], [[], ['1 loads b']]);
});

// --- stories: idle, and what is told --------------------------------------------------------------------------------

test('what nobody used for its idle time goes, and what is used stays', () => {
  const machine = createMachine({ providers: [model('a', 5, { idleMs: 60_000 }), model('b', 5, { idleMs: 60_000 })] });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.ask('2', needs('b'));
  machine.load('2');
  machine.wait(90_000);
  machine.release('1');
  machine.wait(59_999);
  const before = machine.words();
  machine.wait(1);
  assert.deepEqual([before.slice(4), machine.words()], [[], ['evict a']]);
});

test('what is unloaded on demand goes only when nobody uses it, and is loaded anew for who comes then', () => {
  const machine = createMachine({ providers: [big('a')] });
  machine.ask('1', needs('a'));
  machine.load('1');
  machine.take({ type: 'unload', at: machine.now, provider: 'a' });
  machine.release('1');
  machine.take({ type: 'unload', at: machine.now, provider: 'a' });
  machine.ask('2', needs('a'));
  assert.deepEqual(machine.words(), ['1 loads a', '1 has a', 'evict a', '2 loads a']);
});

test('everybody in line knows their place, when it should be their turn, and why not now', () => {
  const machine = createMachine({ providers: [big('a'), big('b'), big('c')] });
  machine.ask('0', needs('a'));
  machine.load('0');
  machine.wait(20_000);
  machine.release('0');
  machine.ask('1', needs('a'));
  machine.ask('2', needs('b'));
  machine.ask('3', needs('c'));
  const { queue, leases } = leasesOf(machine.leases);
  assert.deepEqual(
    [queue.map(({ id, position, eta, waitsFor }) => [id, position, eta, waitsFor]), leases.map(({ id, state }) => [id, state])],
    [
      // 20 s of a lease as it was, 5 s to stop a, 10 s to load b; nobody has had b yet, so nobody knows how long.
      [
        ['2', 0, START + 20_000 + 35_000, ['1']],
        ['3', 1, null, ['1']],
      ],
      [['1', 'held']],
    ],
  );
});

test('a place in line is told when it changes, and not else', () => {
  const machine = createMachine({ providers: [big('a'), big('b')] });
  machine.ask('0', needs('a'));
  machine.load('0');
  machine.ask('1', needs('b'));
  machine.ask('2', needs('b'));
  machine.say({});
  machine.say({});
  machine.release('1');
  machine.say({});
  const holds = machine.told.flatMap((effect) => (effect.type === 'hold' ? [`${effect.lease} ${effect.waits.position}`] : []));
  assert.deepEqual(holds, ['0 null', '1 0', '2 1', '2 0']);
});

test('a dry run says what a lease would get, and takes nothing', () => {
  const machine = createMachine({ providers: [big('a', { concurrency: 1 }), big('b')] });
  machine.ask('1', needs('a'));
  const peeks = () => ['a', 'b', 'c'].map((name) => peekLease(machine.leases, someNeed(needs(name)), machine.now).outcome);
  const cold = peeks();
  machine.load('1');
  const held = peeks();
  machine.release('1');
  assert.deepEqual(
    [cold, held, peeks(), machine.words()],
    [
      ['wait', 'wait', 'refusal'],
      ['wait', 'wait', 'refusal'],
      ['grant', 'grant', 'refusal'],
      ['1 loads a', '1 has a'],
    ],
  );
});

test('a lower tier is taken beside what is in use', () => {
  const tiers = [someTier('70B', 20e9), someTier('8B', 6e9)];
  const machine = createMachine({ providers: [model('vision', 10), model('text', 0, { tiers })] });
  machine.ask('1', needs('vision'));
  machine.load('1');
  machine.ask('2', needs('text'));
  const plan = machine.told.findLast((effect) => effect.type === 'animate')!;
  assert.deepEqual(plan.type === 'animate' && [plan.plan.loads[0]!.tier, plan.plan.downgrade?.from], ['8B', '70B']);
});
