import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Figure, Provider, Resident, Tier } from '../../../shared/cortex.ts';
import type { GpuDevice, GpuState } from '../../../shared/model.ts';
import { anEntry, createScratch } from '../store/scratch.ts';
import { createBudget, type Load, measure } from './budget.ts';

const AT = 1_700_000_000_000;
const DAY = 24 * 3_600_000;
const GIB = 2 ** 30;
const gib = (n: number) => Math.round(n * GIB);
const measured = (n: number): Figure => ({ bytes: gib(n), source: 'measured' });
const reported = (n: number): Figure => ({ bytes: gib(n), source: 'reported' });
const estimated = (n: number): Figure => ({ bytes: gib(n), source: 'estimated' });

const tier = (more: Partial<Tier> = {}): Tier => ({ name: '8B', model: 'llama3:8b', vram: null, context: 8192, loadMs: 30_000, ...more });
const provider = (more: Partial<Provider> = {}): Provider => ({
  ...{ name: 'ollama', description: null, controller: { kind: 'ollama' }, endpoint: 'http://127.0.0.1:11434', egress: 'local', auth: null },
  ...{ capabilities: ['text-generation'], tiers: [tier()], tools: [], groups: [], devices: [], priority: 50, pinned: false },
  ...{ concurrency: null, idleMs: null, drainMs: 120_000, warmMs: 180_000, stopMs: 5000 },
  ...{ settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 }, origin: { kind: 'registry', file: null, line: null }, demo: false },
  ...more,
});
const load = (more: Partial<Load> = {}): Load => ({
  ...{ provider: 'ollama', tier: '8B', model: 'llama3:8b', context: 8192, device: 'GPU-1' },
  ...more,
});
const device = (more: Partial<GpuDevice> = {}): GpuDevice => ({
  ...{ id: 'GPU-1', name: 'RTX 4090', vendor: 'nvidia', source: 'nvidia-smi', memoryTotalBytes: gib(24), memoryUsedBytes: gib(2) },
  ...{ memorySource: { total: 'measured', used: 'measured' }, utilization: 0, temperatureC: 40, powerW: 30, processes: [], demo: false },
  ...more,
});
const gpu = (...devices: GpuDevice[]): GpuState => ({ probedAt: AT, devices, probes: [] });
const resident = (more: Partial<Resident> = {}): Resident => ({
  ...{ provider: 'ollama', tier: '8B', model: 'llama3:8b', device: 'GPU-1', vram: measured(6), phase: 'warm', leases: [], priority: 50 },
  ...{ pinned: false, stopMs: 5000, reloadMs: 30_000, contextMs: 0, idleAt: null },
  ...more,
});
const none = () => 0;

/** A budget that remembers nothing else, at a time of its own. */
function inMemory() {
  const clock = { now: AT };
  const budget = createBudget({ store: { read: { footprints: () => [] }, saveFootprint: () => {} }, clock: () => clock.now });
  return { budget, clock };
}

test('what a model takes is learned from its loads, and kept over a restart', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  const one = createBudget({ store: first, clock: () => AT });
  const it = [provider(), tier({ vram: estimated(5) })] as const;
  const seen = [one.footprint(...it)];
  const taught = [reported(5.5), measured(6), measured(9), measured(6.2)];
  for (const [i, took] of taught.entries()) {
    one.learn({ ...load(), took, loadMs: 1000 * (i + 1) });
    seen.push(one.footprint(...it));
  }
  assert.deepEqual(seen, [estimated(5), reported(5.5), measured(6), measured(6), measured(6.2)], 'median, and measured before reported');
  assert.equal(one.loadMs(...it), 2000);
  await first.append(anEntry(1));
  await first[Symbol.asyncDispose]();
  const two = createBudget({ store: await open(), clock: () => AT });
  assert.deepEqual([two.footprint(...it), two.loadMs(...it)], [measured(6.2), 2000]);
});

test('only the newest loads count, so that a new version of a model is learned', () => {
  const { budget } = inMemory();
  for (let i = 0; i < 30; i++) budget.learn({ ...load(), took: measured(6), loadMs: 1000 });
  for (let i = 0; i < 3; i++) budget.learn({ ...load(), took: measured(8), loadMs: 1000 });
  assert.deepEqual(budget.footprint(provider(), tier()), measured(8));
});

