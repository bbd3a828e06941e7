/** How a process that works off jobs takes part in the benchmark: its parent names a way and a time, and it says what it did. */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { performance } from 'node:perf_hooks';

/** Jobs that are accepted and not finished at one time, in every process. */
export const IN_FLIGHT = 64;

export type FromPeer = { is: 'ready' } | { is: 'absent'; reason: string } | { is: 'round'; jobs: number; perSecond: number };
export interface ToPeer {
  way: string;
  ms: number;
}

export interface Way {
  /** How many jobs one call submits. Resolves when all of them are finished, durably or at least on their way to the disk. */
  batch: number;
  submit(): Promise<void>;
  /** Resolves when everything that was finished is durable. */
  settled?(): Promise<void>;
}

const tell = (message: FromPeer) => process.send?.(message);

/** Answers the parent's rounds until it is gone; then ends, after what `close` does. */
export function offer(ways: Record<string, Way>, close: () => Promise<unknown> = async () => {}): void {
  process.on('disconnect', () => void close().finally(() => process.exit()));
  process.on('message', ({ way, ms }: ToPeer) => {
    void round(ways[way]!, ms).then(tell);
  });
  tell({ is: 'ready' });
}

/** Says that this peer cannot be had here, and ends. */
export function absent(reason: unknown): void {
  process.send?.({ is: 'absent', reason: String(reason instanceof Error ? reason.message : reason) } satisfies FromPeer, () =>
    process.exit(),
  );
}

/** For servers that take a port, but not 0. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function round({ batch, submit, settled }: Way, ms: number): Promise<FromPeer> {
  let jobs = 0;
  const began = performance.now();
  const goOn = async () => {
    while (performance.now() - began < ms) {
      await submit();
      jobs += batch;
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT / batch }, goOn));
  await settled?.();
  return { is: 'round', jobs, perSecond: (jobs / (performance.now() - began)) * 1000 };
}
