/** The tools as a caller meets them: through the core, its registry file, its record and its switch. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Ask } from '../../../shared/contract.ts';
import { createCore } from '../core.ts';
import { createEgress } from '../egress.ts';
import { createScratch } from '../store/scratch.ts';
import { createToolbox, toolNames } from './toolbox.ts';

const manual = readFileSync(join(import.meta.dirname, '../../../resources/registry.yaml'), 'utf8');

async function open(t: TestContext, { tools = '', mock = false } = {}) {
  const home = mkdtempSync(join(tmpdir(), 'dispatcher-tools-'));
  const core = await createCore({ home, template: manual + tools, version: 'test', mock });
  t.after(async () => {
    await core[Symbol.asyncDispose]();
    rmSync(home, { recursive: true, force: true });
  });
  const ask = (call: Ask, principal = core.owner.principal) => core.dispatch({ ...call, door: 'library', principal });
  return { home, core, ask };
}

test('the names that a registry may use are those of the tools there are', async (t) => {
  await using egress = createEgress({ sovereign: () => false });
  const settings = () => ({ roots: [], fetchHosts: [], ssh: { knownHosts: null, hosts: [] } });
  const tools = createToolbox({ store: await createScratch(t).open(), egress, settings, clock: Date.now });
  assert.deepEqual([...tools.keys()], toolNames);
});

test('the manual registry routes words to the tools, and everything else where it went', async (t) => {
  const { ask } = await open(t);
  const answer = async (text: string) => {
    const { route, result, error } = await ask({ text });
    return [route, error?.code ?? result];
  };
  assert.deepEqual((await answer('what is 2+2'))[0], 'OS.calc');
  const [route, stored] = await answer('remember that the Eiffel Tower is in Paris');
  assert.deepEqual([route, (stored as { status: string }).status], ['OS.memory.write', 'stored']);
  const [found, items] = await answer('what do you remember about paris');
  assert.deepEqual([found, (items as { items: { text: string }[] }).items[0]?.text], ['OS.memory.search', 'the Eiffel Tower is in Paris']);
  assert.deepEqual(await answer('fetch http://169.254.169.254/latest/meta-data'), ['OS.fetch', 'egress_refused']);
  assert.deepEqual(await answer('read the file notes/today.txt'), ['OS.fs.read', 'forbidden']);
  const { result: resolution } = await ask({ route: 'OS.resolve', params: { text: 'fetch https://example.com' } });
  assert.match((resolution as { egress: { reason: string } }).egress.reason, /each address it calls is judged/);
  const dry = await ask({ route: 'OS.ssh.exec', params: { host: 'server.example.com', command: 'rm -rf /' } });
  assert.deepEqual([dry.ok, (dry.result as { dry_run: boolean }).dry_run], [true, true]);
  const bad = await ask({ route: 'OS.ssh.exec.peek', params: { host: '127.0.0.1', command: 'cat /etc/hosts; id' } });
  assert.deepEqual([bad.error?.code, bad.job !== null, bad.audit !== null], ['forbidden', true, true]);
});

test('declared folders count as soon as the registry says so; principals keep their own', async (t) => {
  const notes = mkdtempSync(join(tmpdir(), 'dispatcher-notes-'));
  t.after(() => rmSync(notes, { recursive: true, force: true }));
  mkdirSync(join(notes, 'sub'));
  writeFileSync(join(notes, 'a.txt'), 'hello');
  const { ask } = await open(t, { tools: `\ntools: { fs: { roots: [{ name: notes, path: ${JSON.stringify(notes)} }] } }\n` });
  const read = await ask({ text: 'read the file notes/a.txt' });
  assert.equal((read.result as { text: string }).text, 'hello');
  assert.equal((await ask({ route: 'OS.fs.write', params: { path: 'notes/b.txt', content: 'x' } })).error?.code, 'forbidden');
  const bob = { id: 'tok_bob', name: 'Bob', capabilities: ['dispatch'] as const };
  await ask({ route: 'OS.memory.write', params: { text: 'mine' } });
  const { result } = await ask({ route: 'OS.memory.list' }, bob);
  assert.deepEqual((result as { items: unknown[] }).items, []);
  const peek = await ask({ route: 'OS.ssh.exec.peek', params: { host: '127.0.0.1', command: 'uptime' } }, bob);
  assert.deepEqual([peek.error?.code, peek.error?.needed], ['forbidden', ['admin']]);
});

test('in mock mode nothing is fetched, run or written; S02: sovereign refuses what would leave', async (t) => {
  const { ask: mocked } = await open(t, { mock: true });
  for (const [route, params] of Object.entries({
    'OS.fetch': { url: 'https://example.com' },
    'OS.ssh.exec': { host: 'a.test', command: 'x', confirm_dangerous: true },
    'OS.ssh.exec.peek': { host: 'a.test', command: 'uptime' },
    'OS.fs.write': { path: 'x', content: 'x' },
  }))
    assert.equal(((await mocked({ route, params })).result as { mock: boolean }).mock, true, route);
  const { ask } = await open(t);
  assert.equal((await ask({ route: 'OS.sovereign.set', params: { on: true }, confirm: true })).error, null);
  assert.equal((await ask({ route: 'OS.fetch', params: { url: 'https://example.com' } })).error?.code, 'sovereign_refused');
  assert.equal(
    (await ask({ route: 'OS.ssh.exec.peek', params: { host: 'far.example.com', command: 'uptime' } })).error?.code,
    'sovereign_refused',
  );
});
