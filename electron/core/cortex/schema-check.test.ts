import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createSchemaCheck } from './schema-check.ts';

function setup(t: TestContext, timeoutMs?: number) {
  const checker = createSchemaCheck(timeoutMs === undefined ? {} : { timeoutMs });
  t.after(() => checker[Symbol.dispose]());
  const never = new AbortController().signal;
  return { checker, check: (schema: unknown, value: unknown, signal = never) => checker.check(schema, value, signal) };
}

const schema = {
  type: 'object',
  properties: {
    limit: { type: 'integer', minimum: 1 },
    kind: { enum: ['a', 'b'] },
    tags: { type: 'array', items: { $ref: '#/$defs/tag' } },
  },
  required: ['limit'],
  additionalProperties: false,
  $defs: { tag: { type: 'string', pattern: '^[a-z]+$' } },
};

test('says what is wrong with a value, and nothing of one that is right', async (t) => {
  const { check } = setup(t);
  assert.deepEqual(await check(schema, { limit: 5, kind: 'a', tags: ['x'] }), []);
  const said = async (value: unknown) => (await check(schema, value))!.map((problem) => problem.split(':')[0]);
  assert.deepEqual(
    [await said({}), await said({ limit: 0 }), await said({ limit: 1, tags: ['x', 'X'] }), await said('text')],
    [['it'], ['limit'], ['tags/1'], ['it']],
  );
  assert.match((await check(schema, { limit: 1, other: 2 }))!.join(), /other/);
  assert.deepEqual(await check({ $schema: 'http://json-schema.org/draft-04/schema#', minimum: 1, exclusiveMinimum: true }, 2), []);
});

test('M10: a schema that refers elsewhere, to itself, to nothing, or holds ten thousand values is no danger', async (t) => {
  const { check } = setup(t);
  const many = Array.from({ length: 10_000 }, (_, i) => `value ${i}`);
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  assert.deepEqual(
    [
      await check({ $ref: 'http://127.0.0.1:9/schema.json' }, 1),
      await check({ $ref: '#/$defs/missing' }, 1),
      await check({ type: 'object', properties: { next: { $ref: '#' } } }, { next: { next: { next: {} } } }),
      await check({ enum: many }, 'value 9999'),
      await check({ type: 'string', pattern: '(' }, 'x'),
      await check(circle, 1),
      await check(undefined, 1),
      await check({ const: 'x'.repeat(300_000) }, 1),
      await check({ type: 'integer' }, 1),
    ],
    [null, null, [], [], null, null, null, null, []],
  );
});

test('M10: what would take for ever is given up, and the next one is answered', async (t) => {
  const { check } = setup(t, 300);
  const deep: Record<string, unknown> = { a0: { type: 'integer' } };
  for (let i = 1; i < 40; i++) deep[`a${i}`] = { allOf: [{ $ref: `#/$defs/a${i - 1}` }, { $ref: `#/$defs/a${i - 1}` }] };
  const answers = await Promise.all([
    check({ pattern: '^(a+)+$' }, `${'a'.repeat(40)}!`),
    check({ type: 'integer' }, 1),
    check({ $ref: '#/$defs/a39', $defs: deep }, 1),
    check({ type: 'integer' }, 'x'),
  ]);
  assert.deepEqual([answers[0], answers[1], answers[2], answers[3]?.length], [null, [], null, 1]);
  const gone = new AbortController();
  const asked = check({ pattern: '^(a+)+$' }, `${'a'.repeat(40)}!`, gone.signal);
  gone.abort();
  assert.equal(await asked, null);
  assert.deepEqual(await check({ type: 'integer' }, 1), []);
});
