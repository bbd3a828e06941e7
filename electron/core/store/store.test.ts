import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { Refusal } from '../../../shared/errors.ts';
import { redact } from './redact.ts';
import { anEntry, anIntent, anOutcome, createScratch } from './scratch.ts';
import { createIndexer } from './search.ts';

const refusedWith = (code: string, pattern: RegExp) => (caught: unknown) => {
  assert.ok(caught instanceof Refusal, String(caught));
  assert.equal(caught.wire.code, code);
  assert.match(caught.message, pattern);
  return true;
};

test('a dispatch leaves a job with its record and two audit rows', async (t) => {
  const store = await createScratch(t).open();
  const intent = await store.begin(anIntent('j1'));
  assert.equal(store.read.job('j1')?.state, 'running');
  store.progress('j1', 0.5, 'half');
  store.cancelRequested('j1', 1_700_000_000_020);
  const outcome = await store.finish(anOutcome('j1'));
  assert.deepEqual([intent.seq, outcome.seq], [1, 2]);
  assert.deepEqual(store.read.job('j1'), {
    id: 'j1',
    crossing: 'x_j1',
    state: 'succeeded',
    route: 'FND.salesforce',
    text: 'sync salesforce contacts',
    door: 'http',
    caller: 'owner',
    createdAt: 1_700_000_000_000,
    startedAt: 1_700_000_000_000,
    finishedAt: 1_700_000_000_040,
    durationMs: 40,
    progress: 0.5,
    progressNote: 'half',
    confidence: 0.95,
    why: 'rule salesforce',
    errorCode: null,
    errorMessage: null,
    auditSeq: 1,
    cancelRequestedAt: 1_700_000_000_020,
    waits: null,
    lane: null,
    subject: null,
    starts: 1,
    params: { limit: 5 },
    attempts: [],
    result: null,
    error: null,
    record: { ok: true },
    events: [
      { at: 1_700_000_000_000, kind: 'started', detail: 'start 1' },
      { at: 1_700_000_000_020, kind: 'cancel_requested', detail: 'Somebody asked for it to be cancelled.' },
      { at: 1_700_000_000_040, kind: 'ended', detail: 'succeeded' },
    ],
    key: null,
    deliveries: [],
  });
  const { entries, total } = store.read.audit({ job: 'j1', limit: 10 });
  assert.deepEqual(
    entries.map(({ seq, kind, outcome: end, previous, hash }) => [seq, kind, end, previous === intent.hash, hash]),
    [
      [2, 'outcome', 'ok', true, outcome.hash],
      [1, 'intent', null, false, intent.hash],
    ],
  );
  assert.equal(total, 2);
  assert.deepEqual(store.read.counts(), { running: 0, queued: 0, jobs: 1, audit: 2 });
});

test('parameters are read from the intent when they are whole in it', async (t) => {
  const store = await createScratch(t).open();
  await store.begin(
    anIntent('j1', { detail: '{"params":{"a":[1,"x"]},"text":null}', jobRow: { text: null, params: null, confidence: 1, why: 'named' } }),
  );
  await store.finish(
    anOutcome('j1', {
      jobEnd: { state: 'succeeded', durationMs: 1, errorCode: null, errorMessage: null, record: '{"attempts":[{"id":"att_1"}]}' },
    }),
  );
  const job = store.read.job('j1')!;
  assert.deepEqual([job.params, job.attempts.map(({ id }) => id)], [{ a: [1, 'x'] }, ['att_1']]);
});

test('the record of a job is the detail of its outcome, or lies beside it when that was cut or is too long', async (t) => {
  const { open, raw } = createScratch(t);
  const store = await open();
  const ended = { state: 'succeeded', durationMs: 1, errorCode: null, errorMessage: null, record: null } as const;
  const crossing = (result: string) => JSON.stringify({ attempts: [], error: null, ok: true, result });
  const ends: [job: string, detail: string, record: string | null][] = [
    ['short', crossing('short'), null],
    ['cut', crossing('long '.repeat(3000)), null],
    ['shortened', crossing('x'.repeat(20_000)), crossing('most of it is gone')],
  ];
  for (const [job, detail, record] of ends) {
    await store.begin(anIntent(job));
    await store.finish(anOutcome(job, { detail, jobEnd: { ...ended, record } }));
  }
  assert.deepEqual(
    ends.map(([job]) => store.read.job(job)?.result),
    ['short', 'long '.repeat(3000), 'most of it is gone'],
  );
  assert.deepEqual(
    raw((db) => db.prepare('SELECT n FROM job_record').pluck().all()),
    [2, 3],
  );
});

