import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, shapeOf } from './shape.ts';

const shapes = (result: unknown) => shapeOf(result).shapes.join(' ');

test('each answer is shown in the shape that shows it best', () => {
  assert.deepEqual(
    [
      shapes('hello'),
      shapes(null),
      shapes(42),
      shapes({ success: true, synced: 150 }),
      shapes([{ id: 1, name: 'a' }]),
      shapes({ customers: [{ id: 1 }, { id: 2 }], next: null }),
      shapes({ a: [{ id: 1 }, { id: 2 }], b: [{ id: 1 }, { id: 2 }] }),
      shapes([{ id: 1, nested: { deep: true } }]),
      shapes([1, 2, 3]),
      shapes([]),
      shapes({ text: 'done' }),
      shapes({ message: 'ok', id: 7 }),
    ],
    ['text', 'json', 'json', 'json', 'table json', 'table json', 'json', 'json', 'json', 'json', 'text json', 'json'],
  );
});

test('the words of a chat completion are its text', () => {
  const shaped = shapeOf({ object: 'chat.completion', choices: [{ message: { role: 'assistant', content: 'Sunny.' } }], usage: {} });
  assert.deepEqual([shaped.shapes, shaped.text], [['text', 'json'], 'Sunny.']);
});

test('the texts of an MCP result are its text, unless there is something else in it', () => {
  const part = (text: string) => ({ type: 'text', text });
  const image = { type: 'image', data: 'aGk=', mimeType: 'image/png' };
  assert.deepEqual(
    [
      shapeOf({ content: [part('Echo: hi'), part('bye')] }).text,
      shapeOf({ content: [part('Echo: hi'), image] }).text,
      shapeOf({ content: [] }).text,
    ],
    ['Echo: hi\n\nbye', null, null],
  );
});

test('a table has every column that any row has', () => {
  const { table } = shapeOf([{ a: 1 }, { b: 2, a: null }]);
  assert.deepEqual(table, { columns: ['a', 'b'], rows: [{ a: 1 }, { b: 2, a: null }], from: null });
});

test('keys that objects inherit are columns like any other', () => {
  const { table } = shapeOf(JSON.parse('[{"__proto__": 1, "constructor": "x"}]'));
  assert.deepEqual(table?.columns, ['__proto__', 'constructor']);
});

test('fences separate code from prose; a fence still open is code', () => {
  assert.deepEqual(blocksOf('Look:\n\n```sh\nls -l\n```\nDone.\n```\nopen'), [
    { kind: 'prose', text: 'Look:' },
    { kind: 'code', text: 'ls -l' },
    { kind: 'prose', text: 'Done.' },
    { kind: 'code', text: 'open' },
  ]);
});
