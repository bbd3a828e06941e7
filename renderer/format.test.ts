import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCost, formatCountdown, formatEta, formatPlace, formatRough } from './format.ts';

test('a countdown never says that something is over before it is, nor that it is late', () => {
  const now = 1_000_000;
  const words = [1, 1000, 1001, 59_000, 60_000, 65_000, 3_599_000, 3_700_000, 0, -5000].map((ms) => formatCountdown(now + ms, now));
  assert.deepEqual(words, [
    'in 1 s',
    'in 1 s',
    'in 2 s',
    'in 59 s',
    'in 1 min 00 s',
    'in 1 min 05 s',
    'in 59 min 59 s',
    'in 1 h 1 min',
    'now',
    'now',
  ]);
});

test('a place in a line says how many go before', () => {
  assert.deepEqual([0, 1, 1200].map(formatPlace), ['next in line', '1 before it', '1,200 before it']);
});

test('an estimate is rough, and one that has passed promises nothing', () => {
  assert.deepEqual([200, 1000, 13_400, 89_000, 240_000, 7_200_000].map(formatRough), [
    'about 1 s',
    'about 1 s',
    'about 14 s',
    'about 89 s',
    'about 4 min',
    'about 2 h',
  ]);
  assert.deepEqual(
    [12_000, 0, -3000].map((ms) => formatEta(1000 + ms, 1000)),
    ['in about 12 s', 'any moment now', 'any moment now'],
  );
});

test('a cost keeps one digit below two minutes, and none above', () => {
  assert.deepEqual([0, 723, 119_940, 119_960, 3_779_500, 7_140_000, 20_000_000].map(formatCost), [
    '0.0 s',
    '0.7 s',
    '119.9 s',
    '2 min',
    '63 min',
    '119 min',
    '6 h',
  ]);
});