test('a job is read although somebody broke its intent and its record, and a damaged file is not a bug', async (t) => {
  const { file, open, tamper } = createScratch(t);
  const store = await open();
  await store.begin(anIntent('j1', { detail: '{"params":{}}', jobRow: { text: null, params: null, confidence: 1, why: 'named' } }));
  await store.finish(anOutcome('j1'));
  tamper("UPDATE audit SET detail = 'z' || substr(detail, 2)");
  tamper('UPDATE job_record SET record = substr(record, 3)');
  const job = store.read.job('j1');
  assert.deepEqual([job?.state, job?.params, job?.record], ['succeeded', null, null]);
  assert.deepEqual((await store.verify()).fault?.seq, 1);
  await store[Symbol.asyncDispose]();
  const again = await open();
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(0xff, 8192));
  assert.throws(() => again.read.routeStats(), refusedWith('store_unavailable', /damaged/));
});

test('a job that has ended stays as it ended', async (t) => {
  const store = await createScratch(t).open();
  await store.begin(anIntent('j1'));
  const cancelled = {
    state: 'cancelled',
    durationMs: 5,
    errorCode: 'cancelled',
    errorMessage: 'Cancelled.',
    record: 'null',
  } as const;
  await store.finish(anOutcome('j1', { outcome: 'cancelled', jobEnd: cancelled }));
  await store.finish(anOutcome('j1'));
  assert.deepEqual([store.read.job('j1')?.state, store.read.counts().audit], ['cancelled', 3]);
});

test('A13: a thousand parallel dispatches make one gapless chain', async (t) => {
  const store = await createScratch(t).open();
  const receipts = await Promise.all(
    Array.from({ length: 1000 }, async (_, i) => {
      const intent = await store.begin(anIntent(`j${i}`));
      const outcome = await store.finish(anOutcome(`j${i}`));
      assert.ok(outcome.seq > intent.seq);
      return [intent, outcome];
    }),
  );
  const flat = receipts.flat().sort((a, b) => a.seq - b.seq);
  assert.deepEqual(
    flat.map(({ seq }) => seq),
    Array.from({ length: 2000 }, (_, i) => i + 1),
  );
  const { ok, rows, head } = await store.verify();
  assert.deepEqual([ok, rows, head], [true, 2000, flat.at(-1)?.hash]);
});

test('A10: characters that break lines, terminals or encodings stay in one row and come back', async (t) => {
  const store = await createScratch(t).open();
  const nasty = 'a\nb\r\u001b[31mred\u2028\u0000end\ud800","result":"ok';
  const detail = redact({ text: nasty });
  await store.append(anEntry(1, { caller: nasty, route: nasty, outcome: nasty, detail }));
  await store.begin(anIntent('j1', { detail, jobRow: { text: nasty, params: detail, confidence: null, why: nasty } }));
  const [intent, entry] = store.read.audit({ limit: 5 }).entries;
  const kept = nasty.toWellFormed();
  assert.deepEqual([entry?.caller, entry?.route, entry?.outcome], [kept, kept, kept]);
  assert.deepEqual([JSON.parse(entry!.detail), JSON.parse(intent!.detail)], [{ text: nasty }, { text: nasty }]);
  assert.deepEqual([store.read.job('j1')?.text, store.read.job('j1')?.params], [kept, { text: nasty }]);
  assert.equal((await store.verify()).ok, true);
});

test('A15: a payload of 10 MB leaves its digest and 8 KiB of it', async (t) => {
  const store = await createScratch(t).open();
  const detail = JSON.stringify({ text: 'ü"\u2028'.repeat(2_000_000) });
  await store.begin(anIntent('j1', { detail, jobRow: { text: 'x', params: detail, confidence: 1, why: 'named' } }));
  const [entry] = store.read.audit({ limit: 1 }).entries;
  assert.equal(entry?.digest, createHash('sha256').update(detail).digest('hex'));
  assert.ok(Buffer.byteLength(entry.detail) <= 8192 && Buffer.byteLength(entry.detail) > 8000);
  const cut = JSON.parse(entry.detail) as { cut: { bytes: number }; head: string };
  assert.deepEqual([cut.cut.bytes, detail.startsWith(cut.head)], [Buffer.byteLength(detail), true]);
  assert.ok(JSON.stringify(store.read.job('j1')?.params).length < 100_000);
  assert.equal((await store.verify()).ok, true);
});

