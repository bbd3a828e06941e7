import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Provider } from '../../../shared/cortex.ts';
import { tempFolder } from '../testing.ts';
import { createController } from './controllers.ts';
import { freePort } from './standin/testing.ts';
import { openParts, providerOf, refusal } from './testing.ts';
import { until } from './until.ts';

const never = new AbortController().signal;
/** argv: port, file for its pid and the names in its environment. */
const serverScript = `
const { writeFileSync } = require('node:fs');
const [port, file] = process.argv.slice(1);
require('node:http').createServer((request, response) => {
  response.writeHead(request.url === '/health' || request.url === '/v1/models' ? 200 : 404);
  response.end(request.url === '/v1/models' ? '{"object":"list","data":[{"id":"tiny"}]}' : '');
}).listen(Number(port), '127.0.0.1', () => writeFileSync(file, JSON.stringify({ pid: process.pid, env: Object.keys(process.env).sort() })));
`;
const node = (script: string, ...args: string[]) => [process.execPath, '-e', script, ...args];
const environment: Record<string, string> = { PATH: process.env.PATH!, HOME: '/', OPENAI_API_KEY: 'sk-secret' };
const openCommandParts = (more = {}) => openParts({ secret: (name) => environment[name] ?? null, ...more });

function commandOf(port: number, controller: { start: string[]; stop: string[] }, more: Partial<Provider> = {}) {
  const rest = { controller: { kind: 'command' as const, ...controller }, capabilities: ['stt'], warmMs: 20_000, ...more };
  return providerOf(`http://127.0.0.1:${port}`, { models: ['tiny'], ...rest });
}

const lives = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const gone = (pid: number) =>
  until({ check: async () => !lives(pid), withinMs: 10_000, failure: () => `${pid} did not end`, signal: never });

test('a start that is the server itself: warm when it answers, restarted, and ended with the unload; it sees nothing of ours', async () => {
  await using parts = openCommandParts();
  using folder = tempFolder();
  const port = await freePort();
  const file = join(folder.path, 'server.json');
  const provider = commandOf(port, { start: node(serverScript, String(port), file), stop: [] });
  const controller = createController(provider, parts);
  const tier = provider.tiers[0]!;
  const seen: unknown[] = [];
  const look = async () => seen.push((await controller.list(never)).resident.map(({ model, phase }) => `${model} ${phase}`).join());
  const known = () => JSON.parse(readFileSync(file, 'utf8')) as { pid: number; env: string[] };
  await look();
  await controller.load(tier, never);
  await look();
  const { pid, env } = known();
  await controller.load(tier, never);
  await controller.pulse(tier, never);
  seen.push(known().pid === pid, env, await controller.restart(never), known().pid === pid, lives(pid));
  const second = known().pid;
  await controller.unload(tier, never);
  await look();
  await gone(second);
  await controller.unload(tier, never);
  assert.deepEqual(seen, ['', 'tiny warm', true, ['HOME', 'PATH'], true, false, false, '']);
});

test('a start that hands the server to somebody else, and a stop: no shell reads either', async () => {
  await using parts = openCommandParts();
  using folder = tempFolder();
  const port = await freePort();
  const file = join(folder.path, 'server $(touch x); `y` "z".json');
  const hand = `
    const { spawn } = require('node:child_process');
    spawn(process.execPath, ['-e', ...process.argv.slice(1)], { detached: true, stdio: 'ignore' }).unref();`;
  const end = `process.kill(JSON.parse(require('node:fs').readFileSync(process.argv[1])).pid)`;
  const controller = { start: node(hand, serverScript, String(port), file), stop: node(end, file) };
  const provider = commandOf(port, controller);
  const { load, unload, list } = createController(provider, parts);
  await load(provider.tiers[0]!, never);
  const { pid } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number };
  const warm = (await list(never)).resident.length;
  // Who did not start it stops it all the same.
  await createController(provider, parts).unload(provider.tiers[0]!, never);
  await gone(pid);
  assert.deepEqual([warm, (await list(never)).resident], [1, []]);
  const failing = await refusal(unload(provider.tiers[0]!, never));
  assert.equal(failing[0], 'upstream_failed');
  assert.match(failing[1], /^box could not be stopped \(exit code 1\): .*ESRCH/);
});

