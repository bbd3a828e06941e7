/** What `kill -9` leaves of jobs. `node electron/core/jobs/kill.test.ts --instants 300 --seed 7` kills that often, and chooses the same again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Job } from '../../../shared/model.ts';
import type { Core } from '../core.ts';
import { createScratch } from '../store/scratch.ts';
import { openCore, operate, type Seen, startService } from '../testing.ts';

const { values } = parseArgs({ options: { instants: { type: 'string' }, seed: { type: 'string' } }, strict: false });
const instants = Number(values.instants ?? 10);
const seed = Number(values.seed ?? randomInt(2 ** 31));

const coreModule = JSON.stringify(new URL('../core.ts', import.meta.url).href);

const registryOf = ({ steady, flaky }: { steady: string; flaky: string }) => `
orgs:
  W:
    name: Works
    services:
      once: {endpoint: "${steady}/once", egress: local}
      lane: {endpoint: "${steady}/lane", egress: local, lane: stories}
      safe: {endpoint: "${steady}/safe", egress: local, idempotent: true}
      line: {endpoint: "${steady}/line", egress: local, idempotent: true, concurrency: 2}
      retry: {endpoint: "${flaky}/retry", egress: local, idempotent: true, retry: {times: 3, backoff: 5ms, max: 20ms}}
limits: off
`;

/** A core that keeps 50 calls of its own under way, each with its number as its text, and says which were accepted. */
const program = `
import { readFileSync, writeSync } from 'node:fs';
import { createCore } from ${coreModule};
const [home, round] = process.argv.slice(2);
// Synchronous, so that nothing is said later than it was so; a pipe that is full for a moment says EAGAIN.
const say = (line) => {
  for (;;)
    try {
      return writeSync(1, line + '\\n');
    } catch (caught) {
      if (caught.code !== 'EAGAIN') throw caught;
    }
};
say('opening');
const core = await createCore({ home, version: 'test', template: readFileSync(home + '/registry.yaml', 'utf8') });
const routes = ['W.once', 'W.safe', 'W.once', 'W.line', 'W.retry', 'W.safe', 'W.once', 'W.lane'];
const principal = core.owner.principal;
let n = 0;
const callOn = async () => {
  for (;;) {
    const ask = { route: routes[n % routes.length], text: round + '-' + n++, door: 'library', principal };
    await core.dispatch(ask, undefined, ({ job, audit }) => say(['accepted', job, ask.text, audit.seq, audit.hash].join(' ')));
  }
};
await Promise.all(Array.from({ length: 50 }, callOn));
`;

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function seeded(from: number): () => number {
  let state = from;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A service that answers after a random moment, fails a share of the calls, and knows how many of each path it has had at one time. */
async function startBusy({ random, failing }: { random: () => number; failing: number }) {
  const now = new Map<string, number>();
  const most = new Map<string, number>();
  const service = await startService(({ url, body }: Seen, response: ServerResponse) => {
    const there = (now.get(url) ?? 0) + 1;
    now.set(url, there);
    most.set(url, Math.max(most.get(url) ?? 0, there));
    response.on('close', () => now.set(url, now.get(url)! - 1));
    setTimeout(() => {
      response.writeHead(random() < failing ? 503 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ did: body === '' ? null : JSON.parse(body).query }));
    }, random() * 25);
  });
  return Object.assign(service, { most });
}

/** Resolves once no job is in line, waiting or running: the count of the running ones has all of them. */
async function quiet(core: Core): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = async () => {
    const { counts } = (await operate(core, 'OS.status')) as { counts: { running: number } };
    if (counts.running === 0) resolve();
  };
  const stop = core.watch(0, { snapshot: () => void look(), events: () => void look() });
  await promise;
  stop();
}

async function everyJob(core: Core): Promise<Job[]> {
  const all: Job[] = [];
  for (let cursor: string | null = null; ; ) {
    const page = (await operate(core, 'OS.jobs', { limit: 500, ...(cursor !== null && { cursor }) })) as {
      jobs: Job[];
      cursor: string | null;
    };
    all.push(...page.jobs);
    cursor = page.cursor;
    if (cursor === null) return all;
  }
}

/** What came more than once. */
function doubled(all: readonly unknown[]): unknown[] {
  const seen = new Set();
  return all.filter((one) => seen.size === seen.add(one).size);
}

