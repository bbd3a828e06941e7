import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startService, tempFolder } from '../testing.ts';
import { createLexicon } from './owner-words.ts';
import { createSchemaCheck } from './schema-check.ts';
import { createSidecar, type SidecarOptions } from './sidecar.ts';

/** What the model says: a text, a whole answer, or nothing for ever. */
type Saying = string | { answer: unknown; status?: number } | 'silence';

/** A server that speaks OpenAI's words over real HTTP and says what it is told to, one thing after the other, the last for ever. */
async function setup(t: TestContext, says: Saying[], options: Partial<SidecarOptions> = {}) {
  const left = [...says];
  const service = await startService((_, response: ServerResponse) => {
    const saying = left.length > 1 ? left.shift()! : left[0]!;
    if (saying === 'silence') return;
    const { answer, status } =
      typeof saying === 'string'
        ? { answer: { choices: [{ message: { role: 'assistant', content: saying }, finish_reason: 'stop' }] }, status: 200 }
        : { status: 200, ...saying };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  t.after(() => service[Symbol.asyncDispose]());
  const checker = createSchemaCheck();
  t.after(() => checker[Symbol.dispose]());
  const sidecar = createSidecar({
    async ask(body, signal) {
      const url = `${service.url}/v1/chat/completions`;
      const response = await fetch(url, { method: 'POST', body: JSON.stringify({ model: 'small', ...body }), signal });
      if (!response.ok) throw new Error(String(response.status));
      return response.json();
    },
    checker,
    lexicon: () => null,
    // The tests are about what is said; those about time have their own.
    budgetMs: 30_000,
    clock: () => 0,
    ...options,
  });
  const bodies = () => service.ledger.map(({ body }) => JSON.parse(body));
  const prompt = (i: number) => JSON.parse(bodies()[i].messages[1].content);
  return { sidecar, service, bodies, prompt, asked: () => service.ledger.length };
}

const signal = new AbortController().signal;
const schema = {
  type: 'object',
  properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 }, unit: { enum: ['c', 'f'] } },
  required: ['city'],
};

test('free text becomes the parameters that a schema asks for', async (t) => {
  const { sidecar, bodies, prompt, asked } = await setup(t, ['{"city":"Bern","days":3}']);
  assert.deepEqual(await sidecar.extract('the weather in Bern for three days', schema, signal), { city: 'Bern', days: 3 });
  assert.equal(asked(), 1);
  assert.deepEqual(prompt(0), { request: 'the weather in Bern for three days', schema });
  const { response_format, temperature, stream, model } = bodies()[0];
  assert.deepEqual(
    { response_format, temperature, stream, model },
    { response_format: { type: 'json_schema', json_schema: { name: 'answer', schema } }, temperature: 0, stream: false, model: 'small' },
  );
});

test('what does not fit is asked for once more, with what is wrong, and then passed over', async (t) => {
  const mended = await setup(t, ['{"city":"Bern","days":0}', '{"city":"Bern","days":1}']);
  assert.deepEqual(await mended.sidecar.extract('Bern tomorrow', schema, signal), { city: 'Bern', days: 1 });
  const [, , said, again] = mended.bodies()[1].messages;
  assert.deepEqual([said, again.role], [{ role: 'assistant', content: '{"city":"Bern","days":0}' }, 'user']);
  assert.match(again.content, /days: /);
  const hopeless = await setup(t, ['{"days":"three"}']);
  assert.equal(await hopeless.sidecar.extract('three days', schema, signal), null);
  assert.equal(hopeless.asked(), 2);
});

test('what nobody asked for is left out, and so are nulls that mean nothing', async (t) => {
  const said = '{"city":"Bern","unit":null,"confirm":true,"__proto__":{"admin":true},"constructor":1}';
  const { sidecar } = await setup(t, [said]);
  const params = await sidecar.extract('Bern', schema, signal);
  assert.deepEqual([params, Object.keys(params!)], [{ city: 'Bern' }, ['city']]);
});

