import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GpuSample } from '../../../shared/cortex.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { Footprint, GrantRow } from './models.ts';
import { anEntry, createScratch } from './scratch.ts';

const AT = 1_700_000_000_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GIB = 2 ** 30;

const load = (more: Partial<Footprint> = {}): Footprint => ({
  ...{ provider: 'ollama', tier: '8B', model: 'llama3:8b', context: 8192, device: 'GPU-1', outcome: 'loaded' },
  ...{ bytes: 6 * GIB, source: 'measured', loadMs: 4200, at: AT },
  ...more,
});
const sample = (at: number, more: Partial<GpuSample> = {}): GpuSample => ({
  ...{ at, device: 'GPU-1', usedBytes: GIB, utilization: 0.25, temperatureC: 61, powerW: 120.5 },
  ...more,
});
const grant = (id: string, more: Partial<GrantRow> = {}): GrantRow => ({
  ...{ id, json: JSON.stringify({ id }), keyHash: `hash of ${id}`, expiresAt: AT + HOUR, revokedAt: null },
  ...more,
});

test('what loads taught is kept over a restart, the newest twenty of each model', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  const vision = load({ model: 'llava', context: null, device: null, bytes: null, source: null, loadMs: null });
  first.saveFootprint(vision);
  for (let i = 0; i < 25; i++) first.saveFootprint(load({ at: AT + i }));
  first.saveFootprint(load({ outcome: 'too_big', source: 'estimated', loadMs: null, at: AT + 25 }));
  await first[Symbol.asyncDispose]();
  const second = await open();
  assert.deepEqual(second.read.footprints(), [
    vision,
    ...Array.from({ length: 19 }, (_, i) => load({ at: AT + 6 + i })),
    load({ outcome: 'too_big', source: 'estimated', loadMs: null, at: AT + 25 }),
  ]);
});

test('readings of a device keep what was not known, for a day', async (t) => {
  const { open } = createScratch(t);
  const store = await open();
  const unknown = sample(AT + 5000, { device: 'card1', usedBytes: null, utilization: null, temperatureC: null, powerW: null });
  store.saveGpuSamples([sample(AT), sample(AT, { device: 'gone' })]);
  store.saveGpuSamples([sample(AT + 5000), unknown]);
  await store.append(anEntry(1));
  const all = { since: AT, until: AT + 10_000 };
  assert.deepEqual(store.read.gpuSamples(all), [sample(AT), sample(AT, { device: 'gone' }), sample(AT + 5000), unknown]);
  assert.deepEqual(store.read.gpuSamples({ ...all, device: 'card1' }), [unknown]);
  assert.deepEqual(store.read.gpuSamples({ since: AT + 1, until: AT + 4999 }), []);
  store.saveGpuSamples([sample(AT + DAY + 1)]);
  await store.append(anEntry(2));
  assert.deepEqual(
    store.read.gpuSamples({ since: AT, until: AT + 2 * DAY }).map(({ at, device }) => [at - AT, device]),
    [
      [5000, 'GPU-1'],
      [5000, 'card1'],
      [DAY + 1, 'GPU-1'],
    ],
  );
});

test('a day of readings comes as at most a thousand of each device, with the peaks', async (t) => {
  const { open } = createScratch(t);
  const store = await open();
  const peak = AT + 7_005_000;
  const at = Array.from({ length: 17_280 }, (_, i) => AT + i * 5000);
  store.saveGpuSamples(at.map((now) => sample(now, { usedBytes: now === peak ? 20 * GIB : GIB })));
  store.saveGpuSamples(at.slice(0, 100).map((now) => sample(now, { device: 'GPU-2', usedBytes: null })));
  await store.append(anEntry(1));
  const day = store.read.gpuSamples({ device: 'GPU-1', since: AT, until: AT + DAY });
  assert.ok(day.length > 900 && day.length <= 1000, `${day.length} of a day`);
  assert.deepEqual(
    day.filter(({ usedBytes }) => usedBytes !== GIB),
    [sample(peak, { usedBytes: 20 * GIB })],
  );
  assert.deepEqual(
    day.map((one) => one.at),
    day.map((one) => one.at).sort((a, b) => a - b),
  );
  const both = store.read.gpuSamples({ since: AT, until: AT + HOUR });
  assert.deepEqual(
    ['GPU-1', 'GPU-2'].map((device) => both.filter((one) => one.device === device).length),
    [721, 100],
    'an hour is not thinned',
  );
});

test('a grant is durable when it is saved, changes under its id, and is forgotten a week after its end', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await first.saveGrant(grant('g1'), AT);
  await first.saveGrant(grant('g2', { expiresAt: AT + 30 * DAY }), AT);
  await first.saveGrant(grant('g3', { expiresAt: AT + 30 * DAY }), AT);
  await first.saveGrant(grant('g3', { expiresAt: AT + 30 * DAY, revokedAt: AT + 1000, json: '{"revoked":true}' }), AT + 1000);
  await first[Symbol.asyncDispose]();
  const second = await open();
  const revoked = grant('g3', { expiresAt: AT + 30 * DAY, revokedAt: AT + 1000, json: '{"revoked":true}' });
  assert.deepEqual(second.read.grants(), [grant('g2', { expiresAt: AT + 30 * DAY }), grant('g1'), revoked]);
  await second.saveGrant(grant('g4'), AT + 7 * DAY + 1001);
  assert.deepEqual(
    second.read.grants().map(({ id }) => id),
    ['g2', 'g1', 'g4'],
    'the revoked one is gone',
  );
  await assert.rejects(
    second.saveGrant(grant('g5', { keyHash: 'hash of g2' }), AT),
    (caught) => caught instanceof Refusal && caught.wire.code === 'internal',
  );
  assert.ok(!second.read.grants().some(({ id }) => id === 'g5'));
});
