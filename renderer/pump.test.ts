import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event, EventBody } from '../shared/contract.ts';
import { emptyCortex } from '../shared/cortex.ts';
import type { Job, Snapshot } from '../shared/model.ts';
import { appendPage, applyEvents, emptyFeed, type JobFeed, lengthOf, liveFrom, releaseFeed, updateFeed } from './pump.ts';

const job = (id: string, createdAt: number, more: Partial<Job> = {}): Job => ({
  id,
  crossing: `x_${id}`,
  state: 'running',
  route: 'FND.salesforce',
  text: 'sync contacts',
  door: 'app',
  caller: 'owner',
  createdAt,
  startedAt: createdAt,
  finishedAt: null,
  durationMs: null,
  progress: null,
  progressNote: null,
  confidence: 1,
  why: '',
  errorCode: null,
  errorMessage: null,
  auditSeq: null,
  cancelRequestedAt: null,
  waits: null,
  lane: null,
  subject: null,
  starts: 1,
  ...more,
});

const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({
  seq: 10,
  self: { pid: 1, version: '0', startedAt: 0, cpuPercent: 0, memoryBytes: 0, home: '', demo: false, mock: false, url: null },
  sovereign: { on: false, since: null, by: null },
  registry: { file: '', loadedAt: 0, generation: 1, orgs: 0, services: 0, rules: 0, problems: [], serving: 'current' },
  orgs: [],
  routes: [],
  rules: [],
  health: [],
  breakers: [],
  gpu: { probedAt: null, devices: [], probes: [] },
  jobs: [],
  lanes: [],
  mcp: [],
  podium: [],
  cortex: emptyCortex,
  boot: null,
  counts: { running: 0, queued: 0, jobs: 0, audit: 0 },
  signals: [],
  ...more,
});

const event = (seq: number, body: EventBody, signal: string | null = null) => ({ ...body, seq, at: seq, signal }) as Event;
const ids = (jobs: readonly Job[]) => jobs.map((one) => one.id).join(' ');

test('a job that starts and ends leaves one row and counts once', () => {
  const live = liveFrom(snapshot(), null);
  const started = applyEvents(live, [event(11, { type: 'job', job: job('a', 5, { state: 'queued' }) })]);
  const running = applyEvents(started, [event(12, { type: 'job', job: job('a', 5) })]);
  const ended = applyEvents(running, [event(13, { type: 'job', job: job('a', 5, { state: 'succeeded' }) }, 'done')]);
  assert.deepEqual(
    [started, running, ended].map(({ counts, jobs }) => [counts.running, counts.queued, counts.jobs, jobs.length, jobs[0]!.state]),
    [
      [1, 1, 1, 1, 'queued'],
      [1, 0, 1, 1, 'running'],
      [0, 0, 1, 1, 'succeeded'],
    ],
  );
  assert.deepEqual(ended.signals, [{ seq: 13, at: 13, signal: 'done' }]);
});

test('readings of the GPU follow one another, and only so many are kept', () => {
  const sample = (at: number) => ({ at, device: '0', usedBytes: at, utilization: null, temperatureC: null, powerW: null });
  let live = liveFrom(snapshot(), null);
  for (let seq = 11; seq < 1011; seq++) live = applyEvents(live, [event(seq, { type: 'gpu_samples', samples: [sample(seq)] })]);
  assert.deepEqual([live.gpuSamples.length, live.gpuSamples[0]!.at, live.gpuSamples.at(-1)!.at], [900, 111, 1010]);
  assert.deepEqual(liveFrom(snapshot({ seq: 2000 }), live).gpuSamples, live.gpuSamples);
});

