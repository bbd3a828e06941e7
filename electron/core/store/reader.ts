/** What the fronts read. Synchronous, on a read-only connection of the calling thread; every page is bounded. */
import Database from 'better-sqlite3';
import { Refusal } from '../../../shared/errors.ts';
import type { AuditEntry, Delivery, HealthSample, Job, JobDetail, JobEvent, TokenInfo } from '../../../shared/model.ts';
import { createDeliveryReader, type DeliveryReader } from './deliveries.ts';
import { storeFailure } from './failures.ts';
import { createKeyReader, type KeyReader } from './keys.ts';
import { createMemoryReader, type MemoryReader } from './memory.ts';
import { createModelReader, type ModelReader } from './models.ts';
import {
  countJobs,
  createPages,
  cursorNumber,
  JOB_COLUMNS,
  type JobFilter,
  type JobPage,
  type JobRow,
  PAGE_MAX,
  pageSize,
  readJson,
  shownJob,
} from './pages.ts';
import { RECORD } from './records.ts';
import { IN_LINE } from './running.ts';

/** The newest jobs among which recent ones are looked for. */
const RECENT_JOBS = 50_000;
/** Calls of one route that its statistics cover. */
const STAT_CALLS = 200;

export interface RouteStats {
  route: string;
  calls: number;
  p50Ms: number | null;
  p95Ms: number | null;
  lastError: string | null;
  lastCallAt: number | null;
}

export interface Reader extends MemoryReader, ModelReader, KeyReader, DeliveryReader {
  /** Jobs, newest first. Throws Refusal `input_invalid` for a cursor that is none. */
  jobs(filter: JobFilter): JobPage;
  /** With its timeline: what was noted of it, and what its own times say, oldest first. */
  job(id: string): JobDetail | null;
  /** Newest first. Throws Refusal `input_invalid` for a cursor that is none. */
  deliveries(filter: { state?: Delivery['state']; job?: string; cursor?: string; limit: number }): {
    deliveries: Delivery[];
    cursor: string | null;
  };
  /** Actions accepted from `since` on, oldest first. */
  recentActions(since: number): { principal: string; at: number }[];
  /** What jobs accepted from `since` on were about, oldest first. */
  recentSubjects(since: number): { subject: string; at: number }[];
  /** The chain, newest first; with `job`, the rows of that job. Throws Refusal `input_invalid` for a cursor that is none. */
  audit(filter: { cursor?: string; job?: string; limit: number }): { entries: AuditEntry[]; cursor: string | null; total: number };
  /** `running`: those that have not ended; `queued` of them stand in line or wait. */
  counts(): { running: number; queued: number; jobs: number; audit: number };
  /** Samples of a route from `since` on, oldest first. */
  healthHistory(route: string, since: number): HealthSample[];
  /** JSON text, null when it was never set. */
  setting(key: string): string | null;
  /** The newest texts that found a route. */
  recentTexts(limit: number): { text: string; route: string }[];
  tokens(): (TokenInfo & { hash: string })[];
  /** Of each route's last 200 calls; `calls` counts all. */
  routeStats(): RouteStats[];
  [Symbol.dispose](): void;
}

/** Throws Refusal `store_unavailable`. */
export function openReader(file: string, now: () => number): Reader {
  try {
    const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 1000 });
    try {
      return tellFailures(createReader(db, now), file);
    } catch (caught) {
      db.close();
      throw caught;
    }
  } catch (caught) {
    throw new Refusal(storeFailure(caught, file));
  }
}

/** Every read throws what the database says as a Refusal `store_unavailable`: a damaged page is not a bug. */
function tellFailures(reader: Reader, file: string): Reader {
  const told = Object.entries(reader).map(([name, read]: [string, (...given: unknown[]) => unknown]) => [
    name,
    (...given: unknown[]) => {
      try {
        return read(...given);
      } catch (caught) {
        if (!(caught as { code?: string }).code?.startsWith('SQLITE_')) throw caught;
        throw new Refusal(storeFailure(caught, file));
      }
    },
  ]);
  return { ...(Object.fromEntries(told) as Reader), [Symbol.dispose]: () => reader[Symbol.dispose]() };
}

