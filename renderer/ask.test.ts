import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { askOf, curlOf, mentionAt } from './ask.ts';
import { formatAge, formatBytes, formatDuration, formatPercent, formatShort } from './format.ts';
import { rank } from './fuzzy.ts';

test('a mention of a route names it; anything else is for the operator', () => {
  assert.deepEqual(
    [
      'sync contacts',
      '@FND.salesforce sync  contacts',
      'please @FND.salesforce.',
      '@OS.fs.list {"path": "/tmp"}',
      '@ollama hi',
      'a@FND.salesforce',
      '@OS.fs.list {broken',
      '@FND.nothing',
      'mail @example.com',
    ].map((typed) => askOf(typed)),
    [
      { text: 'sync contacts', ask: true },
      { route: 'FND.salesforce', text: 'sync contacts' },
      { route: 'FND.salesforce', text: 'please .' },
      { route: 'OS.fs.list', params: { path: '/tmp' } },
      { text: '@ollama hi', ask: true },
      { text: 'a@FND.salesforce', ask: true },
      { route: 'OS.fs.list', text: '{broken' },
      { route: 'FND.nothing' },
      { text: 'mail @example.com', ask: true },
    ],
  );
});

test('the caret stands in a mention only right behind it', () => {
  assert.deepEqual(
    [mentionAt('please @sal', 11), mentionAt('please @sal now', 15), mentionAt('mail@sal', 8), mentionAt('@', 1)],
    [{ start: 7, query: 'sal' }, null, null, { start: 0, query: '' }],
  );
});

test('a shell reads the copied command as it was meant, quotes and all', () => {
  const ask = { text: `it's "so" $HOME \`id\``, ask: true };
  const line = curlOf(ask, 'http://127.0.0.1:8000');
  const words = execFileSync('sh', ['-c', `curl() { printf '%s\\n' "$@"; }; ${line}`], { encoding: 'utf8' })
    .trimEnd()
    .split('\n');
  assert.deepEqual([words[1], JSON.parse(words.at(-1)!)], ['http://127.0.0.1:8000/dispatch', { query: ask.text }]);
});

test('numbers read as people say them', () => {
  assert.deepEqual(
    [
      formatDuration(0.2),
      formatDuration(234),
      formatDuration(2345),
      formatDuration(75_000),
      formatPercent(0.999),
      formatPercent(0.003),
      formatShort(1234),
      formatBytes(88_400_000),
      formatAge(0, 61_000),
      formatAge(0, 200),
    ],
    ['< 1 ms', '234 ms', '2.35 s', '1 min 15 s', '99 %', '< 1 %', '1.2k', '84.3 MB', '1 min ago', 'just now'],
  );
});

test('a few letters find the route whose name starts with them first', () => {
  const names = ['AI.router', 'FND.salesforce', 'OPS.sales', 'OS.jobs.list'];
  assert.deepEqual(
    rank('sales', names, (name) => name, 2),
    ['OPS.sales', 'FND.salesforce'],
  );
  assert.deepEqual(
    rank('fnsal', names, (name) => name, 5),
    ['FND.salesforce'],
  );
  assert.deepEqual(
    rank('zzz', names, (name) => name, 5),
    [],
  );
});
