import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anIntent, anOutcome, createScratch, type Scratch } from './scratch.ts';
import { createIndexer } from './search.ts';
import type { Store } from './store.ts';

/** What the writer does when it is idle, done to the end. */
function indexAll({ raw }: Scratch): void {
  raw((db) => {
    db.pragma('synchronous = OFF');
    const indexer = createIndexer(db);
    while (indexer.step());
  });
}

/** Jobs with these numbers: one of 1000 failed, one of 700 is called rare. */
function fillJobs({ raw }: Scratch, first: number, last: number): void {
  raw((db) =>
    db
      .prepare(
        `WITH RECURSIVE i(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM i WHERE n < ?)
         INSERT INTO job (n, id, crossing, state, route, door, caller, created_at, why)
         SELECT n, 'b' || n, 'x', iif(n % 1000 = 0, 'failed', 'succeeded'), 'A.b', 'http', 'a', n, iif(n % 700 = 0, 'rare', 'bulk') FROM i`,
      )
      .run(first, last),
  );
}

const finder =
  (store: Store) =>
  (q: string, more: { state?: string; route?: string; lane?: string } = {}) => {
    const { jobs, cursor, total } = store.read.jobs({ q, limit: 50, ...more });
    assert.deepEqual([cursor, total], [null, jobs.length]);
    return jobs.map(({ id }) => id).join(' ');
  };

const row = (text: string | null) => ({ text, params: '{}', confidence: 1, why: 'named' });
const ended = (record: string) => ({ state: 'succeeded', durationMs: 1, errorCode: null, errorMessage: null, record }) as const;

async function writeJobs(store: Store): Promise<void> {
  const plain = { waits: null, subject: null, call: null, key: null, callbackUrl: null };
  await store.begin(anIntent('j1', { jobRow: row('Café Zürich, naïve “quotes”') }));
  await store.finish(anOutcome('j1', { jobEnd: ended('{"ok":true,"result":{"city":"Łódź","list":["alpha","beta"]}}') }));
  await store.begin(anIntent('j2', { route: 'OPS.deploy', jobRow: row('deploy the café') }));
  await store.finish(
    anOutcome('j2', {
      route: 'OPS.deploy',
      outcome: 'upstream_failed',
      jobEnd: { state: 'failed', durationMs: 1, errorCode: 'upstream_failed', errorMessage: 'The CRM said 503', record: 'not JSON' },
    }),
  );
  await store.begin(
    anIntent('j3', {
      route: 'OPS.stories',
      jobRow: { ...row('story STORY-042 🚀 and 東京タワー'), more: { ...plain, state: 'queued', lane: 'stories' } },
    }),
  );
  await store.begin(anIntent('j4', { jobRow: row('still running') }));
  store.progress('j4', 0.5, 'halfway through page seven');
  await store.setSetting('behind', '1');
}

const asked: [q: string, found: string, more?: Parameters<ReturnType<typeof finder>>[1]][] = [
  ['cafe', 'j2 j1'],
  ['CAFÉ zür', 'j1'],
  ['cafe deploy', 'j2'],
  ['alph', 'j1'],
  ['łódź beta', 'j1'],
  ['lpha', ''],
  ['crm 503', 'j2'],
  ['upstream_failed', 'j2'],
  ['ops deploy', 'j2'],
  ['story-042', 'j3'],
  ['東京', 'j3'],
  ['page seven', 'j4'],
  ['stories', 'j3'],
  ['j2', ''],
  ['named', 'j4 j3 j2 j1'],
  ['named', 'j2', { state: 'failed' }],
  ['named', 'j3', { state: 'queued' }],
  ['named', 'j1', { state: 'succeeded', route: 'FND.salesforce' }],
  ['named', 'j3', { lane: 'stories' }],
  ['named', '', { state: 'nonsense' }],
  ['"', ''],
  ['🚀', ''],
  ["' OR 1=1 --", ''],
  ['cafe" OR "story', ''],
  ['caf* NOT zürich', ''],
  ['NEAR(cafe deploy, 5)', ''],
  ['words:cafe', ''],
  ['cafe\0', 'j2 j1'],
  ['\ud800cafe', 'j2 j1'],
  ['-cafe ^"cafe"', 'j2 j1'],
  [`${'x'.repeat(400)} cafe`, ''],
];

test('a job is found by the beginnings of its words as soon as it is there, and the same once it is indexed', async (t) => {
  const scratch = createScratch(t);
  const first = await scratch.open();
  await writeJobs(first);
  const answers = (store: Store) => asked.map(([q, , more]) => [q, finder(store)(q, more), more]);
  const wanted = asked.map(([q, found, more]) => [q, found, more]);
  assert.deepEqual(answers(first), wanted);
  await first[Symbol.asyncDispose]();
  fillJobs(scratch, 5, 300);
  indexAll(scratch);
  const second = await scratch.open();
  assert.deepEqual(answers(second), wanted);
});

test('an id is found by its beginning', async (t) => {
  const store = await createScratch(t).open();
  for (const id of ['job_01abc', 'job_01abd', 'job_02']) await store.begin(anIntent(id));
  const find = finder(store);
  assert.deepEqual([find('job_01ab'), find('job_01abd'), find('job_03')], ['job_01abd job_01abc', 'job_01abd', '']);
});

test('a job that ends after later ones were indexed is found by what it ended with', async (t) => {
  const scratch = createScratch(t);
  const first = await scratch.open();
  await first.begin(anIntent('slow'));
  await first[Symbol.asyncDispose]();
  fillJobs(scratch, 2, 300);
  indexAll(scratch);
  const store = await scratch.open();
  await store.finish(anOutcome('slow', { jobEnd: ended('{"result":"it took its time"}') }));
  const find = finder(store);
  assert.deepEqual([find('took time'), find('took time', { state: 'succeeded' })], ['slow', 'slow']);
  await store[Symbol.asyncDispose]();
  indexAll(scratch);
  assert.equal(
    scratch.raw((db) => db.prepare('SELECT count(*) FROM job_late').pluck().get()),
    0,
  );
  assert.equal(finder(await scratch.open())('took time'), 'slow');
});

test('a search goes through many jobs page by page, each once, newest first', async (t) => {
  const scratch = createScratch(t);
  await (await scratch.open())[Symbol.asyncDispose]();
  fillJobs(scratch, 1, 34_000);
  indexAll(scratch);
  // And some that are not indexed.
  fillJobs(scratch, 34_001, 35_000);
  const { read } = await scratch.open();
  const walk = (q: string, state?: string) => {
    const found: number[] = [];
    let cursor: string | null | undefined;
    do {
      const page = read.jobs({ q, limit: 17, ...(cursor && { cursor }), ...(state && { state }) });
      found.push(...page.jobs.map(({ createdAt }) => createdAt));
      cursor = page.cursor;
    } while (cursor !== null);
    return found;
  };
  const multiples = (step: number) => Array.from({ length: Math.floor(35_000 / step) }, (_, i) => i * step + step).reverse();
  assert.deepEqual(walk('rar'), multiples(700));
  assert.deepEqual(walk('a b', 'failed'), multiples(1000));
});
