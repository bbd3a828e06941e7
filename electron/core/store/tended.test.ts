import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../../../shared/errors.ts';
import type { Attempt, Delivery, Waits } from '../../../shared/model.ts';
import { createPruner } from './retention.ts';
import { anIntent, anOutcome, createScratch } from './scratch.ts';
import { createIndexer } from './search.ts';
import type { Store, TendedJob } from './store.ts';

const AT = 1_700_000_000_000;
const DAY = 24 * 3_600_000;
const inLine: Waits = { kind: 'lane', reason: 'job j0 runs in the lane stories', until: null, position: 0 };
const backoff: Waits = { kind: 'retry', reason: 'again in 2 s', until: AT + 2000, position: null };
const attempt: Attempt = {
  ...{ id: 'j1.1', route: 'FND.salesforce', endpoint: null, startedAt: AT, durationMs: 5, status: 503, error: 'upstream_failed' },
};

const aTended = (job: string, more: Partial<TendedJob> = {}, at = AT) =>
  anIntent(job, {
    at,
    jobRow: {
      ...{ text: `story of ${job}`, params: null, confidence: 1, why: 'named' },
      more: {
        ...{
          state: 'queued',
          waits: inLine,
          lane: 'stories',
          subject: `story:${job}`,
          call: `sealed ${job}`,
          key: null,
          callbackUrl: null,
        },
        ...more,
      },
    },
  });
const aKey = (key: string, bodyHash = 'hash') => ({ key, content: false, bodyHash, asked: '{"a":1}' });
const failed = {
  state: 'failed',
  durationMs: 1,
  errorCode: 'upstream_failed',
  errorMessage: 'It said 500.',
  record: '{"ok":false}',
} as const;
const aDelivery = (id: string, more: Partial<Delivery> = {}): Delivery => ({
  ...{ id, job: 'j1', url: 'https://example.com/done', state: 'pending', attempts: [], createdAt: AT, nextAt: AT, body: '{"ok":true}' },
  ...more,
});
const refusedWith = (code: string) => (caught: unknown) => caught instanceof Refusal && caught.wire.code === code;

test('a job waits, runs, waits to run again and ends, and its timeline tells it', async (t) => {
  const { open, raw } = createScratch(t);
  const store = await open();
  await store.begin(aTended('j1'));
  assert.deepEqual(
    [store.read.job('j1')].map((job) => [job?.state, job?.waits, job?.lane, job?.subject, job?.starts, job?.startedAt]),
    [['queued', inLine, 'stories', 'story:j1', 0, null]],
  );
  assert.deepEqual(store.read.counts(), { running: 1, queued: 1, jobs: 1, audit: 1 });
  await store.start('j1', AT + 10, 1);
  await store.wait('j1', { at: AT + 20, state: 'waiting', waits: backoff, attempts: [attempt], why: 'waiting', detail: 'again in 2 s' });
  const waiting = store.read.job('j1')!;
  assert.deepEqual([waiting.state, waiting.waits, waiting.attempts], ['waiting', backoff, [attempt]]);
  await store.start('j1', AT + 2020, 2);
  await store.finish(anOutcome('j1', { at: AT + 2030 }));
  await store.start('j1', AT + 9000, 3);
  const ended = store.read.job('j1')!;
  assert.deepEqual([ended.state, ended.waits, ended.starts, ended.startedAt], ['succeeded', null, 2, AT + 10]);
  assert.deepEqual(
    ended.events.map(({ at, kind, detail }) => [at - AT, kind, detail]),
    [
      [0, 'queued', 'job j0 runs in the lane stories'],
      [10, 'started', 'start 1'],
      [20, 'waiting', 'again in 2 s'],
      [2020, 'started', 'start 2'],
      [2030, 'ended', 'succeeded'],
    ],
  );
  // What was needed to run it is gone.
  assert.equal(
    raw((db) => db.prepare('SELECT count(*) FROM job_live').pluck().get()),
    0,
  );
});