/** Every state that a job of this route may end in here, with its error. */
const endings: Record<string, string[]> = {
  'W.once': ['succeeded', 'unknown'],
  'W.lane': ['succeeded', 'unknown'],
  'W.safe': ['succeeded', 'failed: dead_letter'],
  'W.line': ['succeeded', 'failed: dead_letter'],
  'W.retry': ['succeeded', 'failed: dead_letter', 'failed: upstream_failed', 'failed: breaker_open'],
};

test(`J04: after kill -9 at ${instants} instants every accepted job ends, and none was sent twice under one attempt`, async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = seeded(seed);
  const { folder: home, raw } = createScratch(t);
  await using steady = await startBusy({ random, failing: 0 });
  await using flaky = await startBusy({ random, failing: 0.3 });
  const registry = registryOf({ steady: steady.url, flaky: flaky.url });
  writeFileSync(join(home, 'registry.yaml'), registry);
  const file = join(home, 'program.ts');
  writeFileSync(file, program);

  const accepted = new Map<string, { text: string; seq: number; hash: string }>();
  for (let round = 0; round < instants; round++) {
    // One in five is killed while it opens what the one before it left, the others under running jobs.
    const from = random() < 0.2 ? 'opening' : 'accepted';
    const delayMs = random() * (from === 'opening' ? 400 : 120);
    const child = spawn(process.execPath, [file, home, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let due = false;
    for await (const line of createInterface({ input: child.stdout })) {
      const [said, job, text, seq, hash] = line.split(' ');
      // The line that the kill cut off was said of nobody.
      if (hash?.length === 64) accepted.set(job!, { text: text!, seq: Number(seq), hash });
      if (due || said !== from) continue;
      due = true;
      void pause(delayMs).then(() => child.kill('SIGKILL'));
    }
    if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL', `seed ${seed}`);
  }

  let jobs: Job[];
  {
    await using core = await openCore(registry, { home });
    await quiet(core);
    jobs = await everyJob(core);
    assert.equal(((await operate(core, 'OS.audit.verify')) as { ok: boolean }).ok, true);
  }

  const ofId = new Map(jobs.map((job) => [job.id, job]));
  const ofText = new Map(jobs.map((job) => [job.text, job]));
  const sent = [...steady.ledger, ...flaky.ledger]
    .filter(({ body }) => body !== '')
    .map(({ url, headers, body }) => ({ url, attempt: headers['idempotency-key'], text: JSON.parse(body).query as string }));
  const served = new Set(sent.map(({ text }) => text));
  const ending = ({ state, errorCode }: Job) => (errorCode === null || state === 'unknown' ? state : `${state}: ${errorCode}`);
  const faults = {
    lost: [...accepted].filter(([id, { text }]) => ofId.get(id)?.text !== text),
    notOver: jobs.filter((job) => !endings[job.route ?? '']?.includes(ending(job))).map((job) => `${job.id} ${job.route} ${ending(job)}`),
    attemptTwice: doubled(sent.map(({ attempt }) => attempt)),
    sentTwice: doubled(sent.filter(({ url }) => url === '/once' || url === '/lane').map(({ text }) => text)),
    sentUnrecorded: sent.filter(({ text }) => !ofText.has(text)),
    succeededUnsent: jobs.filter(({ state, text }) => state === 'succeeded' && !served.has(text!)),
    tooManyAtOnce: [steady.most.get('/lane')! > 1, steady.most.get('/line')! > 2],
    forgotten: raw((db) => {
      const hashOf = db.prepare('SELECT hash FROM audit WHERE seq = ?').pluck();
      return [...accepted.values()].filter(({ seq, hash }) => hashOf.get(seq) !== hash);
    }),
    integrity: raw((db) => db.pragma('integrity_check', { simple: true })),
  };
  const none = { lost: [], notOver: [], attemptTwice: [], sentTwice: [], sentUnrecorded: [], succeededUnsent: [], forgotten: [] };
  assert.deepEqual(faults, { ...none, tooManyAtOnce: [false, false], integrity: 'ok' }, `seed ${seed}`);
  const states = Object.groupBy(jobs, ending);
  t.diagnostic(
    `${jobs.length} jobs: ${Object.entries(states)
      .map(([state, all]) => `${all!.length} ${state}`)
      .join(', ')}`,
  );
  assert.ok(states.unknown && states.succeeded, `seed ${seed}`);
});
