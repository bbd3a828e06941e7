import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Route } from '../../../shared/model.ts';
import type { Run } from '../runners/runner.ts';
import { createToolRunner } from '../runners/tool.ts';
import { createScratch } from '../store/scratch.ts';
import type { Store } from '../store/store.ts';
import { createMemoryTools } from './memory.ts';

interface Answer {
  code: string;
  message: string;
  // biome-ignore lint/suspicious/noExplicitAny: results are looked at field by field.
  result: any;
}

function using(store: Store) {
  let now = 1_700_000_000_000;
  const runner = createToolRunner(new Map(createMemoryTools({ store, clock: () => now++ }).map((tool) => [tool.name, tool])), () => 0);
  return async (name: string, params: Record<string, unknown>, { text = null as string | null, id = 'ana' } = {}): Promise<Answer> => {
    const outcome = await runner({
      ...({ route: { name: `OS.${name}`, service: name, endpoint: null } as Route, text, params, attempts: [] } as unknown as Run),
      principal: { id, name: id, capabilities: ['dispatch'] },
      newAttemptId: () => 'att_1',
    });
    return outcome.ok ? { code: 'ok', message: '', result: outcome.result } : { ...outcome.error, result: null };
  };
}

async function setup(t: TestContext) {
  const scratch = createScratch(t);
  const store = await scratch.open();
  return { ...scratch, store, ask: using(store) };
}

const texts = ({ result }: Answer) => result.items.map(({ text }: { text: string }) => text);

test('keeps, finds, lists and forgets, in the shape of seed 003, and keeps it over a restart', async (t) => {
  const { store, open, ask } = await setup(t);
  const { result } = await ask('memory.write', { text: 'The Eiffel Tower is in Paris', tags: ['geography', 'landmarks', 'geography'] });
  assert.match(result.item_id, /^mem_[0-9a-f]{32}$/);
  assert.deepEqual(
    { ...result, item_id: '' },
    {
      ...{ item_id: '', status: 'stored', text_length: 28, tags: ['geography', 'landmarks'], namespace: 'default' },
    },
  );
  await ask('memory.write', {}, { text: 'remember that the wifi code is 1234' });
  await ask('memory.write', { text: 'Paris Texas is a film', namespace: 'films' });
  assert.deepEqual(texts(await ask('memory.search', { query: 'eiffel' })), ['The Eiffel Tower is in Paris']);
  assert.deepEqual(texts(await ask('memory.search', {}, { text: 'what do you remember about the wifi' })), ['the wifi code is 1234']);
  assert.deepEqual(texts(await ask('memory.search', { query: 'landmark' })), ['The Eiffel Tower is in Paris'], 'tags are words too');
  assert.equal((await ask('memory.search', { query: 'paris' })).result.items.length, 2);
  assert.deepEqual(texts(await ask('memory.search', { query: 'paris', namespace: 'films' })), ['Paris Texas is a film']);
  assert.deepEqual(texts(await ask('memory.search', { query: 'paris', tags: ['landmarks', 'geography'] })), [
    'The Eiffel Tower is in Paris',
  ]);
  assert.deepEqual(texts(await ask('memory.search', { query: 'paris', tags: ['landmark'] })), [], 'a tag is whole');
  const any = await ask('memory.search', { query: 'eiffel password wifi' });
  assert.deepEqual([any.result.matched, any.result.items.length], ['any', 2]);
  const listed = await ask('memory.list', { limit: 2 });
  assert.deepEqual(texts(listed), ['Paris Texas is a film', 'the wifi code is 1234']);
  assert.deepEqual(listed.result.namespaces, [
    { namespace: 'default', count: 2 },
    { namespace: 'films', count: 1 },
  ]);
  assert.deepEqual(texts(await ask('memory.list', { cursor: listed.result.cursor })), ['The Eiffel Tower is in Paris']);
  assert.deepEqual(texts(await ask('memory.list', { tags: ['geography'] })), ['The Eiffel Tower is in Paris']);
  assert.equal((await ask('memory.delete', {}, { text: `forget the memory ${result.item_id}` })).result.status, 'deleted');
  assert.deepEqual(texts(await ask('memory.search', { query: 'eiffel' })), []);
  assert.equal((await ask('memory.delete', { id: result.item_id })).code, 'not_found');
  await store[Symbol.asyncDispose]();
  assert.deepEqual(texts(await using(await open())('memory.search', { query: 'wifi' })), ['the wifi code is 1234']);
});

test('what one principal keeps no other finds, lists, reads or deletes', async (t) => {
  const { ask } = await setup(t);
  const { result } = await ask('memory.write', { text: 'secret plan', tags: ['x'] });
  for (const id of ['bob', 'an', 'ana ', 'ANA']) {
    assert.deepEqual(texts(await ask('memory.search', { query: 'secret' }, { id })), []);
    assert.deepEqual(texts(await ask('memory.list', { tags: ['x'] }, { id })), []);
    assert.equal((await ask('memory.list', { id: result.item_id }, { id })).code, 'not_found');
    assert.equal((await ask('memory.delete', { id: result.item_id }, { id })).code, 'not_found');
  }
  assert.equal((await ask('memory.list', { id: result.item_id })).result.items[0].text, 'secret plan');
});