test('a plain job waits and runs again too', async (t) => {
  const store = await createScratch(t).open();
  await store.begin(anIntent('j1'));
  await store.wait('j1', { at: AT + 20, state: 'waiting', waits: backoff, attempts: [attempt], why: 'retried', detail: 'again in 2 s' });
  assert.deepEqual([store.read.job('j1')?.state, store.read.job('j1')?.starts], ['waiting', 1]);
  await store.start('j1', AT + 2020, 2);
  await store.finish(anOutcome('j1'));
  assert.deepEqual([store.read.job('j1')?.state, store.read.job('j1')?.starts], ['succeeded', 2]);
});

test('jobs are found as they were, and go on as it is decided', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await first.begin(aTended('j1', { callbackUrl: 'https://example.com/done' }));
  await first.begin(aTended('j2', { state: 'running', waits: null }));
  await first.begin(aTended('j3', { state: 'waiting', waits: backoff }));
  await first.begin(aTended('j4'));
  await first.wait('j3', { at: AT, state: 'waiting', waits: backoff, attempts: [attempt], why: 'waiting', detail: 'x' });
  await first.finish(anOutcome('j4'));
  await first[Symbol.asyncDispose]();
  const store = await open();
  assert.equal(store.found.crashed, false);
  assert.deepEqual(store.found.jobs[0], {
    ...{ n: 1, id: 'j1', crossing: 'x_j1', state: 'queued', route: 'FND.salesforce', text: 'story of j1', door: 'http', caller: 'owner' },
    ...{
      createdAt: AT,
      starts: 0,
      crashes: 0,
      waits: inLine,
      lane: 'stories',
      subject: 'story:j1',
      callbackUrl: 'https://example.com/done',
    },
    ...{ call: 'sealed j1', auditSeq: 1, confidence: 1, why: 'named', attempts: [] },
  });
  assert.deepEqual(
    store.found.jobs.map(({ id, state, starts, attempts }) => [id, state, starts, attempts.length]),
    [
      ['j1', 'queued', 0, 0],
      ['j2', 'running', 1, 0],
      ['j3', 'waiting', 0, 1],
    ],
  );
  await store.settleFound(
    [
      { id: 'j2', as: 'again' },
      { id: 'j3', as: 'unknown' },
    ],
    AT + 5000,
  );
  assert.deepEqual(
    ['j1', 'j2', 'j3'].map((id) => store.read.job(id)?.state),
    ['queued', 'queued', 'unknown'],
  );
  assert.deepEqual(store.read.jobs({ lane: 'stories', limit: 10 }).total, 4);
  assert.deepEqual(
    store.read.jobs({ lane: 'stories', state: 'queued', limit: 10 }).jobs.map(({ id }) => id),
    ['j2', 'j1'],
  );
  await store.finish(anOutcome('j1'));
  assert.deepEqual(store.read.undelivered(), [{ job: 'j1', callbackUrl: 'https://example.com/done' }]);
  await store.saveDelivery(aDelivery('d1'));
  assert.deepEqual(store.read.undelivered(), []);
});

test('what actions there were and what they were about is remembered over a restart', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await first.begin(aTended('j1', { action: true }, AT));
  await first.begin(aTended('j2', { action: true, subject: null }, AT + 1000));
  await first.begin(aTended('j3', {}, AT + 2000));
  await first[Symbol.asyncDispose]();
  const { read } = await open();
  assert.deepEqual(read.recentActions(AT + 1), [{ principal: 'owner', at: AT + 1000 }]);
  assert.deepEqual(read.recentSubjects(AT), [
    { subject: 'story:j1', at: AT },
    { subject: 'story:j3', at: AT + 2000 },
  ]);
});

