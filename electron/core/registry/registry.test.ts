import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { parse } from 'yaml';
import { Refusal, type WireError } from '../../../shared/errors.ts';
import { addExample, addMcpServer, addProvider } from './edit.ts';
import { openRegistry, type RegistryFile, revisionOf } from './registry.ts';

const template = 'orgs:\n  A:\n    services:\n      one: {endpoint: "http://a:81/", egress: lan}\n';
const two = `${template}      two: {endpoint: "http://a:82/", egress: lan}\n`;
const bad = 'orgs:\n  A:\n    servces: {}\n';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'registry-'));
  folders.push(made);
  return made;
}

/** An open registry whose changes can be waited for. */
function open(file: string): { registry: RegistryFile; changes: boolean[]; next(): Promise<boolean> } & Disposable {
  const changes: boolean[] = [];
  let waiting: ((changed: boolean) => void) | null = null;
  const registry = openRegistry({
    file,
    template,
    onChange(changed) {
      changes.push(changed);
      waiting?.(changed);
      waiting = null;
    },
  });
  return {
    registry,
    changes,
    next: () =>
      new Promise((resolve, reject) => {
        const late = setTimeout(() => reject(new Error('no change was seen')), 8000);
        waiting = (changed) => {
          clearTimeout(late);
          resolve(changed);
        };
      }),
    [Symbol.dispose]: () => registry[Symbol.dispose](),
  };
}

const services = ({ registry }: RegistryFile) => registry.routes.map((route) => route.service);
const errors = ({ state }: RegistryFile) =>
  state.problems.filter((problem) => problem.severity === 'error').map((problem) => `${problem.line}: ${problem.message}`);

function refusalOf(act: () => void): WireError {
  try {
    act();
  } catch (caught) {
    if (caught instanceof Refusal) return caught.wire;
    throw caught;
  }
  throw new Error('it was not refused');
}

