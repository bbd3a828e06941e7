import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import type { Crossing } from '../shared/model.ts';
import type { Running } from './home.ts';

const command = fileURLToPath(new URL('../bin/dispatcher.mjs', import.meta.url));

function openHome() {
  const path = mkdtempSync(join(tmpdir(), 'cli-'));
  const children: ChildProcess[] = [];
  const start = (args: string[], node = process.execPath) => {
    const child = spawn(node, [command, ...args], { env: { ...process.env, DISPATCHER_HOME: path, CI: '1' } });
    children.push(child);
    const out = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      out.stderr += text;
    });
    const ended = once(child, 'close').then(([exit]) => ({ exit: exit as number, ...out }));
    return { child, out, ended };
  };
  const serve = async (...args: string[]) => {
    const server = start(['serve', '--port', '0', ...args]);
    while (!server.out.stderr.includes('"serving"')) await Promise.race([once(server.child.stderr, 'data'), server.ended]);
    const runtime = JSON.parse(readFileSync(join(path, 'runtime.json'), 'utf8')) as Running;
    return { ...server, runtime };
  };
  return {
    path,
    start,
    serve,
    run: (...args: string[]) => start(args).ended,
    [Symbol.dispose]() {
      for (const child of children) child.kill('SIGKILL');
      rmSync(path, { recursive: true, force: true });
    },
  };
}

test('without a core, a command hosts one, answers and ends', async () => {
  using home = openHome();
  const { exit, stdout, stderr } = await home.run('dispatch', 'sync salesforce contacts', '--demo', '--json');
  assert.deepEqual([exit, stderr], [0, '']);
  const crossing = JSON.parse(stdout) as Crossing;
  assert.deepEqual([crossing.route, crossing.door, crossing.ok], ['FND.salesforce', 'cli', true]);
  assert.ok(crossing.confidence !== null && crossing.confidence >= 0.9);
  assert.equal(existsSync(join(home.path, 'runtime.json')), false);
  assert.match(readFileSync(join(home.path, 'demo-registry.yaml'), 'utf8'), /127\.0\.0\.1/);
});

test('commands at the same time wait for one another', async () => {
  using home = openHome();
  const both = await Promise.all([home.run('dispatch', 'what is 2+2', '--json'), home.run('dispatch', 'what is 3+3', '--json')]);
  assert.deepEqual(
    both.map(({ exit, stderr }) => [exit, stderr]),
    [
      [0, ''],
      [0, ''],
    ],
  );
});

test('serve tells where it is, commands use it, a second one is a conflict, SIGTERM ends it with 0', async () => {
  using home = openHome();
  const server = await home.serve('--demo');
  assert.deepEqual(Object.keys(server.runtime).sort(), ['pid', 'port', 'token', 'url']);
  for (const line of server.out.stderr.trim().split('\n')) assert.equal(typeof JSON.parse(line).message, 'string');
  assert.equal(server.out.stdout, '');

  const answer = await fetch(`${server.runtime.url}/dispatch`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.runtime.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'sync salesforce contacts' }),
  });
  assert.equal(((await answer.json()) as Crossing).route, 'FND.salesforce');

  const crossing = JSON.parse((await home.run('dispatch', 'sync salesforce contacts', '--demo', '--json')).stdout) as Crossing;
  assert.deepEqual([crossing.ok, crossing.door], [true, 'ws']);
  const mock = await home.run('dispatch', 'x', '--mock');
  assert.equal(mock.exit, 4);
  assert.match(mock.stderr, /was started without --mock/);
  assert.match((await home.run('open')).stdout, new RegExp(`Open ${server.runtime.url}/session/\\S+ in a browser`));
  const second = await home.run('serve', '--port', '0');
  assert.equal(second.exit, 4);
  assert.match(second.stderr, /error \(conflict\): Another Dispatcher has /);

  server.child.kill('SIGTERM');
  assert.equal((await server.ended).exit, 0);
  assert.equal(existsSync(join(home.path, 'runtime.json')), false);
});

