/**
 * The model door with its durable audit rows: completions a second against `@portkey-ai/gateway`, what it adds to streams against no proxy at all
 * and `@fastify/http-proxy`, and its memory over 100,000 streams. Every server is its own process, the rounds take turns, and ratios are the
 * medians of the ratios within a round.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Announcement } from './peers/announce.ts';
import { closedLoop, type LoadReport, type Target } from './peers/load.ts';
import { followStreams, type StreamReport } from './peers/streams.ts';
import type { BenchReport } from './run.ts';

const rounds = Number(process.env.BENCH_ROUNDS ?? 5);
const roundMs = Number(process.env.BENCH_ROUND_MS ?? 3000);
const manyStreams = Number(process.env.BENCH_STREAMS ?? 100_000);
const connections = 64;
const streams = 50;
const chunks = 50;

const path = '/v1/chat/completions';
const bodies = Array.from({ length: 97 }, (_, index) =>
  JSON.stringify({ model: 'porter-ngram', messages: [{ role: 'user', content: `sync salesforce contacts of the region ${index}` }] }),
);
const streamed = (count: number, gap: number) => [
  JSON.stringify({ model: 'porter-ngram', messages: [{ role: 'user', content: 'hello' }], stream: true, max_tokens: count, gap }),
];

async function start(file: string, args: string[]): Promise<{ child: ChildProcess; told: Announcement }> {
  const child = fork(join(import.meta.dirname, 'peers', file), args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const told = await new Promise<Announcement>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Announcement));
    child.once('exit', (code) => reject(new Error(`${file} ended with ${code} before it listened`)));
  });
  return { child, told };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const round = (value: number, digits = 2) => Number(value.toFixed(digits));

/** Resident memory of a process in MiB. */
const residentMiB = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024;

export async function run(): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  const open = async (file: string, args: string[]) => {
    const { child, told } = await start(file, args);
    stack.defer(async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill()) await ended;
    });
    return { ...told, pid: child.pid! };
  };
  const direct = await open('models-upstream.ts', []);
  const upstream = `http://127.0.0.1:${direct.port}`;
  const door = await open('models.ts', [upstream, 'grant']);
  const token = await open('models.ts', [upstream, 'token']);
  const portkey = await open('portkey.ts', [upstream]);
  const proxy = await open('fastify.ts', [upstream]);
  const target = ({ port, headers }: Announcement, said: string[]): Target => ({ port, headers, path, bodies: said });

  const [ours, theirs, tokens] = [target(door, bodies), target(portkey, bodies), target(token, bodies)];
  for (const each of [ours, theirs, tokens]) {
    await check(each);
    await closedLoop(each, { connections, ms: 6000 });
  }
  const loads: [LoadReport, LoadReport, LoadReport][] = [];
  for (let turn = 0; turn < rounds; turn += 1) {
    const first = await closedLoop(turn % 2 ? theirs : ours, { connections, ms: roundMs });
    const second = await closedLoop(turn % 2 ? ours : theirs, { connections, ms: roundMs });
    const third = await closedLoop(tokens, { connections, ms: roundMs });
    loads.push(turn % 2 ? [second, first, third] : [first, second, third]);
  }

  const slow = streamed(chunks, 20);
  const ways = [direct, proxy, door].map((each) => target(each, slow));
  const flows: StreamReport[][] = [];
  for (const each of ways) await followStreams(each, { streams, chunks, ms: 2000, spreadMs: chunks * 20 });
  for (let turn = 0; turn < rounds; turn += 1) {
    const reports: StreamReport[] = [];
    for (const each of ways) reports.push(await followStreams(each, { streams, chunks, ms: 3000, spreadMs: chunks * 20 }));
    flows.push(reports);
  }

  const quick = target(door, streamed(5, 0));
  const memory: number[] = [];
  let broken = 0;
  for (let part = 0; part < 10; part += 1) {
    const { failures, streams: done } = await followStreams(quick, { streams, chunks: 5, most: manyStreams / 10 });
    broken += failures + Math.max(0, manyStreams / 10 - done);
    memory.push(residentMiB(door.pid));
  }

  const per = (which: 0 | 1 | 2) => loads.map((pair) => pair[which]);
  const of = (which: number, what: keyof StreamReport) => flows.map((turn) => turn[which]![what]);
  const ratios = (what: keyof StreamReport, from: number) => round(median(flows.map((turn) => turn[2]![what] / turn[from]![what])));
  const failures = loads.flat().reduce((sum, { failures }) => sum + failures, 0) + flows.flat().reduce((sum, one) => sum + one.failures, 0);
  return {
    title: `The model door: ${connections} connections; ${streams} streams of a chunk every 20 ms; ${manyStreams} short streams`,
    rows: [
      ...(['dispatcher, under a grant', '@portkey-ai/gateway', 'dispatcher, with a token: a lease and a job each'] as const).map(
        (server, index) => ({
          server,
          'completions/s': Math.round(median(per(index as 0 | 1 | 2).map(({ perSecond }) => perSecond))),
          'p50 ms': round(median(per(index as 0 | 1 | 2).map(({ p50 }) => p50))),
          'p99 ms': round(median(per(index as 0 | 1 | 2).map(({ p99 }) => p99))),
        }),
      ),
      ...['no proxy, streams', '@fastify/http-proxy, streams', 'dispatcher, streams'].map((server, index) => ({
        server,
        'chunk p50 ms': round(median(of(index, 'delayP50')), 3),
        'chunk p99 ms': round(median(of(index, 'delayP99')), 3),
        'first p50 ms': round(median(of(index, 'firstP50')), 3),
      })),
      { server: 'dispatcher, MiB after each tenth of the short streams', memory: memory.map((one) => Math.round(one)).join(' ') },
    ],
    checks: [
      { name: 'times @portkey-ai/gateway', value: round(median(loads.map(([us, them]) => us.perSecond / them.perSecond))), atLeast: 4 },
      { name: 'times the delay of a chunk without a proxy', value: ratios('delayP50', 0), atMost: 1.7 },
      { name: 'times the first chunk of @fastify/http-proxy', value: ratios('firstP50', 1), atMost: 1.3 },
      { name: 'MiB more after the last short streams than after half of them', value: round(memory.at(-1)! - memory[4]!, 1), atMost: 20 },
      { name: 'answers that failed or broke off', value: failures + broken, atMost: 0 },
    ],
  };
}

/** One request by hand: a proxy that answers quickly with an error would win otherwise. */
async function check({ port, headers, bodies: [body] }: Target): Promise<void> {
  const init = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: body! };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  const text = await response.text();
  if (response.status !== 200 || !text.includes('There is one door.'))
    throw new Error(`${port} answered ${response.status}: ${text.slice(0, 300)}`);
}