describe('the registry file', () => {
  test('the first start copies the template into a folder it makes, with the schema the first line names', () => {
    const file = join(folder(), 'config', 'registry.yaml');
    using opened = open(file);
    assert.equal(readFileSync(file, 'utf8'), template);
    assert.equal(JSON.parse(readFileSync(join(file, '../registry.schema.json'), 'utf8')).title, 'Dispatcher registry');
    const { state } = opened.registry;
    assert.deepEqual(
      [state.serving, state.problems, state.orgs, state.services, state.rules, state.generation],
      ['current', [], 1, 1, 0, 1],
    );
    assert.equal(opened.registry.revision, revisionOf(template));
  });

  test('what an editor writes is served, in place, in pieces or by rename; a bad text is told and replaces nothing', async () => {
    const file = join(folder(), 'registry.yaml');
    using opened = open(file);
    const { registry } = opened;

    let seen = opened.next();
    writeFileSync(file, two);
    assert.equal(await seen, true);
    assert.deepEqual(services(registry), ['one', 'two']);

    seen = opened.next();
    writeFileSync(file, bad);
    assert.equal(await seen, false);
    assert.deepEqual(
      [services(registry), registry.state.serving, errors(registry)],
      [['one', 'two'], 'previous', ['3: The key "servces" means nothing here.']],
    );
    assert.deepEqual([registry.text(), registry.revision], [bad, revisionOf(bad)]);

    seen = opened.next();
    writeFileSync(`${file}.new`, template);
    renameSync(`${file}.new`, file);
    assert.equal(await seen, true);
    assert.deepEqual([services(registry), registry.state.serving, registry.state.problems], [['one'], 'current', []]);

    seen = opened.next();
    writeFileSync(file, two.slice(0, 40));
    for (let at = 40; at < two.length; at += 20) appendFileSync(file, two.slice(at, at + 20));
    assert.equal(await seen, true);
    assert.deepEqual(services(registry), ['one', 'two']);
    assert.deepEqual(opened.changes, [true, false, true, true]);
  });

  test('a file that goes away or turns unreadable is told; the registry before it serves until it is back', async () => {
    const file = join(folder(), 'registry.yaml');
    using opened = open(file);
    let seen = opened.next();
    unlinkSync(file);
    assert.equal(await seen, false);
    assert.deepEqual([errors(opened.registry), services(opened.registry)], [[`1: ${file} is gone.`], ['one']]);
    seen = opened.next();
    mkdirSync(file);
    assert.equal(await seen, false);
    assert.deepEqual(errors(opened.registry), [`1: ${file} is a folder.`]);
    assert.equal(refusalOf(() => opened.registry.save(two, opened.registry.revision)).code, 'store_unavailable');
    rmSync(file, { recursive: true });
    seen = opened.next();
    writeFileSync(file, template);
    await seen;
    assert.deepEqual([opened.registry.state.serving, errors(opened.registry)], ['current', []]);
  });

  test('a bad file at the start: the template serves, and the problems say so', () => {
    const file = join(folder(), 'registry.yaml');
    writeFileSync(file, bad);
    using opened = open(file);
    const { registry } = opened;
    assert.deepEqual([services(registry), registry.state.serving, registry.text()], [['one'], 'previous', bad]);
    assert.deepEqual(
      registry.state.problems.map((problem) => problem.message),
      ['The key "servces" means nothing here.', 'The built-in registry serves until this is corrected.'],
    );
    assert.equal(readFileSync(file, 'utf8'), bad, 'it is not overwritten');
    registry.save(two, revisionOf(bad));
    assert.deepEqual([services(registry), registry.state.serving, registry.state.problems], [['one', 'two'], 'current', []]);
  });

  test('files that are no text are told with their reason', () => {
    const home = folder();
    const of = (name: string, make: (file: string) => void) => {
      const file = join(home, name);
      make(file);
      using opened = open(file);
      return errors(opened.registry).map((message) => message.replaceAll(file, 'F'));
    };
    assert.deepEqual(
      of('folder', (file) => mkdirSync(file)),
      ['1: F is a folder.'],
    );
    assert.deepEqual(
      of('latin1', (file) => writeFileSync(file, Buffer.from('# a\n# caf\xe9\n', 'latin1'))),
      ['2: The file is not UTF-8 text.'],
    );
    assert.deepEqual(
      of('empty', (file) => writeFileSync(file, '')),
      ['1: The registry is empty.'],
    );
    assert.deepEqual(
      of('50MB', (file) => writeFileSync(file, Buffer.alloc(50_000_000, '#'))),
      ['1: F is larger than 16 MB.'],
    );
    assert.deepEqual(
      of('loop', (file) => symlinkSync(file, file)),
      ['1: F cannot be read: its links lead in a circle.'],
    );
    assert.deepEqual(
      of('dangling', (file) => symlinkSync('nowhere', file)),
      ['1: F is gone.'],
    );
    assert.match(of('file/below', (file) => writeFileSync(join(file, '..'), 'x'))[0] ?? '', /could not be copied|cannot be read/);
    if (process.getuid?.() !== 0) {
      const denied = of('secret', (file) => {
        writeFileSync(file, template);
        chmodSync(file, 0);
      });
      assert.deepEqual(denied, ['1: F cannot be read: permission denied.']);
    }
  });

  test('saving writes in one step, keeps mode and link, and is reported once', async () => {
    const home = folder();
    const target = join(home, 'elsewhere.yaml');
    const file = join(home, 'registry.yaml');
    writeFileSync(target, template);
    chmodSync(target, 0o640);
    symlinkSync(target, file);
    using opened = open(file);
    opened.registry.save(two, opened.registry.revision);
    assert.deepEqual([readFileSync(target, 'utf8'), statSync(target).mode & 0o777, lstatSync(file).isSymbolicLink()], [two, 0o640, true]);
    assert.deepEqual(
      readdirSync(home).filter((name) => name.endsWith('.tmp')),
      [],
    );
    assert.deepEqual([services(opened.registry), opened.registry.state.generation], [['one', 'two'], 2]);
    // The next change of somebody else is the next report: the watcher said nothing of ours.
    const seen = opened.next();
    writeFileSync(target, template);
    assert.equal(await seen, true);
    assert.deepEqual(opened.changes, [true, true]);
    assert.deepEqual(services(opened.registry), ['one']);
  });

  test('saving is refused when the text is bad or the file was changed meanwhile', () => {
    const file = join(folder(), 'registry.yaml');
    using opened = open(file);
    const { registry } = opened;
    const invalid = refusalOf(() => registry.save(bad, registry.revision));
    assert.equal(invalid.code, 'registry_invalid');
    assert.deepEqual(invalid.issues, [
      { path: 'orgs.A.servces', message: 'line 3, column 5: The key "servces" means nothing here. Did you mean "services"?' },
    ]);
    assert.equal(readFileSync(file, 'utf8'), template);

    const revision = registry.revision;
    writeFileSync(file, two);
    const conflict = refusalOf(() => registry.save(`${template}# mine\n`, revision));
    assert.equal(conflict.code, 'conflict');
    assert.equal(readFileSync(file, 'utf8'), two, 'the other change is kept');
    assert.deepEqual([services(registry), registry.revision], [['one', 'two'], revisionOf(two)]);
    registry.save(template, registry.revision);
    assert.equal(existsSync(file) && readFileSync(file, 'utf8'), template);
  });
});

