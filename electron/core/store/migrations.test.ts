import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { Refusal } from '../../../shared/errors.ts';
import { createHasher, GENESIS } from '../audit/chain.ts';
import { verifyDatabase } from '../audit/verify.ts';
import { migrate, migrations } from './migrations.ts';
import { anEntry, createScratch } from './scratch.ts';

const sha256 = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');
const tables = (db: Database.Database) =>
  db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name").pluck().all() as string[];
const version = (db: Database.Database) => db.pragma('user_version', { simple: true });

test('migration 1 makes the chain and the jobs, and the chain takes no change', () => {
  const db = new Database(':memory:');
  migrate(db, migrations.slice(0, 1));
  assert.deepEqual([version(db), tables(db)], [1, ['audit', 'job', 'job_input', 'job_record']]);
  db.prepare("INSERT INTO audit VALUES (1, 1, 'change', NULL, NULL, 'a', 'core', NULL, NULL, '{}', 'd', 'p', 'h')").run();
  assert.throws(() => db.exec("UPDATE audit SET detail = '1'"), /append-only/);
  assert.throws(() => db.exec('DELETE FROM audit'), /append-only/);
});

test('migration 2 adds settings, tokens and health and keeps what was there', () => {
  const db = new Database(':memory:');
  migrate(db, migrations.slice(0, 1));
  db.exec(
    "INSERT INTO job (n, id, crossing, state, door, caller, created_at, why) VALUES (1, 'j', 'x', 'running', 'cli', 'a', 1, 'named')",
  );
  migrate(db, migrations.slice(0, 2));
  assert.deepEqual(
    [version(db), tables(db), db.prepare('SELECT id FROM job').pluck().all()],
    [2, ['audit', 'health', 'job', 'job_input', 'job_record', 'setting', 'token'], ['j']],
  );
});

test('migration 3 adds what principals keep, and keeps what was there', () => {
  const db = new Database(':memory:');
  migrate(db, migrations.slice(0, 2));
  db.exec("INSERT INTO setting VALUES ('a', '1')");
  migrate(db, migrations.slice(0, 3));
  db.exec("INSERT INTO memory VALUES (1, 'm', 'o', 'default', 'text', '[]', 1); INSERT INTO memory_index (rowid, text) VALUES (1, 'text')");
  assert.deepEqual(
    [
      version(db),
      tables(db).filter((name) => name === 'memory' || name === 'memory_index'),
      db.prepare('SELECT value FROM setting').pluck().all(),
      db.prepare("SELECT rowid FROM memory_index WHERE memory_index MATCH 'text'").pluck().all(),
    ],
    [3, ['memory', 'memory_index'], ['1'], [1]],
  );
});

test('migration 4 finds the jobs that ended otherwise than well by their route', () => {
  const db = new Database(':memory:');
  migrate(db, migrations.slice(0, 3));
  const insert = db.prepare(
    "INSERT INTO job (n, id, crossing, state, route, door, caller, created_at, why) VALUES (?, ?, 'x', ?, 'A.b', 'cli', 'a', 1, 'named')",
  );
  for (const [i, state] of ['succeeded', 'failed', 'running', 'cancelled', 'failed'].entries()) insert.run(i + 1, `j${i}`, state);
  migrate(db, migrations.slice(0, 4));
  const ended = "state <> 'succeeded' AND state <> 'running' AND state <> 'accepted'";
  assert.deepEqual(
    [
      version(db),
      db.prepare(`SELECT n FROM job INDEXED BY job_by_end WHERE route = 'A.b' AND state = 'failed' AND ${ended}`).pluck().all(),
    ],
    [4, [2, 5]],
  );
});

test('migration 5 keeps the jobs of version 4, and those that were under way are found running', async (t) => {
  const { file, open } = createScratch(t);
  const old = new Database(file);
  old.pragma('journal_mode = WAL');
  migrate(old, migrations.slice(0, 4));
  const insert = old.prepare(
    "INSERT INTO job (n, id, crossing, state, route, door, caller, created_at, why) VALUES (?, ?, 'x', ?, 'A.b', 'cli', 'a', 1, 'named')",
  );
  for (const [i, state] of ['succeeded', 'accepted', 'running', 'failed'].entries()) insert.run(i + 1, `j${i + 1}`, state);
  old.close();
  const store = await open();
  assert.deepEqual(
    [store.found.crashed, store.found.jobs.map(({ id, state, starts, crashes, call }) => [id, state, starts, crashes, call])],
    [
      false,
      [
        ['j2', 'running', 1, 0, null],
        ['j3', 'running', 1, 0, null],
      ],
    ],
  );
  assert.deepEqual(
    [store.read.jobs({ state: 'failed', route: 'A.b', limit: 5 }), store.read.job('j1')?.state].map((said) =>
      typeof said === 'object' ? said.jobs.map(({ id }) => id) : said,
    ),
    [['j4'], 'succeeded'],
  );
});

test('migration 6 adds what is kept of models, and keeps what was there', async (t) => {
  const { file, open } = createScratch(t);
  const old = new Database(file);
  old.pragma('journal_mode = WAL');
  migrate(old, migrations.slice(0, 5));
  assert.ok(!tables(old).includes('footprint'));
  old.exec("INSERT INTO setting VALUES ('a', '1'); INSERT INTO health VALUES ('A.b', 1, 'up', 5)");
  old.close();
  const store = await open();
  await store.saveGrant({ id: 'g1', json: '{}', keyHash: 'hash', expiresAt: 2, revokedAt: null }, 1);
  assert.deepEqual(
    [store.read.setting('a'), store.read.healthHistory('A.b', 0).length, store.read.footprints(), store.read.grants().length],
    ['1', 1, [], 1],
  );
  assert.deepEqual(store.read.gpuSamples({ since: 0, until: 10 }), []);
});

