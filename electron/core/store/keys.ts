/** Idempotency keys of principals, each with the job it was first used for, and what came under it since. */
import type Database from 'better-sqlite3';
import type { JobState, KeyUse } from '../../../shared/model.ts';

/** How long a key stands for its job. */
export const KEY_MS = 24 * 3_600_000;
/** Uses of one key that are kept. */
const USES_MAX = 200;

/** Step of the schema. A job has one key at most; `holds` is 1 for the one job that its key stands for, else null. */
export const keySchema = `
  CREATE TABLE job_key (
    n INTEGER PRIMARY KEY,
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    content INTEGER NOT NULL,
    body_hash TEXT NOT NULL,
    asked TEXT NOT NULL,
    at INTEGER NOT NULL,
    holds INTEGER
  ) STRICT;
  CREATE UNIQUE INDEX job_key_holder ON job_key (caller, key) WHERE holds = 1;
  CREATE INDEX job_key_by_age ON job_key (at);
  CREATE TABLE key_use (
    n INTEGER NOT NULL,
    i INTEGER NOT NULL,
    at INTEGER NOT NULL,
    crossing TEXT NOT NULL,
    outcome TEXT NOT NULL,
    differed TEXT NOT NULL,
    PRIMARY KEY (n, i)
  ) STRICT, WITHOUT ROWID;
`;

export interface NewKey {
  key: string;
  /** Derived from the content instead of given. */
  content: boolean;
  bodyHash: string;
  /** Canonical JSON of what was asked, secrets redacted. */
  asked: string;
}

/** The job that a key stands for. */
export interface HeldKey {
  job: string;
  crossing: string;
  bodyHash: string;
  asked: string;
  at: number;
  state: JobState;
}

/** The writer's half. Runs inside the transaction of the caller. */
export function createKeyWriter(db: Database.Database) {
  // A job that failed is not replayed, so its key is free; so is one that is too old.
  const letGo = db.prepare(
    `UPDATE job_key SET holds = NULL WHERE caller = :caller AND key = :key AND holds = 1
       AND (at <= :expired OR (SELECT state FROM job WHERE job.n = job_key.n) IN ('failed', 'cancelled', 'unknown'))`,
  );
  // A few at a time, so that keys go as fast as they come.
  const expired = db.prepare('SELECT n FROM job_key WHERE at <= ? ORDER BY at LIMIT 4').pluck();
  const forget = db.prepare('DELETE FROM job_key WHERE n = ?');
  const forgetUses = db.prepare('DELETE FROM key_use WHERE n = ?');
  const insert = db.prepare('INSERT INTO job_key VALUES (?,?,?,?,?,?,?,1)');
  const insertUse = db.prepare(
    `INSERT INTO key_use SELECT :n, next, :at, :crossing, :outcome, :differed
     FROM (SELECT coalesce(max(i), 0) + 1 AS next FROM key_use WHERE n = :n)
     WHERE next <= ${USES_MAX} AND EXISTS (SELECT 1 FROM job_key WHERE n = :n)`,
  );
  return {
    /** Fails on a key that stands for a job which succeeded or has not ended. */
    hold(n: number, caller: string, { key, content, bodyHash, asked, at }: NewKey & { at: number }): void {
      letGo.run({ caller, key, expired: at - KEY_MS });
      insert.run(n, caller, key, content ? 1 : 0, bodyHash, asked, at);
      for (const old of expired.all(at - KEY_MS)) {
        forget.run(old);
        forgetUses.run(old);
      }
    },
    /** `differed` is a JSON list. */
    noteUse(n: number, use: { at: number; crossing: string; outcome: string; differed: string }): void {
      insertUse.run({ n, ...use });
    },
  };
}

export interface KeyReader {
  /** The job that a principal's key stands for now; null when there is none, or it is older than 24 hours. */
  key(caller: string, key: string): HeldKey | null;
}

/** The reader's half, over statements that are made once. */
export function createKeyReader(sql: (text: string) => Database.Statement, now: () => number) {
  const key: KeyReader['key'] = (caller, name) =>
    (sql(
      `SELECT job.id AS job, crossing, body_hash AS bodyHash, asked, at, state FROM job_key JOIN job USING (n)
       WHERE job_key.caller = ? AND key = ? AND holds = 1 AND at > ?`,
    ).get(caller, name, now() - KEY_MS) as HeldKey | undefined) ?? null;

  /** The key of a job; null when it has none, or it is gone. */
  function ofJob(n: number): KeyUse | null {
    const row = sql('SELECT key, content, body_hash AS bodyHash, at FROM job_key WHERE n = ?').get(n) as
      | { key: string; content: number; bodyHash: string; at: number }
      | undefined;
    if (!row) return null;
    const uses = sql('SELECT at, crossing, outcome, differed FROM key_use WHERE n = ? ORDER BY i').all(n) as (Omit<
      KeyUse['uses'][number],
      'differed'
    > & { differed: string })[];
    return {
      ...{ key: row.key, content: row.content === 1, bodyHash: row.bodyHash, expiresAt: row.at + KEY_MS },
      uses: uses.map((use) => ({ ...use, differed: JSON.parse(use.differed) as string[] })),
    };
  }
  return { key, ofJob };
}