test('a row that does not fit fails alone, in the same commit as its neighbours', async (t) => {
  const store = await createScratch(t).open();
  const results = await Promise.allSettled([
    store.begin(anIntent('j1')),
    store.begin(anIntent('j1')),
    store.append(anEntry(1, { caller: null as unknown as string })),
    store.setSetting('a', '1'),
    store.begin(anIntent('j2')),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual([store.read.counts(), store.read.setting('a')], [{ running: 2, queued: 0, jobs: 2, audit: 2 }, '1']);
  await store.finish(anOutcome('j1'));
  assert.equal(store.read.job('j1')?.state, 'succeeded');
  assert.equal((await store.verify()).ok, true);
});

test('jobs are found by state, route and their words, page by page', async (t) => {
  const store = await createScratch(t).open();
  const texts = ['sync 100% of contacts', 'sync contacts', 'a_b', 'axb', String.raw`back\slash`, 'deploy'];
  for (const [i, text] of texts.entries())
    await store.begin(
      anIntent(`j${i}`, { route: i < 2 ? 'FND.salesforce' : 'OPS.deploy', jobRow: { text, params: '{}', confidence: 1, why: 'x' } }),
    );
  const failed = {
    state: 'failed',
    durationMs: 9,
    errorCode: 'upstream_refused',
    errorMessage: 'refused by crm',
    record: '{}',
  } as const;
  await store.finish(anOutcome('j5', { route: 'OPS.deploy', outcome: 'upstream_refused', jobEnd: failed }));
  const ids = (filter: Parameters<typeof store.read.jobs>[0]) => store.read.jobs(filter).jobs.map(({ id }) => id);
  assert.deepEqual(ids({ q: '100% of', limit: 10 }), ['j0']);
  assert.deepEqual(ids({ q: 'a_b', limit: 10 }), ['j2']);
  assert.deepEqual(ids({ q: 'slash', limit: 10 }), ['j4']);
  assert.deepEqual(ids({ q: 'SALESFORCE', limit: 10 }), ['j1', 'j0']);
  assert.deepEqual(ids({ q: 'by crm', limit: 10 }), ['j5']);
  assert.deepEqual(ids({ q: "' OR 1=1 --", limit: 10 }), []);
  assert.deepEqual(ids({ state: 'failed', limit: 10 }), ['j5']);
  assert.deepEqual(ids({ state: 'running', route: 'OPS.deploy', limit: 10 }), ['j4', 'j3', 'j2']);
  const first = store.read.jobs({ limit: 4 });
  const second = store.read.jobs({ limit: 4, cursor: first.cursor! });
  assert.deepEqual([first.total, first.jobs.map(({ id }) => id)], [6, ['j5', 'j4', 'j3', 'j2']]);
  assert.deepEqual([second.cursor, second.jobs.map(({ id }) => id)], [null, ['j1', 'j0']]);
  assert.deepEqual(store.read.routeStats(), [
    { route: 'FND.salesforce', calls: 2, p50Ms: null, p95Ms: null, lastError: null, lastCallAt: 1_700_000_000_000 },
    { route: 'OPS.deploy', calls: 4, p50Ms: 9, p95Ms: 9, lastError: 'refused by crm', lastCallAt: 1_700_000_000_000 },
  ]);
  assert.deepEqual(store.read.recentTexts(2), [
    { text: 'deploy', route: 'OPS.deploy' },
    { text: String.raw`back\slash`, route: 'OPS.deploy' },
  ]);
});

test('X07: a filter by state and route counts and pages exactly, and looks at few rows', async (t) => {
  const { open, raw } = createScratch(t);
  await (await open())[Symbol.asyncDispose]();
  // All of route A.a failed but the first; A.b succeeded but for every thousandth; two of A.a are under way.
  raw((db) =>
    db.exec(`
      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 60000)
      INSERT INTO job (n, id, crossing, state, route, door, caller, created_at, why)
      SELECT n, 'j' || n, 'x', CASE WHEN n % 2 = 0 THEN iif(n % 1000 = 0, 'failed', 'succeeded') ELSE iif(n = 1, 'succeeded', 'failed') END,
        iif(n % 2 = 0, 'A.b', 'A.a'), 'http', 'a', n, 'w' FROM i;`),
  );
  const store = await open();
  for (const id of ['r1', 'r2']) await store.begin(anIntent(id, { route: 'A.a' }));
  const { jobs } = store.read;
  const totals = (route?: string) =>
    ['succeeded', 'failed', 'running', 'cancelled'].map((state) => jobs({ limit: 1, state, ...(route && { route }) }).total);
  assert.deepEqual(
    [totals('A.a'), totals('A.b'), totals()],
    [
      [1, 29_999, 2, 0],
      [29_940, 60, 0, 0],
      [29_941, 30_059, 2, 0],
    ],
  );
  assert.deepEqual([jobs({ limit: 1, route: 'A.a' }).total, jobs({ limit: 1 }).total], [30_002, 60_002]);
  assert.deepEqual(
    jobs({ limit: 5, state: 'running', route: 'A.a' }).jobs.map(({ id }) => id),
    ['r2', 'r1'],
  );
  // The one that succeeded lies behind 30,000 that did not: pages are empty, but lead to it.
  let pages = 0;
  const found: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; pages++) {
    const page = jobs({ limit: 100, state: 'succeeded', route: 'A.a', cursor });
    found.push(...page.jobs.map(({ id }) => id));
    cursor = page.cursor;
  }
  assert.deepEqual([found, pages], [['j1'], 3]);
});

test('X07: pages are bounded and quick whatever is asked, beside 100,000 jobs and audit rows', async (t) => {
  const { open, raw } = createScratch(t);
  await (await open())[Symbol.asyncDispose]();
  raw((db) =>
    db.exec(`
      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 100000)
      INSERT INTO job (n, id, crossing, state, route, text, door, caller, created_at, why)
      SELECT n, 'job_' || n, 'x' || n, iif(n % 1000 = 0, 'failed', 'succeeded'), 'A.s' || (n % 50), 'text of number ' || n, 'http', 'a', n, 'w' FROM i;
      WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 100000)
      INSERT INTO audit SELECT n, n, 'change', NULL, NULL, 'a', 'core', NULL, NULL, '{}', '', '', '' FROM i;`),
  );
  raw((db) => {
    db.pragma('synchronous = OFF');
    const indexer = createIndexer(db);
    while (indexer.step());
  });
  const { read } = await open();
  const asked: [name: string, ask: () => { length: number }, length: number][] = [
    ['negative', () => read.jobs({ limit: -5 }).jobs, 1],
    ['huge', () => read.jobs({ limit: 1e15 }).jobs, 500],
    ['infinite', () => read.audit({ limit: Number.POSITIVE_INFINITY }).entries, 500],
    ['not a number', () => read.audit({ limit: Number.NaN }).entries, 1],
    ['far page', () => read.jobs({ limit: 100, cursor: '200' }).jobs, 100],
    ['rare state', () => read.jobs({ limit: 500, state: 'failed' }).jobs, 100],
    ['one route', () => read.jobs({ limit: 500, route: 'A.s7' }).jobs, 500],
    ['rare state of a route', () => read.jobs({ limit: 500, state: 'failed', route: 'A.s7' }).jobs, 0],
    ['search without a match', () => read.jobs({ limit: 100, q: 'nowhere' }).jobs, 0],
    ['search with many', () => read.jobs({ limit: 500, q: 'number' }).jobs, 500],
    ['statistics', () => read.routeStats(), 50],
  ];
  const bestOf = (work: () => void) => {
    const times = Array.from({ length: 3 }, () => {
      const startedAt = performance.now();
      work();
      return performance.now() - startedAt;
    });
    return Math.min(...times);
  };
  const everything = bestOf(() => raw((db) => db.prepare('SELECT * FROM job').all()));
  for (const [name, ask, length] of asked) {
    const took = bestOf(() => assert.equal(ask().length, length, name));
    assert.ok(took < everything, `${name} took ${took} ms, all jobs ${everything} ms`);
  }
  for (const cursor of ['', '-1', '1e9', "1' OR 1=1", '9'.repeat(30)])
    assert.throws(() => read.jobs({ limit: 1, cursor }), refusedWith('input_invalid', /cursor/));
  // A search without a match goes on behind the jobs it looked at, and ends.
  let cursor = read.jobs({ limit: 100, q: 'number 17' }).cursor;
  let found = 0;
  for (let pages = 0; cursor !== null && pages < 1000; pages++) {
    const page = read.jobs({ limit: 100, q: 'of number 99', cursor });
    found += page.jobs.length;
    cursor = page.cursor;
  }
  assert.ok(cursor === null && found > 0);
});

test('jobs left running are found, and are unknown once that is decided, and the chain says so', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await first.begin(anIntent('j1'));
  await first.begin(anIntent('j2', { route: null }));
  await first.finish(anOutcome('j1'));
  await first.begin(anIntent('j3'));
  await first[Symbol.asyncDispose]();
  const store = await open();
  assert.deepEqual(
    [store.found.crashed, store.found.jobs.map(({ id, state, route, starts, crashes }) => [id, state, route, starts, crashes])],
    [
      false,
      [
        ['j2', 'running', null, 1, 0],
        ['j3', 'running', 'FND.salesforce', 1, 0],
      ],
    ],
  );
  await store.settleFound(
    [
      { id: 'j2', as: 'dead' },
      { id: 'j3', as: 'unknown' },
    ],
    1_700_000_099_000,
  );
  const ends = ['j2', 'j3'].map((id) => store.read.job(id)!).map(({ state, errorCode, finishedAt }) => [state, errorCode, finishedAt]);
  assert.deepEqual(ends, [
    ['failed', 'dead_letter', 1_700_000_099_000],
    ['unknown', 'unknown_outcome', 1_700_000_099_000],
  ]);
  assert.deepEqual(
    store.read.audit({ job: 'j3', limit: 5 }).entries.map(({ kind, outcome, caller }) => [kind, outcome, caller]),
    [
      ['change', 'job.unknown', 'core'],
      ['intent', null, 'owner'],
    ],
  );
  assert.deepEqual([store.read.counts().running, (await store.verify()).ok], [0, true]);
});