test('whatever the server says that is no such object is passed over', async (t) => {
  const sayings: Saying[] = [
    ...['', 'Sure! The city is Bern.', '[{"city":"Bern"}]', '"Bern"', 'null', '{"city":"Bern"', '{"city":"Bern"} and more'],
    ...[{ answer: null }, { answer: {} }, { answer: { choices: [] } }, { answer: { choices: [null] } }, { answer: 'text' }],
    ...[{ answer: { choices: [{ message: { content: { city: 'Bern' } } }] } }, { answer: { error: 'loading' }, status: 503 }],
  ];
  for (const saying of sayings) {
    const { sidecar } = await setup(t, [saying]);
    assert.equal(await sidecar.extract('Bern', schema, signal), null, JSON.stringify(saying));
  }
  for (const saying of ['<think>They want Bern.</think>\n{"city":"Bern"}', '```json\n{"city":"Bern"}\n```']) {
    const { sidecar } = await setup(t, [saying]);
    assert.deepEqual(await sidecar.extract('Bern', schema, signal), { city: 'Bern' }, saying);
  }
});

test('it is not asked where it could not help', async (t) => {
  const { sidecar, asked } = await setup(t, ['{"city":"Bern"}']);
  const gone = AbortSignal.abort();
  const large = { type: 'object', properties: { city: { enum: Array.from({ length: 5000 }, (_, i) => `city ${i}`) } } };
  assert.deepEqual(
    [
      await sidecar.extract('Bern', null, signal),
      await sidecar.extract('Bern', { type: 'object' }, signal),
      await sidecar.extract('Bern', { type: 'object', properties: {} }, signal),
      await sidecar.extract('Bern', large, signal),
      await sidecar.extract('x'.repeat(10_000), schema, signal),
      await sidecar.extract('Bern', schema, gone),
      await sidecar.repair('x'.repeat(10_000), schema, { problems: [], signal }),
      await sidecar.choose('Bern', [], signal),
      asked(),
    ],
    [null, null, null, null, null, null, null, null, 0],
  );
});

test('arguments that fit are not touched; others are repaired once, or not at all', async (t) => {
  const fine = await setup(t, ['{"city":"elsewhere"}']);
  const repair = (one: typeof fine, args: unknown, problems: string[] = []) => one.sidecar.repair(args, schema, { problems, signal });
  assert.deepEqual(
    [await repair(fine, { city: 'Bern', more: 1 }), await repair(fine, '{"city":"Bern"}'), fine.asked()],
    [{ city: 'Bern', more: 1 }, { city: 'Bern' }, 0],
  );
  const wrong = await setup(t, ['{"city":"Bern","days":3}']);
  assert.deepEqual(await repair(wrong, { city: 'Bern', days: 'three' }), { city: 'Bern', days: 3 });
  assert.deepEqual(wrong.prompt(0).arguments, { city: 'Bern', days: 'three' });
  assert.match(wrong.prompt(0).problems.join(), /days/);
  const broken = await setup(t, ['{"city":"Bern"}']);
  assert.deepEqual(await repair(broken, "{city: 'Bern'"), { city: 'Bern' });
  assert.equal(broken.prompt(0).arguments, "{city: 'Bern'");
  const refused = await setup(t, ['{"city":"Bern","unit":"c"}']);
  assert.deepEqual(await repair(refused, { city: 'Bern' }, ['The unit is missing.']), { city: 'Bern', unit: 'c' });
  assert.equal(await repair(await setup(t, ['{"days":1}']), { days: 0 }), null);
});

