/** The schema: numbered steps, forward only, each in a transaction of its own. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type Database from 'better-sqlite3';
import { Refusal, refuse } from '../../../shared/errors.ts';
import { deliverySchema } from './deliveries.ts';
import { keySchema } from './keys.ts';
import { memorySchema } from './memory.ts';
import { modelSchema } from './models.ts';
import { runningSchema } from './running.ts';
import { searchSchema } from './search.ts';
import { segmentSchema } from './segments.ts';
import { tendedSchema } from './tended.ts';

export interface Migration {
  version: number;
  sql: string;
}

export const migrations: readonly Migration[] = [
  {
    // Audit and jobs. `seq` is gapless because rows come from one thread, and only the oldest ever go. Wide columns of a job have tables of
    // their own, so that lists and counts read narrow rows; parameters are in the intent's detail, here only when that was cut. Most jobs
    // succeed, so only the others are indexed by their state.
    version: 1,
    sql: `
      CREATE TABLE audit (
        seq INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        crossing TEXT,
        job TEXT,
        caller TEXT NOT NULL,
        door TEXT NOT NULL,
        route TEXT,
        outcome TEXT,
        detail TEXT NOT NULL,
        digest TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL
      ) STRICT;
      CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;
      CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;

      CREATE TABLE job (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        crossing TEXT NOT NULL,
        state TEXT NOT NULL,
        route TEXT,
        text TEXT,
        door TEXT NOT NULL,
        caller TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        finished_at INTEGER,
        duration_ms REAL,
        progress REAL,
        progress_note TEXT,
        confidence REAL,
        why TEXT NOT NULL,
        error_code TEXT,
        error_message TEXT,
        audit_seq INTEGER,
        outcome_seq INTEGER,
        cancel_requested_at INTEGER,
        waits TEXT
      ) STRICT;
      CREATE INDEX job_by_state ON job (state, n) WHERE state <> 'succeeded';
      CREATE INDEX job_by_route ON job (route, n);
      CREATE TABLE job_input (n INTEGER PRIMARY KEY, params TEXT NOT NULL) STRICT;
      CREATE TABLE job_record (n INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;
    `,
  },
  {
    // What the person sets, who may come in, and what health was.
    version: 2,
    sql: `
      CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE token (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        capabilities TEXT NOT NULL,
        hash TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE health (
        route TEXT NOT NULL,
        at INTEGER NOT NULL,
        status TEXT NOT NULL,
        latency_ms REAL,
        PRIMARY KEY (route, at)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    // What principals keep.
    version: 3,
    sql: memorySchema,
  },
  {
    // The few jobs that ended otherwise than well, by route: a job that succeeds never enters it.
    version: 4,
    sql: `CREATE INDEX job_by_end ON job (route, state, n) WHERE state <> 'succeeded' AND state <> 'running' AND state <> 'accepted';`,
  },
  {
    // Jobs that wait, with all that only they have; keys, callbacks. No job was ever only accepted for longer than a commit takes.
    version: 5,
    sql: `
      UPDATE job SET state = 'running' WHERE state = 'accepted' AND state <> 'succeeded';
      DROP INDEX job_by_end;
      CREATE INDEX job_by_end ON job (route, state, n) WHERE state IN ('failed', 'cancelled', 'unknown');
      CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      ${runningSchema}
      ${tendedSchema}
      ${keySchema}
      ${deliverySchema}
      ${searchSchema}
    `,
  },
  {
    // What models took, how the devices were, and who may use models.
    version: 6,
    sql: modelSchema,
  },
  {
    // Daily segments of the chain, and what of it was pruned.
    version: 7,
    sql: segmentSchema,
  },
];

/**
 * Brings a database to the newest schema. A step that fails leaves the database at the step before it.
 * Throws Refusal `database_newer` for a schema from the future.
 */
export function migrate(db: Database.Database, steps: readonly Migration[] = migrations): void {
  for (const step of steps) {
    db.transaction(() => {
      const version = db.pragma('user_version', { simple: true }) as number;
      if (version > newest(steps)) throw newerDatabase(db.name, version, newest(steps));
      if (version >= step.version) return;
      db.exec(step.sql);
      db.pragma(`user_version = ${step.version}`);
    }).immediate();
  }
}

/** Refuses a database from a newer version without touching it: no lock, no write, no file left beside it. */
export function refuseNewer(file: string, steps: readonly Migration[] = migrations): void {
  const version = peekVersion(file);
  if (version !== null && version > newest(steps)) throw newerDatabase(file, version, newest(steps));
}

function newest(steps: readonly Migration[]): number {
  return steps.at(-1)?.version ?? 0;
}

function newerDatabase(file: string, found: number, known: number): Refusal {
  return new Refusal(
    refuse('database_newer', `The database is from a newer version: schema ${found}, this program knows ${known} (${file}).`, {
      hint: 'Start the newer version, or point DISPATCHER_HOME at another folder. The file was not touched.',
    }),
  );
}

/**
 * `user_version` as SQLite would see it, read without SQLite because opening a WAL database writes beside it: from the newest committed
 * copy of page 1 in the log if there is one, else from the file's header. Null when it is no database (yet).
 * Source: https://www.sqlite.org/fileformat2.html, sections 1.3 and 4.
 */
function peekVersion(file: string): number | null {
  const header = readAt(file, 0, 100);
  if (header === null || header.length < 100 || header.toString('latin1', 0, 16) !== 'SQLite format 3\0') return null;
  let version = header.readUInt32BE(60);
  const log = readAt(`${file}-wal`, 0, 32);
  if (log === null || log.length < 32) return version;
  const pageSize = log.readUInt32BE(8);
  const frame = 24 + pageSize;
  let pending: number | null = null;
  const fd = openSync(`${file}-wal`, 'r');
  try {
    const size = fstatSync(fd).size;
    const head = Buffer.alloc(24);
    const word = Buffer.alloc(4);
    for (let at = 32; at + frame <= size; at += frame) {
      readSync(fd, head, 0, 24, at);
      // Frames of an earlier round have other salts; the log ends there.
      if (head.compare(log, 16, 24, 8, 16) !== 0) break;
      if (head.readUInt32BE(0) === 1) {
        readSync(fd, word, 0, 4, at + 24 + 60);
        pending = word.readUInt32BE(0);
      }
      if (head.readUInt32BE(4) !== 0 && pending !== null) {
        version = pending;
        pending = null;
      }
    }
  } finally {
    closeSync(fd);
  }
  return version;
}

function readAt(file: string, position: number, length: number): Buffer | null {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw caught;
  }
  try {
    const buffer = Buffer.alloc(length);
    return buffer.subarray(0, readSync(fd, buffer, 0, length, position));
  } finally {
    closeSync(fd);
  }
}
