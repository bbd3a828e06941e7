/**
 * The only writer of the database: a worker thread. Whatever arrived while one commit was under way goes into the next, so that a slow disk
 * delays only those who wait for it, and one fsync serves them all.
 */
import { closeSync, openSync, statSync } from 'node:fs';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { GpuSample } from '../../../shared/cortex.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { JobEvent, Waits } from '../../../shared/model.ts';
import { createHasher, cutJson, GENESIS, sealDetail } from '../audit/chain.ts';
import { type CheckpointWriter, openCheckpoints } from '../audit/checkpoint.ts';
import { createDeliveryWriter } from './deliveries.ts';
import { storeFailure } from './failures.ts';
import { createKeyWriter } from './keys.ts';
import { createMemoryWriter } from './memory.ts';
import { migrate } from './migrations.ts';
import { createModelWriter, type Footprint } from './models.ts';
import { ANSWER, ARITY, type Field, type FromWriter, LAST_ANSWERED, OP, type ToWriter, type WriterData } from './protocol.ts';
import { createPruner } from './retention.ts';
import { createRunningWriter } from './running.ts';
import { createIndexer } from './search.ts';
import { createSegmenter } from './segments.ts';
import { createTender, type Found, type Settled } from './tended.ts';
import { createUpkeep } from './upkeep.ts';

/** How long one commit waits for a lock that another process holds before it is refused. */
const BUSY_TIMEOUT_MS = 1000;
/** Operations in one transaction, so that a flood is answered in parts. */
const MAX_OPERATIONS = 4096;
/** A checkpoint at the latest this long after a row. */
const CHECKPOINT_MS = 10_000;
/** Parameters or records larger than this are cut; both are shown, not executed. */
const BODY_MAX_CHARS = 1_000_000;
const HEALTH_KEPT_MS = 24 * 3_600_000;

interface Head {
  seq: number;
  hash: string;
  at: number;
  /** Number of the newest job. */
  n: number;
}

/** What jobs become that are found cut off and do not go on. */
const ENDS = {
  unknown: { state: 'unknown', code: 'unknown_outcome', message: 'The core ended while this ran; whether it happened is not known.' },
  dead: { state: 'failed', code: 'dead_letter', message: 'The core crashed each time this ran; it is not tried again.' },
} as const;

interface Commit {
  seqs: number[];
  hashes: string;
  errors: WireError[];
}

function openDatabase(data: WriterData): { db: Database.Database; lock: Database.Database } {
  // SQLite gives the log and the index the mode of the database file.
  closeSync(openSync(data.file, 'a', 0o600));
  closeSync(openSync(`${data.file}.lock`, 'a', 0o600));
  // Held for as long as this thread lives, and let go by the system when the process dies.
  const lock = new Database(`${data.file}.lock`, { timeout: 100 });
  try {
    lock.exec('BEGIN EXCLUSIVE');
  } catch (caught) {
    lock.close();
    if (!/^SQLITE_BUSY/.test((caught as { code?: string }).code ?? '')) throw caught;
    throw new Refusal(
      refuse('store_unavailable', `The database is in use by another core (${data.file}).`, {
        hint: 'Use that one, end it, or point DISPATCHER_HOME at another folder.',
      }),
    );
  }
  const db = new Database(data.file, { timeout: BUSY_TIMEOUT_MS });
  try {
    const mode = db.pragma('journal_mode = WAL', { simple: true });
    if (mode !== 'wal') throw new Error(`the file system does not allow a write-ahead log (journal mode ${mode})`);
    db.pragma('synchronous = FULL');
    db.pragma('wal_autocheckpoint = 4000');
    db.pragma('journal_size_limit = 67108864');
    db.pragma('trusted_schema = OFF');
    migrate(db);
    if (data.maxPages !== null) db.pragma(`max_page_count = ${data.maxPages}`);
  } catch (caught) {
    db.close();
    lock.close();
    throw caught;
  }
  return { db, lock };
}

