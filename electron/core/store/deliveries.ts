/** Callbacks: results on their way out, and the ids of those that came in. */
import type Database from 'better-sqlite3';
import type { Delivery } from '../../../shared/model.ts';

/** How long the id of a callback that came is remembered. */
const SEEN_MS = 24 * 3_600_000;

/** Step of the schema. */
export const deliverySchema = `
  CREATE TABLE delivery (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    job TEXT NOT NULL,
    url TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    next_at INTEGER,
    body TEXT NOT NULL
  ) STRICT;
  CREATE INDEX delivery_by_job ON delivery (job, n);
  CREATE INDEX delivery_by_state ON delivery (state, n) WHERE state <> 'delivered';
  CREATE TABLE callback_seen (id TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX callback_seen_by_age ON callback_seen (at);
`;

export interface DeliveryFilter {
  state?: Delivery['state'] | undefined;
  job?: string | undefined;
  /** Number of the row before, as `cursorNumber` reads it. */
  before: number;
  size: number;
}

/** The writer's half. Runs inside the transaction of the caller. */
export function createDeliveryWriter(db: Database.Database) {
  const save = db.prepare(
    `INSERT INTO delivery (id, job, url, state, attempts, created_at, next_at, body) VALUES (?,?,?,?,?,?,?,?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, next_at = excluded.next_at`,
  );
  const forgetSeen = db.prepare('DELETE FROM callback_seen WHERE at <= ?');
  const see = db.prepare('INSERT OR IGNORE INTO callback_seen VALUES (?,?)');
  return {
    /** `attempts` is a JSON list. */
    save(row: {
      id: string;
      job: string;
      url: string;
      state: string;
      attempts: string;
      createdAt: number;
      nextAt: number | null;
      body: string;
    }) {
      save.run(row.id, row.job, row.url, row.state, row.attempts, row.createdAt, row.nextAt, row.body);
    },
    /** False for an id that came within the last 24 hours. */
    see(id: string, at: number): boolean {
      forgetSeen.run(at - SEEN_MS);
      return see.run(id, at).changes === 1;
    },
  };
}

const COLUMNS = 'n, id, job, url, state, attempts, created_at AS createdAt, next_at AS nextAt, body';
type Row = Omit<Delivery, 'attempts'> & { n: number; attempts: string };
const shown = ({ n: _, ...row }: Row): Delivery => ({ ...row, attempts: JSON.parse(row.attempts) as Delivery['attempts'] });

export interface DeliveryReader {
  delivery(id: string): Delivery | null;
  /** Those that are still to be tried, oldest first. */
  deliveriesPending(): Delivery[];
  /** Jobs that ended with a callback URL and have no delivery yet, oldest first. */
  undelivered(): { job: string; callbackUrl: string }[];
  /** `sawCallback` remembers this id. */
  callbackSeen(id: string): boolean;
}

/** The reader's half, over statements that are made once. */
export function createDeliveryReader(sql: (text: string) => Database.Statement) {
  const reader: DeliveryReader = {
    delivery(id) {
      const row = sql(`SELECT ${COLUMNS} FROM delivery WHERE id = ?`).get(id) as Row | undefined;
      return row ? shown(row) : null;
    },
    deliveriesPending: () =>
      (sql(`SELECT ${COLUMNS} FROM delivery WHERE state = 'pending' AND state <> 'delivered' ORDER BY n`).all() as Row[]).map(shown),
    undelivered: () =>
      sql(
        `SELECT id AS job, callback_url AS callbackUrl FROM job_more JOIN job USING (n)
         WHERE callback_url IS NOT NULL AND state NOT IN ('running', 'queued', 'waiting')
           AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.job = job.id) ORDER BY n`,
      ).all() as { job: string; callbackUrl: string }[],
    callbackSeen: (id) => sql('SELECT 1 FROM callback_seen WHERE id = ?').get(id) !== undefined,
  };
  return {
    ...reader,
    /** Newest first; the number of the last row goes on behind it, null at the end. */
    page({ state, job, before, size }: DeliveryFilter): { deliveries: Delivery[]; next: number | null } {
      const where = [
        'n < :before',
        ...(job === undefined ? [] : ['job = :job']),
        ...(state === undefined ? [] : ['state = :state', ...(state === 'delivered' ? [] : ["state <> 'delivered'"])]),
      ];
      const rows = sql(`SELECT ${COLUMNS} FROM delivery WHERE ${where.join(' AND ')} ORDER BY n DESC LIMIT :size`).all({
        ...{ before, job, state, size: size + 1 },
      }) as Row[];
      const page = rows.slice(0, size);
      return { deliveries: page.map(shown), next: rows.length > size ? page.at(-1)!.n : null };
    },
  };
}
