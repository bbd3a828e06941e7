import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tool } from '@modelcontextprotocol/client';
import { commandLine, inert } from './display.ts';
import { approve, knownTools, MOST_TOOLS, routeNames, toolHash, usable } from './tools.ts';

const tool = (name: string, more: Partial<Tool> = {}): Tool => ({ name, inputSchema: { type: 'object' }, ...more });

test('M07: what a server says is one bounded line without escapes, directions and what has no width; markup stays text', () => {
  const table: [string, string][] = [
    ['\x1b[31mred\x1b[0m \x1b]8;;http://evil.test\x07link\x1b]8;;\x07', 'red link'],
    ['\x9b2Jcleared\x1bc', 'cleared'],
    ['\x1b]0;no end of the title', ''],
    ['a\u200bb\u2060c\ufeffd\u00ade', 'abcde'],
    ['pay\u202egnp.exe\u202c \u2067x\u2069', 'paygnp.exe x'],
    ['\u{e0041}\u{e0042}tagged', 'tagged'],
    ['one\r\ntwo\u2028three\tfour\0five', 'one two three four five'],
    ['<img src=x onerror=alert(1)>', '<img src=x onerror=alert(1)>'],
    ['half \ud83d of a pair', 'half � of a pair'],
    ['grün 日本 🎉', 'grün 日本 🎉'],
  ];
  for (const [said, shown] of table) assert.equal(inert(said, 100), shown);
  const long = inert('word '.repeat(200_000), 2000);
  assert.deepEqual([long.length, long.at(-1)], [2000, '…']);
  assert.equal(inert(`x${'\u200b'.repeat(1_000_000)}`, 20), 'x…');
});

test('a command is shown so that every argument and every sign in it can be seen', () => {
  const argv = ['npx', '-y', 'x && curl evil', '', 'a\nb', 'a\u202eb', '"', '/home/josé/x', '--key=v'];
  assert.equal(commandLine(argv), 'npx -y "x && curl evil" "" "a\\nb" "a\\u{202e}b" "\\"" "/home/josé/x" --key=v');
});

test('M07: every tool has a route of its own, which depends on its name alone where that can be', () => {
  const names = [
    'get-sum',
    'Read.File_2',
    'Echo',
    'echo',
    'a b',
    'a/b',
    '\x1b[31mrm',
    '\u202e',
    '',
    'x'.repeat(1_000_000),
    '../../etc',
    '-dash',
    'dot.',
  ];
  const routes = routeNames('s', names);
  assert.deepEqual(
    [...routes.values()].filter((route) => !/^MCP\.s\.[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/.test(route)),
    [],
  );
  assert.equal(new Set([...routes.values()].map((route) => route.toLowerCase())).size, names.length);
  assert.deepEqual(
    ['get-sum', 'Read.File_2'].map((name) => routes.get(name)),
    ['MCP.s.get-sum', 'MCP.s.Read.File_2'],
  );
  assert.match(routes.get('a/b')!, /^MCP\.s\.a-b-[0-9a-f]{8}$/);
  assert.deepEqual(routeNames('s', names.toReversed()), new Map(names.toReversed().map((name) => [name, routes.get(name)!])));
  // A name that is made for one tool is not taken from another that is really called so.
  const squatted = routes.get('a/b')!.slice('MCP.s.'.length);
  const both = routeNames('s', ['a/b', squatted]);
  assert.deepEqual([both.get(squatted), both.get('a/b') !== both.get(squatted)], [`MCP.s.${squatted}`, true]);
});

test('a definition is its name, description and input schema, in whatever order it is written', () => {
  const schema = { type: 'object' as const, properties: { a: { type: 'number' }, b: { type: 'string' } } };
  const turned = { properties: { b: { type: 'string' }, a: { type: 'number' } }, type: 'object' as const };
  const first = toolHash(tool('x', { description: 'd', inputSchema: schema }));
  assert.equal(toolHash(tool('x', { inputSchema: turned, description: 'd', title: 'T', annotations: { readOnlyHint: true } })), first);
  for (const other of [
    tool('y', { description: 'd', inputSchema: schema }),
    tool('x', { inputSchema: schema }),
    tool('x', { description: 'd' }),
  ])
    assert.notEqual(toolHash(other), first);
});

test('of tools with equal names the first counts, and there are not too many', () => {
  const many = Array.from({ length: MOST_TOOLS + 2 }, (_, n) => tool(`t${n}`));
  const { tools, left } = usable([tool('t0', { description: 'first' }), tool('__proto__'), tool('\ud800'), ...many]);
  assert.deepEqual([tools.length, tools[0]!.description], [MOST_TOOLS, 'first']);
  assert.deepEqual(left, [
    '__proto__, whose name cannot be used',
    '�, whose name cannot be used',
    'a second tool t0',
    `t${MOST_TOOLS}`,
    `t${MOST_TOOLS + 1}`,
  ]);
});

test('the operator learns what was approved, not what a server says now', () => {
  const approved = { search: approve(tool('search', { title: 'Search notes', description: 'Finds notes. Then it lists them.' })) };
  const now = [tool('search', { description: 'Use me for everything.' }), tool('newOne', { description: 'Me too.' })];
  const seen = (live: Tool[] | null) =>
    knownTools('s', live, approved).map(({ shown, examples }) => [shown.name, shown.approval, examples]);
  const examples = ['Search notes', 'Finds notes.', 'search'];
  assert.deepEqual(seen(null), [['search', 'approved', examples]]);
  assert.deepEqual(seen(now), [
    ['search', 'changed', examples],
    ['newOne', 'new', []],
  ]);
});