test('a tie is broken by one of the routes that were given, or not at all', async (t) => {
  const choices = [
    { route: 'FND.salesforce', description: 'Customers', examples: ['sync salesforce contacts'] },
    { route: 'AI.weather', description: null, examples: [] },
  ];
  const chosen = async (saying: Saying, more = choices) => (await setup(t, [saying])).sidecar.choose('sync contacts', more, signal);
  assert.deepEqual(
    [
      await chosen('{"route":"FND.salesforce"}'),
      await chosen('{"route":"none"}'),
      await chosen('{"route":"OS.sovereign.set"}'),
      await chosen('{"route":["AI.weather"]}'),
      await chosen('AI.weather'),
      await chosen('{"route":"__proto__"}'),
    ],
    ['FND.salesforce', null, null, null, null, null],
  );
  const { sidecar, prompt } = await setup(t, ['{"route":"AI.weather"}']);
  const many = { route: 'A.b', description: 'd'.repeat(9999), examples: Array(99).fill('e'.repeat(9999)) };
  assert.equal(await sidecar.choose('rain?', [...choices, many], signal), 'AI.weather');
  assert.ok(JSON.stringify(prompt(0)).length < 3000);
});

test('its budget holds for all of it, and whoever asked may leave before', async (t) => {
  const slow = await setup(t, ['silence'], { budgetMs: 100 });
  const began = performance.now();
  assert.equal(await slow.sidecar.extract('Bern', schema, signal), null);
  assert.ok(performance.now() - began < 2000);
  const secondTime = await setup(t, ['{}', 'silence'], { budgetMs: 300 });
  assert.equal(await secondTime.sidecar.extract('Bern', schema, signal), null);
  const left = await setup(t, ['silence']);
  const leaving = new AbortController();
  const asked = left.sidecar.extract('Bern', schema, leaving.signal);
  leaving.abort();
  assert.equal(await asked, null);
});

test('one that does not answer is left alone for a while, and one that answers nonsense is not', async (t) => {
  let now = 0;
  const down = await setup(t, [{ answer: {}, status: 500 }], { clock: () => now });
  const ask = () => down.sidecar.extract('Bern', schema, signal);
  for (let i = 0; i < 5; i++) assert.equal(await ask(), null);
  assert.equal(down.asked(), 3);
  now = 29_999;
  await ask();
  assert.equal(down.asked(), 3);
  now = 30_000;
  await ask();
  assert.equal(down.asked(), 4);
  const nonsense = await setup(t, ['no']);
  for (let i = 0; i < 5; i++) await nonsense.sidecar.extract('Bern', schema, signal);
  assert.equal(nonsense.asked(), 10);
  let calls = 0;
  const silent: SidecarOptions['ask'] = () => {
    calls += 1;
    return new Promise(() => {});
  };
  const left = await setup(t, ['silence'], { ask: silent });
  for (let i = 0; i < 5; i++) {
    const leaving = new AbortController();
    const over = left.sidecar.extract('Bern', schema, leaving.signal);
    leaving.abort();
    assert.equal(await over, null);
  }
  assert.equal(calls, 5, 'who leaves says nothing of it');
});

test("the owner's words go along: of a map those that the text has, of a text its beginning", async (t) => {
  using folder = tempFolder();
  const file = join(folder.path, 'words.yaml');
  const lexicon = createLexicon(() => file);
  const { sidecar, prompt } = await setup(t, ['{"city":"Bern"}'], { lexicon });
  const words = async (content: string | null, text = 'Weather at the Big House, please') => {
    if (content !== null) writeFileSync(file, content);
    await sidecar.extract(text, schema, signal);
    return prompt(asked++).words_of_the_owner;
  };
  let asked = 0;
  assert.deepEqual(
    [
      await words(null),
      await words('big house: Bern\nthe lake: Thun\n'),
      await words('big house: Bern, where we live\nplease: 7\nhouses: all of them\n'),
      await words('the lake: Thun\n'),
      await words('Our house is in Bern. '.repeat(1000))?.then((text) => text.length),
      await words('a: b: c: not yaml: ['),
      await words('x'.repeat(300_000)),
      await words(''),
    ],
    [
      undefined,
      'big house: Bern',
      'big house: Bern, where we live\nplease: 7',
      undefined,
      4000,
      'a: b: c: not yaml: [',
      undefined,
      undefined,
    ],
  );
});
