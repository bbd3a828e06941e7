/** What the fronts read. Synchronous, on a read-only connection of the calling thread; every page is bounded. */
import Database from 'better-sqlite3';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { AuditEntry, Delivery, HealthSample, Job, JobDetail, JobEvent, TokenInfo } from '../../../shared/model.ts';
import { createDeliveryReader, type DeliveryReader } from './deliveries.ts';
import { storeFailure } from './failures.ts';
import { createKeyReader, type KeyReader } from './keys.ts';
import { createMemoryReader, type MemoryReader } from './memory.ts';

/** Rows in one page at most. */
const PAGE_MAX = 500;
/** Jobs that one page looks at where no index helps, newest first; the cursor goes on behind them. */
const SEARCH_ROWS = 50_000;
/** The same for those of one route, which lie apart in the file. */
const ROUTE_ROWS = 10_000;
/** Calls of one route that its statistics cover. */
const STAT_CALLS = 200;

export interface JobFilter {
  /** Part of the text, route, id or error. With it, or the state succeeded, a page may be short or empty and still have a cursor. */
  q?: string;
  state?: string;
  route?: string;
  lane?: string;
  cursor?: string;
  limit: number;
}

export interface RouteStats {
  route: string;
  calls: number;
  p50Ms: number | null;
  p95Ms: number | null;
  lastError: string | null;
  lastCallAt: number | null;
}

export interface Reader extends MemoryReader, KeyReader, DeliveryReader {
  /**
   * Jobs, newest first. `total` is exact, but for a text search: there it counts the matches among the newest 50,000 jobs.
   * Throws Refusal `input_invalid` for a cursor that is none.
   */
  jobs(filter: JobFilter): { jobs: Job[]; cursor: string | null; total: number };
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

const JOB_COLUMNS = `n, id, crossing, state, route, text, door, caller, created_at AS createdAt, started_at AS startedAt, finished_at AS finishedAt,
  duration_ms AS durationMs, progress, progress_note AS progressNote, confidence, why, error_code AS errorCode, error_message AS errorMessage,
  audit_seq AS auditSeq, cancel_requested_at AS cancelRequestedAt, waits, lane, subject, coalesce(starts, 1) AS starts`;
const MATCHES = String.raw`(text LIKE :q ESCAPE '\' OR route LIKE :q ESCAPE '\' OR id LIKE :q ESCAPE '\' OR error_message LIKE :q ESCAPE '\' OR error_code LIKE :q ESCAPE '\')`;

const ENDED_OTHERWISE = "state IN ('failed', 'cancelled', 'unknown')";
/** In the words of the partial index. */
const NOT_ENDED = "state IN ('running', 'queued', 'waiting') AND state <> 'succeeded'";
const isOpen = (state: string | undefined) => state === 'running' || state === 'queued' || state === 'waiting';

type Row = Omit<Job, 'waits'> & { n: number; waits: string | null };
const shown = ({ n: _, waits, ...job }: Row): Job => ({ ...job, waits: readJson(waits ?? undefined) as Job['waits'] });

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
  // Both are numbered without gaps, so the edges give the count.
  const countBetween = (column: string, table: string): number => {
    const last = edge('max', column, table);
    return last === 0 ? 0 : last - edge('min', column, table) + 1;
  };

  const keys = createKeyReader(sql, now);
  const deliveries = createDeliveryReader(sql);

  function jobs({ q, state, route, lane, cursor, limit }: JobFilter) {
    const size = pageSize(limit);
    const before = Math.min(cursorNumber(cursor), edge('max', 'n', 'job') + 1);
    const where = [...conditions(state, route), ...(lane === undefined ? [] : ['lane = :lane'])];
    const values = { state, route, lane, q: q ? likePattern(q) : undefined, before, size: size + 1 };
    // No index finds the words, nor the succeeded: of these a page looks at so many, and the next one goes on behind them.
    const floor =
      q || (state === 'succeeded' && route === undefined) ? before - SEARCH_ROWS : state === 'succeeded' ? routeFloor(values) : 0;
    const from = q ? 'job NOT INDEXED' : source(state, route);
    const looked = [...where, 'n < :before', 'n >= :floor', ...(q ? [MATCHES] : [])];
    const rows = sql(
      `SELECT ${JOB_COLUMNS} FROM ${from} LEFT JOIN job_more USING (n) WHERE ${looked.join(' AND ')} ORDER BY n DESC LIMIT :size`,
    ).all({
      ...values,
      floor,
    }) as Row[];
    const more = rows.length > size;
    const page = more ? rows.slice(0, size) : rows;
    return {
      jobs: page.map(shown),
      cursor: more ? String(page.at(-1)!.n) : floor > edge('min', 'n', 'job') ? String(floor) : null,
      total: totalOf({ ...values, where, from }),
    };
  }

  /** Conditions that let each filter use the index made for it: a partial index has to be asked for in its own words. */
  function conditions(state: string | undefined, route: string | undefined): string[] {
    const byRoute = route === undefined ? [] : ['route = :route'];
    if (state === undefined) return byRoute;
    if (state === 'succeeded') return ['state = :state', ...byRoute];
    // Few are under way, so those of one route are found among them.
    if (isOpen(state)) return ['state = :state', "state <> 'succeeded'", ...byRoute.map((term) => `+${term}`)];
    return ['state = :state', ENDED_OTHERWISE, ...byRoute];
  }

  /** The planner knows nothing of how many rows a state or a route has. */
  function source(state: string | undefined, route: string | undefined): string {
    if (route === undefined || isOpen(state)) return 'job';
    return state === undefined || state === 'succeeded' ? 'job INDEXED BY job_by_route' : 'job INDEXED BY job_by_end';
  }

