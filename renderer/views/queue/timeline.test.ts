import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Attempt, Delivery, JobDetail, JobEvent } from '../../../shared/model.ts';
import { momentsOf } from './timeline.ts';

const detail = (more: Partial<JobDetail>): JobDetail => ({
  id: 'job_1',
  crossing: 'x_1',
  state: 'succeeded',
  route: 'A.a',
  text: null,
  door: 'http',
  caller: 'owner',
  createdAt: 1000,
  startedAt: 1000,
  finishedAt: 9000,
  durationMs: 8000,
  progress: null,
  progressNote: null,
  confidence: 1,
  why: '',
  errorCode: null,
  errorMessage: null,
  auditSeq: 1,
  cancelRequestedAt: null,
  waits: null,
  lane: null,
  subject: null,
  starts: 1,
  params: {},
  attempts: [],
  result: null,
  error: null,
  record: null,
  events: [],
  key: null,
  deliveries: [],
  ...more,
});
const attempt = (startedAt: number, more: Partial<Attempt> = {}): Attempt => ({
  id: `att_${startedAt}`,
  route: 'A.a',
  endpoint: null,
  startedAt,
  durationMs: 500,
  status: 200,
  error: null,
  ...more,
});
const event = (at: number, kind: JobEvent['kind'], text = ''): JobEvent => ({ at, kind, detail: text });
const told = (job: JobDetail) =>
  momentsOf(job, job).map(({ at, until, title, live }) => `${at}${until ? `-${until}` : ''} ${title}${live ? ' now' : ''}`);

test('a life with a line, a failure, a backoff and a callback is told in order, each wait with its length', () => {
  const delivery: Delivery = {
    id: 'msg_1',
    job: 'job_1',
    url: 'http://127.0.0.1:1/x',
    state: 'delivered',
    createdAt: 9000,
    nextAt: null,
    attempts: [{ at: 9010, durationMs: 40, status: 204, error: null }],
    body: '{}',
  };
  const job = detail({
    starts: 2,
    events: [
      event(1001, 'queued', 'job_0 runs in the lane stories'),
      event(3000, 'started'),
      event(3600, 'retried', 'start 1 failed; it starts again later'),
      event(8000, 'started'),
      event(9000, 'ended'),
    ],
    attempts: [attempt(3000, { error: 'upstream_failed' }), attempt(8000)],
    deliveries: [delivery],
  });
  assert.deepEqual(told(job), [
    '1000 Accepted',
    '1001-3000 Stood in line',
    '3000 Started',
    '3000-3500 Attempt 1',
    '3600-8000 Waited to start again',
    '8000 Started again, 2 times now',
    '8000-8500 Attempt 2',
    '9000 Succeeded',
    '9000-9050 Callback delivered',
  ]);
});

test('a job that stands in line says why as it is now, not as it was when it came', () => {
  const job = detail({
    state: 'queued',
    finishedAt: null,
    starts: 0,
    waits: { kind: 'lane', reason: 'job_9 runs in the lane stories', until: null, position: 0 },
    events: [event(1001, 'queued', 'job_0 runs in the lane stories')],
  });
  const [, line] = momentsOf(job, job);
  assert.deepEqual([line?.title, line?.detail, line?.until, line?.live], ['Stands in line', 'job_9 runs in the lane stories', null, true]);
});

test('reports of progress in a row are one line with the newest words', () => {
  const job = detail({
    events: [event(2000, 'progress', '10 %'), event(3000, 'progress', '50 %'), event(4000, 'callback'), event(5000, 'progress', '90 %')],
  });
  assert.deepEqual(
    momentsOf(job, job).flatMap(({ title, detail: words }) => (title === 'Progress' ? [words] : [])),
    ['50 %', '90 %'],
  );
});

test('a wait that the end cut short is as long as it was', () => {
  const job = detail({
    state: 'cancelled',
    cancelRequestedAt: 6000,
    events: [event(2000, 'waiting', 'backoff'), event(6000, 'cancel_requested')],
  });
  assert.deepEqual(told(job), ['1000 Accepted', '2000-6000 Waited', '6000 Cancel was asked for', '9000 Cancelled']);
});

test('what waits for models says that it stands in line for the GPU, while it does', () => {
  const waits = { kind: 'gpu', reason: 'vision is in use by job_2', until: 9000, position: 1 } as const;
  const job = detail({ state: 'waiting', finishedAt: null, waits, events: [event(1001, 'waiting', 'writer is in use')] });
  const over = detail({ events: [event(1001, 'waiting', 'writer is in use'), event(3000, 'started')] });
  assert.deepEqual(
    [momentsOf(job, job)[1], momentsOf(over, over)[1]].map((moment) => [moment?.title, moment?.detail]),
    [
      ['Stands in line for the GPU', 'vision is in use by job_2'],
      ['Waited', 'writer is in use'],
    ],
  );
});
