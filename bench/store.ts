/**
 * Measures the store: durable audited appends and whole dispatches with 64 writers in flight, against one transaction a row on the same disk;
 * a chain of a million rows verified; pages beside a million jobs (`jobs-store.ts` has the searches). `node bench/store.ts` prints the tables.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { verifyDatabase } from '../electron/core/audit/verify.ts';
import { redact } from '../electron/core/store/redact.ts';
import { openStore, type Store } from '../electron/core/store/store.ts';
import type { BenchReport } from './run.ts';

const WRITERS = 64;
const ROUNDS = 5;
const CHAIN_ROWS = 1_000_000;
const JOBS = 1_000_000;

const params = { query: 'all contacts changed since yesterday', limit: 100, fields: ['name', 'mail', 'owner'] };
/** All rows are of one day, which is over when the chain is to be verified. */
const BEGIN = 1_700_000_000_000;
const NEXT_DAY = BEGIN + 86_400_000;
const detail = redact({
  text: 'sync salesforce contacts',
  params,
  confidence: 0.95,
  why: 'rule salesforce, whole word',
  parent: null,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
});
/** The crossing, about as long as one over HTTP. */
const record = JSON.stringify({
  id: 'x_01hx3q8z7k4m5n6p7q8r9s0t1v',
  ok: true,
  route: 'FND.salesforce',
  result: { synced: 100, skipped: 3 },
  boundaries: Array.from({ length: 8 }, () => ({ boundary: 'identity', ms: 0.012, outcome: 'passed' })),
  detail,
});

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const round = (value: number, digits = 0): number => Number(value.toFixed(digits));

