import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { Refusal } from '../../../shared/errors.ts';
import { flipBit } from '../store/chain-reader.ts';
import { anEntry, anIntent, anOutcome, createScratch, type Scratch } from '../store/scratch.ts';
import { CHAIN_COLUMNS, createHasher } from './chain.ts';
import { type Checkpoint, openCheckpoints } from './checkpoint.ts';
import { tamperDrill } from './drill.ts';
import { verifyDatabase, verifyInThread } from './verify.ts';

/** A closed database of 20 rows with every column filled in row 11, and a checkpoint at every fifth row and the last. */
async function twentyRows(t: TestContext): Promise<Scratch> {
  const scratch = createScratch(t);
  const store = await scratch.open({ checkpointRows: 5 });
  for (let i = 1; i <= 5; i++) {
    await store.begin(anIntent(`j${i}`));
    await store.finish(anOutcome(`j${i}`));
  }
  await store.begin(anIntent('j6'));
  await store.finish(anOutcome('j6', { detail: JSON.stringify({ result: 'long'.repeat(4000) }) }));
  for (let i = 13; i <= 20; i++) await store.append(anEntry(i));
  await store[Symbol.asyncDispose]();
  return scratch;
}

const verdict = ({ file }: Scratch, options = {}) => {
  const { ok, fault } = verifyDatabase(file, options);
  return [ok, fault?.seq ?? null, fault?.message ?? null];
};

test('a healthy chain verifies, with its checkpoints and their key', async (t) => {
  const { file, checkpointFile, publicKey } = await twentyRows(t);
  const { durationMs, head, ...report } = verifyDatabase(file, { checkpointFile, key: publicKey });
  assert.deepEqual(report, { ok: true, rows: 20, firstSeq: 1, lastSeq: 20, checkpoints: 4, segments: 0, pruned: null, fault: null });
  assert.match(head!, /^[0-9a-f]{64}$/);
  assert.ok(durationMs > 0);
});

for (const column of [...CHAIN_COLUMNS, 'hash'] as const)
  test(`A01: one byte changed in column ${column} is found, and the row named`, async (t) => {
    const scratch = await twentyRows(t);
    scratch.tamper('SELECT 1 WHERE ? IS NULL', null);
    // Row 12 is an outcome whose detail was cut: all of its columns are filled.
    assert.ok(flipBit(scratch.file, 12, column));
    const [ok, seq, message] = verdict(scratch);
    assert.deepEqual([ok, seq], [false, 12]);
    const told = ['kind', 'previous', 'hash'];
    assert.match(message as string, column === 'seq' ? /missing/ : told.includes(column) ? new RegExp(`column ${column}`) : /was changed/);
  });

test('A01: null made empty is found', async (t) => {
  const scratch = await twentyRows(t);
  scratch.tamper("UPDATE audit SET route = '' WHERE seq = 13");
  assert.deepEqual(verdict(scratch).slice(0, 2), [false, 13]);
});

test('A01: bytes that are not UTF-8 in the place of U+FFFD are found', async (t) => {
  const scratch = createScratch(t);
  const store = await scratch.open();
  await store.append(anEntry(1, { caller: 'a\uFFFDb' }));
  await store[Symbol.asyncDispose]();
  assert.deepEqual(verdict(scratch), [true, null, null]);
  scratch.tamper("UPDATE audit SET caller = CAST(x'61f0bfbd62' AS TEXT) WHERE seq = 1");
  assert.deepEqual(verdict(scratch), [false, 1, 'Row 1 was changed: a text holds bytes that are not UTF-8.']);
});

