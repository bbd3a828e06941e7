/**
 * Jobs that do nothing, 64 in flight, from accepted to finished, with durable audit, against BullMQ and pg-boss on databases that make every commit
 * durable. Every one of them has a process of its own; the rounds take turns, so that a machine that slows down slows all of them; ratios are the
 * medians of the ratios within a round, against whichever way of a peer was faster in it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type FromPeer, IN_FLIGHT, type ToPeer } from './peers/rounds.ts';
import type { BenchReport } from './run.ts';

const rounds = Number(process.env.BENCH_ROUNDS ?? 5);
const roundMs = Number(process.env.BENCH_ROUND_MS ?? 3000);
const warmMs = 3000;

const peers = [
  { file: 'jobs.ts', ways: { single: 'dispatcher' } },
  { file: 'bullmq.ts', ways: { single: 'BullMQ, one by one', bulk: 'BullMQ, 64 at once' } },
  { file: 'pgboss.ts', ways: { single: 'pg-boss, one by one', bulk: 'pg-boss, 64 at once' } },
];

/** A process that works off jobs when it is told to, or the reason why it cannot be had here. */
async function start(file: string, folder: string): Promise<{ child: ChildProcess; absent: string | null }> {
  const child = fork(join(import.meta.dirname, 'peers', file), [folder], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const said = await answer(child).catch((caught: Error): FromPeer => ({ is: 'absent', reason: caught.message }));
  return { child, absent: said.is === 'absent' ? said.reason : null };
}

const answer = (child: ChildProcess) =>
  new Promise<FromPeer>((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`it ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      resolve(message as FromPeer);
    });
  });

async function play(child: ChildProcess, asked: ToPeer): Promise<number> {
  child.send(asked);
  const said = await answer(child);
  if (said.is !== 'round') throw new Error(`a round was answered with ${said.is}`);
  return said.perSecond;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const round = (value: number) => Number(value.toFixed(2));

export async function run(): Promise<BenchReport> {
  // Not the system's temporary folder: that may be memory, and then a durable commit costs nothing.
  const cache = process.env.BENCH_FOLDER ?? join(import.meta.dirname, '.cache');
  mkdirSync(cache, { recursive: true });
  await using stack = new AsyncDisposableStack();
  const open = async (file: string) => {
    const folder = mkdtempSync(join(cache, 'jobs-'));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const started = await start(file, folder);
    stack.defer(async () => {
      const { child } = started;
      if (child.exitCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.disconnect();
      await ended;
    });
    return started;
  };
  const all: { name: string; peer: string; way: string; child: ChildProcess; absent: string | null; perSecond: number[] }[] = [];
  for (const { file, ways } of peers) {
    const { child, absent } = await open(file);
    for (const [way, name] of Object.entries(ways)) all.push({ name, peer: file, way, child, absent, perSecond: [] });
  }
  const present = all.filter(({ absent }) => absent === null);
  // Until the engine has compiled what is hot in each of them.
  for (const { child, way } of present) await play(child, { way, ms: warmMs });
  for (let turn = 0; turn < rounds; turn++) {
    // The order turns round too: none always follows the same one.
    for (const each of turn % 2 ? present.toReversed() : present)
      each.perSecond.push(await play(each.child, { way: each.way, ms: roundMs }));
  }

  const own = all[0]!.perSecond;
  const best = (peer: string) => {
    const ways = present.filter((each) => each.peer === peer);
    return own.map((_, turn) => Math.max(...ways.map(({ perSecond }) => perSecond[turn]!)));
  };
  const over = (others: number[]) => round(median(own.map((perSecond, turn) => perSecond / others[turn]!)));
  const check = (peer: string, name: string, atLeast: number) =>
    present.some((each) => each.peer === peer) ? [{ name, value: over(best(peer)), atLeast }] : [];
  return {
    title: `Jobs that do nothing, ${IN_FLIGHT} in flight, median of ${rounds} rounds of ${roundMs / 1000} s in turn`,
    rows: all.map(({ name, absent, perSecond }) => ({
      queue: name,
      'jobs/s': absent === null ? Math.round(median(perSecond)) : null,
      'dispatcher / this': absent === null ? over(perSecond) : null,
      note: absent && `cannot be had here: ${absent}`,
    })),
    checks: [...check('bullmq.ts', 'times BullMQ', 1.5), ...check('pgboss.ts', 'times pg-boss', 3)],
  };
}
