import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Need, Resolved, World } from '../../../shared/cortex.ts';
import { someDevice, someNeed, someProvider, someResident, someTier, someWorld } from './resolve.testing.ts';
import { resolve } from './resolve.ts';

const GB = 1024 ** 3;
const at = 1_000_000;

const both = ['text-generation', 'vision-analysis'];
const text = ['text-generation'];

const qwen = someProvider('qwen-vl', { capabilities: both, tiers: [someTier('7B', 8 * GB, { loadMs: 12_000 })] });
const writer = someProvider('writer', {
  capabilities: text,
  tiers: [someTier('70B', 40 * GB, { loadMs: 45_000 }), someTier('8B', 6 * GB, { loadMs: 8_000 })],
});
const vision = someProvider('vision', { capabilities: ['vision-analysis'], tiers: [someTier('7B', 30.5 * GB, { loadMs: 20_000 })] });
const cloud = someProvider('cloud', { capabilities: both, egress: 'remote', controller: { kind: 'openai' }, tiers: [someTier('big', 0)] });

/** The part of an answer that a plan is. */
const planned = ({ outcome, assignments, loads, evictions, etaMs, waitsFor, error }: Resolved) => ({
  outcome,
  models: assignments.map(({ capability, provider, tier, device, phase }) => `${capability}: ${provider} ${tier} on ${device}, ${phase}`),
  loads: loads.map(({ provider, tier }) => `${provider} ${tier}`),
  evictions: evictions.map(({ provider, tier, cause }) => `${provider} ${tier} (${cause})`),
  ...{ etaMs, waitsFor, error: error?.code ?? null },
});

const nothing = { models: [], loads: [], evictions: [], etaMs: null, waitsFor: [], error: null };

const oneCard = (bytes: number, more: Partial<World> = {}) => someWorld({ at, devices: [someDevice('gpu0', bytes * GB)], ...more });

test('one multimodal provider before two, and local before remote', () => {
  const resolved = resolve(someNeed({ capabilities: both }), oneCard(80, { providers: [writer, vision, cloud, qwen] }));
  assert.deepEqual(planned(resolved), {
    ...{ outcome: 'grant', loads: ['qwen-vl 7B'], evictions: [], etaMs: 12_000, waitsFor: [], error: null },
    models: ['text-generation: qwen-vl 7B on gpu0, cold', 'vision-analysis: qwen-vl 7B on gpu0, cold'],
  });
  assert.deepEqual(resolved.reasons, [
    'qwen-vl covers both capabilities alone: 1 provider instead of 2.',
    'qwen-vl 7B loads in 12 s: needs 8.0 GB, 80.0 GB are free on gpu0.',
  ]);
  assert.deepEqual(resolved.rejected, [
    { provider: 'cloud', tier: null, reason: 'remote, and nearer ones will do' },
    { provider: 'vision', tier: null, reason: 'covers less than qwen-vl' },
    { provider: 'writer', tier: null, reason: 'covers less than qwen-vl' },
  ]);
});

test('a smaller tier, so that a sense stays resident, and why', () => {
  const world = oneCard(48, { providers: [writer, vision], residents: [someResident(vision, '7B')] });
  const resolved = resolve(someNeed({ capabilities: text }), world);
  assert.deepEqual(planned(resolved), {
    ...{ outcome: 'grant', models: ['text-generation: writer 8B on gpu0, cold'], loads: ['writer 8B'], evictions: [] },
    ...{ etaMs: 8_000, waitsFor: [], error: null },
  });
  assert.deepEqual(resolved.downgrade, { provider: 'writer', from: '70B', to: '8B', cause: 'vision is resident' });
  assert.equal(resolved.reasons[0], '8B because vision is resident: 70B needs 40.0 GB, 17.5 GB are free on gpu0.');
  assert.deepEqual(resolved.rejected, [{ provider: 'writer', tier: '70B', reason: '70B needs 40.0 GB, 17.5 GB are free on gpu0' }]);
});

