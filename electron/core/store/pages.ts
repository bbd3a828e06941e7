/** Lists of jobs, newest first, by state, route, lane and words: each page looks at a bounded number of rows. */
import type Database from 'better-sqlite3';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Job } from '../../../shared/model.ts';
import { IN_LINE, NOT_RUN } from './running.ts';
import { createSearch } from './search.ts';

/** Rows in one page at most. */
export const PAGE_MAX = 500;
/** Jobs that one page looks at where no index helps, newest first; the cursor goes on behind them. */
const LOOKED_ROWS = 50_000;
/** The same for those of one route or lane, which lie apart in the file. */
const APART_ROWS = 10_000;
/** Matches of a search that are counted. */
const MATCHES_MAX = 1000;

export interface JobFilter {
  /** Words, all of which a job has to have: in its text, route, reason, error, note, lane or result; or the beginning of an id, at least 5 characters. */
  q?: string;
  state?: string;
  route?: string;
  lane?: string;
  cursor?: string;
  limit: number;
}

export interface JobPage {
  jobs: Job[];
  /** Null at the end. With `q`, a lane or the state succeeded, a page may be short or empty and still have a cursor. */
  cursor: string | null;
  /** Exact, but for two: with `q` the matches found so far, up to 1000; of a lane with a state or a route, those among its newest 10,000. */
  total: number;
}

export const JOB_COLUMNS = `n, id, crossing, state, route, text, door, caller, created_at AS createdAt, started_at AS startedAt, finished_at AS finishedAt,
  duration_ms AS durationMs, progress, progress_note AS progressNote, confidence, why, error_code AS errorCode, error_message AS errorMessage,
  audit_seq AS auditSeq, cancel_requested_at AS cancelRequestedAt, waits, lane, subject, coalesce(starts, 1) AS starts`;
const WITH_MORE = 'job LEFT JOIN job_more USING (n)';

const ENDED_OTHERWISE = "state IN ('failed', 'cancelled', 'unknown')";
const isOpen = (state: string | undefined) => state === 'running' || state === 'queued' || state === 'waiting';

export type JobRow = Omit<Job, 'waits'> & { n: number; waits: string | null };
export const shownJob = ({ n: _, waits, ...job }: JobRow): Job => ({ ...job, waits: readJson(waits ?? undefined) as Job['waits'] });

type Sql = (text: string) => Database.Statement;
type Values = { state: string | undefined; route: string | undefined; lane: string | undefined; before: number };

/** Few have not ended, so those of a lane are found among them; others through the lane. */
const goesByLane = ({ state, lane }: Values) => lane !== undefined && !isOpen(state);

/** Jobs are numbered without gaps, and those that were pruned are counted. */
export function countJobs(sql: Sql): number {
  return sql("SELECT coalesce(max(n), 0) - (SELECT value FROM mark WHERE name = 'pruned') FROM job").pluck().get() as number;
}

