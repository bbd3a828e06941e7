import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffOf } from './diff.ts';

const signs = { same: ' ', gone: '-', new: '+' };
const told = (before: string, after: string) => diffOf(before, after).map(({ is, text }) => `${signs[is]}${text}`);

test('what stayed is told once, what went before what came in its place', () => {
  assert.deepEqual(told('a\nb\nc\nd', 'a\nx\nc\nd\ne'), [' a', '-b', '+x', ' c', ' d', '+e']);
});

test('equal texts differ in nothing', () => {
  assert.deepEqual(told('a\nb', 'a\nb'), [' a', ' b']);
});

test('whatever two texts are, each can be read out of their difference', () => {
  let seed = 11;
  const text = () =>
    Array.from({ length: 12 }, () => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return 'abc'[seed % 3]!;
    }).join('\n');
  for (let round = 0; round < 200; round++) {
    const [before, after] = [text(), text()];
    const lines = diffOf(before, after);
    const without = (is: string) =>
      lines
        .filter((line) => line.is !== is)
        .map((line) => line.text)
        .join('\n');
    assert.deepEqual([without('new'), without('gone')], [before, after]);
  }
});
