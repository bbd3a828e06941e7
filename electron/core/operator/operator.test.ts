import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createReader } from './features.ts';
import { LEXICON } from './lexicon.ts';
import { createOperator, type Operator, type OperatorRoute } from './operator.ts';

const routes: OperatorRoute[] = [
  {
    name: 'FND.salesforce',
    examples: [
      'sync salesforce contacts',
      'update a lead in salesforce',
      'export the opportunities of this quarter',
      'how many leads came in',
    ],
  },
  {
    name: 'FND.stripe',
    examples: ['refund the last stripe payment', 'list open invoices', 'charge the customer again', 'show the payouts of this week'],
  },
  {
    name: 'AI.router',
    examples: ['what is 2+2', 'explain how photosynthesis works', 'write a poem about the sea', 'summarise this article'],
  },
  {
    name: 'CLD.worker',
    examples: ['deploy my cloudflare worker', 'purge the cache of the website', 'roll back the worker', 'show the dns records'],
  },
  {
    name: 'MED.video',
    examples: ['cut the video at two minutes', 'add subtitles to the clip', 'render the movie in 4k', 'make the recording louder'],
  },
  {
    name: 'SEC.scan',
    examples: ['scan the server for open ports', 'rotate the access keys', 'who logged in last night', 'check the certificate'],
  },
  {
    name: 'EDU.course',
    examples: ['enrol a student in the course', 'grade the homework', 'when does the lesson begin', 'print the report cards'],
  },
  {
    name: 'XR.ar',
    examples: ['place the model on the table', 'open the augmented reality viewer'],
    rules: [{ pattern: 'ar', priority: 50, line: 12 }],
  },
  {
    name: 'AI.ollama',
    examples: [],
    rules: [
      { pattern: '@ollama', priority: 0 },
      { pattern: 'webhook:push', priority: 5 },
    ],
  },
];

