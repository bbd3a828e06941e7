import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GpuSample } from '../../../shared/cortex.ts';
import { mergeSamples, seriesOf } from './series.ts';

const sample = (at: number, utilization: number | null, device = '0'): GpuSample => ({
  at,
  device,
  usedBytes: null,
  utilization,
  temperatureC: null,
  powerW: null,
});
const of = (samples: readonly GpuSample[], window: { from: number; to: number; points: number }) => {
  const { at, values } = seriesOf(samples, { device: '0', ...window });
  return at.map((seconds, index) => [seconds, values.utilization[index]]);
};

test('readings that fall together are one point, the highest, and other devices are left out', () => {
  const samples = [sample(0, 0.1), sample(400, 0.9), sample(900, 0.2), sample(1500, null), sample(1600, 0.3), sample(500, 1, '1')];
  assert.deepEqual(of(samples, { from: 0, to: 2000, points: 2 }), [
    [0.9, 0.9],
    [1.6, 0.3],
  ]);
});

test('a long silence is a gap, not a line', () => {
  const samples = [0, 1000, 2000, 3000, 30_000, 31_000].map((at) => sample(at, 0.5));
  assert.deepEqual(
    of(samples, { from: 0, to: 40_000, points: 40 }).map(([, value]) => value),
    [0.5, 0.5, 0.5, 0.5, null, 0.5, 0.5],
  );
});

test('what is outside of the window is not there', () => {
  assert.deepEqual(of([sample(0, 0.1), sample(5000, 0.2), sample(9000, 0.3)], { from: 4000, to: 6000, points: 100 }), [[5, 0.2]]);
});

test('a reading that was kept and came as an event is there once, for each device by itself', () => {
  const kept = [sample(1000, 0.1), sample(2000, 0.2), sample(500, 0.7, '1')];
  const live = [sample(2000, 0.2), sample(3000, 0.3), sample(1500, 0.8, '1')];
  assert.deepEqual(
    mergeSamples(kept, live).map(({ at, device }) => `${device} ${at}`),
    ['0 1000', '0 2000', '1 500', '0 3000', '1 1500'],
  );
});
