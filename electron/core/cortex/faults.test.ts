/** Files of the owner that are not what they seem, and words at the command line that nobody would write. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CortexState, Resolved } from '../../../shared/cortex.ts';
import { openCore, operate, tempFolder } from '../testing.ts';
import { compileLexicon, createLexicon } from './owner-words.ts';

const posix = { skip: process.platform === 'win32' && 'Windows has neither pipes in folders nor /dev/zero' };
const unit = (name: string) =>
  `services:\n  ${name}:\n    image: x\n    ports: ["8001:8001"]\n    labels: { dispatcher.capabilities: chat, dispatcher.model: m, dispatcher.vram: 1GiB }\n`;
const bomb = `a: &a ["x","x","x","x","x","x","x","x","x"]\n${'bcdefghij'
  .split('')
  .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdefghi'[index]}`).join()}]`)
  .join('\n')}\nservices: { x: *j }\n`;

test(
  'a lexicon is a file of words: no pipe, device or folder, nothing that has itself in it, and many words are read at once',
  posix,
  () => {
    using folder = tempFolder();
    const at = (name: string) => join(folder.path, name);
    execFileSync('mkfifo', [at('pipe')]);
    mkdirSync(at('folder'));
    writeFileSync(at('large'), 'x'.repeat(300 * 1024));
    writeFileSync(at('words'), 'den: the study');
    const read = (path: string) => createLexicon(() => path)();
    assert.deepEqual([at('pipe'), '/dev/zero', at('folder'), at('large'), at('nothing'), at('words')].map(read), [
      null,
      null,
      null,
      null,
      null,
      'den: the study',
    ]);
    const circles = ['a: &x [*x]', 'a: &x { b: *x }', bomb];
    assert.deepEqual(
      circles.map((text) => compileLexicon(text)('a')),
      circles.map((text) => text.trim()),
    );
    const many = compileLexicon(Array.from({ length: 20_000 }, (_, index) => `w${index}: m`).join('\n'));
    assert.equal(many('what is w19999'), 'w19999: m');
  },
);

test('scanned folders with bombs, pipes, devices and garbage: each is one invalid unit or none, and what is good stands', {
  ...posix,
  timeout: 60_000,
}, async () => {
  using folder = tempFolder();
  const put = (name: string, text: string | Buffer) => {
    mkdirSync(join(folder.path, name), { recursive: true });
    writeFileSync(join(folder.path, name, 'compose.yaml'), text);
    return join(folder.path, name);
  };
  const folders = [
    put('good', unit('good')),
    put('bomb', bomb),
    put('deep', `services: ${'['.repeat(50_000)}`),
    put('binary', Buffer.alloc(100_000, 0xff)),
    put('huge', `services: {}\n${'# x\n'.repeat(8_000_000)}`),
    put('circle', 'services: &s { a: { labels: { dispatcher.capabilities: chat, dispatcher.model: &m [*m] } } }'),
    put('keys', `services:\n${Array.from({ length: 20_000 }, (_, index) => `  s${index}: { image: x }`).join('\n')}`),
  ];
  for (const [name, make] of Object.entries({
    pipe: (path: string) => execFileSync('mkfifo', [path]),
    zero: (path: string) => symlinkSync('/dev/zero', path),
    self: (path: string) => symlinkSync(path, path),
    inside: (path: string) => mkdirSync(path),
  })) {
    mkdirSync(join(folder.path, name));
    make(join(folder.path, name, 'compose.yaml'));
    folders.push(join(folder.path, name));
  }
  const template = `orgs: { T: { name: Test, services: {} } }\nlimits: off\ncortex: { scan: ${JSON.stringify(folders)} }\nproviders: {}\n`;
  const startedAt = performance.now();
  await using core = await openCore(template);
  let state = (await operate(core, 'OS.cortex')) as CortexState;
  while (state.models.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    state = (await operate(core, 'OS.cortex')) as CortexState;
  }
  assert.deepEqual(
    state.models.map(({ provider }) => provider),
    ['good'],
  );
  assert.ok(performance.now() - startedAt < 20_000);
  const told = state.invalid.map(({ file }) => file.slice(folder.path.length + 1).split('/')[0]!);
  assert.deepEqual(told.toSorted(), ['binary', 'bomb', 'circle', 'deep', 'huge', 'inside', 'keys', 'pipe', 'self', 'zero']);
});

test('a dry run of needs that nobody would ask for is refused in words, and small', async () => {
  await using core = await openCore('orgs: { T: { name: Test, services: {} } }\nlimits: off\n');
  const ask = (need: unknown) => core.ask({ route: 'OS.resolve.need', params: { need } });
  const many = Array.from({ length: 16 }, (_, index) => `unknown-${index}`);
  const { result, error } = await ask({ capabilities: many, contextTokens: 100_000_000, priority: 0, egress: 'local', sensitive: true });
  const plan = result as Resolved | null;
  assert.deepEqual([error?.code ?? null, plan?.outcome, plan?.error?.code], [null, 'refusal', 'no_capability']);
  assert.ok(JSON.stringify(plan).length < 20_000);
  for (const need of [
    null,
    [],
    'x',
    { capabilities: 'x' },
    { capabilities: [1] },
    { capabilities: [...many, 'y'] },
    { capabilities: ['x'.repeat(10_240)] },
    { model: 'm\nx' },
    { model: '\u0000' },
    { capabilities: ['a'], tier: 'x'.repeat(10_240) },
    { capabilities: ['a'], tier: '' },
    { capabilities: ['a'], strange: 1 },
  ]) {
    const answered = await ask(need);
    const code = answered.error?.code ?? (answered.result as Resolved).error?.code;
    assert.ok(code === 'input_invalid' || code === 'no_capability', `${JSON.stringify(need)?.slice(0, 60)}: ${code}`);
    assert.ok(JSON.stringify(answered).length < 30_000);
  }
});
