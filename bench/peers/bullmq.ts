/**
 * Peer: BullMQ on a Redis of its own that syncs its append-only file at every write (`appendfsync always`), producers and workers in one process as
 * Dispatcher is one. As its manual advises: `concurrency` together as high as there are jobs in flight, several workers rather than one (eight fetch
 * side by side and share a sync: six times the jobs of one with 64), finished jobs removed. A job counts as finished at its worker's `completed`, the
 * earliest that can be known. `single` adds jobs one by one, `bulk` all 64 at once with `addBulk`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Job, Queue, Worker } from 'bullmq';
import { absent, freePort, IN_FLIGHT, offer, type Way } from './rounds.ts';

const WORKERS = 8;
const [folder = ''] = process.argv.slice(2);

/** Throws where there is no redis-server. */
async function startRedis(port: number): Promise<ChildProcess> {
  const settings = { port, bind: '127.0.0.1', dir: folder, appendonly: 'yes', appendfsync: 'always', save: '' };
  const redis = spawn(
    'redis-server',
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(redis, 'spawn');
  for await (const line of redis.stdout!.setEncoding('utf8')) if (line.includes('Ready to accept connections')) break;
  return redis;
}

async function open(): Promise<void> {
  const port = await freePort();
  const redis = await startRedis(port);
  const connection = { host: '127.0.0.1', port };
  const finished = new Map<number, () => void>();
  const queue = new Queue<{ n: number }>('bench', { connection });
  for (let i = 0; i < WORKERS; i++) {
    const worker = new Worker<{ n: number }>('bench', async ({ data }) => data, {
      connection,
      concurrency: IN_FLIGHT / WORKERS,
      removeOnComplete: { count: 0 },
    });
    worker.on('completed', (job: Job<{ n: number }>) => {
      finished.get(job.data.n)?.();
      finished.delete(job.data.n);
    });
    await worker.waitUntilReady();
  }

  let n = 0;
  const make = () => {
    const data = { n: n++ };
    return { job: { name: 'echo', data }, over: new Promise<void>((resolve) => finished.set(data.n, resolve)) };
  };
  const single: Way = {
    batch: 1,
    async submit() {
      const { job, over } = make();
      await queue.add(job.name, job.data);
      await over;
    },
  };
  const bulk: Way = {
    batch: IN_FLIGHT,
    async submit() {
      const made = Array.from({ length: IN_FLIGHT }, make);
      await queue.addBulk(made.map(({ job }) => job));
      await Promise.all(made.map(({ over }) => over));
    },
  };
  offer({ single, bulk }, async () => {
    redis.kill();
    await once(redis, 'exit');
  });
}

await open().catch(absent);
