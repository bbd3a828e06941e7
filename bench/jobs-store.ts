/**
 * Measures lists and searches beside 1,000,000 finished and 10,000 queued jobs, the opening of such a database, and how long a commit waits while
 * it is indexed. `node bench/jobs-store.ts` prints the table.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { openStore, type Store } from '../electron/core/store/store.ts';
import type { BenchReport } from './run.ts';

const FINISHED = 1_000_000;
const QUEUED = 10_000;

const round = (value: number) => Number(value.toFixed(2));

/** Finished jobs first, each with a record; then those that stand in line, with what is needed to run them. */
export function fill(file: string): void {
  const db = new Database(file);
  const numbers = (from: number, to: number) => `WITH RECURSIVE i(n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM i WHERE n < ${to})`;
  db.exec(`
    BEGIN;
    INSERT INTO job (n, id, crossing, state, route, text, door, caller, created_at, started_at, finished_at, duration_ms, why, error_code, error_message)
    ${numbers(1, FINISHED)}
    SELECT n, 'job_' || printf('%026d', n), 'x' || n, iif(n % 5000 = 0, 'failed', 'succeeded'), 'ORG.service' || (n % 40),
      'text of the call with number ' || n, 'http', 'owner', n, n, n, n % 300, 'rule service, whole word',
      iif(n % 5000 = 0, 'upstream_failed', NULL), iif(n % 5000 = 0, 'The service answered 503', NULL) FROM i;
    INSERT INTO job_record ${numbers(1, FINISHED)}
    SELECT n, '{"attempts":[],"ok":true,"result":{"synced":' || (n % 1000) || ',"note":"' || iif(n % 100000 = 7, 'quokka', 'fine') || '"}}' FROM i;
    INSERT INTO job (n, id, crossing, state, route, text, door, caller, created_at, why, waits)
    ${numbers(FINISHED + 1, FINISHED + QUEUED)}
    SELECT n, 'job_' || printf('%026d', n), 'x' || n, 'queued', 'ORG.stories', 'story number ' || n || ' in line', 'http', 'owner', n, 'named',
      '{"kind":"lane","reason":"job_1 runs in the lane stories","until":null,"position":' || n || '}' FROM i;
    INSERT INTO job_more (n, lane, subject, starts) ${numbers(FINISHED + 1, FINISHED + QUEUED)} SELECT n, 'stories', 'story:' || n, 0 FROM i;
    INSERT INTO job_live (n, call) ${numbers(FINISHED + 1, FINISHED + QUEUED)} SELECT n, printf('%0600d', n) FROM i;
    UPDATE mark SET value = ${FINISHED + QUEUED} WHERE name = 'newest';
    COMMIT;`);
  db.close();
}

/** Milliseconds of the slower of two runs. */
function time(work: () => unknown): number {
  let slowest = 0;
  for (let i = 0; i < 2; i++) {
    const startedAt = performance.now();
    work();
    slowest = Math.max(slowest, performance.now() - startedAt);
  }
  return slowest;
}

/** Milliseconds until each of `count` single commits was durable, sorted, one every few milliseconds. */
async function commits(store: Store, count: number): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    // Long enough for the work that waits for quiet to begin.
    await pause(i % 2 === 0 ? 25 : 60);
    const startedAt = performance.now();
    await store.setSetting('bench', String(i));
    took.push(performance.now() - startedAt);
  }
  return took.sort((a, b) => a - b);
}

async function indexed(file: string): Promise<void> {
  const db = new Database(file, { readonly: true });
  const mark = db.prepare("SELECT value FROM mark WHERE name = 'indexed'").pluck();
  while ((mark.get() as number) < FINISHED + QUEUED - 200) await pause(500);
  db.close();
}

export async function run(): Promise<BenchReport> {
  const folder = mkdtempSync(join(tmpdir(), 'dispatcher-bench-'));
  const file = join(folder, 'd.sqlite');
  const options = { file, checkpointFile: join(folder, 'c.jsonl'), key: generateKeyPairSync('ed25519').privateKey };
  const rows: BenchReport['rows'] = [];
  const row = (what: string, value: number, unit: string) => rows.push({ what, value: round(value), unit });
  let store = await openStore(options);
  try {
    await store[Symbol.asyncDispose]();
    fill(file);
    const openedAt = performance.now();
    store = await openStore(options);
    const ready = performance.now() - openedAt;
    row(`open, with ${store.found.jobs.length} jobs found`, ready, 'ms');

    const busy = await commits(store, 100);
    const startedAt = performance.now();
    await indexed(file);
    row('a commit while jobs are indexed, median', busy[50]!, 'ms');
    row('a commit while jobs are indexed, slowest of 100', busy.at(-1)!, 'ms');
    row('index the rest of 1,000,000 jobs, when idle', (performance.now() - startedAt) / 1000, 's');
    const quiet = await commits(store, 100);
    row('a commit while nothing is done, median', quiet[50]!, 'ms');
    row('a commit while nothing is done, slowest of 100', quiet.at(-1)!, 'ms');

    const { jobs, counts } = store.read;
    const pages: [string, Parameters<typeof jobs>[0]][] = [
      ['newest 100', { limit: 100 }],
      ['far page', { limit: 100, cursor: '500000' }],
      ['queued', { limit: 100, state: 'queued' }],
      ['failed', { limit: 100, state: 'failed' }],
      ['succeeded', { limit: 100, state: 'succeeded' }],
      ['one route', { limit: 100, route: 'ORG.service7' }],
      ['one lane', { limit: 100, lane: 'stories' }],
      ['one lane, queued', { limit: 100, lane: 'stories', state: 'queued' }],
      ['one lane, failed', { limit: 100, lane: 'stories', state: 'failed' }],
      ['a word that all have', { limit: 100, q: 'number' }],
      ['one letter', { limit: 100, q: 's' }],
      ['three words that all have', { limit: 100, q: 'text number call' }],
      ['a rare word', { limit: 100, q: 'quokka' }],
      ['no such word', { limit: 100, q: 'nowhere' }],
      ['a common and no such word', { limit: 100, q: 'number nowhere' }],
      ['a common and a rare word', { limit: 100, q: 'text quokka' }],
      ['a common word, failed', { limit: 100, q: 'number', state: 'failed' }],
      ['a common word, queued', { limit: 100, q: 'story', state: 'queued' }],
      ['a common word, far page', { limit: 100, q: 'number', cursor: '500000' }],
      ['an id', { limit: 100, q: 'job_00000000000000000000500000' }],
      ['the beginning of an id', { limit: 100, q: 'job_0000000000000000000050' }],
    ];
    let slowest = 0;
    for (const [what, filter] of pages) {
      const took = time(() => jobs(filter));
      slowest = Math.max(slowest, took);
      const page = jobs(filter);
      rows.push({
        what: `page: ${what}`,
        value: round(took),
        unit: 'ms',
        note: `${page.jobs.length} jobs${page.cursor === null ? '' : ', goes on'}`,
      });
    }
    row('counts', time(counts), 'ms');
    return {
      title: '1,000,000 finished and 10,000 queued jobs',
      rows,
      checks: [
        { name: 's to open', value: round(ready / 1000), atMost: 3 },
        { name: 'ms for the slowest page', value: round(slowest), atMost: 50 },
      ],
    };
  } finally {
    await store[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { rows, checks } = await run();
  console.table(rows);
  console.table(checks);
}
