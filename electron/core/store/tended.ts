/**
 * Jobs that are more than a call which runs at once: they stand in line, wait, run again, or are found again after a crash. What only they have is
 * kept beside the table of jobs, so that a plain job costs nothing more; what is needed to run one goes when it ends.
 */
import type Database from 'better-sqlite3';
import type { Attempt, Door, JobEvent, Waits } from '../../../shared/model.ts';
import { IN_LINE } from './running.ts';

/** Step of the schema. */
export const tendedSchema = `
  CREATE TABLE job_more (
    n INTEGER PRIMARY KEY,
    lane TEXT,
    subject TEXT,
    action INTEGER,
    starts INTEGER NOT NULL DEFAULT 1,
    crashes INTEGER NOT NULL DEFAULT 0,
    callback_url TEXT
  ) STRICT;
  CREATE INDEX job_more_by_lane ON job_more (lane, n) WHERE lane IS NOT NULL;
  CREATE INDEX job_more_by_subject ON job_more (n) WHERE subject IS NOT NULL;
  CREATE INDEX job_more_by_action ON job_more (n) WHERE action IS NOT NULL;
  CREATE INDEX job_more_by_callback ON job_more (n) WHERE callback_url IS NOT NULL;
  CREATE TABLE job_live (n INTEGER PRIMARY KEY, call TEXT, attempts TEXT NOT NULL DEFAULT '[]') STRICT;
  CREATE TABLE job_event (n INTEGER NOT NULL, i INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (n, i))
    STRICT, WITHOUT ROWID;
`;

/** A job that had not ended when the store was opened. */
export interface FoundJob {
  /** Rises from job to job: the order in which they were accepted. */
  n: number;
  id: string;
  crossing: string;
  state: 'running' | 'queued' | 'waiting';
  route: string | null;
  text: string | null;
  door: Door;
  caller: string;
  createdAt: number;
  starts: number;
  /** How often the core ended without a goodbye while this ran. */
  crashes: number;
  waits: Waits | null;
  lane: string | null;
  subject: string | null;
  callbackUrl: string | null;
  /** As it was given to `begin`; null for a plain job, of which there is its record. */
  call: string | null;
  auditSeq: number | null;
  confidence: number | null;
  why: string;
  attempts: Attempt[];
}

export interface Found {
  /** The last core ended without closing the store. */
  crashed: boolean;
  /** Oldest first. */
  jobs: FoundJob[];
}

/**
 * What becomes of a job that was found: `unknown`, cut off between send and answer; `dead`, it ran at too many crashes; `again`, it stands in line
 * and may be started.
 */
export type Settled = 'unknown' | 'dead' | 'again';

/** Events of one job that are kept; what comes beyond says nothing new. */
const EVENTS_MAX = 1000;

/** The writer's half. Runs inside the transaction of the caller; `n` is the number of a job. */
export function createTender(db: Database.Database) {
  const insertMore = db.prepare('INSERT INTO job_more (n, lane, subject, action, starts, callback_url) VALUES (?,?,?,?,?,?)');
  const insertCall = db.prepare('INSERT INTO job_live (n, call) VALUES (?,?)');
  const setStart = db.prepare("UPDATE job SET state = 'running', waits = NULL, started_at = coalesce(started_at, ?) WHERE n = ?");
  const setStarts = db.prepare('INSERT INTO job_more (n, starts) VALUES (?,?) ON CONFLICT (n) DO UPDATE SET starts = excluded.starts');
  const setWait = db.prepare('UPDATE job SET state = ?, waits = ? WHERE n = ?');
  const setAttempts = db.prepare(
    'INSERT INTO job_live (n, attempts) VALUES (?,?) ON CONFLICT (n) DO UPDATE SET attempts = excluded.attempts',
  );
  const insertEvent = db.prepare(
    `INSERT INTO job_event SELECT :n, next, :at, :kind, :detail
     FROM (SELECT coalesce(max(i), 0) + 1 AS next FROM job_event WHERE n = :n) WHERE next <= ${EVENTS_MAX}`,
  );
  const clearLive = db.prepare('DELETE FROM job_live WHERE n = ?');
  const findOpen = db.prepare(
    `SELECT n, id, crossing, state, route, text, door, caller, created_at AS createdAt, coalesce(starts, 1) AS starts,
       coalesce(crashes, 0) AS crashes, waits, lane, subject, callback_url AS callbackUrl, call, audit_seq AS auditSeq, confidence, why, attempts
     FROM job LEFT JOIN job_more USING (n) LEFT JOIN job_live USING (n)
     WHERE n IN (SELECT n FROM running UNION ALL SELECT n FROM job WHERE ${IN_LINE}) ORDER BY n`,
  );
  const raiseCrashes = db.prepare(
    `INSERT INTO job_more (n, crashes) SELECT n, 1 FROM running WHERE true
     ON CONFLICT (n) DO UPDATE SET crashes = crashes + 1`,
  );
  const note = (n: number, event: JobEvent) => insertEvent.run({ n, ...event });

  return {
    note,
    add(
      n: number,
      more: { lane: string | null; subject: string | null; action: number | null; starts: number; callbackUrl: string | null },
    ): void {
      insertMore.run(n, more.lane, more.subject, more.action, more.starts, more.callbackUrl);
    },
    keepCall(n: number, call: string): void {
      insertCall.run(n, call);
    },
    start(n: number, at: number, start: number): void {
      setStart.run(at, n);
      setStarts.run(n, start);
      // The first start is in the job itself.
      if (start > 1) note(n, { at, kind: 'started', detail: `start ${start}` });
    },
    wait(
      n: number,
      to: { at: number; state: string; waits: string | null; attempts?: string; why: JobEvent['kind']; detail: string },
    ): void {
      setWait.run(to.state, to.waits, n);
      if (to.attempts !== undefined) setAttempts.run(n, to.attempts);
      note(n, { at: to.at, kind: to.why, detail: to.detail });
    },
    /** Forgets what only a job that has not ended needs. */
    end(n: number): void {
      clearLive.run(n);
    },
    /** Every job that has not ended; with `crashed`, the crashes of the running ones are raised first. */
    find(crashed: boolean): FoundJob[] {
      if (crashed) raiseCrashes.run();
      type Row = Omit<FoundJob, 'waits' | 'attempts'> & { waits: string | null; attempts: string | null };
      return (findOpen.all() as Row[]).map((row) => ({
        ...row,
        waits: row.waits === null ? null : (JSON.parse(row.waits) as Waits),
        attempts: row.attempts === null ? [] : (JSON.parse(row.attempts) as Attempt[]),
      }));
    },
  };
}
