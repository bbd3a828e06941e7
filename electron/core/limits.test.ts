import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLimits } from './limits.ts';

test('a burst passes, then the rate; each principal has its own', () => {
  let now = 0;
  const limits = createLimits(() => now);
  limits.configure({ perSecond: 10, burst: 3 });
  const take = (who: string) => limits.take(who) === 0;
  assert.deepEqual([take('a'), take('a'), take('a'), take('a'), take('b')], [true, true, true, false, true]);
  assert.equal(limits.look('a')!.retryAfterMs, 100);
  now += 100;
  assert.deepEqual([take('a'), take('a')], [true, false]);
});

test('never more than burst plus rate times time, however calls fall', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 200 }), (gaps) => {
      let now = 0;
      const limits = createLimits(() => now);
      limits.configure({ perSecond: 20, burst: 5 });
      let passed = 0;
      for (const gap of gaps) {
        now += gap;
        if (limits.take('a') === 0) passed++;
      }
      assert.ok(passed <= 5 + (now * 20) / 1000 + 1e-6);
    }),
  );
});

test('many principals do not give the ones that used theirs up a new one', () => {
  let now = 0;
  const limits = createLimits(() => now);
  limits.configure({ perSecond: 1, burst: 1 });
  limits.take('old');
  now += 999;
  assert.equal(limits.take('greedy'), 0);
  for (let i = 0; i < 30_000; i++) limits.take(`p${i}`);
  assert.ok(limits.take('p3') > 0);
  assert.ok(limits.take('greedy') > 0);
});

test('no limits means none', () => {
  const limits = createLimits(() => 0);
  limits.configure(null);
  assert.deepEqual([limits.take('a'), limits.look('a')], [0, null]);
});