test('every way in which a command fails has its code, and nothing of it goes on', async () => {
  await using parts = openCommandParts();
  using folder = tempFolder();
  const port = await freePort();
  const load = (start: string[], more: Partial<Provider> = {}, signal = never) => {
    const provider = commandOf(port, { start, stop: [] }, more);
    return refusal(createController(provider, parts).load(provider.tiers[0]!, signal));
  };
  assert.deepEqual(await load(['/no/such/program']), [
    'upstream_failed',
    'box could not be started (exit code 127): there is no program /no/such/program, or no folder /',
  ]);
  assert.deepEqual(await load(['bad\0name']).then(([code]) => code), 'upstream_failed');
  assert.deepEqual(await load(node('console.error("\\x1b[31mno GPU\\x1b[0m"); process.exit(4)')), [
    'upstream_failed',
    'box could not be started (exit code 4): no GPU',
  ]);
  assert.deepEqual(await load(node('console.error("x\\ntorch.OutOfMemoryError: CUDA out of memory.\\ny"); process.exit(1)')), [
    'vram_exhausted',
    'box ran out of memory: torch.OutOfMemoryError: CUDA out of memory.',
  ]);
  assert.equal((await load(node('process.exit(137)')))[0], 'vram_exhausted');

  // It ignores the request to end, and has a child that does, too.
  const file = join(folder.path, 'pids');
  const stubborn = `
    process.on('SIGTERM', () => {});
    const deaf = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')";
    const child = require('node:child_process').spawn(process.execPath, ['-e', deaf], { stdio: ['ignore', 'pipe', 'ignore'] });
    child.stdout.once('data', () => require('node:fs').writeFileSync(process.argv[1], JSON.stringify([process.pid, child.pid])));`;
  const given = new AbortController();
  const late = load(node(stubborn, file), {}, given.signal);
  const written = async () => existsSync(file) && readFileSync(file, 'utf8') !== '';
  await until({ check: written, withinMs: 20_000, failure: () => 'it did not start', signal: never });
  given.abort();
  const [code] = await late;
  const pids = JSON.parse(readFileSync(file, 'utf8')) as number[];
  for (const pid of pids) await gone(pid);
  assert.equal(code, 'cancelled');
  assert.deepEqual(await load(node('setInterval(() => {}, 1000)'), { warmMs: 300 }), [
    'upstream_timeout',
    'box did not become ready (127.0.0.1 refused the connection.) within 0.3 s.',
  ]);
});

test('a stop that hangs is ended; one that is missing is said; a remote provider is not started under sovereign', async () => {
  await using parts = openCommandParts();
  await using closed = openCommandParts({ sovereign: () => true });
  using folder = tempFolder();
  const port = await freePort();
  const file = join(folder.path, 'server.json');
  const start = node(serverScript, String(port), file);
  const provider = commandOf(port, { start, stop: [] });
  const controller = createController(provider, parts);
  const tier = provider.tiers[0]!;
  await controller.load(tier, never);
  const hangs = commandOf(port, { start, stop: node('setInterval(() => {}, 1000)') }, { drainMs: 300 });
  const said = [
    await refusal(createController(hangs, parts).unload(tier, never)),
    await refusal(createController(provider, parts).unload(tier, never)),
  ];
  await controller.unload(tier, never);
  writeFileSync(file, '');
  const remote = commandOf(port, { start, stop: start }, { egress: 'remote' });
  const codes = [
    await refusal(createController(remote, closed).load(tier, never)),
    await refusal(createController(remote, closed).unload(tier, never)),
  ];
  assert.deepEqual(
    [said, codes.map(([code]) => code), readFileSync(file, 'utf8')],
    [
      [
        ['upstream_timeout', 'The stop command of box did not end within 0.3 s.'],
        ['upstream_failed', 'box has no stop command, and was not started by this core.'],
      ],
      ['sovereign_refused', 'sovereign_refused'],
      '',
    ],
  );
});
