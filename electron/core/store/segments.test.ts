import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openCheckpoints } from '../audit/checkpoint.ts';
import { DAY_MS, type Segment } from '../audit/segment.ts';
import { verifyDatabase, verifyInThread } from '../audit/verify.ts';
import { anEntry, anIntent, anOutcome, createScratch, type Scratch } from './scratch.ts';
import type { Store } from './store.ts';

/** Two days before a leap day. */
const BEGIN = Date.UTC(2028, 1, 27);
const day = (n: number) => BEGIN + n * DAY_MS;
const dateOf = (days: number) => new Date(days * DAY_MS).toISOString().slice(0, 10);

interface Kept extends Scratch {
  store: Store;
  /** A call at that time; resolves when all that was to do then about segments is done: they come before the index of jobs. */
  call(at: number): Promise<string>;
  segments(): Segment[];
  verify(): ReturnType<typeof verifyDatabase>;
}

async function keeping(t: TestContext, now = BEGIN): Promise<Kept> {
  const scratch = createScratch(t);
  const kept = { ...scratch, store: await scratch.open({ now: () => now }) };
  let calls = 0;
  return Object.assign(kept, {
    async call(at: number) {
      const job = `call${++calls}`;
      const record = JSON.stringify({ attempts: [], error: null, ok: true, result: { of: job } });
      await kept.store.begin(
        anIntent(job, { at, detail: `{"params":{"job":"${job}"}}`, jobRow: { text: job, params: null, confidence: 1, why: 'named' } }),
      );
      const jobEnd = { state: 'succeeded', durationMs: 0, errorCode: null, errorMessage: null, record: null } as const;
      await kept.store.finish(anOutcome(job, { at, detail: record, jobEnd }));
      const indexed = () => scratch.raw((db) => db.prepare("SELECT value FROM mark WHERE name = 'indexed'").pluck().get());
      while (indexed() !== calls) await pause(5);
      return job;
    },
    segments: () => scratch.raw((db) => db.prepare('SELECT * FROM audit_segment ORDER BY day').all() as Segment[]),
    verify: () => verifyDatabase(scratch.file, { checkpointFile: scratch.checkpointFile, key: scratch.publicKey }),
  });
}

const rowsOf = (segments: Segment[]) => segments.map(({ day, first, last }) => [dateOf(day), first, last]);

test('A07: every day is a segment, with traffic at midnight, on a leap day and when the clock goes back', async (t) => {
  const { call, segments, verify, store } = await keeping(t);
  for (const n of [0, 1, 2]) for (const at of [day(n), day(n) + 1, day(n + 1) - 1]) await call(at);
  assert.deepEqual(rowsOf(segments()), [
    ['2028-02-27', 1, 6],
    ['2028-02-28', 7, 12],
  ]);
  // The leap day ends without another call.
  store.keepAudit(day(3), 90);
  await call(day(3));
  assert.deepEqual(rowsOf(segments()).slice(2), [['2028-02-29', 13, 18]]);
  // The clock goes back by two days, and on again: what came in between belongs to the day begun.
  for (const at of [day(1), day(3) + 5, day(4), day(6)]) await call(at);
  assert.deepEqual(rowsOf(segments()).slice(3), [
    ['2028-03-01', 19, 24],
    ['2028-03-02', 25, 26],
  ]);
  const { ok, segments: sealed, pruned } = verify();
  assert.deepEqual([ok, sealed, pruned], [true, 5, null]);
});

test('A07: a day that ended while nothing ran is sealed at the next start, and a late row belongs to the day after', async (t) => {
  const first = await keeping(t);
  await first.call(day(0));
  await first.store[Symbol.asyncDispose]();
  const store = await first.open({ now: () => day(1) });
  while (first.segments().length === 0) await pause(5);
  await store.append(anEntry(1, { at: day(1) - 1 }));
  store.keepAudit(day(2), 90);
  while (first.segments().length === 1) await pause(5);
  assert.deepEqual(rowsOf(first.segments()), [
    ['2028-02-27', 1, 2],
    ['2028-02-28', 3, 3],
  ]);
  assert.equal(first.verify().ok, true);
});

test('A07: rows that claim an older time belong to the day on which they came, not to days of their own', async (t) => {
  const { call, store, segments, verify } = await keeping(t, day(10));
  for (let i = 0; i < 3; i++) await call(day(0) + i);
  assert.deepEqual(rowsOf(segments()), [['2028-02-27', 1, 2]]);
  store.keepAudit(day(11), 90);
  await call(day(11));
  assert.deepEqual(rowsOf(segments()).slice(1), [['2028-03-08', 3, 6]]);
  assert.equal(verify().ok, true);
});