test('settings, tokens and health are kept', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await Promise.all([
    first.setSetting('limits', 'null'),
    first.setSetting('limits', '{"perSecond":5}'),
    first.addToken({ id: 't1', name: 'ci', capabilities: ['read'], hash: 'h1', createdAt: 1 }),
    first.addToken({ id: 't2', name: 'old', capabilities: ['read', 'admin'], hash: 'h2', createdAt: 2 }),
    first.revokeToken('t2'),
  ]);
  first.touchToken('t1', 7);
  const day = 24 * 3_600_000;
  first.saveHealth('A.b', { at: 1000, status: 'healthy', latencyMs: 12.5 });
  first.saveHealth('A.b', { at: 2000, status: 'down', latencyMs: null });
  first.saveHealth('A.b', { at: day + 1500, status: 'degraded', latencyMs: 900 });
  await first[Symbol.asyncDispose]();
  const { read } = await open();
  assert.equal(read.setting('limits'), '{"perSecond":5}');
  assert.equal(read.setting('none'), null);
  assert.deepEqual(read.tokens(), [{ id: 't1', name: 'ci', capabilities: ['read'], hash: 'h1', createdAt: 1, lastUsedAt: 7 }]);
  assert.deepEqual(read.healthHistory('A.b', 0), [
    { at: 2000, status: 'down', latencyMs: null },
    { at: day + 1500, status: 'degraded', latencyMs: 900 },
  ]);
});

