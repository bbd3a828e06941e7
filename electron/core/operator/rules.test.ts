import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkPattern, compileRules } from './rules.ts';

const matched = (pattern: string, text: string) => compileRules([{ pattern }]).match(text)?.matched ?? null;
const winner = (rules: Parameters<typeof compileRules>[0], text: string) => compileRules(rules).match(text)?.index ?? null;

test('patterns match whole words unless they say otherwise', () => {
  const rows: [pattern: string, text: string, matched: string | null][] = [
    ['ar', 'start the chart report', null],
    ['ar', 'open AR now', 'AR'],
    ['ws', 'read me the news', null],
    ['ws', 'open a ws://socket', 'ws'],
    ['ar$', 'open the bar', 'ar'],
    ['\\bar', 'an ark', 'ar'],
    ['^sync', 'syncing contacts', 'sync'],
    ['foo.*bar', 'foo x bars bar', 'foo x bars bar'],
    ['(sync|update) (contacts|leads)', 'sync  leads, update leads', 'update leads'],
    ['[Ss]ales', 'wholesales, sales', 'sales'],
    ['order \\d+', 'order 12b', null],
    ['order \\d+', 'order 12', 'order 12'],
    ['webhook:stripe', 'webhook:stripe.paid', 'webhook:stripe'],
    ['webhook:stripe', 'webhook:stripe_paid', null],
    ['@ollama', 'mail bob@ollama.com', null],
    ['@ollama', 'hey @Ollama, hello', '@Ollama'],
  ];
  assert.deepEqual(
    rows.map(([pattern, text]) => [pattern, text, matched(pattern, text)]),
    rows,
  );
});

test('texts and patterns are compared in NFC, without case, in every script', () => {
  assert.equal(matched('café', 'au CAFE\u0301!'), 'CAFÉ');
  assert.equal(matched('cafe\u0301', 'au café!'), 'café');
  assert.equal(matched('ber', 'über'), null);
  assert.equal(matched('.ber', 'Über uns'), 'Über');
  assert.equal(matched('σοφός', 'ΣΟΦΌΣ'), 'ΣΟΦΌΣ');
  assert.equal(matched('k', '5 \u212a'), 'K');
  assert.equal(matched('部署', '请 部署 它'), '部署');
  assert.equal(matched('🚀 .*now', '🚀 ship it now'), '🚀 ship it now');
});

test('order: mentions, then priority, then specificity, then place in the file', () => {
  const text = '@ollama deploy the worker to production';
  assert.equal(
    winner(
      [
        { pattern: 'deploy', priority: 1000 },
        { pattern: '@ollama', priority: -5 },
      ],
      text,
    ),
    1,
  );
  assert.equal(winner([{ pattern: 'deploy' }, { pattern: 'worker', priority: 1 }], text), 1);
  assert.equal(winner([{ pattern: 'deploy' }, { pattern: 'deploy the worker' }], text), 1);
  assert.equal(winner([{ pattern: '\\w+ the worker' }, { pattern: 'deploy the worker' }], text), 1);
  assert.equal(winner([{ pattern: 'deploy|production' }, { pattern: 'production' }], text), 1);
  assert.equal(
    winner(
      [
        { pattern: 'worker', order: 9 },
        { pattern: 'deploy', order: 3 },
      ],
      text,
    ),
    1,
  );
  assert.deepEqual(
    compileRules([{ pattern: 'deploy' }, { pattern: 'crm' }, { pattern: 'production' }, { pattern: '@ollama' }])
      .matchAll(text)
      .map(({ index }) => index),
    [3, 2, 0],
  );
});

test('R12: rules equal in priority and specificity win in the order of the file, whatever the order given', () => {
  const words = ['alpha', 'bravo', 'delta', 'gamma', 'omega'];
  fc.assert(
    fc.property(fc.shuffledSubarray(words, { minLength: 2 }), (some) => {
      const rules = some.map((pattern) => ({ pattern, priority: 10, order: words.indexOf(pattern) }));
      const first = words.find((word) => some.includes(word));
      assert.equal(some[winner(rules, words.join(' ')) as number], first);
    }),
  );
});

test('R07: what RE2 does not have is an error that names the pattern and says what to write', () => {
  const rows: [pattern: string, says: RegExp][] = [
    ['(?<=a)b', /lookbehind/],
    ['(?<!a)b', /lookbehind/],
    ['a(?=b)', /lookahead/],
    ['a(?!b)', /lookahead/],
    ['(a)\\1', /backreference/],
    ['(?P<x>a)\\k<x>', /backreference/],
    ['(?>a)', /atomic/],
    ['a**', /nothing before|nested|no valid/],
    ['[a', /lacks a \]/],
    ['(a', /lacks a \)/],
    ['a)', /\) too many/],
    ['a\\', /backslash/],
    ['\\p{Nope}', /no valid RE2/],
    ['   ', /empty/],
  ];
  for (const [pattern, says] of rows) {
    const { problems } = compileRules([{ pattern: 'fine' }, { pattern }]);
    assert.equal(problems.length, 1, pattern);
    assert.equal(problems[0]?.index, 1);
    assert.match(problems[0]?.message ?? '', says);
    assert.ok((problems[0]?.hint ?? '').length > 0);
    if (pattern.trim()) assert.ok(problems[0]?.message.includes(pattern), problems[0]?.message);
    assert.deepEqual(checkPattern(pattern), { message: problems[0]?.message, hint: problems[0]?.hint });
  }
  for (const pattern of [
    'deploy',
    '(?i)a',
    '(?P<x>a)b',
    '[[:alpha:]]+',
    '\\pL+',
    '\\Qa.b\\E',
    'a{2,3}?',
    '(a|b)+c$',
    '\\x{41}b',
    '[^\\]a]x',
    'a{',
    'c\\+\\+',
  ])
    assert.equal(checkPattern(pattern), null, pattern);
});

