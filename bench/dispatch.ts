/**
 * One dispatch over HTTP with durable audit, against three proxies that keep no record, in front of one upstream. Every
 * server is its own process; the rounds take turns, so that a machine that slows down slows all of them; ratios are the
 * medians of the ratios within a round.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Announcement } from './peers/announce.ts';
import { closedLoop, type LoadReport, openLoop, type Target } from './peers/load.ts';
import type { BenchReport } from './run.ts';

const connections = 64;
const rounds = Number(process.env.BENCH_ROUNDS ?? 5);
const roundMs = Number(process.env.BENCH_ROUND_MS ?? 3000);

const texts = Array.from({ length: 97 }, (_, index) => `sync salesforce contacts of the region ${index}`);
const asks = texts.map((query) => JSON.stringify({ query }));
const chats = texts.map((content) => JSON.stringify({ model: 'porter-ngram', messages: [{ role: 'user', content }] }));

const peers = [
  { name: 'dispatcher', file: 'dispatcher.ts', args: ['on'], path: '/dispatch', bodies: asks },
  { name: 'bare node:http + undici', file: 'bare.ts', args: [], path: '/v1/salesforce', bodies: asks },
  { name: '@fastify/http-proxy', file: 'fastify.ts', args: [], path: '/v1/salesforce', bodies: asks },
  { name: 'dispatcher, audit off', file: 'dispatcher.ts', args: ['off'], path: '/dispatch', bodies: asks },
  { name: '@portkey-ai/gateway', file: 'portkey.ts', args: [], path: '/v1/chat/completions', bodies: chats },
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

export async function run(): Promise<BenchReport> {
  await using stack = new AsyncDisposableStack();
  const open = async (file: string, args: string[]) => {
    const { child, told } = await start(file, args);
    stack.defer(async () => {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      if (child.exitCode === null && child.kill()) await ended;
    });
    return told;
  };
  const upstream = `http://127.0.0.1:${(await open('upstream.ts', [])).port}`;
  const targets: { name: string; target: Target; loads: LoadReport[]; quiet: LoadReport[] }[] = [];
  for (const { name, file, args, path, bodies } of peers) {
    const { port, headers } = await open(file, [upstream, ...args]);
    const target = { port, path, headers, bodies };
    await check(name, target);
    targets.push({ name, target, loads: [], quiet: [] });
  }
  // Until the engine has compiled what is hot in each of them: the longer path takes longer.
  for (const { target } of targets) await closedLoop(target, { connections, ms: 6000 });
  for (let turn = 0; turn < rounds; turn += 1) {
    // The order turns round too: none always follows the same one.
    for (const each of turn % 2 ? targets.toReversed() : targets)
      each.loads.push(await closedLoop(each.target, { connections, ms: roundMs }));
  }
  for (let turn = 0; turn < 2; turn += 1) {
    for (const each of targets.slice(0, 2)) each.quiet.push(await openLoop(each.target, { perSecond: 500, ms: 2500 }));
  }

  const [self, bare, proxy, unaudited, portkey] = targets as [Each, Each, Each, Each, Each];
  const ratio = (other: Each) => round(median(self.loads.map((load, turn) => load.perSecond / other.loads[turn]!.perSecond)));
  const quiet = (each: Each) => median(each.quiet.map((load) => load.p50));
  const added = round(quiet(self) - quiet(bare), 3);
  const failures = targets.reduce((sum, each) => sum + [...each.loads, ...each.quiet].reduce((all, load) => all + load.failures, 0), 0);
  return {
    title: `Dispatch over HTTP, ${connections} connections, median of ${rounds} rounds of ${roundMs / 1000} s in turn`,
    rows: targets.map((each) => ({
      server: each.name,
      'requests/s': Math.round(median(each.loads.map((load) => load.perSecond))),
      'p50 ms': round(median(each.loads.map((load) => load.p50))),
      'p99 ms': round(median(each.loads.map((load) => load.p99))),
      'dispatcher / this': each === self ? 1 : ratio(each),
      'p50 ms at 500/s': each.quiet.length ? round(quiet(each), 3) : null,
    })),
    checks: [
      { name: 'times @fastify/http-proxy', value: ratio(proxy), atLeast: 1 },
      { name: 'times the bare proxy', value: ratio(bare), atLeast: 0.5 },
      { name: 'times @portkey-ai/gateway', value: ratio(portkey), atLeast: 4 },
      { name: 'times itself with audit off', value: ratio(unaudited), atLeast: 0.7 },
      { name: 'ms added at the median at 500/s over the bare proxy', value: added, atMost: 0.5 },
      { name: 'answers that were not 200', value: failures, atMost: 0 },
    ],
  };
}

type Each = { name: string; target: Target; loads: LoadReport[]; quiet: LoadReport[] };

/** One request by hand: a proxy that answers quickly with an error would win otherwise. */
async function check(name: string, { port, path, headers, bodies }: Target): Promise<void> {
  const init = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: bodies[0]! };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  const text = await response.text();
  const fits = response.status === 200 && (text.includes('"synced":150') || text.includes('There is one door.'));
  if (!fits) throw new Error(`${name} answered ${response.status}: ${text.slice(0, 300)}`);
}
