/** Deletes jobs that are no longer kept, with all that belongs to them. Rows of the audit chain go another way (`segments.ts`). */
import type Database from 'better-sqlite3';
import { KEY_MS } from './keys.ts';
import type { Indexer } from './search.ts';

/** Jobs that one step looks at. */
const STEP_JOBS = 64;

export interface Retention {
  /** Jobs that ended before are deleted; milliseconds since the epoch. */
  before: number;
  /** And those that ended, beyond so many newest ones. */
  most: number;
}

export interface Pruner {
  /** What is kept from now on. A job that has not ended stays, and so does one whose key holds or whose result is on its way. */
  keep(retention: Retention): void;
  /** Deletes some jobs in a transaction of its own; false when there is nothing to do. */
  step(): boolean;
}

export function createPruner(db: Database.Database, indexer: Indexer): Pruner {
  const setPruned = db.prepare("UPDATE mark SET value = value + ? WHERE name = 'pruned'");
  const newest = db.prepare('SELECT max(n) FROM job').pluck();
  const oldest = db.prepare('SELECT min(n) FROM job').pluck();
  const next = db.prepare(
    `SELECT n, id, created_at AS createdAt, coalesce(finished_at < :before, 0) AS old,
       state IN ('running', 'queued', 'waiting')
       OR EXISTS (SELECT 1 FROM job_key WHERE job_key.n = job.n AND holds = 1 AND at > (SELECT max(at) FROM job_key) - ${KEY_MS})
       OR EXISTS (SELECT 1 FROM delivery WHERE delivery.job = job.id AND delivery.state = 'pending') AS needed
     FROM job WHERE n >= :from AND n < :end ORDER BY n LIMIT ${STEP_JOBS}`,
  );
  const removals = ['job_input', 'job_record', 'job_more', 'job_live', 'job_event', 'job_key', 'key_use', 'job'].map((table) =>
    db.prepare(`DELETE FROM ${table} WHERE n = ?`),
  );
  const removeDeliveries = db.prepare('DELETE FROM delivery WHERE job = ?');
  let retention: Retention | null = null;
  /** Jobs below it were looked at since the retention was set. */
  let from = 0;

  function prune({ before, most }: Retention): boolean {
    // The newest one stays, whatever is kept: numbers go on from it.
    const end = (newest.get() as number | null) ?? 0;
    type Row = { n: number; id: string; createdAt: number; old: 0 | 1; needed: 0 | 1 };
    const rows = next.all({ before, from, end }) as Row[];
    const due = rows.filter(({ n, createdAt }) => n <= end - most || createdAt < before);
    const gone = due.filter(({ n, old, needed }) => !needed && (old === 1 || n <= end - most));
    if (gone.length > 0)
      db.transaction(() => {
        for (const { n, id } of gone) {
          indexer.forget(n);
          removeDeliveries.run(id);
          for (const remove of removals) remove.run(n);
        }
        setPruned.run(gone.length);
        indexer.dropBefore(oldest.get() as number);
      }).immediate();
    from = (due.at(-1)?.n ?? from) + 1;
    return due.length === STEP_JOBS;
  }

  return {
    keep(wanted) {
      retention = wanted;
      from = 0;
    },
    step() {
      if (retention === null) return false;
      if (!prune(retention)) retention = null;
      return true;
    },
  };
}