test('a swap when it is worth more than it costs, to the second', () => {
  const world = oneCard(48, { providers: [writer, vision], residents: [someResident(vision, '7B')] });
  const large = { capabilities: text, tier: '70B' };
  const resolved = resolve(someNeed(large), world);
  assert.deepEqual(planned(resolved), {
    ...{
      outcome: 'grant',
      models: ['text-generation: writer 70B on gpu0, cold'],
      loads: ['writer 70B'],
      evictions: ['vision 7B (memory)'],
    },
    ...{ etaMs: 50_000, waitsFor: [], error: null },
  });
  assert.deepEqual(resolved.reasons, [
    'evicts vision 7B (memory): frees 30.5 GB on gpu0.',
    'swap: priority 50 x interactive 5 = 250 s is more than 35 s (stop 5 + reload 20 + context 0 + inertia 10).',
    'writer 70B loads in 45 s: needs 40.0 GB, 17.5 GB are free on gpu0.',
  ]);
  // 50 x training 1 = 50 s: more than 49.999 s, not more than 50.
  const training = someNeed({ ...large, context: 'training' });
  const costing = (contextMs: number) => ({ ...world, residents: [someResident(vision, '7B', { contextMs })] });
  assert.equal(resolve(training, costing(14_999)).outcome, 'grant');
  assert.equal(resolve(training, costing(15_000)).outcome, 'refusal');
});

test('nothing is evicted that is in use, pinned, of higher priority, of an openai server, or for a need below 40', () => {
  const after = (more: object, need: Partial<Need> = {}, provider = vision) => {
    const world = oneCard(48, { providers: [writer, provider], residents: [someResident(provider, '7B', more)] });
    const resolved = resolve(someNeed({ capabilities: text, tier: '70B', ...need }), world);
    return `${resolved.outcome}: ${resolved.error?.message ?? resolved.reasons.slice(0, 2).join(' ')}`;
  };
  const numbers = 'refusal: writer 70B needs 40.0 GB, 17.5 GB are free on gpu0';
  assert.deepEqual(
    [
      after({ leases: [{ id: 'job_12', priority: 1, until: null }] }),
      after({ pinned: true }),
      after({ priority: 51 }),
      after({}, {}, { ...vision, controller: { kind: 'openai' } }),
      after({ priority: 0 }, { priority: 39 }),
    ],
    [
      'wait: waits for job_12 to end: nobody knows when. vision 7B is in use by job_12.',
      `${numbers}; vision 7B is pinned.`,
      `${numbers}; vision 7B has priority 51, the need 50.`,
      `${numbers}; vision 7B cannot be unloaded from here.`,
      `${numbers}; priority 39 is below 40: vision 7B is not evicted for it.`,
    ],
  );
});

test('it waits for a lease with an end, and says what it will do then', () => {
  const leases = [{ id: 'job_12', priority: 50, until: at + 30_000 }];
  const world = oneCard(48, { providers: [writer, vision], residents: [someResident(vision, '7B', { leases })] });
  assert.deepEqual(planned(resolve(someNeed({ capabilities: text, tier: '70B' }), world)), {
    ...{ outcome: 'wait', models: ['text-generation: writer 70B on gpu0, cold'], loads: ['writer 70B'], evictions: ['vision 7B (memory)'] },
    ...{ etaMs: 30_000 + 5_000 + 45_000, waitsFor: ['job_12'], error: null },
  });
});

test('it waits for what is not worth a swap to be unloaded when idle', () => {
  const world = oneCard(48, {
    providers: [writer, vision],
    residents: [someResident(vision, '7B', { idleAt: at + 60_000, contextMs: 20_000 })],
  });
  const resolved = resolve(someNeed({ capabilities: text, tier: '70B', context: 'training' }), world);
  assert.deepEqual(planned(resolved), {
    ...{ outcome: 'wait', models: ['text-generation: writer 70B on gpu0, cold'], loads: ['writer 70B'], evictions: [] },
    ...{ etaMs: 60_000 + 5_000 + 45_000, waitsFor: [], error: null },
  });
  assert.deepEqual(resolved.reasons.slice(0, 2), [
    'waits until what is idle is unloaded: 60 s at most.',
    'no swap for vision 7B: priority 50 x training 1 = 50 s is not more than 55 s (stop 5 + reload 20 + context 20 + inertia 10).',
  ]);
});