test('a second store on the same file is refused until the first is closed', async (t) => {
  const { open } = createScratch(t);
  const first = await open();
  await assert.rejects(open(), refusedWith('store_unavailable', /another core/));
  await first.append(anEntry(1));
  await first[Symbol.asyncDispose]();
  await assert.rejects(first.append(anEntry(2)), refusedWith('shutting_down', /closing/));
  assert.equal((await (await open()).append(anEntry(3))).seq, 2);
});

test('A08: while another process holds the database nothing is written, and afterwards it goes on', async (t) => {
  const { file, open } = createScratch(t);
  const store = await open();
  await store.append(anEntry(1));
  const other = new Database(file);
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  await assert.rejects(store.begin(anIntent('j1')), refusedWith('store_unavailable', /locked by another process/));
  other.exec('ROLLBACK');
  assert.deepEqual(store.read.counts(), { running: 0, queued: 0, jobs: 0, audit: 1 });
  assert.equal((await store.begin(anIntent('j1'))).seq, 2);
  assert.equal((await store.verify()).ok, true);
});

test('A08: when the file is deleted or replaced under a running core, nothing more is accepted', async (t) => {
  const { file, open } = createScratch(t);
  const store = await open();
  await store.append(anEntry(1));
  renameSync(file, `${file}.away`);
  await assert.rejects(store.append(anEntry(2)), refusedWith('store_unavailable', /moved, deleted or replaced/));
  writeFileSync(file, '');
  await assert.rejects(store.append(anEntry(2)), refusedWith('store_unavailable', /moved, deleted or replaced/));
  renameSync(`${file}.away`, file);
  assert.equal((await store.append(anEntry(2))).seq, 2);
});