/** `reading` runs a function on one state of the database. */
export function createPages(sql: Sql, reading: <T>(read: () => T) => T): (filter: JobFilter) => JobPage {
  const search = createSearch(sql);
  const one = (text: string, values: object) => sql(text).pluck().get(values) as number | undefined;
  const first = () => one('SELECT min(n) FROM job', {}) ?? 0;

  function found(q: string, values: Values, size: number): JobPage {
    const { found: numbers, floor } = search({ q, ...values, most: Math.max(MATCHES_MAX, size + 1) });
    const page = numbers.slice(0, size);
    const row = sql(`SELECT ${JOB_COLUMNS} FROM ${WITH_MORE} WHERE n = ?`);
    return {
      jobs: page.map((n) => shownJob(row.get(n) as JobRow)),
      cursor: numbers.length > size ? String(page.at(-1)) : floor > first() ? String(floor) : null,
      total: Math.min(numbers.length, MATCHES_MAX),
    };
  }

  function listed(values: Values, size: number): JobPage {
    const { state, route, lane } = values;
    const byLane = goesByLane(values);
    const where = byLane
      ? ['lane = :lane', ...(state === undefined ? [] : ['+state = :state']), ...(route === undefined ? [] : ['+route = :route'])]
      : [...conditions(state, route), ...(lane === undefined ? [] : ['lane = :lane'])];
    const from = byLane
      ? 'job_more INDEXED BY job_more_by_lane CROSS JOIN job USING (n)'
      : `${source(state, route)} LEFT JOIN job_more USING (n)`;
    const floor = floorOf(values);
    const rows = sql(
      `SELECT ${JOB_COLUMNS} FROM ${from} WHERE ${[...where, 'n < :before', 'n >= :floor'].join(' AND ')} ORDER BY n DESC LIMIT :size`,
    ).all({ ...values, floor, size: size + 1 }) as JobRow[];
    const page = rows.slice(0, size);
    return {
      jobs: page.map(shownJob),
      cursor: rows.length > size ? String(page.at(-1)!.n) : floor > first() ? String(floor) : null,
      total: totalOf(values, { where, from }),
    };
  }

  /** No index finds those that succeeded, nor what of a lane is left by the other filters. */
  function floorOf(values: Values): number {
    const { state, route, lane, before } = values;
    const apart = (index: string, value: string) =>
      one(`SELECT n FROM ${index} = :value AND n < :before ORDER BY n DESC LIMIT 1 OFFSET ${APART_ROWS}`, { value, before }) ?? 0;
    if (goesByLane(values)) return apart('job_more WHERE lane', lane!);
    if (state !== 'succeeded') return 0;
    return route === undefined ? before - LOOKED_ROWS : apart('job WHERE route', route);
  }

  function totalOf(values: Values, { where, from }: { where: string[]; from: string }): number {
    const { state, route, lane } = values;
    const count = (terms: string[], of = 'job') => one(`SELECT count(*) FROM ${of} WHERE ${['true', ...terms].join(' AND ')}`, values) ?? 0;
    if (goesByLane(values)) {
      if (state === undefined && route === undefined) return count(['lane = :lane'], 'job_more');
      const floor = floorOf({ ...values, before: Number.MAX_SAFE_INTEGER });
      return one(`SELECT count(*) FROM ${from} WHERE ${[...where, 'n >= :floor'].join(' AND ')}`, { ...values, floor }) ?? 0;
    }
    if (where.length === 0 && state === undefined) return countJobs(sql);
    if (lane !== undefined) return count(where, from);
    if (state !== 'succeeded') return count(where, source(state, route));
    if (route === undefined) return countJobs(sql) - count([NOT_RUN]) - count([], 'running');
    const otherwise = count(['route = :route', ENDED_OTHERWISE], 'job INDEXED BY job_by_end');
    const underWay = count([IN_LINE, '+route = :route']) + count(['route = :route'], source('running', route));
    return count(['route = :route']) - otherwise - underWay;
  }

  return ({ q, state, route, lane, cursor, limit }) =>
    reading(() => {
      const last = one('SELECT max(n) FROM job', {}) ?? 0;
      const values = { state, route, lane, before: Math.min(cursorNumber(cursor), last + 1) };
      return q ? found(q, values, pageSize(limit)) : listed(values, pageSize(limit));
    });
}

/** Conditions that let each filter use the index made for it: a partial index has to be asked for in its own words. */
function conditions(state: string | undefined, route: string | undefined): string[] {
  const byRoute = route === undefined ? [] : ['route = :route'];
  if (state === undefined) return byRoute;
  if (state === 'succeeded') return ['state = :state', ...byRoute];
  if (state === 'running') return byRoute;
  if (isOpen(state)) return ['state = :state', NOT_RUN, ...byRoute.map((term) => `+${term}`)];
  return ['state = :state', ENDED_OTHERWISE, NOT_RUN, ...byRoute];
}

/** The planner knows nothing of how many rows a state or a route has. */
function source(state: string | undefined, route: string | undefined): string {
  if (state === 'running') return 'running CROSS JOIN job USING (n)';
  if (route === undefined || isOpen(state)) return 'job';
  return state === undefined || state === 'succeeded' ? 'job INDEXED BY job_by_route' : 'job INDEXED BY job_by_end';
}

/** Null for text that somebody broke: verify names the row, and what is left of it can still be read. */
export function readJson(text: string | undefined): unknown {
  try {
    return text === undefined ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export function pageSize(limit: number): number {
  return Number.isFinite(limit) ? Math.min(PAGE_MAX, Math.max(1, Math.floor(limit))) : limit > 0 ? PAGE_MAX : 1;
}

export function cursorNumber(cursor: string | undefined): number {
  if (cursor === undefined) return Number.MAX_SAFE_INTEGER;
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new Refusal(refuse('input_invalid', 'This cursor is none.', { hint: 'Take the cursor of the page before, or leave it out.' }));
}
