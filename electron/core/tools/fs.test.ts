import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Route } from '../../../shared/model.ts';
import type { Run } from '../runners/runner.ts';
import { createToolRunner } from '../runners/tool.ts';
import { createFsTools } from './fs.ts';

interface Answer {
  code: string;
  message: string;
  // biome-ignore lint/suspicious/noExplicitAny: results are looked at field by field.
  result: any;
}

function setup(t: TestContext, byHandle: boolean) {
  const home = mkdtempSync(join(tmpdir(), 'dispatcher-fs-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  const data = join(home, 'data');
  const readOnly = join(home, 'fixed');
  for (const folder of [data, join(data, 'sub'), join(data, 'sub/deep'), readOnly, join(home, 'data-evil')]) mkdirSync(folder);
  writeFileSync(join(data, 'a.txt'), 'one\ntwo\nthree\n');
  writeFileSync(join(data, 'sub/deep/b.txt'), 'bee');
  writeFileSync(join(home, 'data-evil/secret.txt'), 'SECRET');
  writeFileSync(join(home, 'secret.txt'), 'SECRET');
  writeFileSync(join(readOnly, 'r.txt'), 'read me');
  const roots = [
    { name: 'data', path: data, write: true },
    { name: 'fixed', path: readOnly, write: false },
  ];
  const tools = new Map(createFsTools({ roots: () => roots, byHandle }).map((tool) => [tool.name, tool]));
  const runner = createToolRunner(tools, () => 0);
  async function ask(name: string, params: Record<string, unknown>, text: string | null = null): Promise<Answer> {
    const route = { name: `OS.${name}`, service: name, endpoint: null } as Route;
    const outcome = await runner({ route, text, params, attempts: [], newAttemptId: () => 'att_1' } as unknown as Run);
    return outcome.ok ? { code: 'ok', message: '', result: outcome.result } : { ...outcome.error, result: null };
  }
  return { home, data, ask, roots };
}

for (const byHandle of [true, false]) {
  const skip = byHandle && !existsSync('/proc/self/fd') ? 'this system has no /proc/self/fd' : false;
  describe(`files ${byHandle ? 'by open handle' : 'by path, as on systems without /proc'}`, { skip }, () => {
    test('lists, reads, heads and writes inside the declared folders', async (t) => {
      const { ask, data } = setup(t, byHandle);
      assert.deepEqual((await ask('fs.list', {})).result, {
        roots: [
          { name: 'data', write: true },
          { name: 'fixed', write: false },
        ],
      });
      const listed = (await ask('fs.list', {}, 'list the files in data')).result;
      assert.deepEqual(
        listed.entries.map((entry: { name: string; kind: string; sizeBytes: number | null }) => [entry.name, entry.kind, entry.sizeBytes]),
        [
          ['a.txt', 'file', 14],
          ['sub', 'folder', null],
        ],
      );
      assert.equal((await ask('fs.read', { root: 'data', path: 'sub/deep/b.txt' })).result.text, 'bee');
      assert.equal((await ask('fs.read', {}, 'read the file fixed/r.txt')).result.text, 'read me');
      assert.equal((await ask('fs.read', { path: 'data:a.txt', offset: 4, length: 3 })).result.text, 'two');
      assert.deepEqual((await ask('fs.head', {}, 'first 2 lines of data/a.txt')).result.lines, ['one', 'two']);
      assert.deepEqual((await ask('fs.write', { path: 'data/new/c.txt', content: 'x', folders: true })).result.written, 1);
      assert.deepEqual((await ask('fs.write', { path: 'data/new/c.txt', content: 'y' })).code, 'conflict');
      assert.deepEqual((await ask('fs.write', { path: 'data/new/c.txt', content: 'y', mode: 'append' })).result.sizeBytes, 2);
      assert.equal(readFileSync(join(data, 'new/c.txt'), 'utf8'), 'xy');
      chmodSync(join(data, 'new/c.txt'), 0o600);
      assert.equal((await ask('fs.write', { path: 'data/new/c.txt', base64: 'eno=', mode: 'replace' })).code, 'ok');
      assert.deepEqual([readFileSync(join(data, 'new/c.txt'), 'utf8'), statSync(join(data, 'new/c.txt')).mode & 0o777], ['zz', 0o600]);
      assert.equal((await ask('fs.list', { path: 'data/new' })).result.total, 1, 'no part of a write is left');
      assert.equal((await ask('fs.write', { path: 'fixed/new.txt', content: 'x' })).code, 'forbidden');
      assert.equal((await ask('fs.read', { path: 'data/nothing' })).code, 'not_found');
    });

    test('bytes that are no text come as base64, and a character is never cut in two', async (t) => {
      const { ask, data } = setup(t, byHandle);
      writeFileSync(join(data, 'raw'), Buffer.from([0xff, 0, 1]));
      writeFileSync(join(data, 'euro'), '€€');
      assert.equal((await ask('fs.read', { path: 'data/raw' })).result.base64, '/wAB');
      assert.equal((await ask('fs.read', { path: 'data/raw', encoding: 'utf8' })).code, 'input_invalid');
      const { text, bytes, more } = (await ask('fs.read', { path: 'data/euro', length: 4 })).result;
      assert.deepEqual([text, bytes, more], ['€', 3, true]);
    });

    test('T11: what leads out, is no file or has no end is denied or bounded', async (t) => {
      const { ask, data } = setup(t, byHandle);
      for (const path of [
        '../secret.txt',
        'sub/../../secret.txt',
        '/etc/passwd',
        '~',
        '~/x',
        'a.txt\0.png',
        '/proc/self/environ',
        'C:\\x',
        '..',
      ]) {
        for (const name of ['fs.read', 'fs.list', 'fs.head']) {
          assert.equal((await ask(name, { root: 'data', path })).code, 'input_invalid', `${name} ${JSON.stringify(path)}`);
        }
        assert.equal((await ask('fs.write', { root: 'data', path, content: 'x' })).code, 'input_invalid', path);
      }
      assert.equal((await ask('fs.read', { path: 'data/sub' })).code, 'input_invalid');
      assert.equal((await ask('fs.read', { path: 'data' })).code, 'input_invalid');
      assert.equal((await ask('fs.read', { path: 'data/a.txt/x' })).code, 'input_invalid');
      if (spawnSync('mkfifo', [join(data, 'pipe')]).status === 0) {
        assert.equal((await ask('fs.read', { path: 'data/pipe' })).code, 'forbidden');
        assert.equal((await ask('fs.write', { path: 'data/pipe', content: 'x', mode: 'append' })).code, 'forbidden');
      }
      if (spawnSync('mknod', [join(data, 'zero'), 'c', '1', '5']).status === 0) {
        assert.equal((await ask('fs.read', { path: 'data/zero' })).code, 'forbidden');
      }
      writeFileSync(join(data, 'sparse'), '');
      truncateSync(join(data, 'sparse'), 10 * 1024 ** 3);
      const { sizeBytes, base64, more } = (await ask('fs.read', { path: 'data/sparse', offset: 9 * 1024 ** 3 })).result;
      assert.deepEqual([sizeBytes, Buffer.from(base64, 'base64').length, more], [10 * 1024 ** 3, 256 * 1024, true]);
    });

    test('T12: a sibling with the same prefix, links, second names and another case do not lead out', async (t) => {
      const { ask, data, home } = setup(t, byHandle);
      symlinkSync(join(home, 'secret.txt'), join(data, 'link.txt'));
      symlinkSync(home, join(data, 'up'));
      symlinkSync('a.txt', join(data, 'inner'));
      linkSync(join(home, 'secret.txt'), join(data, 'hard.txt'));
      const outcomes: Record<string, string> = {};
      for (const path of ['link.txt', 'up/secret.txt', 'inner', 'hard.txt', '-evil/secret.txt']) {
        for (const [name, more] of Object.entries({ 'fs.read': {}, 'fs.head': {}, 'fs.write': { content: 'x', mode: 'replace' } })) {
          const { code, message } = await ask(name, { root: 'data', path, ...more });
          outcomes[`${name} ${path}`] = code;
          assert.ok(!message.includes(home), 'the message does not tell where the folder is');
        }
      }
      assert.deepEqual(
        [...new Set(Object.entries(outcomes).map(([what, code]) => `${what.split(' ')[1]} ${code}`))],
        ['link.txt forbidden', 'up/secret.txt forbidden', 'inner forbidden', 'hard.txt forbidden', '-evil/secret.txt not_found'],
      );
      assert.equal((await ask('fs.list', { root: 'data', path: 'up' })).code, 'forbidden');
      assert.equal((await ask('fs.write', { root: 'data', path: 'up/x', content: 'x', folders: true })).code, 'forbidden');
      assert.equal((await ask('fs.read', { root: 'DATA', path: 'a.txt' })).code, 'input_invalid');
      assert.equal(readFileSync(join(home, 'secret.txt'), 'utf8'), 'SECRET');
      const kinds = (await ask('fs.list', { root: 'data' })).result.entries.map(
        (entry: { name: string; kind: string }) => `${entry.name} ${entry.kind}`,
      );
      assert.ok(kinds.includes('link.txt link') && kinds.includes('up link'));
    });

    test('T11, T12: no path of any spelling gives what is outside', async (t) => {
      const { ask, data, home } = setup(t, byHandle);
      symlinkSync(home, join(data, 'up'));
      symlinkSync('/', join(data, 'sub/top'));
      const parts = [
        '..',
        '.',
        '',
        '/',
        'sub',
        'a.txt',
        'up',
        'top',
        'deep',
        '~',
        '\\',
        '..\\',
        '%2e%2e',
        '\0',
        'data',
        home.slice(1),
        'secret.txt',
        'data-evil',
        'data:',
        'fixed:',
        '．．',
        'A.TXT',
      ];
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 7 }),
          fc.constantFrom('data', 'fixed', undefined),
          async (path, root) => {
            const { code, result } = await ask('fs.read', { path: path.join('/'), ...(root && { root }) });
            assert.ok(['ok', 'input_invalid', 'not_found', 'forbidden'].includes(code), code);
            assert.ok(code !== 'ok' || !result.text.includes('SECRET'));
            const listed = await ask('fs.list', { path: path.join('/'), ...(root && { root }) });
            assert.ok(listed.code !== 'ok' || !JSON.stringify(listed.result).includes('data-evil'));
          },
        ),
        { numRuns: 300 },
      );
    });

    test('T12: what is written while a folder is swapped for a link never lands outside', async (t) => {
      const { ask, data, home } = setup(t, byHandle);
      mkdirSync(join(home, 'outside'));
      mkdirSync(join(data, 'x'));
      symlinkSync(join(home, 'outside'), join(data, 'y'));
      for (let round = 0; round < 200; round++) {
        const write = ask('fs.write', { path: `data/x/${round}`, content: 'CONTENT' });
        const swap = () => {
          renameSync(join(data, 'x'), join(data, 't'));
          renameSync(join(data, 'y'), join(data, 'x'));
          renameSync(join(data, 't'), join(data, 'y'));
        };
        if (round % 2 === 0) setImmediate(swap);
        else swap();
        await write;
        await new Promise(setImmediate);
      }
      const outside = readdirSync(join(home, 'outside'));
      if (byHandle) assert.deepEqual(outside, []);
      for (const name of outside) assert.equal(readFileSync(join(home, 'outside', name), 'utf8'), '');
    });

    test('T12: a folder that is swapped for a link while it is read never gives what is outside', async (t) => {
      const { ask, data, home } = setup(t, byHandle);
      mkdirSync(join(home, 'outside'));
      writeFileSync(join(home, 'outside/f'), 'SECRET');
      mkdirSync(join(data, 'x'));
      writeFileSync(join(data, 'x/f'), 'inside');
      symlinkSync(join(home, 'outside'), join(data, 'y'));
      const swap = () => {
        renameSync(join(data, 'x'), join(data, 't'));
        renameSync(join(data, 'y'), join(data, 'x'));
        renameSync(join(data, 't'), join(data, 'y'));
      };
      const seen = new Set<string>();
      for (let round = 0; round < 400; round++) {
        const read = ask('fs.read', { path: 'data/x/f' });
        if (round % 3 === 0) setImmediate(swap);
        else swap();
        const { code, result } = await read;
        await new Promise(setImmediate);
        seen.add(code === 'ok' ? result.text : code);
      }
      assert.ok(!seen.has('SECRET'), [...seen].join());
      assert.ok(seen.has('inside') || seen.has('forbidden'));
    });
  });
}

test('without a declared folder nothing is reached, and the refusal says what to write', async () => {
  const [list] = createFsTools({ roots: () => [] });
  const outcome = await createToolRunner(
    new Map([['fs.list', list!]]),
    () => 0,
  )({
    ...({ route: { name: 'OS.fs.list', service: 'fs.list', endpoint: null }, text: null, params: {}, attempts: [] } as unknown as Run),
    newAttemptId: () => 'a',
  });
  assert.ok(!outcome.ok && outcome.error.code === 'forbidden' && /tools: \{fs/.test(outcome.error.hint ?? ''));
});