test('jobs are counted at once, also when they begin running or end within one batch, and never twice', () => {
  const self = snapshot().self;
  const live = liveFrom(snapshot({ jobs: [job('old', 4)], counts: { running: 1, queued: 0, jobs: 7, audit: 13 } }), null);
  const begun = applyEvents(live, [event(11, { type: 'job', job: job('a', 5) })]);
  assert.deepEqual(begun.counts, { running: 2, queued: 0, jobs: 8, audit: 14 });
  const ended = applyEvents(begun, [
    event(12, { type: 'job', job: job('old', 4, { state: 'failed' }) }),
    event(13, { type: 'job', job: job('b', 6) }),
    event(14, { type: 'job', job: job('b', 6, { state: 'succeeded' }) }),
  ]);
  assert.deepEqual(ended.counts, { running: 1, queued: 0, jobs: 9, audit: 17 });
  const told = applyEvents(ended, [
    event(15, { type: 'job', job: job('c', 7) }),
    event(16, { type: 'self', self, counts: { running: 2, queued: 0, jobs: 10, audit: 18 } }),
    event(17, { type: 'job', job: job('c', 7, { state: 'succeeded' }) }),
  ]);
  assert.deepEqual(told.counts, { running: 1, queued: 0, jobs: 10, audit: 19 });
});

test('events already seen change nothing, and untouched slices keep their identity', () => {
  const live = liveFrom(snapshot(), null);
  assert.equal(applyEvents(live, [event(10, { type: 'job', job: job('a', 5) })]), live);
  const next = applyEvents(live, [event(11, { type: 'sovereign', sovereign: { on: true, since: 1, by: 'owner' } })]);
  assert.equal(next.jobs, live.jobs);
  assert.equal(next.health, live.health);
  assert.deepEqual([next.sovereign.on, next.seq], [true, 11]);
});

test('a lane changes in its place, comes in at the end, and is gone when nothing is in it', () => {
  const lane = (name: string, running: string[], queued: string[] = []) => ({ name, kind: 'lane' as const, capacity: 1, running, queued });
  const live = liveFrom(snapshot({ lanes: [lane('a', ['j1'], ['j2']), lane('b', ['j3'])] }), null);
  const next = applyEvents(live, [
    event(11, { type: 'lanes', lanes: [lane('a', ['j2']), lane('c', ['j4'])] }),
    event(12, { type: 'lanes', lanes: [lane('b', [])] }),
  ]);
  assert.deepEqual(
    next.lanes.map(({ name, running, queued }) => [name, running, queued]),
    [
      ['a', ['j2'], []],
      ['c', ['j4'], []],
    ],
  );
});

test('a job that has not ended is kept however many came after it', () => {
  const ended = Array.from({ length: 400 }, (_, index) => job(`e${index}`, 100 + index, { state: 'succeeded' }));
  const live = liveFrom(snapshot({ jobs: [job('old', 1, { state: 'waiting' }), ...ended] }), null);
  assert.deepEqual([live.jobs.length, live.jobs.at(-1)!.id], [301, 'old']);
  const over = applyEvents(live, [event(11, { type: 'job', job: job('old', 1, { state: 'succeeded' }) })]);
  assert.equal(over.jobs.length, 300);
});

test('messages of the orchestrator are kept as they came, the newest first', () => {
  const live = applyEvents(liveFrom(snapshot(), null), [
    event(11, { type: 'upstream', route: 'ORC.podium', message: { type: 'STORY_STATUS' } }),
    event(12, { type: 'upstream', route: 'ORC.podium', message: 'anything' }),
  ]);
  assert.deepEqual(
    live.upstream.map((one) => one.message),
    ['anything', { type: 'STORY_STATUS' }],
  );
});

test('chunks of a job add up in order; a new snapshot keeps them', () => {
  const live = applyEvents(liveFrom(snapshot(), null), [
    event(11, { type: 'chunk', job: 'a', text: 'Hel' }),
    event(12, { type: 'chunk', job: 'b', text: 'x' }),
    event(13, { type: 'chunk', job: 'a', text: 'lo' }),
  ]);
  assert.deepEqual(live.chunks, { a: 'Hello', b: 'x' });
  assert.deepEqual(liveFrom(snapshot({ seq: 99 }), live).chunks, { a: 'Hello', b: 'x' });
});