test('T19: what is too much or no text is refused with a 4xx code and without a word of SQL', async (t) => {
  const { ask } = await setup(t);
  const cases: [string, Record<string, unknown>][] = [
    ['memory.write', { text: 'x'.repeat(50_000_000) }],
    ['memory.write', { text: 'x', tags: Array.from({ length: 100_000 }, (_, i) => `t${i}`) }],
    ['memory.write', { text: 'x', tags: ['a\0b'] }],
    ['memory.write', { text: 'x', tags: ['x'.repeat(101)] }],
    ['memory.write', { text: 'a\0b' }],
    ['memory.write', { text: ' \n' }],
    ['memory.write', {}],
    ['memory.write', { text: 'x', namespace: "a'; DROP TABLE memory; --" }],
    ['memory.search', { query: '"' }],
    ['memory.search', { query: '"*" - ^ : ()' }],
    ['memory.search', { query: 'x'.repeat(3000) }],
    ['memory.search', {}],
    ['memory.list', { cursor: '1 OR 1=1' }],
    ['memory.list', { limit: 1e9 }],
    ['memory.delete', { id: "' OR 1=1 --" }],
  ];
  for (const [name, params] of cases) {
    const began = performance.now();
    const { code, message } = await ask(name, params);
    assert.ok(code === 'input_invalid' || code === 'not_found', `${name} ${JSON.stringify(params).slice(0, 60)}: ${code}`);
    assert.ok(!/sql|fts5|syntax|SELECT|MATCH|no such/i.test(message), message);
    assert.ok(performance.now() - began < 1000);
  }
});

test('T19: operators, quotes and NULs in a search are words or nothing, and never syntax', async (t) => {
  const { ask } = await setup(t);
  await ask('memory.write', { text: 'alpha NEAR beta', tags: ["o'neil", 'a"b', 'keys:x'] });
  await ask('memory.write', { text: 'other' }, { id: 'bob' });
  for (const query of [
    'NEAR',
    'alpha NOT beta',
    'alpha OR',
    'AND alpha',
    'alpha*',
    '^alpha',
    'text:alpha',
    '{text} : alpha',
    'NEAR(alpha beta, 5)',
    '"alpha',
    "alpha' OR 1=1",
    'alpha + beta',
    'alpha\0beta',
    'alpha) OR keys:(a',
  ])
    assert.deepEqual(texts(await ask('memory.search', { query })), ['alpha NEAR beta'], query);
  for (const tag of ["o'neil", 'a"b', 'keys:x']) assert.equal(texts(await ask('memory.list', { tags: [tag] })).length, 1, tag);
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }),
      async (query, tags) => {
        const { code, result, message } = await ask('memory.search', { query, tags });
        assert.ok(code === 'ok' || code === 'input_invalid', `${code} ${message}`);
        assert.ok(!result || !texts({ code, message, result }).includes('other'));
      },
    ),
    { numRuns: 300 },
  );
});

test('whatever was written comes back as it was', async (t) => {
  const { ask } = await setup(t);
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), async (text) => {
      fc.pre(!text.includes('\0') && text.trim() !== '');
      const { result } = await ask('memory.write', { text });
      assert.equal((await ask('memory.list', { id: result.item_id })).result.items[0].text, text.toWellFormed());
    }),
    { numRuns: 60 },
  );
  const { result } = await ask('memory.write', { text: `needle ${'é'.repeat(99_000)}` });
  const [found] = (await ask('memory.search', { query: 'needle' })).result.items;
  assert.deepEqual([found.text.length, found.textLength], [4000, 99_007]);
  assert.equal((await ask('memory.list', { id: result.item_id })).result.items[0].text.length, 99_007);
});

test('a word that thousands of texts have finds the newest; one that few have, the best', async (t) => {
  const { store, ask } = await setup(t);
  await Promise.all(
    Array.from({ length: 2500 }, (_, n) =>
      store.remember({
        id: `m${n}`,
        owner: 'ana',
        namespace: 'default',
        text: n === 7 ? 'same rare rare' : `same ${n === 9 ? 'rare' : n}`,
        tags: [],
        at: n,
      }),
    ),
  );
  const common = (await ask('memory.search', { query: 'same', limit: 2 })).result.items;
  assert.deepEqual(
    common.map(({ id, score }: { id: string; score: number | null }) => [id, score]),
    [
      ['m2499', null],
      ['m2498', null],
    ],
  );
  const rare = (await ask('memory.search', { query: 'rare same' })).result.items;
  assert.deepEqual(
    rare.map(({ id }: { id: string }) => id),
    ['m7', 'm9'],
  );
  assert.ok(rare[0].score > rare[1].score);
  assert.equal((await ask('memory.search', { query: 'ra' })).result.items.length, 0, 'a short word is meant whole');
});