  function routeFloor({ route, before }: { route: string | undefined; before: number }): number {
    const last = sql(`SELECT n FROM job WHERE route = ? AND n < ? ORDER BY n DESC LIMIT 1 OFFSET ${ROUTE_ROWS}`).get(route, before);
    return (last as { n: number } | undefined)?.n ?? 0;
  }

  function totalOf({
    where,
    from,
    state,
    route,
    q,
  }: {
    where: string[];
    from: string;
    state?: string;
    route?: string;
    q?: string;
  }): number {
    const floor = edge('max', 'n', 'job') + 1 - SEARCH_ROWS;
    const count = (terms: string[], of = from) =>
      (sql(`SELECT count(*) AS total FROM ${of} WHERE ${terms.join(' AND ')}`).get({ state, route, q, floor }) as { total: number }).total;
    if (q !== undefined) return count([...where, 'n >= :floor', MATCHES]);
    if (where.length === 0) return countBetween('n', 'job');
    if (state !== 'succeeded') return count(where);
    if (route === undefined) return countBetween('n', 'job') - count(["state <> 'succeeded'"]);
    const underWay = [NOT_ENDED, '+route = :route'];
    return count(['route = :route']) - count(['route = :route', ENDED_OTHERWISE], 'job INDEXED BY job_by_end') - count(underWay, 'job');
  }

  function detailOf(row: Row): JobDetail {
    const { n } = row;
    const job = shown(row);
    const text = <Column extends string>(column: Column, table: string) =>
      (sql(`SELECT ${column} FROM ${table} WHERE n = ?`).get(n) as Record<Column, string> | undefined)?.[column];
    const input = text('params', 'job_input');
    const intent = sql('SELECT detail FROM audit WHERE seq = ?').get(job.auditSeq) as { detail: string } | undefined;
    const params = input === undefined ? (readJson(intent?.detail) as { params?: unknown } | null)?.params : readJson(input);
    const record = readJson(text('record', 'job_record')) as JobDetail['record'];
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
    key: keys.key,
    delivery: deliveries.delivery,
    deliveriesPending: deliveries.deliveriesPending,
    undelivered: deliveries.undelivered,
    deliveries({ cursor, limit, ...filter }) {
      const { deliveries: page, next } = deliveries.page({ ...filter, before: cursorNumber(cursor), size: pageSize(limit) });
      return { deliveries: page, cursor: next === null ? null : String(next) };
    },
    recentActions: (since) =>
      sql(
        `SELECT caller AS principal, created_at AS at FROM job_more JOIN job USING (n) WHERE action IS NOT NULL AND created_at >= ?
         AND n > ? ORDER BY n`,
      ).all(since, edge('max', 'n', 'job') - SEARCH_ROWS) as { principal: string; at: number }[],
    recentSubjects: (since) =>
      sql(
        `SELECT subject, created_at AS at FROM job_more JOIN job USING (n) WHERE subject IS NOT NULL AND created_at >= ? AND n > ? ORDER BY n`,
      ).all(since, edge('max', 'n', 'job') - SEARCH_ROWS) as { subject: string; at: number }[],
    jobs,
    job(id) {
      const row = sql(`SELECT ${JOB_COLUMNS} FROM job LEFT JOIN job_more USING (n) WHERE id = ?`).get(id) as Row | undefined;
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
      return { entries, cursor: rows.length > size ? String(entries.at(-1)!.seq) : null, total: countBetween('seq', 'audit') };
    },
    counts() {
      const { running, queued } = sql(
        `SELECT count(*) AS running, coalesce(sum(state <> 'running'), 0) AS queued FROM job WHERE ${NOT_ENDED}`,
      ).get() as { running: number; queued: number };
      return { running, queued, jobs: countBetween('n', 'job'), audit: countBetween('seq', 'audit') };
    },
    healthHistory: (route, since) =>
      sql('SELECT at, status, latency_ms AS latencyMs FROM health WHERE route = ? AND at >= ? ORDER BY at LIMIT 100000').all(
        route,
        since,
      ) as HealthSample[],
    setting: (key) => (sql('SELECT value FROM setting WHERE key = ?').get(key) as { value: string } | undefined)?.value ?? null,
    recentTexts: (limit) =>
      sql('SELECT text, route FROM job WHERE n > ? AND text IS NOT NULL AND route IS NOT NULL ORDER BY n DESC LIMIT ?').all(
        edge('max', 'n', 'job') - SEARCH_ROWS,
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

/** Null for text that somebody broke: verify names the row, and what is left of it can still be read. */
function readJson(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** Nearest rank; null without values. `sorted` ascending. */
function quantile(sorted: number[], q: number): number | null {
  return sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? null;
}

function pageSize(limit: number): number {
  return Number.isFinite(limit) ? Math.min(PAGE_MAX, Math.max(1, Math.floor(limit))) : limit > 0 ? PAGE_MAX : 1;
}

function cursorNumber(cursor: string | undefined): number {
  if (cursor === undefined) return Number.MAX_SAFE_INTEGER;
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new Refusal(refuse('input_invalid', 'This cursor is none.', { hint: 'Take the cursor of the page before, or leave it out.' }));
}

/** A LIKE pattern for "contains", with the wildcards of the text taken literally. */
function likePattern(q: string): string {
  return `%${q
    .slice(0, 500)
    .toWellFormed()
    .replaceAll(/[\\%_]/g, String.raw`\$&`)}%`;
}