test('a job under way does not hold up the end for longer than five seconds, and none is left running', async () => {
  using home = openHome();
  const server = await home.serve('--demo');
  const client = home.start(['dispatch', 'deploy the website', '--json']);
  const { url, token } = server.runtime;
  const running = async () => {
    const answer = await fetch(`${url}/jobs?state=running`, { headers: { authorization: `Bearer ${token}` } });
    return ((await answer.json()) as { jobs: unknown[] }).jobs.length;
  };
  while ((await running()) === 0);
  const asked = performance.now();
  server.child.kill('SIGTERM');
  assert.equal((await server.ended).exit, 0);
  assert.ok(performance.now() - asked < 6000);
  assert.equal((await client.ended).exit, 7);
  const { jobs } = JSON.parse((await home.run('jobs', '--json')).stdout) as { jobs: { state: string }[] };
  assert.deepEqual(
    jobs.map(({ state }) => state === 'running'),
    [false],
  );
});

test('F12: a port that was asked for and is taken is refused; the one who has it gets no token', async () => {
  using home = openHome();
  const heard: string[] = [];
  const squatter = createServer((request, response) => {
    heard.push(JSON.stringify(request.headers));
    response.end('{"ok":true}');
  });
  squatter.listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  const { port } = squatter.address() as AddressInfo;
  const { exit, stderr } = await home.run('serve', '--port', String(port));
  assert.equal(exit, 7);
  assert.match(stderr, /error \(port_taken\)/);
  writeFileSync(
    join(home.path, 'runtime.json'),
    JSON.stringify({ pid: process.pid, url: `http://127.0.0.1:${port}`, port, token: 'dsp_canary' }),
  );
  assert.equal((await home.run('routes', '--mock')).exit, 0);
  assert.deepEqual(heard, []);
  squatter.close();
});

test('audit verify needs no core: 0 when the chain holds, 1 when a byte was flipped, 2 when there is nothing to read', async () => {
  using home = openHome();
  assert.equal((await home.run('audit', 'verify')).exit, 2);
  await home.run('dispatch', 'sync salesforce contacts', '--mock');
  const good = await home.run('audit', 'verify');
  assert.equal(good.exit, 0);
  assert.match(good.stdout, /🟢 the audit chain holds: \d+ rows/);
  const database = new Database(join(home.path, 'dispatcher.sqlite'));
  database.exec("DROP TRIGGER IF EXISTS audit_no_update; UPDATE audit SET outcome = 'oh' WHERE outcome = 'ok'");
  database.close();
  const bad = await home.run('audit', 'verify');
  assert.equal(bad.exit, 1);
  assert.match(bad.stdout, /🔴 the audit chain is broken at row \d+/);
});

test('usage is refused with 2 on stderr, or as JSON on stdout', async () => {
  using home = openHome();
  const human = await home.run('dispatch', 'x', '--jsno');
  assert.deepEqual([human.exit, human.stdout], [2, '']);
  assert.match(human.stderr, /Did you mean --json\?/);
  const json = await home.run('rotues', '--json');
  assert.deepEqual([json.exit, JSON.parse(json.stdout).error.code], [2, 'usage']);
  assert.match((await home.run('version')).stdout, /^dispatcher \d+\.\d+\.\d+ \(Node v24/);
});

test('an older Node hands over to the bundled one: exit codes and signals pass through', async (t) => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => existsSync(path));
  const version = old && (await once(spawn(old, ['-p', 'process.versions.node']).stdout, 'data')).join();
  if (!old || Number(version?.split('.')[0]) >= 24) return t.skip('no Node older than 24 on this system');
  using home = openHome();
  assert.match((await home.start(['version'], old).ended).stdout, /\(Node v24/);
  assert.equal((await home.start(['rotues'], old).ended).exit, 2);
  const server = home.start(['serve', '--port', '0', '--mock'], old);
  while (!server.out.stderr.includes('"serving"')) await once(server.child.stderr, 'data');
  server.child.kill('SIGINT');
  assert.equal((await server.ended).exit, 0);
});
