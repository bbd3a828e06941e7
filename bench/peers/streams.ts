/** Load of event streams over raw sockets: how long each chunk was under way, and how long the first one took. */
import { connect } from 'node:net';
import type { Target } from './load.ts';

export interface StreamReport {
  streams: number;
  chunks: number;
  /** Streams that broke off, or were no streams. */
  failures: number;
  /** Milliseconds from the model's write to the reader. */
  delayP50: number;
  delayP99: number;
  /** Milliseconds from the request to the first chunk. */
  firstP50: number;
}

const stamp = /"t":(\d+)/g;
const now = () => Number(process.hrtime.bigint() / 1000n);
const at = (values: number[], share: number) => values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

/** One after the other on one connection until `next` says that it is enough; `chunks` that each has to have. */
async function follow(
  target: Target,
  { chunks, next }: { chunks: number; next(): boolean },
  all: { delays: number[]; firsts: number[]; failures: number; streams: number },
): Promise<void> {
  const body = target.bodies[0]!;
  const own = Object.entries(target.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const request = Buffer.from(
    `POST ${target.path} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\nContent-Type: application/json\r\n${own}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const socket = connect(target.port, '127.0.0.1').setNoDelay();
  const { promise, resolve } = Promise.withResolvers<void>();
  let sentAt = 0;
  let seen = 0;
  let tail = '';
  const begin = () => {
    if (!next()) return socket.destroy();
    sentAt = now();
    seen = 0;
    tail = '';
    socket.write(request);
  };
  socket.on('connect', begin);
  socket.on('error', () => {});
  socket.on('data', (data) => {
    const came = now();
    const text = data.toString('latin1');
    for (const [, left] of text.matchAll(stamp)) {
      if (seen++ === 0) all.firsts.push((came - sentAt) / 1000);
      all.delays.push((came - Number(left)) / 1000);
    }
    tail = (tail + text).slice(-16);
    if (!tail.endsWith('0\r\n\r\n')) return;
    all.streams++;
    if (seen !== chunks) all.failures++;
    begin();
  });
  socket.on('close', resolve);
  await promise;
}

/** `streams` at one time, for so long or until so many are done; `spreadMs` is the time over which they begin, so that they do not keep in step. */
export async function followStreams(
  target: Target,
  { streams, chunks, ms, most, spreadMs = 0 }: { streams: number; chunks: number; ms?: number; most?: number; spreadMs?: number },
): Promise<StreamReport> {
  const all = { delays: [] as number[], firsts: [] as number[], failures: 0, streams: 0 };
  const until = ms === undefined ? Number.POSITIVE_INFINITY : performance.now() + ms;
  let begun = 0;
  const next = () => performance.now() < until && (most === undefined || begun++ < most);
  await Promise.all(
    Array.from({ length: streams }, async (_, index) => {
      if (spreadMs > 0) await new Promise((resolve) => setTimeout(resolve, (index * spreadMs) / streams));
      await follow(target, { chunks, next }, all);
    }),
  );
  const delays = all.delays.sort((a, b) => a - b);
  const firsts = all.firsts.sort((a, b) => a - b);
  return {
    streams: all.streams,
    chunks: delays.length,
    failures: all.failures,
    delayP50: at(delays, 0.5),
    delayP99: at(delays, 0.99),
    firstP50: at(firsts, 0.5),
  };
}