const columns = CHAIN_COLUMNS.slice(1).join(', ');
const surgeries: [what: string, statements: string[], seq: number, message: RegExp][] = [
  ['the first row deleted', ['DELETE FROM audit WHERE seq = 1'], 1, /Row 1 is missing/],
  ['a middle row deleted', ['DELETE FROM audit WHERE seq = 8'], 8, /Row 8 is missing/],
  ['rows deleted', ['DELETE FROM audit WHERE seq BETWEEN 8 AND 10'], 8, /Rows 8 to 10 are missing/],
  [
    'a row deleted and the rest moved up',
    ['DELETE FROM audit WHERE seq = 8', 'UPDATE audit SET seq = seq - 1 WHERE seq > 8'],
    8,
    /Row 8 was changed/,
  ],
  [
    'two rows swapped',
    ['UPDATE audit SET seq = -8 WHERE seq = 8', 'UPDATE audit SET seq = 8 WHERE seq = 9', 'UPDATE audit SET seq = 9 WHERE seq = -8'],
    8,
    /was changed/,
  ],
  [
    'a row inserted before the first',
    [`INSERT INTO audit (seq, ${columns}, hash) SELECT 0, ${columns}, hash FROM audit WHERE seq = 3`],
    0,
    /does not belong/,
  ],
  [
    'a row inserted in the middle',
    [
      'UPDATE audit SET seq = -seq - 1 WHERE seq >= 9',
      'UPDATE audit SET seq = -seq WHERE seq < 0',
      `INSERT INTO audit (seq, ${columns}, hash) SELECT 9, ${columns}, hash FROM audit WHERE seq = 8`,
    ],
    9,
    /was changed/,
  ],
  [
    'a row appended',
    [`INSERT INTO audit (seq, ${columns}, hash) SELECT 21, ${columns}, hash FROM audit WHERE seq = 20`],
    21,
    /was changed/,
  ],
];
for (const [what, statements, seq, message] of surgeries)
  test(`A02: ${what}`, async (t) => {
    const scratch = await twentyRows(t);
    for (const statement of statements) scratch.tamper(statement);
    const [ok, found, said] = verdict(scratch);
    assert.deepEqual([ok, found], [false, seq]);
    assert.match(said as string, message);
  });

test('A03: a cut tail is found against the signed checkpoint, and only by it', async (t) => {
  const scratch = await twentyRows(t);
  scratch.tamper('DELETE FROM audit WHERE seq > 17');
  assert.deepEqual(verdict(scratch), [true, null, null]);
  const message = 'The chain was cut: it ends at row 17, but a signed checkpoint has row 20.';
  assert.deepEqual(verdict(scratch, { checkpointFile: scratch.checkpointFile }), [false, 18, message]);
});

test('A03: an emptied chain is found', async (t) => {
  const scratch = await twentyRows(t);
  scratch.tamper('DELETE FROM audit');
  assert.deepEqual(verdict(scratch, { checkpointFile: scratch.checkpointFile }).slice(0, 2), [false, 1]);
});

test('A03: rows cut and written anew by a running core are found', async (t) => {
  const scratch = await twentyRows(t);
  scratch.tamper('DELETE FROM audit WHERE seq > 12');
  const store = await scratch.open();
  for (let i = 0; i < 30; i++) await store.append(anEntry(i));
  const { ok, fault } = await store.verify();
  assert.deepEqual(
    [ok, fault],
    [false, { seq: 15, message: 'Row 15 is not the row that was signed: its hash differs from the checkpoint.' }],
  );
});

test('A02: a chain rewritten from a row on, all hashes right, is found against the checkpoints', async (t) => {
  const scratch = await twentyRows(t);
  scratch.tamper('SELECT 1 WHERE ? IS NULL', null);
  const hasher = createHasher();
  scratch.raw((db) => {
    let previous = db.prepare('SELECT hash FROM audit WHERE seq = 6').pluck().get() as string;
    const update = db.prepare('UPDATE audit SET caller = ?, previous = ?, hash = ? WHERE seq = ?');
    for (const row of db
      .prepare(`SELECT ${CHAIN_COLUMNS.join(', ')} FROM audit WHERE seq > 6`)
      .raw()
      .all() as (string | number | null)[][]) {
      const forged = row.with(5, 'somebody else').with(11, previous);
      const hash = hasher.hash(forged);
      update.run('somebody else', previous, hash, row[0]);
      previous = hash;
    }
  });
  assert.deepEqual(verdict(scratch), [true, null, null]);
  assert.deepEqual(verdict(scratch, { checkpointFile: scratch.checkpointFile }).slice(0, 2), [false, 10]);
});