test('a thousand events of one health keep one entry in its place', () => {
  const health = (route: string, latencyMs: number) => ({
    route,
    status: 'healthy' as const,
    reason: '',
    latencyMs,
    checkedAt: 1,
    since: 1,
    p50Ms: null,
    p95Ms: null,
    lastError: null,
    incident: null,
  });
  const live = liveFrom(snapshot({ health: [health('A.a', 0), health('B.b', 0)] }), null);
  const events = Array.from({ length: 1000 }, (_, index) => event(11 + index, { type: 'health', health: health('A.a', index) }));
  assert.deepEqual(
    applyEvents(live, events).health.map((one) => [one.route, one.latencyMs]),
    [
      ['A.a', 999],
      ['B.b', 0],
    ],
  );
});

test('new jobs wait until they are released; known ones change where they stand', () => {
  const all = { q: '', state: null, route: null, lane: null };
  let feed: JobFeed = appendPage(emptyFeed, { jobs: [job('c', 30), job('b', 20), job('a', 10)], cursor: 'a', total: 900 });
  feed = updateFeed(feed, [job('b', 20, { state: 'failed' }), job('d', 40)], all);
  assert.deepEqual([ids(feed.rows), ids(feed.held), feed.rows[1]!.state, feed.total], ['c b a', 'd', 'failed', 901]);
  feed = updateFeed(feed, [job('d', 40, { progress: 0.5 }), job('e', 50)], all);
  assert.deepEqual([ids(feed.held), feed.held[1]!.progress], ['e d', 0.5]);
  assert.equal(ids(releaseFeed(feed, all).rows), 'e d c b a');
});

test('a row that no longer fits its filter stays until the list is released', () => {
  const running = { q: '', state: 'running' as const, route: null, lane: null };
  const feed = updateFeed(
    appendPage(emptyFeed, { jobs: [job('b', 20), job('a', 10)], cursor: null, total: 2 }),
    [job('b', 20, { state: 'succeeded' })],
    running,
  );
  assert.equal(ids(feed.rows), 'b a');
  const released = releaseFeed(feed, running);
  assert.deepEqual([ids(released.rows), released.total], ['a', 1]);
});

test('only jobs that fit the search are held', () => {
  const feed = appendPage(emptyFeed, { jobs: [job('a', 10)], cursor: null, total: 1 });
  const held = updateFeed(feed, [job('b', 20, { text: 'Deploy the worker' }), job('c', 30)], {
    q: 'deploy',
    state: null,
    route: null,
    lane: null,
  }).held;
  assert.equal(ids(held), 'b');
});

test('a page repeats no row that came as an event meanwhile', () => {
  const feed: JobFeed = { rows: [job('c', 30), job('b', 20)], held: [job('d', 40)], total: 4, cursor: 'b' };
  const next = appendPage(feed, { jobs: [job('b', 20), job('a', 10)], cursor: null, total: 4 });
  assert.equal(ids(next.rows), 'c b a');
});

test('an update among 100,000 rows finds its row', () => {
  const rows = Array.from({ length: 100_000 }, (_, index) => job(`j${index}`, 1_000_000 - Math.floor(index / 3)));
  const feed: JobFeed = { rows, held: [], total: rows.length, cursor: null };
  const changed = updateFeed(feed, [{ ...rows[70_001]!, state: 'succeeded' }], { q: '', state: null, route: null, lane: null });
  assert.deepEqual([changed.rows[70_001]!.state, changed.rows[70_000]!.state, changed.held.length], ['succeeded', 'running', 0]);
});

test('a feed with a cursor has room for more than there is, whatever its total says; one without has none', () => {
  const rows = [job('b', 20), job('a', 10)];
  const lengths = [
    { rows, held: [], total: 900, cursor: 'a' },
    { rows, held: [job('c', 30)], total: 900, cursor: 'a' },
    { rows, held: [], total: 2, cursor: 'a' },
    { rows: [], held: [], total: 0, cursor: 'a' },
    { rows, held: [], total: 900, cursor: null },
  ].map(lengthOf);
  assert.deepEqual(lengths, [900, 899, 3, 1, 2]);
});