describe('an operator of a small registry', () => {
  let operator: Operator;
  before(async () => {
    operator = await createOperator(routes);
  });
  after(() => operator[Symbol.dispose]());
  const first = (text: string) => {
    const { ranked, abstained } = operator.classify(text);
    return { route: ranked[0]?.route, confidence: ranked[0]?.confidence ?? 0, reason: ranked[0]?.reason ?? '', abstained };
  };

  test('"sync salesforce contacts" goes to FND.salesforce at 0.9 or more, and says which example', () => {
    const { route, confidence, abstained, reason } = first('sync salesforce contacts');
    assert.equal(route, 'FND.salesforce');
    assert.ok(confidence >= 0.9, String(confidence));
    assert.equal(abstained, false);
    assert.equal(reason, 'is its example "sync salesforce contacts"');
  });

  test('a text close to an example goes there and says what weighed', () => {
    const { route, abstained, reason } = first('please refund that stripe payment');
    assert.equal(route, 'FND.stripe');
    assert.equal(abstained, false);
    assert.match(reason, /^like its example "refund the last stripe payment"; .*"refund"/);
  });

  test('an example with strange words around it is not that example', () => {
    const strange = first('qwrt zxcv scan the server for open ports plmk vbnm');
    assert.equal(strange.route, 'SEC.scan');
    assert.doesNotMatch(strange.reason, /^is its example/);
    assert.match(first('Scan the server, for open ports!').reason, /^is its example/);
  });

  test('"start the chart report" does not go to a service named ar', () => {
    const { ranked, rules } = operator.explain('start the chart report');
    assert.notEqual(ranked[0]?.route, 'XR.ar');
    assert.deepEqual(rules, []);
  });

  test('nonsense abstains', () => {
    for (const text of ['', '   ', '?!', 'qwrt zxcv plmk', 'xyzzy', '😀😀😀']) assert.equal(operator.classify(text).abstained, true, text);
  });

  test('a rule decides before the classifier, with its priority in the reason', () => {
    const { ranked, abstained } = operator.classify('sync salesforce contacts in ar');
    assert.deepEqual(
      { route: ranked[0]?.route, confidence: ranked[0]?.confidence, abstained },
      { route: 'XR.ar', confidence: 0.95, abstained: false },
    );
    assert.equal(ranked[0]?.reason, 'rule "ar" (priority 50) matches "ar"');
    assert.equal(ranked[1]?.route, 'FND.salesforce');
    assert.equal(operator.classify('webhook:push').ranked[0]?.route, 'AI.ollama');
  });

  test('choose gives what classify puts first, whoever decides', () => {
    for (const text of ['sync salesforce contacts in ar', '@ollama hello', 'render the clip', 'qwrt zxcv plmk']) {
      const { ranked, abstained } = operator.classify(text);
      const { best, abstained: open } = operator.choose(text);
      assert.equal(JSON.stringify({ best, open }), JSON.stringify({ best: ranked[0] ?? null, open: abstained }), text);
    }
  });

  test('a mention wins over every priority; explain lists all rules that match', () => {
    const { ranked, rules } = operator.explain('@ollama sync the ar contacts');
    assert.equal(ranked[0]?.route, 'AI.ollama');
    assert.ok((ranked[0]?.confidence ?? 0) > 0.95);
    assert.deepEqual(
      rules.map(({ pattern, route, priority, line, matched, won }) => ({ pattern, route, priority, line, matched, won })),
      [
        { pattern: '@ollama', route: 'AI.ollama', priority: 0, line: null, matched: '@ollama', won: true },
        { pattern: 'ar', route: 'XR.ar', priority: 50, line: 12, matched: 'ar', won: false },
      ],
    );
  });

  test('confidences are probabilities, best first; an answer stays what it was and can be sent as JSON', () => {
    const before = operator.classify('render the clip');
    const text = JSON.stringify(before);
    operator.classify('grade the homework');
    assert.equal(JSON.stringify(before), text);
    assert.match(text, /"reason":"/);
    const confidences = before.ranked.map(({ confidence }) => confidence);
    assert.deepEqual(
      confidences,
      confidences.toSorted((a, b) => b - a),
    );
    assert.ok(confidences.every((value) => value >= 0 && value <= 1));
    assert.ok(confidences.reduce((sum, value) => sum + value, 0) <= 1.000001);
  });

  test('long, strange and hostile texts are answered', () => {
    for (const text of [
      'a'.repeat(1_000_000),
      'sync '.repeat(50_000),
      '\ud800',
      '\u0000\u202e',
      '__proto__ constructor',
      'e\u0301'.repeat(9_000),
    ])
      assert.equal(typeof operator.classify(text).abstained, 'boolean');
  });
});

test('a word never seen counts as its kin does', async () => {
  using operator = await createOperator([
    {
      name: 'A.translate',
      examples: ['how do they say it in french', 'put that into spanish', 'the german for it', 'turn it into russian'],
    },
    { name: 'A.weather', examples: ['how is it in boston', 'will it pour in chicago', 'what it is like in denver', 'is it nice in miami'] },
  ]);
  const firsts = ['and in italian', 'and in seattle'].map((text) => operator.classify(text).ranked[0]?.route);
  assert.deepEqual(firsts, ['A.translate', 'A.weather']);
});

test('a word counts as others of its topic do', async () => {
  using operator = await createOperator([
    { name: 'A.one', examples: ['the soup was cold', 'two cups of flour', 'the butter melted', 'peel the potato'] },
    { name: 'A.two', examples: ['the engine was cold', 'two litres of petrol', 'the tyre blew', 'shut the bonnet of the truck'] },
  ]);
  const firsts = ['the lobster', 'the brakes'].map((text) => operator.classify(text).ranked[0]?.route);
  assert.deepEqual(firsts, ['A.one', 'A.two']);
});

test('the name of a route counts as an example of it, and is never shown as one', async () => {
  using operator = await createOperator([
    { name: 'FND.stripeRefund', examples: ['give the money back', 'undo the payment'] },
    { name: 'FND.github_issue', examples: ['something is broken', 'write down what went wrong'] },
  ]);
  const answers = ['stripe', 'on github'].map((text) => operator.classify(text).ranked[0]);
  assert.deepEqual(
    answers.map((first) => [first?.route, first?.reason]),
    [
      ['FND.stripeRefund', '"stripe" speaks for it'],
      ['FND.github_issue', '"github" speaks for it'],
    ],
  );
});

test('the letters after an apostrophe are not part of the word before it', async () => {
  using operator = await createOperator([
    { name: 'A.passport', examples: ['renew my id', 'a photo for the id', 'where is my id'] },
    { name: 'A.table', examples: ['i want a table', 'i need a seat', 'can i sit'] },
  ]);
  assert.equal(operator.classify("i'd").ranked[0]?.route, 'A.table');
});

test('no word of the lexicon is there twice, be it with another ending', () => {
  const reader = createReader();
  const stems = new Set<number>();
  const odd = LEXICON.split(/\s+/).filter((word) => {
    reader.read(word);
    const stem = reader.hashes[0] as number;
    return !/^[a-z]+[0-9]?$/.test(word) || stems.size === stems.add(stem).size;
  });
  assert.deepEqual(odd, []);
});

test('same routes and same seed, same answers; another seed may differ in numbers only a little', async () => {
  const texts = ['refund a payment', 'deploy it', 'who was there', 'sync'];
  const answers = async (seed: number) => {
    using operator = await createOperator(routes, { seed });
    return texts.map((text) => JSON.stringify(operator.classify(text)));
  };
  assert.deepEqual(await answers(3), await answers(3));
});

test('nothing to learn from: no routes, routes without examples, a single route', async () => {
  using none = await createOperator([]);
  assert.deepEqual(none.classify('hello'), { ranked: [], abstained: true });
  assert.deepEqual(none.explain('hello'), { ranked: [], abstained: true, rules: [] });
  using bare = await createOperator([
    { name: 'A.b', examples: [], rules: [{ pattern: 'hello' }] },
    { name: 'A.c', examples: ['  '] },
  ]);
  assert.equal(bare.classify('hello').ranked[0]?.route, 'A.b');
  assert.deepEqual(bare.classify('goodbye'), { ranked: [], abstained: true });
  using one = await createOperator([{ name: 'A.b', examples: ['deploy the website'] }]);
  assert.deepEqual([one.classify('deploy the website').abstained, one.classify('boil an egg').abstained], [false, true]);
  assert.ok((one.classify('boil an egg').ranked[0]?.confidence ?? 1) < 0.6);
});

test('a rule that cannot be used is left out, the others work', async () => {
  using operator = await createOperator([{ name: 'A.b', examples: [], rules: [{ pattern: '(?<=x)y' }, { pattern: 'hello' }] }]);
  const { ranked } = operator.classify('hello');
  assert.equal(ranked[0]?.reason, 'rule "hello" (priority 0) matches "hello"');
});

test('training can be given up', async () => {
  const reason = new Error('reloaded');
  await assert.rejects(createOperator(routes, { signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const made = createOperator(routes, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(made, reason);
});