function createReader(db: Database.Database, now: () => number): Reader {
  db.pragma('trusted_schema = OFF');
  // Statements are made once; a filter is one of few shapes.
  const statements = new Map<string, Database.Statement>();
  const sql = (text: string): Database.Statement => {
    let statement = statements.get(text);
    if (!statement) {
      statement = db.prepare(text);
      statements.set(text, statement);
    }
    return statement;
  };
  const edge = (what: 'min' | 'max', column: string, table: string): number =>
    (sql(`SELECT ${what}(${column}) AS edge FROM ${table}`).get() as { edge: number | null }).edge ?? 0;
  /** Only the oldest rows of the chain ever go. */
  const countRows = (): number => {
    const last = edge('max', 'seq', 'audit');
    return last === 0 ? 0 : last - edge('min', 'seq', 'audit') + 1;
  };
  const keys = createKeyReader(sql, now);
  const deliveries = createDeliveryReader(sql);

  const jobs = createPages(sql, (read) => db.transaction(read)());

  function detailOf(row: JobRow): JobDetail {
    const { n } = row;
    const job = shownJob(row);
    const text = <Column extends string>(column: Column, table: string) =>
      (sql(`SELECT ${column} FROM ${table} WHERE n = ?`).get(n) as Record<Column, string> | undefined)?.[column];
    const input = text('params', 'job_input');
    const intent = sql('SELECT detail FROM audit WHERE seq = ?').get(job.auditSeq) as { detail: string } | undefined;
    const params = input === undefined ? (readJson(intent?.detail) as { params?: unknown } | null)?.params : readJson(input);
    const ended = sql(`SELECT ${RECORD} FROM job WHERE n = ?`).pluck().get(n) as string | null;
    const record = readJson(ended ?? undefined) as JobDetail['record'];
    const key = keys.ofJob(n);
    const noted = sql('SELECT at, kind, detail FROM job_event WHERE n = ? ORDER BY i').all(n) as JobEvent[];
    return {
      ...job,
      params: params ?? null,
      attempts: record?.attempts ?? (readJson(text('attempts', 'job_live')) as JobDetail['attempts'] | null) ?? [],
      result: record?.result ?? null,
      error: record?.error ?? null,
      record,
      events: timeline(job, noted, key),
      key,
      deliveries: deliveries.page({ job: job.id, before: Number.MAX_SAFE_INTEGER, size: PAGE_MAX }).deliveries,
    };
  }

  return {
    ...createMemoryReader(sql),
    ...createModelReader(sql),
    key: keys.key,
    delivery: deliveries.delivery,
    deliveriesPending: deliveries.deliveriesPending,
    undelivered: deliveries.undelivered,
    callbackSeen: deliveries.callbackSeen,
    deliveries({ cursor, limit, ...filter }) {
      const { deliveries: page, next } = deliveries.page({ ...filter, before: cursorNumber(cursor), size: pageSize(limit) });
      return { deliveries: page, cursor: next === null ? null : String(next) };
    },
    recentActions: (since) =>
      sql(
        `SELECT caller AS principal, created_at AS at FROM job_more JOIN job USING (n) WHERE action IS NOT NULL AND created_at >= ?
         AND n > ? ORDER BY n`,
      ).all(since, edge('max', 'n', 'job') - RECENT_JOBS) as { principal: string; at: number }[],
    recentSubjects: (since) =>
      sql(
        `SELECT subject, created_at AS at FROM job_more JOIN job USING (n) WHERE subject IS NOT NULL AND created_at >= ? AND n > ? ORDER BY n`,
      ).all(since, edge('max', 'n', 'job') - RECENT_JOBS) as { subject: string; at: number }[],
    jobs,
    job(id) {
      const row = sql(`SELECT ${JOB_COLUMNS} FROM job LEFT JOIN job_more USING (n) WHERE id = ?`).get(id) as JobRow | undefined;
      return row ? detailOf(row) : null;
    },
    audit({ cursor, job, limit }) {
      const size = pageSize(limit);
      const before = cursorNumber(cursor);
      if (job !== undefined) {
        // A job's rows are found through the job, so that the chain needs no index of its own.
        const entries = sql(
          `SELECT * FROM audit WHERE seq IN (SELECT audit_seq FROM job WHERE id = :job UNION SELECT outcome_seq FROM job WHERE id = :job) ORDER BY seq DESC`,
        ).all({ job }) as AuditEntry[];
        return { entries: entries.filter((entry) => entry.seq < before).slice(0, size), cursor: null, total: entries.length };
      }
      const rows = sql('SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?').all(before, size + 1) as AuditEntry[];
      const entries = rows.slice(0, size);
      return { entries, cursor: rows.length > size ? String(entries.at(-1)!.seq) : null, total: countRows() };
    },
    counts() {
      const running = sql('SELECT count(*) FROM running').pluck().get() as number;
      const queued = sql(`SELECT count(*) FROM job WHERE ${IN_LINE}`).pluck().get() as number;
      return { running: running + queued, queued, jobs: countJobs(sql), audit: countRows() };
    },
    healthHistory: (route, since) =>
      sql('SELECT at, status, latency_ms AS latencyMs FROM health WHERE route = ? AND at >= ? ORDER BY at LIMIT 100000').all(
        route,
        since,
      ) as HealthSample[],
    setting: (key) => (sql('SELECT value FROM setting WHERE key = ?').get(key) as { value: string } | undefined)?.value ?? null,
    recentTexts: (limit) =>
      sql('SELECT text, route FROM job WHERE n > ? AND text IS NOT NULL AND route IS NOT NULL ORDER BY n DESC LIMIT ?').all(
        edge('max', 'n', 'job') - RECENT_JOBS,
        pageSize(limit),
      ) as { text: string; route: string }[],
    tokens: () =>
      (
        sql(
          'SELECT id, name, capabilities, hash, created_at AS createdAt, last_used_at AS lastUsedAt FROM token ORDER BY created_at, id',
        ).all() as (Omit<TokenInfo, 'capabilities'> & { capabilities: string; hash: string })[]
      ).map((token) => ({ ...token, capabilities: JSON.parse(token.capabilities) })),
    routeStats() {
      const routes = sql('SELECT route, count(*) AS calls FROM job WHERE route IS NOT NULL GROUP BY route').all() as {
        route: string;
        calls: number;
      }[];
      const recent = sql(
        `SELECT duration_ms AS durationMs, error_message AS error, error_code AS code, created_at AS at FROM job WHERE route = ? ORDER BY n DESC LIMIT ${STAT_CALLS}`,
      );
      return routes.map(({ route, calls }) => {
        const rows = recent.all(route) as { durationMs: number | null; error: string | null; code: string | null; at: number }[];
        const times = rows.flatMap(({ durationMs }) => (durationMs === null ? [] : [durationMs])).sort((a, b) => a - b);
        const failed = rows.find(({ code }) => code !== null);
        return {
          route,
          calls,
          p50Ms: quantile(times, 0.5),
          p95Ms: quantile(times, 0.95),
          lastError: failed ? (failed.error ?? failed.code) : null,
          lastCallAt: rows[0]?.at ?? null,
        };
      });
    },
    [Symbol.dispose]: () => db.close(),
  };
}

/** What was noted of a job, with what its own columns say already. */
function timeline(job: Job, noted: readonly JobEvent[], key: JobDetail['key']): JobEvent[] {
  const events: JobEvent[] = [...noted];
  const add = (at: number | null, kind: JobEvent['kind'], detail: string) => at !== null && events.push({ at, kind, detail });
  add(job.startedAt, 'started', 'start 1');
  add(job.cancelRequestedAt, 'cancel_requested', 'Somebody asked for it to be cancelled.');
  add(job.finishedAt, 'ended', job.errorMessage === null ? job.state : `${job.state}: ${job.errorMessage}`);
  for (const { at, crossing, outcome } of key?.uses ?? []) add(at, 'replayed', `${outcome}: ${crossing}`);
  return events.sort((a, b) => a.at - b.at || Number(a.kind === 'ended') - Number(b.kind === 'ended'));
}

/** Nearest rank; null without values. `sorted` ascending. */
function quantile(sorted: number[], q: number): number | null {
  return sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? null;
}
