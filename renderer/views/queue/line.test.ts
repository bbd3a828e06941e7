import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GpuWaiter } from '../../../shared/cortex.ts';
import type { Job, Lane } from '../../../shared/model.ts';
import { waitsNow } from './line.ts';

const lane: Lane = { name: 'stories', kind: 'lane', capacity: 1, running: ['job_5'], queued: ['job_6', 'job_7'] };
const job = (id: string, state: Job['state'] = 'queued') => ({
  id,
  state,
  waits: { kind: 'lane' as const, reason: 'job_1 runs in the lane stories', until: null, position: 4 },
});

test('a job in line has the place it has now, behind whoever runs now', () => {
  const { position, reason } = waitsNow(job('job_7'), [lane])!;
  assert.deepEqual([position, reason], [1, 'job_5 runs in the lane stories']);
});

test('past the part of the line that is told nobody knows the place', () => {
  assert.equal(waitsNow(job('job_900'), [lane])?.position, null);
});

test('what waits for something else is left as it is', () => {
  const waiting = job('job_7', 'waiting');
  assert.equal(waitsNow(waiting, [lane]), waiting.waits);
});

test('a job in line for models has the place, the time and the reason of the line as it is now', () => {
  const waiting = {
    ...job('job_7', 'waiting'),
    waits: { kind: 'gpu' as const, reason: 'writer is in use', until: 9000, position: 3 },
  };
  const waiter = { holder: { kind: 'job', id: 'job_7' }, position: 0, eta: 5000, reason: 'vision is in use by job_2' } as GpuWaiter;
  const other = { ...waiter, holder: { kind: 'grant', id: 'job_7' }, position: 1 } as GpuWaiter;
  assert.deepEqual(
    [waitsNow(waiting, [lane], [other, waiter]), waitsNow(waiting, [lane], [other])],
    [{ kind: 'gpu', reason: 'vision is in use by job_2', until: 5000, position: 0 }, waiting.waits],
  );
});
