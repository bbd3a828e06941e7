import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fill, readReferences } from './references.ts';

const scope = {
  params: { name: 'Ada', n: 3, deep: { list: [{ id: 7 }], 'odd key': true }, none: null, 'a-b': 1 },
  text: 'hello',
  results: new Map<string, unknown>([['fetch', { items: ['x'], text: 'found' }]]),
};
const filled = (value: unknown) => {
  const outcome = fill(value, scope);
  return outcome.ok ? outcome.value : `missing ${outcome.missing.written}`;
};

test('a reference that is a whole text keeps the type of what it points at; inside a text it becomes text', () => {
  assert.deepEqual(
    filled({
      whole: [
        '$.params.n',
        '$.params.deep.list',
        '$.params.none',
        '$.text',
        '$.steps.fetch.result',
        "$.params.deep['odd key']",
        '$.params.a-b',
      ],
      inside: [
        '$.params.n times',
        'to $.params.name.',
        '$.params.name-$.params.n',
        '[$.params.deep.list[0]]',
        '$.steps.fetch.result.text$.text',
      ],
      plain: ['$5.00', '$', '$.', '$$', '$.9', '$$.params.n', 'costs $$.5', 7, null, true],
    }),
    {
      whole: [3, [{ id: 7 }], null, 'hello', { items: ['x'], text: 'found' }, true, 1],
      inside: ['3 times', 'to Ada.', 'Ada-3', '[{"id":7}]', 'foundhello'],
      plain: ['$5.00', '$', '$.', '$$', '$.9', '$.params.n', 'costs $.5', 7, null, true],
    },
  );
});

test('what is not there is missing; nothing but own members is found', () => {
  for (const reference of [
    '$.params.x',
    '$.params.deep.list[1]',
    '$.params.name.length',
    '$.params.toString',
    '$.params.constructor',
    '$.params.__proto__',
    '$.steps.other.result',
    '$.steps.fetch.result.items[0].x',
  ])
    assert.equal(filled([reference]), `missing ${reference}`);
  assert.deepEqual(fill('$.text', { ...scope, text: null }).ok, false);
});

test('a reference that cannot be one says so', () => {
  const fault = (text: string) =>
    readReferences(text).flatMap((piece) => (typeof piece === 'object' && 'fault' in piece ? [piece.fault] : []));
  assert.deepEqual(['$.parms.x', 'a $.steps.fetch b', '$.steps.fetch.items', '$.text.x', '$.steps[0].result'].map(fault), [
    ['$.parms.x points at nothing.'],
    ...['$.steps.fetch', '$.steps.fetch.items'].map((text) => [`${text} does not read a result.`]),
    ['$.text.x points at nothing.'],
    ['$.steps[0].result does not read a result.'],
  ]);
});

test('any text at all is read in one way: its pieces put together again are the text', () => {
  const pieces = fc.constantFrom(
    '$',
    '.',
    '$.',
    '$$.',
    'params',
    'steps',
    'result',
    'x',
    '[0]',
    "['a b']",
    '["c"]',
    '-',
    ' ',
    '[',
    ']',
    "'",
    '9',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const text = parts.join('');
      const again = readReferences(text).map((piece) => (typeof piece === 'string' ? piece.replaceAll('$.', '$$$$.') : piece.written));
      assert.deepEqual(readReferences(again.join('')), readReferences(text));
    }),
    { numRuns: 5000 },
  );
});