/** `total` operations by 64 writers that each wait for their answer; operations a second. */
async function inFlight(total: number, operate: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  const writer = async () => {
    while (next < total) await operate(next++);
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  return (total / (performance.now() - startedAt)) * 1000;
}

let appended = 0;
const append = (store: Store) =>
  store.append({
    at: BEGIN + appended++,
    kind: 'rejected',
    caller: 'owner',
    door: 'http',
    route: 'FND.salesforce',
    outcome: 'limited',
    detail,
  });

let dispatched = 0;
async function dispatch(store: Store): Promise<void> {
  const job = `job_${String(dispatched++).padStart(26, '0')}`;
  const call = {
    at: BEGIN,
    crossing: `x_${job}`,
    job,
    caller: 'owner',
    door: 'http',
    route: 'FND.salesforce',
    detail,
  } as const;
  await store.begin({
    ...call,
    jobRow: { text: 'sync salesforce contacts', params: JSON.stringify(params), confidence: 0.95, why: 'rule salesforce' },
  });
  await store.finish({
    ...call,
    detail: record,
    outcome: 'ok',
    jobEnd: { state: 'succeeded', durationMs: 12, errorCode: null, errorMessage: null, record: null },
  });
}

/** Rows a second when each is a transaction of its own, made durable the same way: what the disk gives without grouping. */
function openFloor(file: string): { perSecond(): number; close(): void } {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec(
    'CREATE TABLE audit (seq INTEGER PRIMARY KEY, at INTEGER, kind TEXT, caller TEXT, door TEXT, route TEXT, detail TEXT, previous TEXT, hash TEXT)',
  );
  const insert = db.prepare('INSERT INTO audit (at, kind, caller, door, route, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const hash = 'a'.repeat(64);
  return {
    perSecond() {
      const startedAt = performance.now();
      let rows = 0;
      for (; performance.now() - startedAt < 700; rows++) insert.run(1, 'rejected', 'owner', 'http', 'FND.salesforce', detail, hash, hash);
      return (rows / (performance.now() - startedAt)) * 1000;
    },
    close: () => db.close(),
  };
}

/** Microseconds that one call costs the calling thread before it can go on. */
async function callCost(store: Store): Promise<number> {
  const costs: number[] = [];
  for (let i = 0; i < 200; i++) {
    const startedAt = performance.now();
    const burst = Array.from({ length: 50 }, () => append(store));
    costs.push(((performance.now() - startedAt) / burst.length) * 1000);
    await Promise.all(burst);
  }
  return median(costs);
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

function fillJobs(file: string): void {
  const db = new Database(file);
  const first = (db.prepare('SELECT coalesce(max(n), 0) FROM job').pluck().get() as number) + 1;
  db.prepare(
    `INSERT INTO job (n, id, crossing, state, route, text, door, caller, created_at, finished_at, duration_ms, why)
     WITH RECURSIVE i(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM i WHERE n < ?)
     SELECT n, 'old_' || printf('%012d', n), 'x' || n, iif(n % 5000 = 0, 'failed', 'succeeded'), 'ORG.service' || (n % 40),
       'text of the call with number ' || n, 'http', 'owner', n, n, n % 300, 'named' FROM i`,
  ).run(first, JOBS);
  db.prepare("UPDATE mark SET value = ? WHERE name = 'newest'").run(JOBS);
  db.close();
}

export async function run(): Promise<BenchReport> {
  const folder = mkdtempSync(join(tmpdir(), 'dispatcher-bench-'));
  const file = join(folder, 'd.sqlite');
  const options = { file, checkpointFile: join(folder, 'c.jsonl'), key: generateKeyPairSync('ed25519').privateKey, now: () => BEGIN };
  const rows: BenchReport['rows'] = [];
  const row = (what: string, value: number, unit: string, note: string | null = null) => rows.push({ what, value, unit, note });
  const floor = openFloor(join(folder, 'floor.sqlite'));
  let store = await openStore(options);
  try {
    const measured = { floor: [] as number[], appends: [] as number[], dispatches: [] as number[] };
    await inFlight(20_000, () => append(store));
    for (let i = 0; i < ROUNDS; i++) {
      measured.floor.push(floor.perSecond());
      measured.appends.push(await inFlight(60_000, () => append(store)));
      measured.dispatches.push(await inFlight(15_000, () => dispatch(store)));
    }
    const appends = median(measured.appends);
    row('one transaction a row, same disk', round(median(measured.floor)), 'rows/s', 'the floor, no chain');
    row(`audited appends, ${WRITERS} in flight`, round(appends), 'rows/s', `${round(appends / median(measured.floor), 2)} of the floor`);
    row(`dispatches (job, intent, outcome), ${WRITERS} in flight`, round(median(measured.dispatches)), '1/s', 'two commits each');
    row('cost of append() to the caller', round(await callCost(store), 2), 'µs');
    const latencies: number[] = [];
    for (let i = 0; i < 500; i++) {
      const startedAt = performance.now();
      await append(store);
      latencies.push(performance.now() - startedAt);
    }
    row('append, alone, until durable', round(median(latencies), 3), 'ms');
    const calls = 50_000;
    for (let i = 0; i < calls; i++) redact({ text: 'sync salesforce contacts', params });
    row(
      'redact, 150 bytes without a secret',
      round(
        (time(() => {
          for (let i = 0; i < calls; i++) redact({ text: 'sync salesforce contacts', params, i });
        }) /
          calls) *
          1000,
        2,
      ),
      'µs',
    );

    while (store.read.counts().audit < CHAIN_ROWS)
      await inFlight(Math.min(50_000, CHAIN_ROWS - store.read.counts().audit), () => append(store));
    const begun = performance.now();
    store.keepAudit(NEXT_DAY, 90);
    while ((await store.verify()).segments === 0) await pause(1000);
    row('a day of 1,000,000 rows sealed in passing', round((performance.now() - begun) / 1000), 's', 'verified meanwhile');
    const verifies: number[] = [];
    for (let i = 0; i < 3; i++) {
      const report = await store.verify();
      if (!report.ok || report.rows < CHAIN_ROWS) throw new Error(`the chain does not verify: ${report.fault?.message}`);
      verifies.push(report.durationMs / 1000);
    }
    row('verify, 1,000,000 rows, in threads', round(median(verifies), 2), 's');
    row(
      'verify, 1,000,000 rows, calling thread',
      round(verifyDatabase(file, options.checkpointFile ? { checkpointFile: options.checkpointFile } : {}).durationMs / 1000, 2),
      's',
    );

    await store[Symbol.asyncDispose]();
    fillJobs(file);
    const openedAt = performance.now();
    store = await openStore(options);
    row('open beside 1,000,000 jobs and rows', round(performance.now() - openedAt), 'ms');
    const { read } = store;
    const far = String(JOBS >> 1);
    const pages: [string, () => unknown][] = [
      ['newest 100', () => read.jobs({ limit: 100 })],
      ['100 in the middle', () => read.jobs({ limit: 100, cursor: far })],
      ['by a rare state', () => read.jobs({ limit: 100, state: 'failed' })],
      ['by the common state', () => read.jobs({ limit: 100, state: 'succeeded' })],
      ['by route', () => read.jobs({ limit: 100, route: 'ORG.service7' })],
      ['by state and route', () => read.jobs({ limit: 100, state: 'failed', route: 'ORG.service7' })],
      ['audit, newest 500', () => read.audit({ limit: 500 })],
      ['counts', () => read.counts()],
      ['route statistics', () => read.routeStats()],
    ];
    let slowest = 0;
    for (const [what, ask] of pages) {
      const took = time(ask);
      if (what !== 'route statistics') slowest = Math.max(slowest, took);
      row(`of 1,000,000: ${what}`, round(took, 2), 'ms');
    }
    return {
      title: 'The store',
      rows,
      checks: [
        { name: `durable audited appends a second, ${WRITERS} in flight`, value: round(appends), atLeast: 80_000 },
        { name: 'seconds to verify a million rows', value: round(median(verifies), 2), atMost: 3 },
        { name: 'ms for the slowest page of a million jobs', value: round(slowest), atMost: 50 },
      ],
    };
  } finally {
    floor.close();
    await store[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const { rows, checks } = await run();
  console.table(rows);
  console.table(checks);
}
