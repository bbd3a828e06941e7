/** How soon `dispatcher serve` gives its first answer, and what it takes of the machine when nobody calls. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import type { BenchReport } from './run.ts';

const starts = Number(process.env.BENCH_STARTS ?? 5);
const idleMs = Number(process.env.BENCH_IDLE_MS ?? 10_000);
const cli = join(import.meta.dirname, '..', 'bin', 'dispatcher.mjs');

/** From the spawn to the body of the first answer, in milliseconds. */
async function start(home: string, flags: string[] = []): Promise<{ child: ChildProcess; ms: number }> {
  const runtime = join(home, 'runtime.json');
  const began = performance.now();
  const child = spawn(process.execPath, [cli, 'serve', '--port', '0', ...flags], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { ...process.env, DISPATCHER_HOME: home },
  });
  for (;;) {
    if (child.exitCode !== null) throw new Error(`dispatcher serve ended with ${child.exitCode}`);
    if (performance.now() - began > 20_000) {
      child.kill('SIGKILL');
      throw new Error('dispatcher serve wrote no runtime.json within 20 s');
    }
    if (existsSync(runtime)) {
      const text = readFileSync(runtime, 'utf8');
      if (text.trimEnd().endsWith('}')) {
        const { url, token } = JSON.parse(text) as { url: string; token: string };
        const answer = await fetch(new URL('/dispatch', url), {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ query: 'what is 2+2' }),
        });
        const crossing = (await answer.json()) as { ok: boolean; route: string };
        if (!crossing.ok || crossing.route !== 'OS.calc') throw new Error(`the first answer was ${JSON.stringify(crossing).slice(0, 300)}`);
        return { child, ms: performance.now() - began };
      }
    }
    await wait(2);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await Promise.race([ended, wait(5000).then(() => child.kill('SIGKILL'))]);
}

/** Seconds of processor and bytes of memory a process has used, from /proc (Linux; 100 ticks a second). Null elsewhere. */
function usage(pid: number): { cpuSeconds: number; bytes: number } | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    const rss = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return { cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100, bytes: Number(rss) * 1024 };
  } catch {
    return null;
  }
}

/** Percent of a core that a process takes while nobody calls, and its memory after that. */
async function idle(pid: number): Promise<{ cpu: number | null; mib: number | null }> {
  // What starting left to do is not idling.
  await wait(3000);
  const before = usage(pid);
  await wait(idleMs);
  const after = usage(pid);
  return {
    cpu: before && after ? Number((((after.cpuSeconds - before.cpuSeconds) / idleMs) * 100_000).toFixed(2)) : null,
    mib: after ? Math.round(after.bytes / 1024 / 1024) : null,
  };
}

export async function run(): Promise<BenchReport> {
  const cache = join(import.meta.dirname, '.cache');
  mkdirSync(cache, { recursive: true });
  const home = mkdtempSync(join(cache, 'cold-'));
  let running: ChildProcess | null = null;
  try {
    const times: number[] = [];
    let first = 0;
    for (let count = 0; count <= starts; count += 1) {
      rmSync(join(home, 'runtime.json'), { force: true });
      const { child, ms } = await start(home);
      running = child;
      if (count === 0) first = ms;
      else times.push(ms);
      if (count < starts) await stop(child);
    }
    const { cpu, mib } = await idle(running!.pid!);
    const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;
    await stop(running!);
    running = null;
    rmSync(join(home, 'runtime.json'), { force: true });
    running = (await start(home, ['--demo'])).child;
    const demo = await idle(running.pid!);
    return {
      title: 'The headless core, from the spawn of `dispatcher serve` to its first answer, and idle',
      rows: [
        { what: 'first start in an empty folder, ms', value: Math.round(first) },
        { what: `start, median of ${starts}, ms`, value: Math.round(median) },
        { what: `idle for ${idleMs / 1000} s, % of a core`, value: cpu },
        { what: 'resident memory then, MiB', value: mib },
        { what: 'the same with the demo, whose services are in the process, % of a core', value: demo.cpu },
      ],
      checks: [
        { name: 'ms to the first answer', value: Math.round(median), atMost: 400 },
        ...(cpu === null ? [] : [{ name: '% of a core when idle', value: cpu, atMost: 1 }]),
        ...(demo.cpu === null ? [] : [{ name: '% of a core when idle, with the demo', value: demo.cpu, atMost: 1 }]),
        ...(mib === null ? [] : [{ name: 'MiB resident when idle', value: mib, atMost: 150 }]),
      ],
    };
  } finally {
    if (running) await stop(running);
    rmSync(home, { recursive: true, force: true });
  }
}