describe('adding an example', () => {
  const text = `# the registry
orgs:
  A:
    services:
      list:   # with a list
        endpoint: http://a:81/   # where
        examples:
          - first one   # the best
          # more to come

          - 'second: one'
        egress: lan
      none:
        endpoint: "http://a:82/"
      empty:
        endpoint: http://a:83/
        examples: []
      flow: {endpoint: http://a:84/, egress: lan}
      inline: { endpoint: http://a:85/, examples: [ 'x', "y" ] }

# rules come here
rules: []
`;
  const grown = (service: string, example: string) => {
    const edited = addExample(text, `A.${service}`, example);
    const before = text.split('\n');
    const added = edited.split('\n').filter((line) => !before.includes(line));
    assert.equal(parse(edited).orgs.A.services[service].examples.at(-1), example);
    return { edited, added };
  };

  test('one line is new or changed; every other byte stays', () => {
    const added = (service: string, example: string) => grown(service, example).added;
    assert.deepEqual(added('list', 'third one'), ['          - third one']);
    assert.deepEqual(added('none', 'do it'), ['          - do it']);
    assert.deepEqual(added('empty', 'do it'), ['        examples: ["do it"]']);
    assert.deepEqual(added('flow', 'do it'), ['      flow: {endpoint: http://a:84/, egress: lan, examples: ["do it"]}']);
    assert.deepEqual(added('inline', 'z'), ['      inline: { endpoint: http://a:85/, examples: [ \'x\', "y", "z" ] }']);
    const { edited } = grown('list', 'third one');
    assert.equal(edited.replace('          - third one\n', ''), text);
    assert.equal(addExample(text.replaceAll('\n', '\r\n'), 'A.list', 'third one').replaceAll('\r\n', '\n'), edited);
  });

  test('texts that look like YAML are quoted', () => {
    for (const example of ['yes: no', '@ollama hi', '# x', '- a', 'null', '42', "it's", '{a}', 'a\nb', '"q"', '*x', '']) {
      for (const service of ['list', 'none', 'empty', 'flow', 'inline']) grown(service, example);
    }
  });

  test('a flow that is only its address becomes a block', () => {
    const flows = '# flows\nflows:\n  gmail.triage: http://n8n:5678/webhook/x   # where\n';
    assert.equal(
      addExample(flows, 'FLOW.gmail.triage', 'sort my mail'),
      '# flows\nflows:\n  gmail.triage: { endpoint: "http://n8n:5678/webhook/x", examples: ["sort my mail"] }   # where\n',
    );
    assert.equal(refusalOf(() => addExample(flows, 'FLOW.other', 'x')).code, 'route_unknown');
  });

  test('an example that is there changes nothing; an unknown service is refused', () => {
    assert.equal(addExample(text, 'A.list', 'first one'), text);
    assert.equal(refusalOf(() => addExample(text, 'A.nothing', 'x')).code, 'route_unknown');
    assert.equal(refusalOf(() => addExample('a: [', 'A.x', 'x')).code, 'registry_invalid');
  });
});

