import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QueryObserver } from '@tanstack/react-query';
import type { DownFrame, Event, UpFrame } from '../shared/contract.ts';
import { emptyCortex } from '../shared/cortex.ts';
import type { Crossing, Job, Snapshot } from '../shared/model.ts';
import { createPortPair, type Port } from '../shared/port.ts';
import { type Connection, createFront, type Run } from './core.ts';
import type { JobFeed } from './pump.ts';

/** A front, the core's end of its newest port with what came in, and frames drawn by hand. */
function stage() {
  const ends: Port<DownFrame, UpFrame>[] = [];
  const got: UpFrame[] = [];
  const frames: (() => void)[] = [];
  const front = createFront({
    retryMs: 1,
    nextFrame: (work) => frames.push(work),
    async connect() {
      const [mine, core] = createPortPair<UpFrame, DownFrame>();
      core.onFrame((frame) => got.push(frame));
      ends.push(core);
      return mine;
    },
  });
  return {
    front,
    got,
    core: () => ends.at(-1)!,
    connections: () => ends.length,
    draw: () => frames.splice(0).map((work) => work()).length,
    live: (slice: string) => front.queries.getQueryData(['live', slice]),
    run: (id: number) => front.queries.getQueryData<Run>(['run', id])!,
    connection: () => front.queries.getQueryData<Connection>(['connection'])!.state,
    [Symbol.dispose]: () => front.close(),
  };
}

const settle = () => new Promise<void>((done) => setImmediate(done));
const job = (id: string, more: Partial<Job> = {}) => ({ id, state: 'running', createdAt: 1, text: 'x', route: 'A.a', ...more }) as Job;
const snapshot = (jobs: Job[] = []) =>
  ({ seq: 5, jobs, counts: { running: 0, queued: 0, jobs: jobs.length, audit: 0 }, signals: [] }) as unknown as Snapshot;
const moved = (seq: number, one: Job): Event => ({ type: 'job', job: one, seq, at: seq, signal: null });

test('events of one frame are applied together, when the frame is drawn', async () => {
  using on = stage();
  await settle();
  assert.deepEqual(on.got, [{ t: 'watch', since: 0 }]);
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  on.core().send({ t: 'events', events: [moved(6, job('a'))] });
  on.core().send({ t: 'events', events: [moved(7, job('a', { progress: 0.5 }))] });
  await settle();
  assert.deepEqual([on.connection(), on.live('jobs')], ['open', []]);
  assert.equal(on.draw(), 1);
  assert.deepEqual(
    (on.live('jobs') as Job[]).map(({ id, progress }) => [id, progress]),
    [['a', 0.5]],
  );
});

test('a run goes from the key press to its crossing', async () => {
  using on = stage();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  await settle();
  const id = on.front.dispatch({ text: 'sync', ask: true });
  await settle();
  const call = on.got.at(-1)!;
  assert.ok(call.t === 'call');
  assert.deepEqual(call.ask, { text: 'sync', ask: true });
  on.core().send({ t: 'accepted', id: call.id, job: 'j1', route: 'A.a', audit: { seq: 1, hash: 'h' } });
  await settle();
  assert.deepEqual([on.run(id).accepted?.job, on.run(id).crossing], ['j1', null]);
  on.front.cancel(id);
  await settle();
  assert.deepEqual(on.got.at(-1), { t: 'cancel', id: call.id });
  on.core().send({ t: 'answer', id: call.id, crossing: { ok: true, result: 7 } as Crossing });
  await settle();
  assert.deepEqual([on.run(id).crossing?.result, on.run(id).cancelRequested, on.run(id).fault], [7, true, null]);
});

test('a connection that closes fails what is open, is told, and comes back by itself', async () => {
  using on = stage();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot([job('a')]) });
  await settle();
  const id = on.front.dispatch({ text: 'sync' });
  on.core().close();
  const late = on.front.dispatch({ text: 'again' });
  assert.deepEqual([on.run(late).fault?.code, on.connection()], ['core_unreachable', 'lost']);
  await settle();
  assert.equal(on.run(id).fault?.code, 'core_unreachable');
  while (on.connections() < 2) await settle();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  await settle();
  assert.deepEqual([on.connection(), on.live('jobs')], ['open', []]);
});