test('A08: when the log beside the file is deleted under a running core, nothing more is accepted', async (t) => {
  const { file, open } = createScratch(t);
  const store = await open();
  await store.append(anEntry(1));
  renameSync(`${file}-wal`, `${file}-away`);
  await assert.rejects(store.append(anEntry(2)), refusedWith('store_unavailable', /moved, deleted or replaced/));
  renameSync(`${file}-away`, `${file}-wal`);
  assert.equal((await store.append(anEntry(2))).seq, 2);
});

test('checkpoints go on in a new file when theirs is deleted, and on a line of their own when it is cut', async (t) => {
  const { checkpointFile, open } = createScratch(t);
  const store = await open({ checkpointRows: 1 });
  const lines = () =>
    readFileSync(checkpointFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { seq: number }).seq);
  // A checkpoint is written behind the answer, and before the next operation.
  const written = () => store.setSetting('a', '1');
  await store.append(anEntry(1));
  await store.append(anEntry(2));
  await written();
  truncateSync(checkpointFile, statSync(checkpointFile).size - 20);
  await store.append(anEntry(3));
  await written();
  assert.deepEqual(lines(), [1, 3]);
  rmSync(checkpointFile);
  await store.append(anEntry(4));
  await store[Symbol.asyncDispose]();
  assert.deepEqual(lines(), [4]);
});

test('what was handed over before closing is written, and the files are for their owner only', async (t) => {
  const { folder, open } = createScratch(t);
  const store = await open();
  const receipts = Array.from({ length: 100 }, (_, i) => store.append(anEntry(i)));
  const modes = () => readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o077]);
  await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
  assert.equal((await Promise.all(receipts)).at(-1)?.seq, 100);
  assert.deepEqual(
    modes(),
    ['checkpoints.jsonl', 'dispatcher.sqlite', 'dispatcher.sqlite.lock'].map((name) => [name, 0]),
  );
  assert.equal((await open()).read.counts().audit, 100);
});

test('A08: a folder that is not there is refused', async (t) => {
  const { folder, open } = createScratch(t);
  const file = `${folder}/nowhere/d.sqlite`;
  await assert.rejects(open({ file }), refusedWith('store_unavailable', /cannot be opened/));
});

test('X02: a full database refuses, writes nothing of it, and goes on when there is room', async (t) => {
  const { open, raw } = createScratch(t);
  const small = await open({ maxPages: 120 });
  const big = JSON.stringify({ pad: 'x'.repeat(6000) });
  let kept = 0;
  await assert.rejects(
    async () => {
      for (;;) {
        await small.begin(anIntent(`j${kept}`, { detail: big }));
        kept++;
      }
    },
    refusedWith('store_unavailable', /disk is full/),
  );
  assert.ok(kept > 5);
  assert.deepEqual(small.read.counts(), { running: kept, queued: 0, jobs: kept, audit: kept });
  await small[Symbol.asyncDispose]();
  const store = await open();
  assert.equal((await store.append(anEntry(1))).seq, kept + 1);
  assert.deepEqual([(await store.verify()).ok, raw((db) => db.pragma('integrity_check', { simple: true }))], [true, 'ok']);
});