test('what was learned is of a model, a context and a device', () => {
  const { budget } = inMemory();
  budget.learn({ ...load(), took: measured(6), loadMs: 1000 });
  budget.learn({ ...load({ device: 'GPU-2' }), took: measured(7), loadMs: 1000 });
  budget.learn({ ...load({ model: 'llama3:8b-q8_0' }), took: measured(10), loadMs: 1000 });
  const footprint = (more: Partial<Tier>) => budget.footprint(provider(), tier(more));
  assert.deepEqual(footprint({}), measured(7), 'where it takes most');
  assert.deepEqual(footprint({ model: 'llama3:8b-q8_0' }), measured(10));
  assert.deepEqual(footprint({ context: 4096 }), estimated(7), 'not more than with a longer context');
  assert.deepEqual(footprint({ context: 4096, vram: estimated(5) }), estimated(5), 'declared before that');
  assert.notDeepEqual(footprint({ context: 32_768 }), estimated(7));
  assert.deepEqual(budget.footprint(provider({ name: 'other' }), tier({ vram: estimated(5) })), estimated(5));
});

test('a load that says nothing of its memory teaches its time alone', () => {
  const { budget } = inMemory();
  budget.learn({ ...load(), took: null, loadMs: 4000 });
  budget.learn({ ...load(), took: { bytes: 0, source: 'reported' }, loadMs: 6000 });
  const it = [provider(), tier({ vram: estimated(5) })] as const;
  assert.deepEqual([budget.footprint(...it), budget.loadMs(...it)], [estimated(5), 4000]);
  assert.equal(budget.loadMs(provider(), tier({ name: '70B' })), 30_000);
});

test('what ran out of memory takes more than was free, for a day', () => {
  const { budget, clock } = inMemory();
  const it = [provider(), tier({ vram: estimated(5) })] as const;
  budget.tooBig({ ...load(), freeBytes: gib(8) });
  const raised = budget.footprint(...it)!;
  assert.ok(raised.bytes > gib(8) && raised.bytes < gib(9) && raised.source === 'estimated');
  budget.learn({ ...load(), took: measured(6), loadMs: 1000 });
  assert.deepEqual(budget.footprint(...it), raised, 'it loaded where there was more');
  budget.tooBig({ ...load(), freeBytes: 0 });
  assert.deepEqual(budget.footprint(...it), raised);
  clock.now += DAY;
  assert.deepEqual(budget.footprint(...it), measured(6));
  budget.tooBig({ ...load(), freeBytes: null });
  const more = budget.footprint(...it)!;
  assert.ok(more.bytes > gib(6.5) && more.bytes < gib(7), 'more than was thought');
  assert.deepEqual(budget.footprint(provider(), tier({ name: '70B', vram: estimated(40) })), estimated(40), 'another tier is not meant');
});

test('what ran out of memory is not planned again at once, whatever nobody knew of it', () => {
  const { budget } = inMemory();
  const it = [provider({ name: 'p' }), tier({ name: 'big', model: 'unknown' })] as const;
  assert.equal(budget.footprint(...it), null);
  budget.tooBig({ ...load({ provider: 'p', tier: 'big', model: 'unknown' }), freeBytes: null });
  assert.equal(budget.footprint(...it), null);
  budget.tooBig({ ...load({ provider: 'p', tier: 'big', model: 'unknown' }), freeBytes: gib(1) });
  assert.ok(budget.footprint(...it)!.bytes > gib(1));
});