test('J01: a key stands for its job for a day, and is free again when the job fails', async (t) => {
  let now = AT;
  const store = await createScratch(t).open({ now: () => now });
  const begin = (job: string, key: string) => store.begin(aTended(job, { key: aKey(key) }, now));
  await begin('j1', 'k');
  const held = { job: 'j1', crossing: 'x_j1', bodyHash: 'hash', asked: '{"a":1}', at: AT, state: 'queued' };
  assert.deepEqual([store.read.key('owner', 'k'), store.read.key('other', 'k'), store.read.key('owner', 'K')], [held, null, null]);
  // While it runs the key is taken, and nothing of the second job is written.
  await assert.rejects(begin('j2', 'k'), refusedWith('internal'));
  assert.deepEqual([store.read.job('j2'), store.read.counts().audit], [null, 1]);
  store.noteKeyUse('j1', { at: AT + 1, crossing: 'x_2', outcome: 'attached', differed: [] });
  store.noteKeyUse('j1', { at: AT + 2, crossing: 'x_3', outcome: 'mismatch', differed: ['inputs.a'] });
  const replayed = {
    at: AT + 1,
    kind: 'replayed',
    crossing: 'x_2',
    job: 'j1',
    caller: 'owner',
    door: 'http',
    route: null,
    outcome: 'ok',
  } as const;
  await store.append({ ...replayed, detail: '{}' });
  const { detail: _, digest, previous, hash, ...row } = store.read.audit({ limit: 1 }).entries[0]!;
  assert.deepEqual(row, { seq: 2, ...replayed });
  await store.finish(anOutcome('j1', { at: AT + 3 }));
  const job = store.read.job('j1')!;
  assert.deepEqual(job.key, {
    ...{ key: 'k', content: false, bodyHash: 'hash', expiresAt: AT + DAY },
    uses: [
      { at: AT + 1, crossing: 'x_2', outcome: 'attached', differed: [] },
      { at: AT + 2, crossing: 'x_3', outcome: 'mismatch', differed: ['inputs.a'] },
    ],
  });
  assert.deepEqual(
    job.events.map(({ kind, detail }) => [kind, detail]),
    [
      ['queued', inLine.reason],
      ['replayed', 'attached: x_2'],
      ['replayed', 'mismatch: x_3'],
      ['ended', 'succeeded'],
    ],
  );
  await assert.rejects(begin('j3', 'k'), refusedWith('internal'));
  await begin('j4', 'f');
  await store.finish(anOutcome('j4', { outcome: 'upstream_failed', jobEnd: failed }));
  await begin('j5', 'f');
  assert.deepEqual([store.read.key('owner', 'f')?.job, store.read.job('j4')?.key?.key], ['j5', 'f']);
  now = AT + DAY;
  assert.equal(store.read.key('owner', 'k'), null);
  await begin('j6', 'k');
  assert.deepEqual([store.read.key('owner', 'k')?.job, (await store.verify()).ok], ['j6', true]);
  assert.deepEqual(
    ['j1', 'j4', 'j5', 'j6'].map((id) => store.read.job(id)?.key?.key),
    [undefined, undefined, undefined, 'k'],
  );
});

test('deliveries are kept and changed, and found by job and state', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await first.saveDelivery(aDelivery('d1'));
  await first.saveDelivery(aDelivery('d2', { job: 'j2' }));
  await first.saveDelivery(aDelivery('d3', { job: 'j2', state: 'dead', nextAt: null }));
  const tried = aDelivery('d1', { attempts: [{ at: AT, durationMs: 3, status: 503, error: null }], nextAt: AT + 1000 });
  await first.saveDelivery(tried);
  await first[Symbol.asyncDispose]();
  const { read } = await open();
  assert.deepEqual([read.delivery('d1'), read.delivery('d9')], [tried, null]);
  assert.deepEqual(
    read.deliveriesPending().map(({ id }) => id),
    ['d1', 'd2'],
  );
  const ids = (filter: Parameters<typeof read.deliveries>[0]) => {
    const { deliveries, cursor } = read.deliveries(filter);
    return [...deliveries.map(({ id }) => id), cursor];
  };
  assert.deepEqual(ids({ limit: 10, job: 'j2' }), ['d3', 'd2', null]);
  assert.deepEqual(ids({ limit: 10, state: 'dead' }), ['d3', null]);
  assert.deepEqual(ids({ limit: 2 }), ['d3', 'd2', '2']);
  assert.deepEqual(ids({ limit: 2, cursor: '2' }), ['d1', null]);
});