test('how long a wait is at most is said in the words of a clock', () => {
  const waits = (ms: number) => {
    const residents = [someResident(vision, '7B', { leases: [{ id: 'job_12', priority: 50, until: at + ms }] })];
    const world = oneCard(48, { providers: [writer, vision], residents });
    return resolve(someNeed({ capabilities: text, tier: '70B' }), world).reasons[0];
  };
  assert.deepEqual([37_500, 120_000, 120_001, 3_778_100, 7_200_001].map(waits), [
    'waits for job_12 to end: 37.5 s at most.',
    'waits for job_12 to end: 120 s at most.',
    'waits for job_12 to end: 3 min at most.',
    'waits for job_12 to end: 63 min at most.',
    'waits for job_12 to end: 3 h at most.',
  ]);
});

test('another tier of the provider has to go first', () => {
  const world = oneCard(48, { providers: [writer], residents: [someResident(writer, '8B')] });
  const resolved = resolve(someNeed({ capabilities: text, tier: '70B' }), world);
  assert.deepEqual(planned(resolved).evictions, ['writer 8B (tier)']);
  // Nobody asked for the large one: what is warm will do.
  assert.deepEqual(planned(resolve(someNeed({ capabilities: text }), world)).models, ['text-generation: writer 8B on gpu0, warm']);
});

test('groups banish on every device, and what is pinned stays', () => {
  const day = someProvider('day', { capabilities: text, groups: ['day'] });
  const night = someProvider('night', { capabilities: ['stt'], groups: ['night'] });
  const devices = [someDevice('gpu0', 10), someDevice('gpu1', 10)];
  const beside = (provider: typeof night) =>
    resolve(
      someNeed({ capabilities: text }),
      someWorld({ devices, providers: [day, provider], residents: [someResident(provider, 'S', { device: 'gpu1' })] }),
    );
  assert.deepEqual(planned(beside(night)).evictions, ['night S (group)']);
  assert.deepEqual(planned(beside({ ...night, groups: [] })).evictions, []);
  assert.deepEqual(planned(beside({ ...night, groups: ['day', 'night'] })).evictions, []);
  assert.deepEqual(planned(beside({ ...night, pinned: true })), { ...nothing, outcome: 'refusal', error: 'conflict' });
  // Nor may they come together.
  const together = resolve(someNeed({ capabilities: ['stt', ...text] }), someWorld({ devices, providers: [day, night] }));
  assert.equal(together.error?.code, 'conflict');
});

test('the reserve is for the sidecar alone', () => {
  const sidecar = someProvider('sidecar', { capabilities: ['parse'], pinned: true, tiers: [someTier('2B', 2 * GB)] });
  const big = someProvider('big', { capabilities: text, tiers: [someTier('L', 23 * GB)] });
  const world = someWorld({ devices: [someDevice('gpu0', 24 * GB, { reservedBytes: 2 * GB })], providers: [sidecar, big] });
  assert.equal(resolve(someNeed({ capabilities: text }), world).error?.code, 'vram_exhausted');
  assert.equal(
    resolve(someNeed({ capabilities: ['parse'] }), { ...world, devices: [someDevice('gpu0', 2 * GB, { reservedBytes: 2 * GB })] }).outcome,
    'grant',
  );
});

test('what drains counts as gone, and is waited for', () => {
  const world = oneCard(48, { providers: [writer, vision], residents: [someResident(vision, '7B', { phase: 'draining', stopMs: 9_000 })] });
  const resolved = resolve(someNeed({ capabilities: text }), world);
  assert.deepEqual(planned(resolved), {
    ...{ outcome: 'grant', models: ['text-generation: writer 70B on gpu0, cold'], loads: ['writer 70B'], evictions: [] },
    ...{ etaMs: 54_000, waitsFor: [], error: null },
  });
});

