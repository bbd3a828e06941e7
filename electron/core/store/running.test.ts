import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anIntent, anOutcome, createScratch } from './scratch.ts';
import type { Store } from './store.ts';

const running = (store: Store) => store.read.jobs({ state: 'running', limit: 10 }).jobs.map(({ id }) => id);

async function many(store: Store, name: string): Promise<void> {
  const ids = Array.from({ length: 1500 }, (_, i) => `${name}${i}`);
  await Promise.all(ids.map((id) => store.begin(anIntent(id))));
  await Promise.all(ids.map((id) => store.finish(anOutcome(id))));
}

test('a job that runs while thousands come and go is known to run, and is found after a restart', async (t) => {
  const { open, raw } = createScratch(t);
  const first = await open();
  const written = () => raw((db) => db.prepare('SELECT n FROM job_running ORDER BY n').pluck().all());
  const more = { state: 'queued', waits: null, lane: null, subject: null, call: null, key: null, callbackUrl: null } as const;
  const row = { text: null, params: null, confidence: 1, why: 'named' };
  await first.begin(anIntent('long'));
  await first.begin(anIntent('short'));
  await first.begin(anIntent('late', { jobRow: { ...row, more } }));
  await many(first, 'a');
  await many(first, 'b');
  assert.deepEqual(
    [written(), running(first)],
    [
      [1, 2],
      ['short', 'long'],
    ],
  );
  // One of them ends, and one that stood in line starts only now.
  await first.finish(anOutcome('short'));
  await first.start('late', 1, 1);
  await first.begin(anIntent('new'));
  assert.deepEqual([written(), running(first), first.read.counts().running], [[1, 3], ['new', 'late', 'long'], 3]);
  await first.wait('late', { at: 2, state: 'waiting', waits: null, attempts: [], why: 'waiting', detail: 'again' });
  assert.deepEqual(
    [written(), running(first), first.read.counts()],
    [[1], ['new', 'long'], { running: 3, queued: 1, jobs: 3004, audit: 6005 }],
  );
  await first[Symbol.asyncDispose]();
  const store = await open();
  assert.deepEqual(
    store.found.jobs.map(({ id, state }) => [id, state]),
    [
      ['long', 'running'],
      ['late', 'waiting'],
      ['new', 'running'],
    ],
  );
  await store.settleFound([{ id: 'long', as: 'unknown' }], 3);
  await store.finish(anOutcome('new'));
  assert.deepEqual([written(), running(store), store.read.jobs({ state: 'succeeded', limit: 1 }).total], [[], [], 3002]);
});
