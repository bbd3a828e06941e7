import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DeviceBudget, Figure } from '../../../shared/cortex.ts';
import { barOf, HUES, huesOf } from './memory.ts';

const GB = 1024 ** 3;
const measured = (bytes: number): Figure => ({ bytes, source: 'measured' });
const device = (more: Partial<DeviceBudget>): DeviceBudget => ({
  id: '0',
  name: 'card',
  total: measured(24 * GB),
  used: null,
  models: [],
  others: measured(0),
  reservedBytes: 0,
  freeBytes: null,
  utilization: null,
  temperatureC: null,
  powerW: null,
  demo: false,
  ...more,
});

test('models, other programs, what is reserved and what is free stand in this order and are the whole', () => {
  const bar = barOf(
    device({
      models: [
        { provider: 'vision', tier: '7B', vram: { bytes: 9 * GB, source: 'reported' } },
        { provider: 'odd', tier: 'x', vram: null },
      ],
      others: measured(2 * GB),
      reservedBytes: GB,
    }),
  )!;
  assert.deepEqual(
    bar.segments.map(({ kind, start, size, source }) => [kind, start / GB, size / GB, source]),
    [
      ['model', 0, 9, 'reported'],
      ['others', 9, 2, 'measured'],
      ['reserved', 11, 1, null],
      ['free', 12, 12, null],
    ],
  );
});

test('whatever the figures say, the pieces never overlap and their sum is the total', () => {
  const bytes = fc.integer({ min: 0, max: 60 * GB });
  fc.assert(
    fc.property(fc.array(fc.option(bytes)), bytes, bytes, fc.integer({ min: 1, max: 48 * GB }), (models, others, reserved, total) => {
      const bar = barOf(
        device({
          total: measured(total),
          models: models.map((one, at) => ({ provider: `p${at}`, tier: 't', vram: one === null ? null : measured(one) })),
          others: measured(others),
          reservedBytes: reserved,
        }),
      )!;
      let end = 0;
      for (const { start, size } of bar.segments) {
        assert.equal(start, end);
        assert.ok(size >= 0);
        end = start + size;
      }
      assert.equal(end, total);
      const said = models.reduce<number>((sum, one) => sum + (one ?? 0), others + reserved);
      assert.equal(bar.overBytes, Math.max(0, said - total));
    }),
  );
});

test('memory of unknown size has no bar', () => {
  assert.equal(barOf(device({ total: null })), null);
});

test('colours do not depend on the order, and differ as long as there are enough', () => {
  const names = ['vision', 'coder', 'speech', 'embed', 'chat', 'ocr'];
  const hues = huesOf(names);
  assert.deepEqual([...huesOf([...names].reverse())], [...hues]);
  assert.equal(new Set(hues.values()).size, HUES);
});
