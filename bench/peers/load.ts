/** Load for one HTTP server over raw sockets, so that the generator costs as little as it can beside what it measures. */
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

export interface Target {
  port: number;
  path: string;
  headers: Record<string, string>;
  /** Taken in turn. */
  bodies: string[];
}

export interface LoadReport {
  requests: number;
  /** Answers that were not 200. */
  failures: number;
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
}

interface Connection {
  busy: boolean;
  /** Sends the next body; `done` gets the status. */
  send(done: (status: number) => void): void;
  close(): void;
}

const headEnd = Buffer.from('\r\n\r\n');
const lastChunk = Buffer.from('0\r\n\r\n');

function render(target: Target): Buffer[] {
  const own = Object.entries(target.headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  return target.bodies.map((body) =>
    Buffer.from(
      `POST ${target.path} HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\nContent-Type: application/json\r\n${own}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  );
}

/** One keep-alive connection with one request in flight at a time. Understands Content-Length and chunked answers. */
async function open(target: Target, requests: Buffer[], turn: { next: number }): Promise<Connection> {
  const socket: Socket = connect(target.port, '127.0.0.1').setNoDelay();
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  let pending: ((status: number) => void) | null = null;
  let held: Buffer | null = null;
  socket.on('error', () => {});
  socket.on('close', () => pending?.(0));
  socket.on('data', (chunk) => {
    const data = held ? Buffer.concat([held, chunk]) : chunk;
    const end = data.indexOf(headEnd);
    if (end < 0 || !isComplete(data, end)) {
      held = data;
      return;
    }
    held = null;
    const done = pending;
    pending = null;
    connection.busy = false;
    done?.(Number(data.toString('latin1', 9, 12)));
  });
  const connection: Connection = {
    busy: false,
    send(done) {
      connection.busy = true;
      pending = done;
      turn.next = (turn.next + 1) % requests.length;
      socket.write(requests[turn.next]!);
    },
    close: () => socket.destroy(),
  };
  return connection;
}

function isComplete(data: Buffer, end: number): boolean {
  const head = data.toString('latin1', 0, end).toLowerCase();
  const at = head.indexOf('\r\ncontent-length:');
  if (at >= 0) return data.length >= end + 4 + Number.parseInt(head.slice(at + 17), 10);
  return data.subarray(-5).equals(lastChunk);
}

function report(latencies: number[], failures: number, elapsedMs: number): LoadReport {
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? Number.NaN;
  return { requests: latencies.length, failures, perSecond: (latencies.length / elapsedMs) * 1000, p50: at(0.5), p99: at(0.99) };
}

/** Closed loop: every connection sends its next request when the answer to the last has come. */
export async function closedLoop(target: Target, { connections, ms }: { connections: number; ms: number }): Promise<LoadReport> {
  const requests = render(target);
  const turn = { next: 0 };
  const all = await Promise.all(Array.from({ length: connections }, () => open(target, requests, turn)));
  const latencies: number[] = [];
  let failures = 0;
  const started = performance.now();
  const deadline = started + ms;
  // A server that never answers must not hold up the benchmark: its requests count as failures.
  const guard = setTimeout(() => {
    for (const connection of all) connection.close();
  }, ms + 10_000);
  await Promise.all(
    all.map(
      (connection) =>
        new Promise<void>((resolve) => {
          const again = () => {
            const sent = performance.now();
            if (sent >= deadline) return resolve();
            connection.send((status) => {
              latencies.push(performance.now() - sent);
              if (status !== 200) failures += 1;
              if (status === 0) return resolve();
              again();
            });
          };
          again();
        }),
    ),
  );
  const elapsed = performance.now() - started;
  clearTimeout(guard);
  for (const connection of all) connection.close();
  return report(latencies, failures, elapsed);
}

/** Open loop: `perSecond` requests leave when they are due, to a millisecond, whatever became of those before. Latency counts from the send. */
export async function openLoop(target: Target, { perSecond, ms }: { perSecond: number; ms: number }): Promise<LoadReport> {
  const requests = render(target);
  const turn = { next: 0 };
  const pool = await Promise.all(Array.from({ length: 128 }, () => open(target, requests, turn)));
  const latencies: number[] = [];
  let failures = 0;
  let inFlight = 0;
  const gap = 1000 / perSecond;
  const total = Math.floor(ms / gap);
  const started = performance.now();
  await new Promise<void>((resolve) => {
    let sent = 0;
    const tick = () => {
      // A timer, not a spinning loop: a generator that holds a core would be part of what it measures.
      if (performance.now() < started + sent * gap) {
        setTimeout(tick, 1);
        return;
      }
      const connection = pool.find((each) => !each.busy);
      if (!connection) failures += 1;
      else {
        const from = performance.now();
        inFlight += 1;
        connection.send((status) => {
          inFlight -= 1;
          latencies.push(performance.now() - from);
          if (status !== 200) failures += 1;
          if (sent >= total && inFlight === 0) resolve();
        });
      }
      sent += 1;
      if (sent < total) setImmediate(tick);
      else if (inFlight === 0) resolve();
    };
    tick();
  });
  const elapsed = performance.now() - started;
  for (const connection of pool) connection.close();
  return report(latencies, failures, elapsed);
}