function createWriter(data: WriterData, { db, lock }: ReturnType<typeof openDatabase>, checkpoints: CheckpointWriter) {
  const hasher = createHasher();
  const beginImmediate = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const savepoint = db.prepare('SAVEPOINT one');
  const rollbackTo = db.prepare('ROLLBACK TO one');
  const release = db.prepare('RELEASE one');
  const insertAudit = db.prepare('INSERT INTO audit VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)');
  const insertJob = db.prepare(
    `INSERT INTO job (n, id, crossing, state, route, text, door, caller, created_at, started_at, confidence, why, audit_seq)
     VALUES (?,?,?,'running',?,?,?,?,?,?,?,?,?)`,
  );
  const insertTended = db.prepare(
    `INSERT INTO job (n, id, crossing, state, route, text, door, caller, created_at, started_at, confidence, why, audit_seq, waits)
     VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
  );
  const insertInput = db.prepare('INSERT INTO job_input VALUES (?,?)');
  const findOpen = db.prepare("SELECT n FROM job WHERE id = ? AND state IN ('running', 'queued', 'waiting')").pluck();
  const findJob = db.prepare('SELECT n, crossing, route FROM job WHERE id = ?');
  const endJob = db.prepare(
    'UPDATE job SET state = ?, route = ?, finished_at = ?, duration_ms = ?, error_code = ?, error_message = ?, outcome_seq = ?, waits = NULL WHERE n = ?',
  );
  const settleJob = db.prepare(
    'UPDATE job SET state = ?, finished_at = ?, error_code = ?, error_message = ?, outcome_seq = ?, waits = NULL WHERE n = ?',
  );
  const insertRecord = db.prepare('INSERT OR REPLACE INTO job_record VALUES (?,?)');
  const setProgress = db.prepare('UPDATE job SET progress = ?, progress_note = ? WHERE n = ?');
  const setCancel = db.prepare('UPDATE job SET cancel_requested_at = ? WHERE n = ?');
  const setSetting = db.prepare('INSERT INTO setting VALUES (?,?) ON CONFLICT (key) DO UPDATE SET value = excluded.value');
  const addToken = db.prepare('INSERT INTO token (id, name, capabilities, hash, created_at) VALUES (?,?,?,?,?)');
  const revokeToken = db.prepare('DELETE FROM token WHERE id = ?');
  const touchToken = db.prepare('UPDATE token SET last_used_at = ? WHERE id = ?');
  const memory = createMemoryWriter(db);
  const models = createModelWriter(db);
  const tender = createTender(db);
  const running = createRunningWriter(db);
  const keys = createKeyWriter(db);
  const indexer = createIndexer(db);
  const pruner = createPruner(db, indexer);
  const upkeep = createUpkeep(db, () => {
    beStillThere();
    return headKnown && (segmenter.step() || indexer.step() || pruner.step());
  });
  const deliveries = createDeliveryWriter(db);
  const openMark = db.prepare("SELECT value FROM mark WHERE name = 'open'").pluck();
  const setOpenMark = db.prepare("INSERT INTO mark VALUES ('open', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value");
  const addHealth = db.prepare('INSERT OR REPLACE INTO health VALUES (?,?,?,?)');
  const pruneHealth = db.prepare('DELETE FROM health WHERE route = ? AND at < ?');

  /** Numbers of the jobs begun here and under way, so that ending one needs no look-up; the plain ones leave nothing else to tidy. */
  const plain = new Map<string, number>();
  const tended = new Map<string, number>();
  /** Of a job that has not ended. */
  const numberOf = (job: Field): number | null =>
    plain.get(job as string) ?? tended.get(job as string) ?? (findOpen.get(job) as number | undefined) ?? null;
  const well = (text: Field): string | null => (typeof text === 'string' ? text.toWellFormed() : null);
  const whole = (value: Field): number => Math.floor(value as number);
  const wholeOrNull = (value: Field): number | null => (value === null ? null : whole(value));
  const body = (text: Field): string => {
    const json = (text as string).toWellFormed();
    return json.length <= BODY_MAX_CHARS ? json : cutJson(json, Buffer.byteLength(json), 65_536);
  };

  const inodeOf = (file: string) => statSync(file, { throwIfNoEntry: false })?.ino;
  const inode = inodeOf(data.file);
  const logInode = inodeOf(`${data.file}-wal`);
  /** A file that was deleted or replaced can still be written, and everything written is lost; so it is with the log beside it. */
  function beStillThere(): void {
    if (inodeOf(data.file) === inode && inodeOf(`${data.file}-wal`) === logInode) return;
    throw new Refusal(
      refuse('store_unavailable', `The database was moved, deleted or replaced while it was open (${data.file}).`, {
        hint: 'Put it back or start Dispatcher again.',
      }),
    );
  }

  function readHead(): Head {
    const last = db.prepare('SELECT seq, hash, at FROM audit ORDER BY seq DESC LIMIT 1').get() as Omit<Head, 'n'> | undefined;
    const n = db.prepare('SELECT max(n) FROM job').pluck().get() as number | null;
    return { ...(last ?? { seq: 0, hash: GENESIS, at: 0 }), n: n ?? 0 };
  }

  let timer: NodeJS.Timeout | null = null;
  let head = readHead();
  /** False while what the file holds could not be read after a failure. */
  let headKnown = true;
  /** The last row has only the beginning of its detail. */
  let cut = false;

  const segmenter = createSegmenter(db, {
    checkpoints,
    head: () => head,
    change(at, outcome, detail, also) {
      db.pragma('synchronous = FULL');
      beginImmediate.run();
      try {
        chain(at, 'change', null, null, 'core', 'core', null, outcome, detail);
        also(head.seq);
        commit.run();
      } catch (caught) {
        undo();
        throw caught;
      }
      sealLater();
    },
    now: data.openedAt,
  });

  /** Appends one row to the chain. The fields are at, kind, crossing, job, caller, door, route, outcome, detail. */
  function chain(
    at: Field,
    kind: Field,
    crossing: Field,
    job: Field,
    caller: Field,
    door: Field,
    route: Field,
    outcome: Field,
    text: Field,
  ) {
    const { detail, digest } = sealDetail(text as string);
    const row: Field[] = [
      head.seq + 1,
      whole(at),
      kind,
      well(crossing),
      well(job),
      well(caller),
      door,
      well(route),
      well(outcome),
      detail,
      digest,
      head.hash,
    ];
    const hash = hasher.hash(row);
    cut = digest !== '';
    insertAudit.run(row[0], row[1], kind, row[3], row[4], row[5], door, row[7], row[8], detail, digest, head.hash, hash);
    head = { seq: head.seq + 1, hash, at: row[1] as number, n: head.n };
  }

  function endOne(job: Field, f: Field[], i: number): void {
    const n = numberOf(job);
    if (n === null) return;
    if (!plain.delete(job as string)) {
      tended.delete(job as string);
      tender.end(n);
    }
    endJob.run(f[i + 9], well(f[i + 6]!), whole(f[i + 1]!), f[i + 10], f[i + 11], well(f[i + 12]!), head.seq, n);
    const record = f[i + 13] ?? (cut ? f[i + 8]! : null);
    if (record !== null) insertRecord.run(n, body(record));
    running.stopped(n);
    indexer.ended(n);
  }

  /** The job row of an intent that is in the chain already, with everything a plain job has not. */
  function beginTended(f: Field[], i: number): void {
    const at = whole(f[i + 1]!);
    const [state, waits, lane, subject, action, call, key, content, bodyHash, asked, callbackUrl] = f.slice(i + 13, i + 24);
    const runs = state === 'running';
    const n = head.n + 1;
    insertTended.run(
      ...[n, well(f[i + 3]!), well(f[i + 2]!), state, well(f[i + 6]!), well(f[i + 9]!), f[i + 5], well(f[i + 4]!)],
      ...[at, runs ? at : null, f[i + 11], well(f[i + 12]!), head.seq, well(waits!)],
    );
    if (f[i + 10] !== null) insertInput.run(n, body(f[i + 10]!));
    // What has none of it and runs at once is told by having no row, like a plain job.
    if (!runs || lane !== null || subject !== null || action !== null || callbackUrl !== null)
      tender.add(n, {
        lane: well(lane!),
        subject: well(subject!),
        action: action as number | null,
        starts: runs ? 1 : 0,
        callbackUrl: well(callbackUrl!),
      });
    if (call !== null) tender.keepCall(n, (call as string).toWellFormed());
    if (waits !== null) tender.note(n, { at, kind: state as 'queued' | 'waiting', detail: (JSON.parse(waits as string) as Waits).reason });
    if (key !== null)
      keys.hold(n, well(f[i + 4]!)!, {
        ...{ key: well(key!)!, content: content === 1, bodyHash: bodyHash as string, asked: body(asked!), at },
      });
    head.n = n;
    tended.set(f[i + 3] as string, n);
  }

  /** What becomes of a job that was found; whether it appended to the chain. */
  function settle(id: string, as: Settled, at: number): boolean {
    const n = numberOf(id);
    if (n === null) return false;
    running.stopped(n);
    if (as === 'again') {
      tender.wait(n, { at, state: 'queued', waits: null, why: 'restored', detail: 'It was cut off, and may run again.' });
      return false;
    }
    const { crossing, route } = findJob.get(id) as { crossing: string; route: string | null };
    const { state, code, message } = ENDS[as];
    chain(at, 'change', crossing, id, 'core', 'core', route, `job.${as}`, JSON.stringify({ job: id, was: 'running', now: state }));
    settleJob.run(state, at, code, message, head.seq, n);
    tender.end(n);
    indexer.ended(n);
    return true;
  }

  /** Performs the operation at `f[i]`; whether it appended to the chain. */
  function perform(f: Field[], i: number): boolean {
    const a = f[i + 1]!;
    const b = f[i + 2]!;
    const c = f[i + 3]!;
    switch (f[i]) {
      case OP.begin: {
        const at = whole(a);
        chain(at, 'intent', b, c, f[i + 4]!, f[i + 5]!, f[i + 6]!, null, f[i + 7]!);
        if (f[i + 8] === 1) {
          const n = head.n + 1;
          insertJob.run(
            n,
            well(c),
            well(b),
            well(f[i + 6]!),
            well(f[i + 9]!),
            f[i + 5],
            well(f[i + 4]!),
            at,
            at,
            f[i + 11],
            well(f[i + 12]!),
            head.seq,
          );
          if (f[i + 10] !== null) insertInput.run(n, body(f[i + 10]!));
          head.n = n;
          plain.set(c as string, n);
        }
        return true;
      }
      case OP.beginTended:
        chain(a, 'intent', b, c, f[i + 4]!, f[i + 5]!, f[i + 6]!, null, f[i + 7]!);
        beginTended(f, i);
        return true;
      case OP.finish:
        chain(a, 'outcome', b, c, f[i + 4]!, f[i + 5]!, f[i + 6]!, f[i + 7]!, f[i + 8]!);
        if (f[i + 9] !== null) endOne(c, f, i);
        return true;
      case OP.append:
        chain(a, b, c, f[i + 4]!, f[i + 5]!, f[i + 6]!, f[i + 7]!, f[i + 8]!, f[i + 9]!);
        return true;
      case OP.setting:
        setSetting.run(a, well(b));
        return false;
      case OP.addToken:
        addToken.run(a, well(b), c, f[i + 4], whole(f[i + 5]!));
        return false;
      case OP.revokeToken:
        revokeToken.run(a);
        return false;
      case OP.remember:
        memory.remember({
          ...{
            id: a as string,
            owner: well(b)!,
            namespace: c as string,
            text: well(f[i + 4]!)!,
            tags: well(f[i + 5]!)!,
            at: whole(f[i + 6]!),
          },
        });
        return false;
      case OP.forget:
        memory.forget(a as string, well(b)!);
        return false;
      case OP.start: {
        const n = numberOf(a);
        if (n === null) return false;
        tender.start(n, whole(b), c as number);
        running.started(n);
        return false;
      }
      case OP.wait: {
        const n = numberOf(a);
        if (n === null) return false;
        plain.delete(a as string);
        running.stopped(n);
        tender.wait(n, {
          ...{ at: whole(b), state: c as string, waits: well(f[i + 4]!), attempts: f[i + 5] as string },
          ...{ why: f[i + 6] as JobEvent['kind'], detail: well(f[i + 7]!)! },
        });
        return false;
      }
      case OP.settle:
        return settle(a as string, b as Settled, whole(c));
      case OP.saveDelivery:
        deliveries.save({
          ...{ id: a as string, job: b as string, url: well(c)!, state: f[i + 4] as string, attempts: (f[i + 5] as string).toWellFormed() },
          ...{
            createdAt: whole(f[i + 6]!),
            nextAt: wholeOrNull(f[i + 7]!),
            body: (f[i + 8] as string).toWellFormed(),
          },
        });
        return false;
      case OP.prune:
        pruner.keep({ before: whole(a), most: whole(b) });
        return false;
      case OP.keepAudit:
        segmenter.keep(whole(a), whole(b));
        return false;
      case OP.noteKeyUse: {
        const job = findJob.get(a) as { n: number } | undefined;
        if (job)
          keys.noteUse(job.n, {
            at: whole(b),
            crossing: c as string,
            outcome: f[i + 4] as string,
            differed: (f[i + 5] as string).toWellFormed(),
          });
        return false;
      }
      case OP.progress: {
        const n = numberOf(a);
        if (n !== null) setProgress.run(b, well(c), n);
        return false;
      }
      case OP.cancelRequested: {
        const n = numberOf(a);
        if (n !== null) setCancel.run(whole(b), n);
        return false;
      }
      case OP.health:
        addHealth.run(a, whole(b), c, f[i + 4]);
        pruneHealth.run(a, whole(b) - HEALTH_KEPT_MS);
        return false;
      case OP.touchToken:
        touchToken.run(whole(b), a);
        return false;
      case OP.saveGrant: {
        const grant = { id: well(a)!, json: (b as string).toWellFormed(), keyHash: c as string };
        models.saveGrant({ ...grant, expiresAt: whole(f[i + 4]!), revokedAt: wholeOrNull(f[i + 5]!) }, whole(f[i + 6]!));
        return false;
      }
      case OP.footprint:
        models.addFootprint({
          ...{ provider: well(a)!, tier: well(b)!, model: well(c)!, context: wholeOrNull(f[i + 4]!), device: well(f[i + 5]!) },
          ...{ outcome: f[i + 6] as Footprint['outcome'], bytes: wholeOrNull(f[i + 7]!), source: f[i + 8] as Footprint['source'] },
          ...{ loadMs: wholeOrNull(f[i + 9]!), at: whole(f[i + 10]!) },
        });
        return false;
      case OP.gpuSample: {
        const [utilization, temperatureC, powerW] = f.slice(i + 4, i + 7) as (number | null)[];
        models.addSample({
          at: whole(a),
          device: well(b)!,
          usedBytes: wholeOrNull(c),
          ...{ utilization, temperatureC, powerW },
        } as GpuSample);
        return false;
      }
      default:
        throw new Error(`unknown operation ${f[i]}`);
    }
  }

  /** One transaction over the operations at `starts`. With `careful`, an operation that fails by itself is undone by itself. */
  function transact(batch: Field[], starts: number[], careful: boolean): Commit {
    const done: Commit = { seqs: [], hashes: '', errors: [] };
    beStillThere();
    beginImmediate.run();
    for (const start of starts) {
      const answered = (batch[start] as number) <= LAST_ANSWERED;
      const before = head;
      if (careful) savepoint.run();
      try {
        if (batch[start] === OP.sawCallback)
          done.seqs.push(deliveries.see(batch[start + 1] as string, whole(batch[start + 2]!)) ? ANSWER.done : ANSWER.known);
        else {
          const chained = perform(batch, start);
          if (chained) done.hashes += head.hash;
          if (answered) done.seqs.push(chained ? head.seq : ANSWER.done);
        }
      } catch (caught) {
        if (!careful || !isOwnFault(caught)) throw caught;
        rollbackTo.run();
        head = before;
        plain.delete(batch[start + 3] as string);
        tended.delete(batch[start + 3] as string);
        if (answered) {
          done.seqs.push(ANSWER.failed);
          done.errors.push(refuse('internal', `The record does not fit the database: ${(caught as Error).message}.`));
        }
      }
      if (careful) release.run();
    }
    running.raise(head.n);
    commit.run();
    return done;
  }

  function undo(): void {
    if (db.inTransaction) rollback.run();
    head = readHead();
    running.reread();
    plain.clear();
    tended.clear();
  }

  function answer(batch: Field[], starts: number[]): FromWriter {
    try {
      if (!headKnown) undo();
      headKnown = true;
      try {
        return { t: 'done', ...transact(batch, starts, false) };
      } catch (caught) {
        if (!isOwnFault(caught)) throw caught;
        undo();
        return { t: 'done', ...transact(batch, starts, true) };
      }
    } catch (caught) {
      const error = storeFailure(caught, data.file);
      try {
        undo();
      } catch {
        // The next commit finds out whether the cause is gone; until then the head is not known.
        headKnown = false;
      }
      return { t: 'failed', count: starts.filter((start) => (batch[start] as number) <= LAST_ANSWERED).length, error };
    }
  }

  function seal(): void {
    if (timer) clearTimeout(timer);
    timer = null;
    if (head.seq <= checkpoints.lastSeq) return;
    try {
      checkpoints.write(head);
    } catch {
      // The rows are durable without it; the next one covers them.
      sealLater();
    }
  }

  function sealLater(): void {
    timer ??= setTimeout(seal, CHECKPOINT_MS);
  }

  return {
    /** What the last core left. From here on a core that ends without `close` has crashed. */
    open(): Found {
      return db
        .transaction(() => {
          const crashed = openMark.get() === 1;
          const jobs = tender.find(crashed);
          setOpenMark.run(1);
          upkeep.later();
          return { crashed, jobs };
        })
        .immediate();
    },
    /** Commits a batch, in as many transactions as it takes. */
    write(batch: Field[], post: (message: FromWriter) => void): void {
      for (let i = 0; i < batch.length; ) {
        const starts: number[] = [];
        for (; i < batch.length && starts.length < MAX_OPERATIONS; i += 1 + ARITY[batch[i] as number]!) starts.push(i);
        post(answer(batch, starts));
      }
      upkeep.later();
      if (head.seq - checkpoints.lastSeq >= data.checkpointRows) seal();
      else if (head.seq > checkpoints.lastSeq) sealLater();
    },
    close(): void {
      upkeep.stop();
      seal();
      try {
        setOpenMark.run(0);
      } catch {
        // The next core finds a crash where there was none: it looks twice at what ran, and loses nothing.
      }
      if (timer) clearTimeout(timer);
      checkpoints[Symbol.dispose]();
      db.close();
      lock.close();
    },
  };
}

/** A row that does not fit (constraint, wrong type) is the fault of its operation; anything else is the database's. */
function isOwnFault(caught: unknown): boolean {
  const { code } = caught as { code?: string };
  return caught instanceof TypeError || caught instanceof RangeError || (typeof code === 'string' && code.startsWith('SQLITE_CONSTRAINT'));
}

function serve(port: MessagePort, data: WriterData): void {
  const post = (message: FromWriter) => port.postMessage(message);
  let writer: ReturnType<typeof createWriter>;
  try {
    const checkpoints = openCheckpoints(data.checkpointFile, data.key);
    writer = createWriter(data, openDatabase(data), checkpoints);
    post({ t: 'ready', found: writer.open() });
  } catch (caught) {
    post({ t: 'refused', error: storeFailure(caught, data.file) });
    port.close();
    return;
  }
  port.on('message', (first: ToWriter) => {
    let batch = first;
    let closing = batch === null;
    for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port)) {
      const next = more.message as ToWriter;
      if (next === null) closing = true;
      else if (batch === null) batch = next;
      else for (const field of next) batch.push(field);
    }
    if (batch) writer.write(batch, post);
    if (!closing) return;
    writer.close();
    post({ t: 'closed' });
    port.close();
  });
}

serve(parentPort!, workerData as WriterData);