test('A06, A07: after ninety days, and not before, the oldest day goes; it is on record, signed, and verifies', async (t) => {
  const { call, store, verify, raw, file, checkpointFile, publicKey } = await keeping(t);
  const job = await call(day(0));
  for (const n of [1, 2]) await call(day(n));
  // The 89th and the 90th day after it, to the last millisecond, although fewer days are asked for.
  for (const now of [day(89), day(90), day(91) - 1]) {
    store.keepAudit(now, 10);
    await call(now);
    assert.deepEqual([verify().pruned, store.read.audit({ limit: 100 }).entries.at(-1)?.seq], [null, 1]);
  }
  store.keepAudit(day(91), 100);
  await call(day(91));
  assert.equal(verify().pruned, null);
  store.keepAudit(day(91), 90);
  await call(day(91));
  const report = verify();
  assert.deepEqual([report.fault, report.firstSeq, report.rows], [null, 3, report.lastSeq! - 2]);
  assert.deepEqual(report.pruned, { segments: 1, lastSeq: 2, at: day(91), by: 'core' });
  assert.deepEqual((await verifyInThread(file, { checkpointFile, key: publicKey })).pruned, report.pruned);
  assert.equal(verifyDatabase(file).ok, true);
  const { entries, total } = store.read.audit({ limit: 100 });
  const said = entries.find(({ outcome }) => outcome === 'audit.pruned')!;
  const { firstSeq, lastSeq, keptDays, segments } = JSON.parse(said.detail);
  assert.deepEqual([said.kind, firstSeq, lastSeq, keptDays, segments[0].day], ['change', 1, 2, 90, '2028-02-27']);
  assert.deepEqual([total, store.read.counts().audit], [report.rows, report.rows]);
  // Its jobs are kept by another rule, and have what they had.
  const { params, result, auditSeq } = store.read.job(job)!;
  assert.deepEqual([params, result, auditSeq], [{ job }, { of: job }, 1]);
  // The door is open for nothing else.
  const refused = (sql: string) => assert.throws(() => raw((db) => db.exec(sql)), /append-only|only what the audit chain says/);
  refused('DELETE FROM audit WHERE seq = 3');
  refused('INSERT INTO audit_prune SELECT last, first, head, 5, 0 FROM audit_segment WHERE last > 2');
  refused('UPDATE audit_prune SET last = 4');
  refused('DELETE FROM audit_segment');
  refused("UPDATE audit_segment SET root = ''");
});

test('A07: while it is verified again and again, many days go, and every answer is the same', async (t) => {
  const { call, store, verify, file, checkpointFile } = await keeping(t);
  const rows = Array.from({ length: 40 }, (_, n) => Array.from({ length: 150 }, (_, i) => store.append(anEntry(i, { at: day(n) + i }))));
  await Promise.all(rows.flat());
  await call(day(40));
  store.keepAudit(day(120), 90);
  const faults = [];
  for (let tries = 0; (verify().pruned?.segments ?? 0) < 30 || store.read.audit({ limit: 1 }).total > 1600; tries++) {
    faults.push(verify().fault, (await verifyInThread(file, { checkpointFile })).fault);
    assert.ok(tries < 1000);
  }
  assert.deepEqual([...new Set(faults)], [null]);
  // Twenty-five days are told of in one row.
  assert.deepEqual(verify().pruned, { segments: 30, lastSeq: 4500, at: day(120), by: 'core' });
});

