/**
 * Which jobs run. Most jobs run for a moment and then succeed, and an index that each of them enters and leaves would cost a tenth of the store's
 * speed. So the newest are looked at, and only a job that still runs when many came after it is written down.
 */
import type Database from 'better-sqlite3';

/** The newest jobs that are looked at: between these two numbers. */
const NEWEST_LEAST = 256;
const NEWEST_MOST = 1024;

/** Step of the schema: `running` has the number of each job that runs; `job_running` holds those below the mark. */
export const runningSchema = `
  CREATE TABLE job_running (n INTEGER PRIMARY KEY) STRICT;
  INSERT INTO job_running SELECT n FROM job WHERE state = 'running' AND state <> 'succeeded';
  INSERT INTO mark SELECT 'newest', coalesce(max(n), 0) + 1 FROM job;
  CREATE VIEW running AS
    SELECT n FROM job_running UNION ALL SELECT n FROM job WHERE n >= (SELECT value FROM mark WHERE name = 'newest') AND state = 'running';
  DROP INDEX job_by_state;
  CREATE INDEX job_by_state ON job (state, n) WHERE state <> 'succeeded' AND state <> 'running';
`;

/** In the words of the partial index. */
export const NOT_RUN = "state <> 'succeeded' AND state <> 'running'";
/** Of jobs that have not ended and do not run. */
export const IN_LINE = `state IN ('queued', 'waiting') AND ${NOT_RUN}`;

/** The writer's half. Runs inside the transaction of the caller. */
export function createRunningWriter(db: Database.Database) {
  const getMark = db.prepare("SELECT value FROM mark WHERE name = 'newest'").pluck();
  const setMark = db.prepare("UPDATE mark SET value = ? WHERE name = 'newest'");
  const add = db.prepare('INSERT OR IGNORE INTO job_running VALUES (?)');
  const addThose = db.prepare("INSERT INTO job_running SELECT n FROM job WHERE n >= ? AND n < ? AND state = 'running'");
  const remove = db.prepare('DELETE FROM job_running WHERE n = ?');
  let mark = getMark.get() as number;
  return {
    started(n: number): void {
      if (n < mark) add.run(n);
    },
    stopped(n: number): void {
      if (n < mark) remove.run(n);
    },
    /** `last` is the number of the newest job. */
    raise(last: number): void {
      if (last - mark < NEWEST_MOST) return;
      const next = last - NEWEST_LEAST;
      addThose.run(mark, next);
      setMark.run(next);
      mark = next;
    },
    /** After a transaction that was rolled back. */
    reread(): void {
      mark = getMark.get() as number;
    },
  };
}
