import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parse, stringify } from 'yaml';
import { createLines, type Node, parseYaml, readYaml } from './yaml.ts';

const example = readFileSync(join(import.meta.dirname, '../../../resources/registry.yaml'), 'utf8');

/** Nodes as plain data, to compare with what another parser makes of the same text. */
function plain(node: Node | null): unknown {
  if (node === null) return null;
  if (node.kind === 'scalar') return node.value;
  if (node.kind === 'list') return node.items.map(plain);
  return Object.fromEntries(node.entries.map((entry) => [entry.key, plain(entry.value)]));
}

/** What `text` is refused with: `line:column message`. */
function faultOf(text: string): string | null {
  const fault = readYaml(text).faults[0];
  if (!fault) return null;
  const { line, column } = createLines(text)(fault.at);
  return `${line}:${column} ${fault.message}`;
}

const word = fc.constantFrom(
  'salesforce',
  'sync the contacts',
  'a: b',
  '@ollama',
  '# no',
  "it's",
  '"x"',
  'true',
  'null',
  '~',
  '007',
  '1e3',
  '.5',
  '-',
  '- a',
  '? b',
  '',
  ' ',
  'ü',
  'a#b',
  'a #b',
  '{',
  '[x',
  'x]',
  '<<',
  '0x1F',
  '0o17',
  'on',
  'back\\slash',
  'tab\tin',
  'line\nbreak',
  '$',
  '*a',
  '&b',
  '!c',
  '%d',
  '`e',
  '|',
  '>',
  'http://a:81/b',
  'a,b',
  '2001-01-01',
  '1_000',
  '+1',
  '.inf',
);
const scalar = fc.oneof(word, fc.string({ unit: 'grapheme-ascii', maxLength: 12 }), fc.integer(), fc.boolean(), fc.constant(null));
const keys = fc.oneof(
  fc.constantFrom('name', 'endpoint', 'a.b', 'x-y', 'services', '1', 'true'),
  fc.stringMatching(/^[A-Za-z][\w.-]{0,8}$/),
  fc.stringMatching(/^[ -~]{1,6}$/).filter((key) => key !== '<<'),
);
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof({ maxDepth: 4, withCrossShrink: true }, scalar, tie('map'), tie('list')),
  map: fc.dictionary(keys, tie('tree'), { maxKeys: 5, noNullPrototype: true }),
  list: fc.array(tie('tree'), { maxLength: 4 }),
}));