test('C02: the id of a callback is taken once a day', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  assert.deepEqual(await Promise.all([first.sawCallback('m1', AT), first.sawCallback('m1', AT), first.sawCallback('m2', AT)]), [
    true,
    false,
    true,
  ]);
  await first[Symbol.asyncDispose]();
  const store = await open();
  assert.deepEqual([await store.sawCallback('m1', AT + DAY - 1), await store.sawCallback('m1', AT + DAY)], [false, true]);
});

test('old jobs are deleted with all that is theirs; what is still needed stays, and so does the chain', async (t) => {
  const scratch = createScratch(t);
  const store = await scratch.open();
  await store.begin(aTended('open'));
  await store.begin(aTended('keyed', { key: aKey('k') }));
  await store.begin(aTended('sending', { callbackUrl: 'https://example.com/done' }));
  for (const id of ['old1', 'old2']) await store.begin(aTended(id));
  await store.begin(anIntent('new', { at: AT + DAY }));
  for (const id of ['keyed', 'sending', 'old1', 'old2']) await store.finish(anOutcome(id));
  await store.finish(anOutcome('new', { at: AT + DAY }));
  await store.saveDelivery(aDelivery('d1', { job: 'sending' }));
  await store.saveDelivery(aDelivery('d2', { job: 'old1', state: 'delivered' }));
  await store[Symbol.asyncDispose]();
  scratch.raw((db) => {
    const indexer = createIndexer(db);
    while (indexer.step());
    const pruner = createPruner(db, indexer);
    pruner.keep({ before: AT + 1000, most: 1000 });
    while (pruner.step());
    const left = (table: string) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
    assert.deepEqual([left('job_record'), left('job_event'), left('job_more'), left('delivery')], [3, 3, 3, 1]);
  });
  const ids = (after: Store) => after.read.jobs({ limit: 10 }).jobs.map(({ id }) => id);
  const second = await scratch.open();
  assert.deepEqual([ids(second), second.read.counts().jobs], [['new', 'sending', 'keyed', 'open'], 4]);
  assert.deepEqual(second.read.jobs({ q: 'story', limit: 10 }).total, 3);
  await second.begin(anIntent('newer', { at: AT + DAY }));
  // The store itself does it by and by, once nothing has come for a moment.
  second.prune({ before: 0, most: 1 });
  while (second.read.job('new') !== null) await pause(5);
  assert.deepEqual(
    [ids(second), second.read.counts()],
    [['newer', 'sending', 'keyed', 'open'], { running: 2, queued: 1, jobs: 4, audit: 12 }],
  );
  assert.equal((await second.verify()).ok, true);
});

test('A08, X02: what the disk does not take is refused, and nothing of it is there', async (t) => {
  const { open } = createScratch(t);
  const small = await open({ maxPages: 100 });
  const call = 'x'.repeat(6000);
  let kept = 0;
  await assert.rejects(async () => {
    for (;;) {
      await small.begin(aTended(`j${kept}`, { call, key: aKey(`k${kept}`) }));
      kept++;
    }
  }, refusedWith('store_unavailable'));
  const next = [
    small.saveDelivery(aDelivery('d1', { body: call })),
    small.wait('j0', { at: AT, state: 'waiting', waits: backoff, attempts: [], why: 'waiting', detail: call }),
  ];
  for (const refused of next) await assert.rejects(refused, refusedWith('store_unavailable'));
  assert.deepEqual(
    [small.read.counts(), small.read.key('owner', `k${kept}`), small.read.delivery('d1'), small.read.job('j0')?.state],
    [{ running: kept, queued: kept, jobs: kept, audit: kept }, null, null, 'queued'],
  );
  await small[Symbol.asyncDispose]();
  const store = await open();
  assert.deepEqual([store.found.jobs.length, (await store.verify()).ok], [kept, true]);
  await store.begin(aTended(`j${kept}`, { key: aKey(`k${kept}`) }));
  await store.start(`j${kept}`, AT, 1);
  assert.equal(store.read.job(`j${kept}`)?.state, 'running');
});
