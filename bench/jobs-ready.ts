/**
 * How soon a core is ready whose home holds 1,000,000 finished and 10,000 queued jobs: from `createCore` until a front has its first snapshot. The queued
 * ones stand in one lane whose service does not answer, so none of them ends meanwhile.
 */
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { type Core, createCore } from '../electron/core/core.ts';
import type { SealedCall } from '../electron/core/jobs/life.ts';
import { createSeal } from '../electron/core/jobs/seal.ts';
import type { Snapshot } from '../shared/model.ts';
import { fill } from './jobs-store.ts';
import type { BenchReport } from './run.ts';

const starts = 3;

/** Gives every job in line words that the core of this home can read. */
function sealCalls(home: string, databaseFile: string): void {
  const sealed: SealedCall = {
    ask: {
      ...{ route: 'ORG.stories', text: 'a story in line', params: { story: 'quokka' }, door: 'http' },
      principal: { id: 'owner', name: 'Owner', capabilities: ['read', 'dispatch', 'admin'] },
    },
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  };
  const { seal } = createSeal(createPrivateKey(readFileSync(join(home, 'key.pem'))));
  const db = new Database(databaseFile);
  db.prepare('UPDATE job_live SET call = ?').run(seal(JSON.stringify(sealed)));
  db.close();
}

function firstSnapshot(core: Core): Snapshot {
  const shown: Snapshot[] = [];
  core.watch(0, { snapshot: (snapshot) => shown.push(snapshot), events: () => {} })();
  return shown[0]!;
}

export async function run(): Promise<BenchReport> {
  const cache = process.env.BENCH_FOLDER ?? join(import.meta.dirname, '.cache');
  mkdirSync(cache, { recursive: true });
  const home = mkdtempSync(join(cache, 'ready-'));
  const service = createServer(() => {}).listen(0, '127.0.0.1');
  await once(service, 'listening');
  const template = `orgs:
  ORG:
    name: Bench
    services:
      stories: { endpoint: "http://127.0.0.1:${(service.address() as AddressInfo).port}/", egress: local, lane: stories }
`;
  const open = () => createCore({ home, template, version: 'bench' });
  try {
    const first = await open();
    await first[Symbol.asyncDispose]();
    fill(first.databaseFile);
    sealCalls(home, first.databaseFile);
    const took: { ready: number; snapshot: number; open: number; run: number }[] = [];
    for (let i = 0; i < starts; i++) {
      const began = performance.now();
      const core = await open();
      const ready = performance.now() - began;
      const { counts } = firstSnapshot(core);
      took.push({ ready, snapshot: performance.now() - began, open: counts.running, run: counts.running - counts.queued });
      await core[Symbol.asyncDispose]();
    }
    const slowest = Math.max(...took.map(({ snapshot }) => snapshot));
    return {
      title: 'Ready beside 1,000,000 finished and 10,000 queued jobs',
      rows: took.map(({ ready, snapshot }, i) => ({
        start: i + 1,
        'ready, ms': Math.round(ready),
        'first snapshot, ms': Math.round(snapshot),
      })),
      checks: [
        { name: 's to the first snapshot, slowest start', value: Number((slowest / 1000).toFixed(2)), atMost: 3 },
        { name: 'jobs found then, in line or running', value: Math.min(...took.map(({ open }) => open)), atLeast: 10_000 - starts },
        { name: 'of them running in a lane of one', value: Math.max(...took.map(({ run }) => run)), atMost: 1 },
      ],
    };
  } finally {
    service.closeAllConnections();
    service.close();
    rmSync(home, { recursive: true, force: true });
  }
}