test('migration 7 seals the days of version 6 and reads its jobs, and only rows that were pruned can go', async (t) => {
  const { file, checkpointFile, open, raw } = createScratch(t);
  const old = new Database(file);
  old.pragma('journal_mode = WAL');
  migrate(old, migrations.slice(0, 6));
  // As version 6 kept a job: a short detail with its digest, and the record beside it.
  const hasher = createHasher();
  const detail = '{"attempts":[],"durationMs":5,"error":null,"left":[],"result":"said"}';
  const row = [1, 1_700_000_000_000, 'outcome', 'x', 'j', 'owner', 'http', 'A.b', 'ok', detail, sha256Of(detail), GENESIS];
  old.prepare('INSERT INTO audit VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)').run(...row, hasher.hash(row));
  old.exec(
    `INSERT INTO job (n, id, crossing, state, route, door, caller, created_at, why, outcome_seq) VALUES (1, 'j', 'x', 'succeeded', 'A.b', 'http', 'owner', 1, 'named', 1);
     INSERT INTO job_record VALUES (1, '{"id":"x","attempts":[],"result":"said","error":null}')`,
  );
  old.close();
  const store = await open();
  while (raw((db) => db.prepare('SELECT count(*) FROM audit_segment').pluck().get()) === 0) await pause(5);
  assert.deepEqual([store.read.job('j')?.record?.id, store.read.job('j')?.result], ['x', 'said']);
  const { ok, segments, fault } = verifyDatabase(file, { checkpointFile });
  assert.deepEqual([ok, segments, fault], [true, 1, null]);
  assert.throws(() => raw((db) => db.exec('DELETE FROM audit')), /append-only/);
});

test('every migration has a number one higher than the one before', () => {
  assert.deepEqual(
    migrations.map((step) => step.version),
    migrations.map((_, i) => i + 1),
  );
});

test('J15: a migration that fails half-way leaves the step before it, and runs again', () => {
  const db = new Database(':memory:');
  const good = { version: 1, sql: 'CREATE TABLE a (x)' };
  const bad = { version: 2, sql: 'CREATE TABLE b (x); INSERT INTO a VALUES (1); INSERT INTO missing VALUES (1)' };
  assert.throws(() => migrate(db, [good, bad]), /no such table: missing/);
  assert.deepEqual([version(db), tables(db), db.prepare('SELECT count(*) FROM a').pluck().get()], [1, ['a'], 0]);
  migrate(db, [good, { version: 2, sql: 'CREATE TABLE b (x)' }]);
  assert.deepEqual([version(db), tables(db)], [2, ['a', 'b']]);
});

test('J15: a process killed inside a migration leaves the step before it', async (t) => {
  const { file, open, raw } = createScratch(t);
  const library = import.meta.resolve('better-sqlite3');
  const program = `import Database from ${JSON.stringify(library)};
    const db = new Database(${JSON.stringify(file)}); db.pragma('journal_mode = WAL'); db.pragma('cache_size = 2');
    db.exec('CREATE TABLE before (x); BEGIN IMMEDIATE; CREATE TABLE half (x); PRAGMA user_version = 1');
    db.exec("INSERT INTO half WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT printf('%0500d', i) FROM n");
    console.log('half'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const store = await open();
  assert.equal((await store.append(anEntry(1))).seq, 1);
  raw((db) => assert.ok(tables(db).includes('before') && !tables(db).includes('half')));
  assert.equal((await store.verify()).ok, true);
});

test('J15: a database from a newer version is refused and not touched', async (t) => {
  const { folder, file, open, raw } = createScratch(t);
  await (await open())[Symbol.asyncDispose]();
  raw((db) => db.pragma('user_version = 99'));
  const before = [sha256(file), readdirSync(folder)];
  await assert.rejects(
    open(),
    (caught) => caught instanceof Refusal && caught.wire.code === 'database_newer' && /schema 99/.test(caught.message),
  );
  assert.deepEqual([sha256(file), readdirSync(folder)], before);
  assert.ok(!readdirSync(folder).some((name) => /-(wal|shm)$/.test(name)));
});

test('J15: a newer version is seen when it is only in the log', async (t) => {
  const { file, open } = createScratch(t);
  await (await open())[Symbol.asyncDispose]();
  const newer = new Database(file);
  newer.pragma('user_version = 99');
  t.after(() => newer.close());
  const before = [sha256(file), sha256(`${file}-wal`)];
  assert.notEqual(readFileSync(file).readUInt32BE(60), 99);
  await assert.rejects(open(), (caught) => caught instanceof Refusal && caught.wire.code === 'database_newer');
  assert.deepEqual([sha256(file), sha256(`${file}-wal`)], before);
});

test('a file that is no database is refused and not touched', async (t) => {
  const { file, open } = createScratch(t);
  writeFileSync(file, 'This was never a database. '.repeat(100));
  const before = sha256(file);
  await assert.rejects(
    open(),
    (caught) => caught instanceof Refusal && caught.wire.code === 'store_unavailable' && /damaged or is not/.test(caught.message),
  );
  assert.equal(sha256(file), before);
});