test('A03: checkpoints that were forged, signed by another, reordered or broken are found', async (t) => {
  const { file, checkpointFile, publicKey } = await twentyRows(t);
  const lines = readFileSync(checkpointFile, 'utf8').trimEnd().split('\n');
  const edited = (at: number, change: Partial<Checkpoint>) => lines.with(at, JSON.stringify({ ...JSON.parse(lines[at]!), ...change }));
  const with_ = (changed: string[]) => {
    writeFileSync(checkpointFile, `${changed.join('\n')}\n`);
    const { ok, fault } = verifyDatabase(file, { checkpointFile, key: publicKey });
    return [ok, fault?.seq ?? null, fault?.message ?? null];
  };
  assert.deepEqual(with_(lines), [true, null, null]);
  assert.deepEqual(with_(edited(1, { at: 1 })), [false, 10, 'The signature of the checkpoint of row 10 is invalid.']);
  assert.deepEqual(with_(edited(3, { seq: 19 })).slice(0, 2), [false, 19]);
  assert.deepEqual(with_(lines.toReversed()), [false, 15, 'The checkpoint of row 15 stands behind that of row 20.']);
  assert.deepEqual(with_(lines.with(2, '{"seq":15}')), [false, null, 'Checkpoints: line 3 of the checkpoint file is not a checkpoint.']);
  rmSync(checkpointFile);
  const { privateKey } = generateKeyPairSync('ed25519');
  using other = openCheckpoints(checkpointFile, privateKey);
  other.write({ seq: 20, hash: verifyDatabase(file).head!, at: 1 });
  assert.equal(verifyDatabase(file, { checkpointFile }).ok, true);
  const pinned = verifyDatabase(file, { checkpointFile, key: publicKey });
  assert.deepEqual(pinned.fault, { seq: 20, message: 'The checkpoint of row 20 was signed with another key.' });
});

test('a file whose pages are damaged is reported, not thrown', async (t) => {
  const scratch = createScratch(t);
  const store = await scratch.open();
  const detail = JSON.stringify({ pad: 'x'.repeat(3000) });
  await Promise.all(Array.from({ length: 60 }, (_, i) => store.append(anEntry(i, { detail }))));
  await store[Symbol.asyncDispose]();
  const bytes = readFileSync(scratch.file);
  const page = bytes.indexOf('"pad"', bytes.length >> 1) & ~4095;
  bytes.fill(0xff, page, page + 64);
  writeFileSync(scratch.file, bytes);
  const { ok, fault } = verifyDatabase(scratch.file);
  assert.equal(ok, false);
  assert.match(fault!.message, /cannot be read|was changed|missing/);
});

test('A01: whatever byte of the file is flipped, verify finds it or no row has changed', { timeout: 60_000 }, async (t) => {
  const scratch = await twentyRows(t);
  const healthy = readFileSync(scratch.file);
  // Values alone: the case of a column's name, which a flip in the schema may change, is nothing to SQLite.
  const rowsOf = () => scratch.raw((db) => JSON.stringify(db.prepare('SELECT * FROM audit ORDER BY seq').raw().all()));
  const rows = rowsOf();
  let found = 0;
  for (let at = 4096 + 7; at < healthy.length; at += 61) {
    const changed = Buffer.from(healthy);
    changed[at] = changed[at]! ^ (1 << (at % 8));
    writeFileSync(scratch.file, changed);
    let report: ReturnType<typeof verifyDatabase> | null = null;
    try {
      report = verifyDatabase(scratch.file, { checkpointFile: scratch.checkpointFile });
    } catch (caught) {
      assert.ok(caught instanceof Refusal, `byte ${at}: ${caught}`);
    }
    if (report?.ok) assert.equal(rowsOf(), rows, `byte ${at}`);
    else found++;
  }
  assert.ok(found > 50);
});