test('memory that is not known', () => {
  const unknown = { ...writer, tiers: [someTier('70B', null)] };
  const need = someNeed({ capabilities: text });
  const said = (world: World) => {
    const { outcome, error, reasons } = resolve(need, world);
    return [outcome, error?.code ?? null, reasons.at(-1)];
  };
  assert.deepEqual(said(oneCard(24, { providers: [unknown] })), [
    ...['refusal', 'no_capability'],
    'Nobody who offers text-generation can be had: writer 70B: its memory is not known; give vram:.',
  ]);
  assert.deepEqual(said(oneCard(24, { providers: [unknown], residents: [someResident(unknown, '70B')] })), [
    'grant',
    null,
    'writer 70B is warm already.',
  ]);
  assert.deepEqual(said(oneCard(24, { providers: [{ ...unknown, controller: { kind: 'openai' } }] })), [
    'grant',
    null,
    'writer 70B is warm.',
  ]);
  assert.deepEqual(said(someWorld({ providers: [unknown] })), ['grant', null, 'No device is known, so memory is not budgeted.']);
  assert.deepEqual(said(someWorld({ devices: [someDevice('gpu0', null)], providers: [writer] })), [
    ...['grant', null],
    'writer 70B loads in 45 s: needs 40.0 GB, the memory of gpu0 is not known, so it is not budgeted.',
  ]);
});

test('tiers, models and contexts that are asked for', () => {
  const small = someProvider('small', { capabilities: text, tiers: [someTier('8B', GB, { context: 4096 })] });
  const open = someProvider('open', { capabilities: text, tiers: [someTier('XL', GB, { context: null })] });
  const world = oneCard(80, { providers: [writer, small, open] });
  const chosen = (need: Partial<Need>) => {
    const { assignments, rejected, error } = resolve(someNeed(need), world);
    return [
      assignments[0]?.provider ?? error?.code,
      assignments[0]?.tier,
      ...rejected.map(({ provider, tier, reason }) => `${provider} ${tier}: ${reason}`),
    ];
  };
  assert.deepEqual(chosen({ capabilities: text, tier: '70B' }), [
    ...['writer', '70B', 'open XL: has no tier 70B', 'small 8B: has no tier 70B', 'writer 8B: is below the tier 70B'],
  ]);
  assert.deepEqual(chosen({ model: 'small' }), ['small', '8B']);
  assert.deepEqual(chosen({ model: 'model-70B' }), ['writer', '70B', 'writer 8B: is not model-70B']);
  assert.deepEqual(chosen({ capabilities: text, contextTokens: 8193 }), [
    ...['open', 'XL', 'small 8B: takes 4096 tokens, 8193 have to fit', 'writer 70B: takes 8192 tokens, 8193 have to fit'],
    'writer 8B: takes 8192 tokens, 8193 have to fit',
  ]);
  assert.deepEqual(chosen({ model: 'gpt' }), ['no_capability', undefined]);
  assert.deepEqual(chosen({}), ['input_invalid', undefined]);
});

test('remote providers are purged before ranking, and a refusal says so', () => {
  const world = someWorld({ providers: [cloud] });
  const code = (need: Partial<Need>, more: Partial<World> = {}) => {
    const { outcome, error } = resolve(someNeed({ capabilities: text, ...need }), { ...world, ...more });
    return error?.code ?? outcome;
  };
  assert.deepEqual(
    [
      code({}),
      code({}, { sovereign: true }),
      code({ sensitive: true }),
      code({ egress: 'lan' }),
      code({ capabilities: ['stt'] }, { sovereign: true }),
    ],
    ['grant', 'sovereign_refused', 'sovereign_refused', 'no_capability', 'no_capability'],
  );
});

test('a refusal for memory has what is needed, what is free, and who holds the rest', () => {
  const others = { others: { bytes: 3 * GB, source: 'measured' as const } };
  const world = someWorld({
    ...{
      devices: [someDevice('gpu0', 48 * GB, others)],
      providers: [writer, vision],
      residents: [someResident(vision, '7B', { pinned: true })],
    },
  });
  assert.deepEqual(resolve(someNeed({ capabilities: text, tier: '70B' }), world).error?.vram, {
    ...{ need: 40 * GB, free: 14.5 * GB },
    holders: [
      { name: 'vision 7B', bytes: 30.5 * GB, source: 'measured' },
      { name: 'other programs on gpu0', bytes: 3 * GB, source: 'measured' },
    ],
  });
});
