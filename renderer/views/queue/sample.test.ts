import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sampleOf } from './sample.ts';

test('a sample has what is required and what has a default, and nothing else', () => {
  const schema = {
    type: 'object',
    required: ['path', 'lines', 'mode', 'filter'],
    properties: {
      path: { type: 'string' },
      lines: { type: 'integer' },
      mode: { enum: ['fast', 'exact'] },
      filter: { type: 'object', required: ['tags'], properties: { tags: { type: 'array' }, note: { type: 'string' } } },
      depth: { type: 'number', default: 3 },
      left: { type: 'boolean' },
    },
  };
  assert.deepEqual(sampleOf(schema), { path: '', lines: 0, mode: 'fast', filter: { tags: [] }, depth: 3 });
});

test('a schema that says nothing, or nests without end, still gives something', () => {
  const endless: Record<string, unknown> = { type: 'object', required: ['again'] };
  endless.properties = { again: endless };
  assert.deepEqual([sampleOf(null), sampleOf({ type: 'object' }), JSON.stringify(sampleOf(endless)).length < 200], [null, {}, true]);
});