test('a name says what a model takes, within a third of what is known of it', () => {
  const { budget } = inMemory();
  const known: [model: string, controller: 'ollama' | 'openai', context: number, gibs: number][] = [
    ['llama3.1:8b-instruct-q4_K_M', 'ollama', 8192, 6.5],
    ['llama3.1:70b', 'ollama', 8192, 43.5],
    ['mixtral:8x7b-instruct-v0.1-q4_K_M', 'ollama', 4096, 27],
    ['llama3.2:3b-instruct-fp16', 'ollama', 4096, 7],
    ['qwen3:30b-a3b', 'ollama', 4096, 19],
    ['Qwen/Qwen2.5-7B-Instruct-AWQ', 'openai', 8192, 6.1],
    ['meta-llama/Llama-3.1-8B-Instruct', 'openai', 8192, 16.5],
    ['smollm2:135m', 'ollama', 2048, 0.75],
    ['phi3:3.8b-mini-4k-instruct-q8_0', 'ollama', 4096, 5],
    ['gpt-oss:20b', 'ollama', 8192, 13.5],
  ];
  for (const [model, kind, context, gibs] of known) {
    const found = budget.footprint(provider({ controller: { kind } }), tier({ name: 'only', model, context }));
    assert.equal(found?.source, 'estimated', model);
    const ratio = found.bytes / gib(gibs);
    assert.ok(ratio > 0.75 && ratio < 1.33, `${model}: ${(found.bytes / GIB).toFixed(1)} GiB, known are ${gibs}`);
  }
  const guess = (name: string, model: string) => budget.footprint(provider({ name: 'p' }), tier({ name, model }));
  assert.deepEqual(
    ['nomic-embed-text', 'whisper-large-v3', 'model-4bit', 'gemma3n:e2b', 'v0.1b2'].map((model) => guess('only', model)),
    [null, null, null, null, null],
  );
  assert.deepEqual(guess('8B', 'house-model'), guess('x', 'house-model-8b'), 'a tier that is named by its size says it too');
});

test('what runs elsewhere takes nothing here', () => {
  const { budget } = inMemory();
  budget.learn({ ...load(), took: measured(6), loadMs: 1000 });
  for (const egress of ['lan', 'remote'] as const)
    assert.deepEqual(budget.footprint(provider({ egress }), tier()), { bytes: 0, source: 'estimated' });
});

test('a load is measured by what is in use, unless something else changed or its server says otherwise', () => {
  const at = (used: number | null, processes: GpuDevice['processes'] = []) =>
    gpu(device({ memoryUsedBytes: used && gib(used), processes }));
  const took = (before: GpuState, after: GpuState, said: Figure | null = null) =>
    measure({ before, after, device: 'GPU-1', reported: said });
  const process = (pid: number, gibs: number | null) => ({ pid, name: 'x', memoryUsedBytes: gibs === null ? null : gib(gibs) });
  assert.deepEqual(
    {
      alone: took(at(2), at(8)),
      itsServerAgrees: took(at(2), at(8), reported(5.5)),
      unknownBefore: took(at(null), at(8), reported(5.5)),
      unknownAfter: took(at(2), at(null)),
      nothingChanged: took(at(2), at(2.01), reported(5.5)),
      less: took(at(8), at(2)),
      serverSaysMuchMore: took(at(2), at(4), reported(5.5)),
      serverSaysMuchLess: took(at(2), at(16), reported(5.5)),
      oneProcess: took(at(2, [process(1, 1)]), at(8, [process(1, 1.01), process(2, 6)])),
      oneWasLetGo: took(at(4, [process(1, 2), process(3, 1)]), at(8, [process(2, 6), process(3, 1)]), reported(5.5)),
      twoTook: took(at(2), at(12, [process(1, 4), process(2, 6)])),
      unknownProcesses: took(at(2, [process(1, null)]), at(8, [process(1, null), process(2, null)])),
      noDevice: measure({ before: at(2), after: at(8), device: null, reported: reported(5.5) }),
      otherDevice: measure({ before: at(2), after: at(8), device: 'GPU-9', reported: null }),
    },
    {
      alone: measured(6),
      itsServerAgrees: measured(6),
      unknownBefore: reported(5.5),
      unknownAfter: null,
      nothingChanged: reported(5.5),
      less: null,
      serverSaysMuchMore: reported(5.5),
      serverSaysMuchLess: reported(5.5),
      oneProcess: measured(6),
      oneWasLetGo: reported(5.5),
      twoTook: null,
      unknownProcesses: measured(6),
      noDevice: reported(5.5),
      otherDevice: null,
    },
  );
});