describe('adding an MCP server', () => {
  const server = { name: 'files', command: ['npx', '-y', '@x/server: files', '/srv'], egress: 'local' } as const;
  const added = { command: [...server.command], egress: 'local' };
  const add = (text: string) => addMcpServer(text, { ...server, command: [...server.command] });
  const lines = '  files:\n    command: ["npx", "-y", "@x/server: files", "/srv"]\n    egress: local\n';

  test('its lines are new; every other byte stays', () => {
    const before = `${template}# the end\n`;
    assert.equal(add(before), `${template}\nmcp:\n${lines}# the end\n`);
    assert.equal(add(`${template}mcp:\n  # none yet\nrules: []\n`), `${template}mcp:\n${lines}  # none yet\nrules: []\n`);
    const grown = `${template}mcp:\n  one:   # first\n    url: http://a:81/   # there\n\n# rules\nrules: []\n`;
    assert.equal(add(grown), grown.replace('# there\n', `# there\n${lines}`));
    assert.equal(
      addMcpServer(`${template}mcp: { one: { url: "http://a:81/" } }\n`, { name: 'two', url: 'http://b:82/', egress: 'lan' }),
      `${template}mcp: { one: { url: "http://a:81/" }, two: { url: "http://b:82/", egress: lan } }\n`,
    );
    assert.equal(add(before.replaceAll('\n', '\r\n')).replaceAll('\r\n', '\n'), add(before));
  });

  test('whatever the layout, the server is there and the rest means the same', () => {
    for (const text of [
      template,
      `${template}mcp: {}\n`,
      `${template}mcp: {}`,
      template.trimEnd(),
      `{ orgs: {} }`,
      `${template}...\n`,
      `${template}mcp: ~ # none\n`,
      `${template}note: |\n  text\n\n\n`,
    ]) {
      const { mcp, ...rest } = parse(add(text));
      const { mcp: _, ...before } = parse(text);
      assert.deepEqual([mcp, rest], [{ files: added }, before], text);
    }
  });

  test('a name that is taken, both ways at once and a text that is not YAML are refused', () => {
    assert.equal(refusalOf(() => add(add(template))).code, 'conflict');
    assert.equal(refusalOf(() => addMcpServer(template, { name: 'x', egress: 'local' })).code, 'input_invalid');
    assert.equal(refusalOf(() => add('a: [')).code, 'registry_invalid');
  });
});

describe('adding a provider', () => {
  const proposal = 'fast:\n  # found by discovery\n  controller: ollama\n  endpoint: http://127.0.0.1:11435\n  egress: local\n';
  const value = { controller: 'ollama', endpoint: 'http://127.0.0.1:11435', egress: 'local' };
  const lines = proposal.replace(/^(?=.)/gm, '  ');
  const add = (text: string, name?: string) => addProvider(text, { proposal, ...(name && { name }) }).text;

  test('its lines are new, as they were proposed; every other byte stays', () => {
    const before = `${template}# the end\n`;
    assert.equal(add(before), `${template}\nproviders:\n${lines}# the end\n`);
    const grown = `${template}providers:\n  big:   # first\n    endpoint: http://127.0.0.1:11434   # there\n\n# rules\nrules: []\n`;
    assert.equal(add(grown), grown.replace('# there\n', `# there\n${lines}`));
    assert.equal(add(grown, 'quick'), grown.replace('# there\n', `# there\n${lines.replace('fast', 'quick')}`));
    assert.equal(add(before.replaceAll('\n', '\r\n')).replaceAll('\r\n', '\n'), add(before));
  });

  test('whatever the layout, of the registry or the proposal, the provider is there and the rest means the same', () => {
    for (const text of [
      template,
      `${template}providers: {}\n`,
      `${template}providers: { }`,
      '{ orgs: {} }',
      `${template}providers: ~ # none\n`,
    ])
      for (const proposed of [proposal, `fast: ${JSON.stringify(value)}`, proposal.replace(/^/gm, '    '), proposal.trimEnd()]) {
        const added = addProvider(text, { proposal: proposed, name: 'a: b' });
        const { providers, ...rest } = parse(added.text);
        const { providers: _, ...before } = parse(text);
        assert.deepEqual([providers, rest, added.provider], [{ 'a: b': value }, before, 'a: b'], `${text}\n${proposed}`);
      }
  });

  test('a name that is taken, and what is not one provider, are refused', () => {
    assert.equal(refusalOf(() => add(add(template))).code, 'conflict');
    for (const wrong of ['', 'fast', '- fast', 'a: {}\nb: {}', 'a: [', 'a: 1', '1: {}'])
      assert.equal(refusalOf(() => addProvider(template, { proposal: wrong })).code, 'input_invalid', wrong);
    assert.equal(refusalOf(() => add('a: [')).code, 'registry_invalid');
  });
});