test('pages of jobs follow each other, and a job that ends changes its row', async () => {
  using on = stage();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  await settle();
  const filter = { q: ' sync ', state: 'running' as const, route: null, lane: null };
  const pages = [
    { jobs: [job('c', { createdAt: 3 }), job('b', { createdAt: 2 })], cursor: 'b', total: 3 },
    { jobs: [job('a')], cursor: null, total: 3 },
  ];
  for (const page of pages) {
    const loading = on.front.loadJobs(filter);
    await settle();
    const call = on.got.at(-1)!;
    assert.ok(call.t === 'call');
    on.core().send({ t: 'answer', id: call.id, crossing: { ok: true, error: null, result: page } as unknown as Crossing });
    await loading;
  }
  await on.front.loadJobs(filter);
  const asked = on.got.flatMap((frame) => (frame.t === 'call' ? [frame.ask.params] : []));
  assert.deepEqual(asked, [
    { limit: 500, q: 'sync', state: 'running' },
    { limit: 500, q: 'sync', state: 'running', cursor: 'b' },
  ]);
  on.core().send({ t: 'events', events: [moved(6, job('b', { createdAt: 2, state: 'failed' }))] });
  await settle();
  on.draw();
  const feed = on.front.queries.getQueryData<JobFeed>(['feed', filter])!;
  assert.deepEqual(
    feed.rows.map(({ id, state }) => `${id} ${state}`),
    ['c running', 'b failed', 'a running'],
  );
});

test('a job on screen is asked for again when something happens to it, another one is not', async () => {
  using on = stage();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  await settle();
  const asked = () => on.got.flatMap((frame) => (frame.t === 'call' && frame.ask.route === 'OS.jobs.get' ? [frame.ask.params?.id] : []));
  const answer = () => {
    for (const frame of on.got)
      if (frame.t === 'call') on.core().send({ t: 'answer', id: frame.id, crossing: { ok: true, error: null, result: {} } as Crossing });
  };
  const watched = ['a', 'b'].map((id) =>
    new QueryObserver(on.front.queries, {
      queryKey: ['op', 'OS.jobs.get', { id }],
      queryFn: () => on.front.operate('OS.jobs.get', { id }),
    }).subscribe(() => {}),
  );
  await settle();
  answer();
  await settle();
  on.core().send({ t: 'events', events: [moved(6, job('a')), moved(7, job('c'))] });
  await settle();
  on.draw();
  await settle();
  assert.deepEqual(asked(), ['a', 'b', 'a']);
  for (const leave of watched) leave();
});

test('what would be loaded is stale a moment after models moved, once for all that moved', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  using on = stage();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  await settle();
  const keys = [
    ['op', 'OS.resolve', { text: 'x' }],
    ['op', 'OS.resolve.need', { need: { model: 'm' } }],
  ];
  const fresh = () => {
    for (const queryKey of keys) on.front.queries.setQueryData(queryKey, {});
  };
  const stale = () => keys.map((queryKey) => on.front.queries.getQueryState(queryKey)?.isInvalidated);
  const move = async (seq: number) => {
    on.core().send({ t: 'events', events: [{ type: 'cortex', cortex: emptyCortex, seq, at: seq, signal: null }] });
    await settle();
    on.draw();
  };
  fresh();
  await move(6);
  t.mock.timers.tick(300);
  await move(7);
  assert.deepEqual(stale(), [false, false]);
  t.mock.timers.tick(100);
  assert.deepEqual(stale(), [true, true]);
  fresh();
  t.mock.timers.tick(1000);
  assert.deepEqual(stale(), [false, false]);
});

test('a tool that refuses rejects with its refusal, and a kept text makes lists of texts stale', async () => {
  using on = stage();
  await settle();
  on.core().send({ t: 'snapshot', snapshot: snapshot() });
  await settle();
  const list = ['memory', 'list', {}];
  on.front.queries.setQueryData(list, []);
  const reply = (crossing: unknown) => {
    const call = on.got.at(-1)!;
    assert.ok(call.t === 'call');
    on.core().send({ t: 'answer', id: call.id, crossing: crossing as Crossing });
  };
  const refused = on.front.remember({ route: 'OS.memory.write', params: { text: '' } });
  await settle();
  reply({ ok: false, error: { code: 'input_invalid', message: 'There is nothing to remember.', hint: null } });
  await assert.rejects(refused, /nothing to remember/);
  assert.equal(on.front.queries.getQueryState(list)?.isInvalidated, false);
  const kept = on.front.remember({ route: 'OS.memory.write', params: { text: 'x' } });
  await settle();
  reply({ ok: true, error: null, result: { item_id: 'mem_1' } });
  assert.equal(await kept, 'mem_1');
  assert.equal(on.front.queries.getQueryState(list)?.isInvalidated, true);
});