test('others hold what no resident accounts for, known as well as the worst figure in it', () => {
  const { budget } = inMemory();
  const unified = device({ id: 'apple0', memorySource: { total: 'estimated', used: 'measured' } });
  const unknown = device({ id: 'card1', memoryTotalBytes: null, memoryUsedBytes: null });
  const world = budget.devices(
    gpu(device({ memoryUsedBytes: gib(15) }), unified, unknown),
    [
      resident(),
      resident({ provider: 'vision', vram: estimated(7) }),
      resident({ provider: 'unknown', vram: null }),
      resident({ device: null }),
      resident({ device: 'card1' }),
    ],
    (id) => (id === 'GPU-1' ? gib(2) : 0),
  );
  assert.deepEqual(world, [
    { id: 'GPU-1', name: 'RTX 4090', total: measured(24), others: estimated(2), reservedBytes: gib(2) },
    { id: 'apple0', name: 'RTX 4090', total: estimated(24), others: measured(2), reservedBytes: 0 },
    { id: 'card1', name: 'RTX 4090', total: null, others: { bytes: 0, source: 'estimated' }, reservedBytes: 0 },
  ]);
});

test('others stay what they were while a model comes and goes', () => {
  const { budget } = inMemory();
  const others = (used: number | null | GpuState, ...residents: Resident[]) => {
    const state = typeof used === 'number' || used === null ? gpu(device({ memoryUsedBytes: used && gib(used) })) : used;
    return (budget.devices(state, residents, none)[0]!.others.bytes / GIB).toFixed(1);
  };
  const warming = resident({ phase: 'warming', vram: measured(6) });
  const draining = resident({ phase: 'draining', vram: measured(6) });
  const after = gpu(device({ memoryUsedBytes: gib(8) }));
  assert.deepEqual(
    {
      alone: others(2),
      notLoadedYet: others(2, warming),
      half: others(5, warming),
      loaded: others(8, warming),
      warm: others(after, resident()),
      draining: others(after, draining),
      goneButNotLookedAtSince: others(after),
      lookedAt: others(2),
      somebodyElse: others(9),
      hanging: others(null),
    },
    {
      ...{ alone: '2.0', notLoadedYet: '2.0', half: '2.0', loaded: '2.0', warm: '2.0', draining: '2.0', goneButNotLookedAtSince: '2.0' },
      ...{ lookedAt: '2.0', somebodyElse: '9.0', hanging: '9.0' },
    },
  );
});

test('no figure of a device is negative, and no byte is counted twice, whatever happens', () => {
  const GPUS = ['a', 'b'];
  const bytes = fc.integer({ min: 0, max: 48 }).map(gib);
  const figure = fc.record({ bytes, source: fc.constantFrom('measured', 'reported', 'estimated') }) as fc.Arbitrary<Figure>;
  const aResident = fc
    .record({
      device: fc.constantFrom('a', 'b', null),
      vram: fc.option(figure),
      phase: fc.constantFrom('warming' as const, 'warm' as const, 'draining' as const),
    })
    .map(resident);
  const step = fc.record({
    used: fc.tuple(fc.option(bytes), fc.option(bytes)),
    residents: fc.array(aResident, { maxLength: 5 }),
    isSameProbe: fc.boolean(),
    reserved: fc.integer({ min: -5, max: 5 }),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
      const { budget } = inMemory();
      let state: GpuState | null = null;
      for (const { used, residents, isSameProbe, reserved } of steps) {
        if (state === null || !isSameProbe) state = gpu(...GPUS.map((id, i) => device({ id, memoryUsedBytes: used[i]! })));
        const world = budget.devices(state, residents, () => reserved);
        for (const [i, { id, others, reservedBytes }] of world.entries()) {
          const inUse: number | null = state.devices[i]!.memoryUsedBytes;
          const here = residents.filter((one) => one.device === id);
          const warm = here.filter(({ phase }) => phase === 'warm').reduce((sum, { vram }) => sum + (vram?.bytes ?? 0), 0);
          assert.ok(others.bytes >= 0 && reservedBytes >= 0);
          if (inUse === null) continue;
          assert.ok(others.bytes + warm <= Math.max(inUse, warm), 'others and what is warm are not more than what is in use');
          const settled = here.every(({ phase }) => phase === 'warm');
          if (settled && !isSameProbe) assert.equal(others.bytes, Math.max(0, inUse - warm), 'and not less');
        }
      }
    }),
    { numRuns: 500 },
  );
});