describe('reading YAML', () => {
  test('the short way and the full parser build the same nodes, and the yaml package means the same', () => {
    fc.assert(
      fc.property(
        tree,
        fc.constantFrom('BLOCK_LITERAL', 'PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
        fc.constantFrom('any', 'block', 'flow'),
        fc.boolean(),
        (value, type, collectionStyle, crlf) => {
          let text = stringify(
            { orgs: value },
            { defaultStringType: type as 'PLAIN', collectionStyle: collectionStyle as 'any', lineWidth: 0 },
          );
          if (crlf) text = text.replaceAll('\n', '\r\n');
          const read = readYaml(text);
          if (read.faults.length > 0) return;
          assert.deepEqual(read, parseYaml(text));
          assert.deepEqual(plain(read.root), parse(text, { uniqueKeys: false }) ?? null);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('a text with any character changed is read alike by both, or refused by both', () => {
    const text =
      'orgs:\n  FND: # the business\n    name: "Foundation"\n    description: |\n      one\n\n      two # no\n    status: >-\n      act\n\n\n      ive\n      x\n    services:\n      crm: {endpoint: http://a:81/, egress: lan}\n  AI:\nrules:\n- pattern: \'a|b\'\n  org: FND\n  priority: 90\n';
    fc.assert(
      fc.property(
        fc.nat(text.length),
        fc.nat(2),
        fc.constantFrom(
          '',
          ' ',
          '  ',
          '\n',
          '\n ',
          ':',
          ': ',
          '- ',
          '#',
          ' #',
          '"',
          "'",
          '{',
          '}',
          '[',
          ']',
          ',',
          '-',
          '?',
          '&',
          '*',
          '!',
          '|',
          '>',
          '%',
          '@',
          '\t',
          '\r\n',
          '---\n',
          '\n\n',
          '|',
          '>-',
        ),
        (at, cut, put) => {
          const changed = text.slice(0, at) + put + text.slice(at + cut);
          const full = parseYaml(changed);
          const read = readYaml(changed);
          if (read.root !== null) assert.deepEqual(read, full);
          let other: unknown;
          try {
            other = parse(changed, { logLevel: 'error' });
          } catch {
            assert.equal(read.root, null, 'the yaml package refuses it');
            return;
          }
          if (read.root !== null) assert.deepEqual(plain(read.root), other ?? null);
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('the documented example takes the short way and means the same on the long one', () => {
    assert.deepEqual(readYaml(example), parseYaml(example));
    assert.deepEqual(plain(readYaml(example).root), parse(example));
  });

  test('R01: an alias bomb is refused at its first anchor, at once', () => {
    const rows = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 9; i++)
      rows.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      );
    const start = performance.now();
    assert.equal(faultOf(rows.join('\n')), '1:5 Anchors and aliases (&name, *name) are not used here.');
    assert.ok(performance.now() - start < 1000);
  });

  test('R02: 10,000 levels are refused where they become too deep', () => {
    assert.equal(faultOf(`orgs: ${'['.repeat(10_000)}`), '1:38 This is nested deeper than 32 levels.');
    assert.equal(faultOf(`orgs: ${'{a: '.repeat(10_000)}`)?.replace(/^\S+ /, ''), 'This is nested deeper than 32 levels.');
    assert.equal(faultOf('- '.repeat(10_000))?.replace(/^\S+ /, ''), 'This is nested deeper than 32 levels.');
    const steps = Array.from({ length: 3000 }, (_, index) => `${' '.repeat(index)}a:`).join('\n');
    assert.equal(faultOf(steps)?.replace(/^\S+ /, ''), 'This is nested deeper than 32 levels.');
  });

  test('R03: tags and merge keys are refused', () => {
    const tag = (name: string) => `1:4 Tags such as ${name} are not used here.`;
    assert.deepEqual(
      ['a: !!js/function "x"', 'a: !!python/object:os.system [x]', 'a: !include b.yaml', 'a: !!str 1', 'a:\n  <<: {b: 1}'].map(faultOf),
      [tag('!!js/function'), tag('!!python/object:os.system'), tag('!include'), tag('!!str'), '2:3 Merge keys (<<) are not used here.'],
    );
  });

  test('R05: characters that mislead are refused with their place; CRLF is a line break', () => {
    assert.deepEqual(
      [
        'a:\n\tb: 1',
        'a: 1\nb: \0',
        'a:\n\u00a0 b: 1',
        'a: x\u00a0y',
        'a: 1\rb: 2',
        'a: 1\nb: 2\nA: 3\na: 4',
        'caf\u00e9: 1\ncafe\u0301: 2',
        'a: \ud800',
      ].map(faultOf),
      [
        '2:1 A tab is at the start of this line.',
        '2:4 There is a NUL character here.',
        '2:1 There is a U+00A0 here that only looks like a space.',
        '1:5 There is a U+00A0 here that only looks like a space.',
        '1:5 There is a carriage return without a line feed here.',
        '4:1 The key "a" is here twice.',
        '2:1 The key "cafe\u0301", spelled with other code points, is here twice.',
        '1:4 There is the character U+D800 here.',
      ],
    );
    assert.deepEqual(plain(readYaml('a: 1\r\nb:\r\n  - "x\u00a0y" # no\u00a0break\r\n').root), { a: 1, b: ['x\u00a0y'] });
  });

  test('a fault says what to write', () => {
    const hint = (text: string) => readYaml(text).faults[0]?.hint;
    assert.match(hint('pattern: @ollama') ?? '', /in quotes/);
    assert.match(hint('description: calls: fast') ?? '', /in quotes/);
    assert.match(hint('rules:\n  - {pattern: "abc') ?? '', /Close the quote/);
    assert.match(hint('a: 1\n---\nb: 2') ?? '', /one document/);
  });

  test('any text at all gives nodes or a fault, never an exception', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab: -?[]{},#&*!|>\'"%@`\n\t \r\0\u00a0\ud800é'), maxLength: 60 }), (text) => {
        const { root, faults } = readYaml(text);
        assert.ok(root === null || faults.length === 0);
        for (const { at } of faults) assert.ok(at >= 0 && at <= text.length);
      }),
      { numRuns: 5000 },
    );
  });
});
