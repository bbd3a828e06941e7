/** What `kill -9` of `dispatcher serve` leaves of grants, of those who wait for one, and of streams under them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { CortexState, Grant } from '../../shared/cortex.ts';
import type { AuditEntry } from '../../shared/model.ts';
import { GiB, only, provider, type Standing, seen, startBox } from './card-testing.ts';

const command = fileURLToPath(new URL('../../bin/dispatcher.mjs', import.meta.url));

/** The real command on a home of its own. */
async function serve(home: string) {
  const child = spawn(process.execPath, [command, 'serve', '--port', '0'], {
    env: { ...process.env, DISPATCHER_HOME: home, CI: '1' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'close');
  while (!said.includes('"serving"') && child.exitCode === null) await Promise.race([once(child.stderr, 'data'), ended]);
  assert.equal(child.exitCode, null, said);
  const { url, token } = JSON.parse(readFileSync(join(home, 'runtime.json'), 'utf8')) as { url: string; token: string };
  const ask = (method: string, path: string, { body, as = token }: { body?: unknown; as?: string } = {}) =>
    fetch(new URL(path, url), {
      method,
      headers: { authorization: `Bearer ${as}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  return {
    ask,
    get: async <T>(path: string) => (await (await ask('GET', path)).json()) as T,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

test('a core that is killed: no grant is half there, streams end without [DONE], and what is still warm is seen', {
  timeout: 120_000,
}, async () => {
  await using box = await startBox({ 'a:8B': GiB, 'b:8B': GiB, 'c:8B': GiB });
  const home = mkdtempSync(join(tmpdir(), 'killed-'));
  try {
    const list = ['a', 'b', 'c'].map((name) => provider(name, box, { sizes: { '8B': 1 }, capabilities: [name] })).join('\n');
    writeFileSync(join(home, 'registry.yaml'), `orgs: { T: { name: Test, services: {} } }\nlimits: off\nproviders:\n${list}\n`);
    const first = await serve(home);
    const grantOf = async (server: typeof first, capability: string) => {
      const response = await server.ask('POST', '/grants', { body: { need: { capabilities: [capability] }, task: `task ${capability}` } });
      return (await response.json()) as Grant;
    };
    await seen(async () => (await first.get<CortexState>('/cortex')).models.every(({ phase }) => phase !== 'unknown'));
    const [granted, ended] = [await grantOf(first, 'a'), await grantOf(first, 'a')];
    await first.ask('DELETE', `/grants/${ended.id}`);
    const stream = await first.ask('POST', '/v1/chat/completions', {
      as: granted.api_key!,
      body: { model: 'a:8B', stream: true, messages: [{ role: 'user', content: 'go' }] },
    });
    await seen(() => box.streams.length === 1);
    // Two on their way: one whose model is being loaded, one that is pulsed.
    box.hold.load = new Promise(() => {});
    const waiting = grantOf(first, 'b').catch(() => 'cut');
    await seen(() => only(box.log, 'load').includes('b:8B'));
    await first.kill();
    const heard = await stream.text().catch((caught: Error) => `broke: ${caught.message}`);
    await box.streams[0]!.gone;
    assert.deepEqual([await waiting, /\[DONE\]/.test(heard)], ['cut', false]);

    box.hold = {};
    await using second = await serve(home);
    const standing = await second.get<Standing>('/grants');
    const late = await second.ask('GET', '/v1/models', { as: granted.api_key! });
    const { entries } = await second.get<{ entries: AuditEntry[] }>('/audit?limit=500');
    const rows = (outcome: string, { id }: Grant) =>
      entries.filter((entry) => entry.outcome === outcome && entry.detail.includes(id)).length;
    assert.deepEqual(
      [
        standing.grants.map(({ id, revoked, tools, api_key }) => [id, revoked?.why, tools, api_key]).sort(),
        standing.leases,
        standing.queue,
        [rows('grant_made', granted), rows('grant_ended', granted), rows('grant_made', ended), rows('grant_ended', ended)],
        late.status,
      ],
      [
        [
          [granted.id, 'Dispatcher was started again', [], null],
          [ended.id, 'Owner revoked it', [], null],
        ].sort(),
        [],
        [],
        [1, 1, 1, 1],
        401,
      ],
    );
    assert.match(await late.text(), /started again/);
    await seen(async () => (await second.get<CortexState>('/cortex')).models.find((model) => model.provider === 'a')?.phase === 'warm');
    const again = await grantOf(second, 'a');
    const answer = await second.ask('POST', '/v1/chat/completions', {
      as: again.api_key!,
      body: { model: 'a:8B', messages: [{ role: 'user', content: 'go' }] },
    });
    assert.deepEqual([answer.status, only(box.log, 'load').filter((model) => model === 'a:8B')], [200, ['a:8B']]);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

test('killed at any moment, whoever holds a key finds it good or ended with a reason, and the record says the same', {
  timeout: 120_000,
}, async () => {
  await using box = await startBox({ 'a:8B': GiB });
  const home = mkdtempSync(join(tmpdir(), 'killed-'));
  try {
    writeFileSync(
      join(home, 'registry.yaml'),
      `orgs: { T: { name: Test, services: {} } }\nlimits: off\nproviders:\n${provider('a', box, { sizes: { '8B': 1 }, capabilities: ['a'] })}\n`,
    );
    const keys: Grant[] = [];
    for (const after of [1, 7, 23]) {
      const server = await serve(home);
      await seen(async () => (await server.get<CortexState>('/cortex')).models.every(({ phase }) => phase !== 'unknown'));
      let count = 0;
      const enough = Promise.withResolvers<void>();
      const ask = async () => {
        for (;;) {
          const response = await server.ask('POST', '/grants', { body: { need: { capabilities: ['a'] }, task: 'any' } });
          const grant = (await response.json()) as Grant;
          if (response.status !== 200) return;
          keys.push(grant);
          if (++count % 2 === 0) await server.ask('DELETE', `/grants/${grant.id}`);
          if (count >= after) enough.resolve();
        }
      };
      const asking = Promise.allSettled(Array.from({ length: 4 }, ask));
      await enough.promise;
      await server.kill();
      await asking;
    }
    await using last = await serve(home);
    const standing = await last.get<Standing>('/grants');
    const answers = await Promise.all(
      keys.map(async ({ id, api_key }) => {
        const late = await last.ask('GET', '/v1/models', { as: api_key! });
        const known = standing.grants.find((grant) => grant.id === id);
        return [late.status, /ended/.test(await late.text()), known === undefined || known.revoked !== null];
      }),
    );
    assert.deepEqual(
      [answers, standing.leases, standing.grants.filter(({ revoked }) => revoked === null)],
      [keys.map(() => [401, true, true]), [], []],
    );
    const verify = spawn(process.execPath, [command, 'audit', 'verify', '--json'], {
      env: { ...process.env, DISPATCHER_HOME: home },
      stdio: 'ignore',
    });
    assert.deepEqual((await once(verify, 'close'))[0], 0);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
