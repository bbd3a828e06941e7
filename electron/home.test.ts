import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempFolder } from './core/testing.ts';
import { askHome, claimHome, findRunning, homeFolder } from './home.ts';

const running = { pid: process.pid, url: 'http://127.0.0.1:1234', port: 1234, token: 'dsp_secret' };
const me = () => ({ pid: process.pid, url: running.url });

test('a claim publishes runtime.json for its owner only, is found, and takes it away', async () => {
  using home = tempFolder();
  assert.equal(await findRunning(home.path), null);
  const claim = await claimHome(home.path, me);
  assert.equal(await findRunning(home.path), null, 'nothing is published yet');
  claim.publish(running);
  assert.deepEqual(await findRunning(home.path), running);
  assert.equal(statSync(join(home.path, 'runtime.json')).mode & 0o777, 0o600);
  await claim[Symbol.asyncDispose]();
  assert.equal(await findRunning(home.path), null);
  assert.deepEqual(readdirSync(home.path), []);
});

test('a second claim on one home is a conflict', async () => {
  using home = tempFolder();
  await using _claim = await claimHome(home.path, me);
  await assert.rejects(claimHome(home.path, me), (caught: { wire?: { code: string } }) => caught.wire?.code === 'conflict');
  assert.deepEqual(await askHome(home.path, { ask: 'who' }), me());
});

test('of ten claims at once one wins', async () => {
  using home = tempFolder();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => claimHome(home.path, me)));
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  assert.equal(won.length, 1);
  await won[0]!.value[Symbol.asyncDispose]();
});

test('F12: a runtime.json left by a killed core is not believed, whoever sits on its port now', async () => {
  using home = tempFolder();
  const heard: string[] = [];
  const squatter = createServer((socket) => socket.on('data', (data) => heard.push(String(data))));
  squatter.listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  const { port } = squatter.address() as AddressInfo;

  const file = join(home.path, 'killed.mjs');
  writeFileSync(
    file,
    `import { claimHome } from ${JSON.stringify(new URL('./home.ts', import.meta.url).href)};
     const claim = await claimHome(${JSON.stringify(home.path)}, () => ({ pid: process.pid, url: 'http://127.0.0.1:${port}' }));
     claim.publish({ pid: process.pid, url: 'http://127.0.0.1:${port}', port: ${port}, token: 'dsp_canary' });
     process.send('ready');
     setInterval(() => {}, 1000);`,
  );
  const child = fork(file);
  await once(child, 'message');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(readdirSync(home.path).includes('runtime.json'), 'the killed core left its file');

  assert.equal(await findRunning(home.path), null);
  await using claim = await claimHome(home.path, me);
  assert.equal(await findRunning(home.path), null, 'the old file is gone');
  claim.publish(running);
  assert.deepEqual(await findRunning(home.path), running);
  assert.deepEqual(heard, []);
  squatter.close();
});

test('a home with a path too long for a socket works all the same', async () => {
  using home = tempFolder();
  const long = join(home.path, 'x'.repeat(120));
  await using claim = await claimHome(long, me);
  claim.publish(running);
  assert.deepEqual(await findRunning(long), running);
  await assert.rejects(claimHome(long, me), { name: 'Refusal' });
});

test('DISPATCHER_HOME is the folder; without it the platform has one', () => {
  assert.equal(homeFolder({ DISPATCHER_HOME: '/somewhere' }), '/somewhere');
  assert.match(homeFolder({}), /dispatcher/);
});