test('A17: verify gives a consistent answer while rows are being written, in threads and not', { timeout: 60_000 }, async (t) => {
  const scratch = createScratch(t);
  const store = await scratch.open({ checkpointRows: 7 });
  let writing = true;
  const write = async () => {
    for (let i = 0; writing; i++) await store.append(anEntry(i));
  };
  const writers = Array.from({ length: 8 }, write);
  await store.append(anEntry(0));
  let before = 0;
  for (let round = 0; round < 5; round++) {
    const inThread = await store.verify();
    const here = verifyDatabase(scratch.file, { checkpointFile: scratch.checkpointFile });
    assert.deepEqual([inThread.fault, here.fault], [null, null]);
    assert.ok(inThread.rows >= before && here.rows >= inThread.rows);
    before = here.rows;
  }
  writing = false;
  await Promise.all(writers);
  assert.ok(before > 1);
});

test('a long chain is verified in parts, and a fault at a seam is found', { timeout: 60_000 }, async (t) => {
  const scratch = createScratch(t);
  const store = await scratch.open();
  await Promise.all(Array.from({ length: 60_000 }, (_, i) => store.append(anEntry(i))));
  await store[Symbol.asyncDispose]();
  assert.deepEqual((await verifyInThread(scratch.file)).rows, 60_000);
  const hasher = createHasher();
  // The second half is rewritten to follow another row: every row in it is right, only the seam is not.
  scratch.tamper('SELECT 1 WHERE ? IS NULL', null);
  scratch.raw((db) => {
    const rows = db
      .prepare(`SELECT ${CHAIN_COLUMNS.join(', ')} FROM audit WHERE seq > 30000`)
      .raw()
      .all() as (string | number | null)[][];
    const update = db.prepare('UPDATE audit SET previous = ?, hash = ? WHERE seq = ?');
    let previous = 'f'.repeat(64);
    db.transaction(() => {
      for (const row of rows) {
        const hash = hasher.hash(row.with(11, previous));
        update.run(previous, hash, row[0]);
        previous = hash;
      }
    })();
  });
  const message = 'Row 30001 does not follow row 30000: column previous is not that row’s hash.'.replace('’', "'");
  assert.deepEqual((await verifyInThread(scratch.file)).fault, { seq: 30_001, message });
  assert.deepEqual(verifyDatabase(scratch.file).fault, { seq: 30_001, message });
});

test('a file that is not there, or is no audit database, is refused', async (t) => {
  const { file, folder } = createScratch(t);
  const refused = (caught: unknown) => caught instanceof Refusal && caught.wire.code === 'store_unavailable';
  assert.throws(() => verifyDatabase(file), refused);
  writeFileSync(`${folder}/text`, 'no database'.repeat(500));
  assert.throws(() => verifyDatabase(`${folder}/text`), refused);
  await assert.rejects(verifyInThread(file), refused);
});

test('the tamper drill finds the byte it changed, in a copy, while the core runs', async (t) => {
  const scratch = createScratch(t);
  const store = await scratch.open();
  await assert.rejects(store.drill(), (caught) => caught instanceof Refusal && caught.wire.code === 'not_found');
  for (let i = 1; i <= 9; i++) await store.append(anEntry(i));
  const { changed, report } = await store.drill();
  assert.deepEqual(
    [changed, report.ok, report.fault],
    [{ seq: 5, column: 'detail' }, false, { seq: 5, message: 'Row 5 was changed: its columns do not give its hash.' }],
  );
  assert.deepEqual(tamperDrill(scratch.file, { seq: 3, column: 'caller' }).report.fault?.seq, 3);
  assert.throws(
    () => tamperDrill(scratch.file, { seq: 3, column: 'route' }),
    (caught) => caught instanceof Refusal && caught.wire.code === 'conflict',
  );
  assert.equal((await store.verify()).ok, true);
});