test('J06: killed while days are sealed and pruned, a core leaves what verifies, and the next one goes on', async (t) => {
  const { folder, file, checkpointFile, key, open, raw, store, verify } = await keeping(t);
  const rows = Array.from({ length: 60 }, (_, n) => Array.from({ length: 100 }, (_, i) => store.append(anEntry(i, { at: day(n) + i }))));
  await Promise.all(rows.flat());
  await store[Symbol.asyncDispose]();
  writeFileSync(join(folder, 'key.pem'), key.export({ type: 'pkcs8', format: 'pem' }));
  const program = join(folder, 'core.mjs');
  writeFileSync(
    program,
    `import { createPrivateKey } from 'node:crypto'; import { readFileSync } from 'node:fs';
    const { openStore } = await import(${JSON.stringify(new URL('./store.ts', import.meta.url).href)});
    const [file, checkpointFile, keyFile] = process.argv.slice(2);
    const now = () => ${day(200)};
    const store = await openStore({ file, checkpointFile, key: createPrivateKey(readFileSync(keyFile)), now });
    store.keepAudit(now(), 90); setInterval(() => {}, 1000);`,
  );
  const one = (sql: string) => raw((db) => db.prepare(sql).pluck().get()) as number;
  const sealed = 'SELECT count(*) FROM audit_segment';
  const first = 'SELECT min(seq) FROM audit';
  for (const [what, from] of [
    [sealed, 3],
    [sealed, 30],
    ['SELECT count(*) FROM audit_prune', 1],
    [first, 2],
    [first, 2000],
    ['SELECT count(*) FROM audit_prune', 2],
  ] as const) {
    const child = spawn(process.execPath, [program, file, checkpointFile, join(folder, 'key.pem')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    while (one(what) < from && child.exitCode === null) await pause(1);
    assert.equal(child.exitCode, null);
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.deepEqual([verify().fault, raw((db) => db.pragma('integrity_check', { simple: true }))], [null, 'ok']);
  }
  const last = await open({ now: () => day(200) });
  last.keepAudit(day(200), 90);
  while (one(first) < 6001) await pause(5);
  assert.deepEqual([verify().fault, verify().pruned?.segments], [null, 60]);
});

/** Three sealed days, closed. */
async function threeDays(t: TestContext): Promise<Kept> {
  const kept = await keeping(t);
  for (const n of [0, 1, 2, 3]) await kept.call(day(n));
  await kept.store[Symbol.asyncDispose]();
  return kept;
}

const verdict = ({ verify }: Kept) => {
  const { fault } = verify();
  return [fault?.seq ?? null, fault?.message ?? null];
};

test('A06: the oldest segment deleted by hand is found, with or without a prune that nobody signed', async (t) => {
  const kept = await threeDays(t);
  kept.tamper('DELETE FROM audit WHERE seq <= ?', 2);
  assert.deepEqual(verdict(kept), [1, 'Rows 1 to 2 are missing.']);
  // Somebody with the database in hands says that it was pruned, chain and all.
  const store = await kept.open({ now: () => day(3) });
  const { seq } = await store.append(anEntry(1, { at: day(3), kind: 'change', outcome: 'audit.pruned', detail: '{"lastSeq":2}' }));
  await store[Symbol.asyncDispose]();
  kept.raw((db) =>
    db.prepare('INSERT INTO audit_prune SELECT last, first, head, ?, ? FROM audit_segment WHERE last = 2').run(seq, day(200)),
  );
  const message = 'Rows 1 to 2 are missing. No signed checkpoint says that they were pruned.';
  assert.deepEqual(verdict(kept), [1, message]);
  // The next core does not make it right.
  await (await kept.open({ now: () => day(3) }))[Symbol.asyncDispose]();
  assert.deepEqual(verdict(kept), [1, message]);
});

test('A06: a prune before its time is found although it is signed', async (t) => {
  const kept = await threeDays(t);
  const store = await kept.open({ now: () => day(3) });
  const { seq: row } = await store.append(anEntry(1, { at: day(3), kind: 'change', outcome: 'audit.pruned', detail: '{"lastSeq":2}' }));
  await store[Symbol.asyncDispose]();
  const [{ first, last, head }] = kept.segments() as [Segment];
  const checkpoints = openCheckpoints(kept.checkpointFile, kept.key);
  checkpoints.writePrune({ first, last, head, row, at: day(91) - 1 });
  checkpoints[Symbol.dispose]();
  kept.tamper('DELETE FROM audit WHERE seq <= ?', 2);
  assert.deepEqual(verdict(kept), [2, 'Rows up to 2 were pruned, but they had not been kept for 90 days.']);
});

const tampered: [what: string, sql: string, seq: number, message: RegExp][] = [
  ['a root', 'UPDATE audit_segment SET root = lower(hex(zeroblob(32))) WHERE first = 3', 3, /was changed, or the one before it is missing/],
  ['a segment deleted', 'DELETE FROM audit_segment WHERE first = 3', 5, /was changed, or the one before it is missing/],
  ['the newest segment deleted', 'DELETE FROM audit_segment WHERE first = 5', 5, /not the one that was signed/],
];
for (const [what, sql, seq, message] of tampered)
  test(`A06: ${what} is found`, async (t) => {
    const kept = await threeDays(t);
    kept.raw((db) => db.exec(`DROP TRIGGER audit_segment_no_update; DROP TRIGGER audit_segment_no_delete; ${sql}`));
    const [at, said] = verdict(kept);
    assert.equal(at, seq);
    assert.match(said as string, message);
  });

test('a seal that a crash left without its signature is signed at the next start', async (t) => {
  const kept = await threeDays(t);
  const lines = readFileSync(kept.checkpointFile, 'utf8').split('\n');
  const isNewest = (line: string) => line.includes('"segment"') && line.includes('"first":5');
  writeFileSync(kept.checkpointFile, lines.filter((line) => !isNewest(line)).join('\n'));
  assert.equal(kept.verify().ok, true);
  await kept.open({ now: () => day(3) });
  while (!readFileSync(kept.checkpointFile, 'utf8').split('\n').some(isNewest)) await pause(5);
  assert.equal(kept.verify().ok, true);
});