test('R06: no pattern holds the thread', () => {
  const texts = [`${'a'.repeat(50)}!`, `${'a'.repeat(100_000)}!`, 'ab '.repeat(5_000), 'x'.repeat(4_000)];
  for (const pattern of ['a'.repeat(10_240), '(a{100}){100}', 'a{1,2000}', '(a?){90}a{90}', '\\pL'.repeat(100)])
    assert.match(checkPattern(pattern)?.message ?? '', /too large|characters|more than 1000/);
  const set = compileRules(['^(a+)+$', '(.*a){20}', '(x+x+)+y', '(a|a?)+b', '.*.*.*c\\d', '(\\pL+ ){9}z'].map((pattern) => ({ pattern })));
  assert.deepEqual(set.problems, []);
  // The engine is compiled at first use and Node warms up: the third time counts.
  let worst = 0;
  for (let round = 0; round < 3; round++) {
    worst = 0;
    for (const text of texts) {
      const start = performance.now();
      set.matchAll(`${text}${round}`);
      worst = Math.max(worst, performance.now() - start);
    }
  }
  assert.ok(worst < 50, `${worst} ms for six patterns`);
});

test('a text longer than rules look at is cut, not refused', () => {
  assert.equal(matched('needle', `needle ${'x '.repeat(100_000)}`), 'needle');
  assert.equal(matched('needle', `${'x '.repeat(100_000)} needle`), null);
});

test('rules agree with RegExp on simple patterns; the prefilter loses no match', () => {
  const letter = fc.constantFrom('a', 'b', 'c', 'd', 'A', 'é');
  const atom: fc.Arbitrary<string> = fc.oneof(
    { weight: 6, arbitrary: fc.string({ unit: letter, minLength: 1, maxLength: 4 }) },
    fc.constantFrom('.', '[ab]', '[^a]', '\\d', '\\w', ' ', '\\s', '[a-c]'),
  );
  const repeated = fc
    .tuple(atom, fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{0,2}', '{1,3}', '+?'))
    .map(([part, sign]) => (sign === '' ? part : `(?:${part})${sign}`));
  const sequence = fc.array(repeated, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
  const grouped = fc
    .array(sequence, { minLength: 1, maxLength: 3 })
    .map((parts) => (parts.length === 1 ? parts[0] : `(${parts.join('|')})`) as string);
  const pattern = fc
    .tuple(fc.constantFrom('', '', '', '^', '\\b'), grouped, grouped, fc.constantFrom('', '', '', '$'))
    .map((parts) => parts.join(''));
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'd', 'B', 'é', 'É', '1', ' ', ' ', '-'), maxLength: 24 });
  fc.assert(
    fc.property(fc.array(pattern, { minLength: 1, maxLength: 5 }), text, (patterns, sample) => {
      const set = compileRules(patterns.map((source) => ({ pattern: source })));
      assert.deepEqual(
        set.problems.filter(({ message }) => !/empty/.test(message)),
        [],
      );
      const expected = patterns.flatMap((source, index) => {
        if (source.trim() === '') return [];
        const asWritten = /\^(?!a\])|\$|\\b/.test(source);
        const whole = asWritten ? source : `(?:^|[^\\p{L}\\p{M}\\p{N}_])(?:${source})(?:$|[^\\p{L}\\p{M}\\p{N}_])`;
        return new RegExp(whole, 'iu').test(sample) ? [index] : [];
      });
      assert.deepEqual(
        set
          .matchAll(sample)
          .map(({ index }) => index)
          .sort((a, b) => a - b),
        expected,
      );
    }),
    { numRuns: 300 },
  );
});

test('many literals at once: every rule whose word is in the text is found, and no other', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.uniqueArray(word, { minLength: 1, maxLength: 40 }), fc.array(word, { maxLength: 10 }), (patterns, words) => {
      const set = compileRules(patterns.map((pattern) => ({ pattern })));
      const expected = patterns.flatMap((pattern, index) => (words.includes(pattern) ? [index] : []));
      assert.deepEqual(
        set
          .matchAll(words.join(' '))
          .map(({ index }) => index)
          .sort((a, b) => a - b),
        expected,
      );
    }),
    { numRuns: 500 },
  );
});

test('10,000 rules load at once and pick the right one', () => {
  const rules = Array.from({ length: 10_000 }, (_, i) => ({ pattern: i % 2 ? `service${i}` : `deploy .*svc${i}\\b` }));
  const start = performance.now();
  const set = compileRules(rules);
  assert.ok(performance.now() - start < 2_000);
  assert.equal(set.match('please deploy the big svc4242 today')?.index, 4242);
  assert.equal(set.match('call service77')?.index, 77);
  assert.equal(set.match('call service777777'), null);
});
