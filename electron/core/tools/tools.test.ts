import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { hostname, totalmem } from 'node:os';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Route } from '../../../shared/model.ts';
import type { Run } from '../runners/runner.ts';
import { createToolRunner } from '../runners/tool.ts';
import { calculate } from './calc.ts';
import { jsonFault } from './json.ts';
import { createTools } from './tools.ts';

const tools = createTools({ clock: () => Date.UTC(2026, 0, 31, 23, 30) });
const runner = createToolRunner(tools, () => 0);

async function use(name: string, text: string | null, params: Record<string, unknown> = {}, endpoint: string | null = null) {
  const attempts: Run['attempts'] = [];
  const route = { name: `TOOLS.${name}`, service: name, endpoint } as Route;
  const outcome = await runner({ route, text, params, attempts, newAttemptId: () => 'att_1' } as unknown as Run);
  return { outcome, attempts };
}

// biome-ignore lint/suspicious/noExplicitAny: results are looked at field by field.
async function ask(name: string, text: string | null, params: Record<string, unknown> = {}): Promise<any> {
  const { outcome } = await use(name, text, params);
  return outcome.ok ? outcome.result : `${outcome.error.code}: ${outcome.error.message}`;
}

test('calc finds the expression in what people write', () => {
  const table: [string, number][] = [
    ['what is 2+2', 4],
    ["What's 2 + 2?", 4],
    ['calculate 15% of 80', 12],
    ['15 percent of 80', 12],
    ['sqrt(2)*3', 3 * Math.SQRT2],
    ['2+3*4', 14],
    ['(2+3)*4', 20],
    ['2^3^2', 512],
    ['-2^2', -4],
    ['2**10', 1024],
    ['2 to the power of 10', 1024],
    ['10 % 3', 1],
    ['10 mod 3', 1],
    ['200 + 10%', 220],
    ['50%', 0.5],
    ['5!', 120],
    ['0.1+0.2', 0.3],
    ['1,000 + 1', 1001],
    ['1,234,567 / 7', 1234567 / 7],
    ['max(1,000, 5)', 5],
    ['min(3, 4, -1)', -1],
    ['round(2.345, 2)', 2.35],
    ['12 times 7', 84],
    ['how much is 100 divided by 8', 12.5],
    ['square root of 16', 4],
    ['3 squared plus 4 squared', 25],
    ['2pi', 2 * Math.PI],
    ['2(3+4)', 14],
    ['6 × 7 ÷ 2', 21],
    ['１２ − ２', 10],
    ['1e3 * 2', 2000],
    ['0xff + 1', 256],
    ['please compute 3 - -3.', 6],
    ['what is 7 minus 10', -3],
    ['42', 42],
    ['log(1000) + ln(e)', 4],
    ['sqrt 81', 9],
    ['2+2=', 4],
    ['add 19.99 and 5.01', 25],
    ['subtract 3 from 10', 7],
    ['divide 1,000 by 8', 125],
    ['multiply 2.5 by 4', 10],
    ['0.1 * 3', 0.3],
    ['1/3', 1 / 3],
    ['what is pi', Math.PI],
    ['calculate(2+3)*2', 10],
  ];
  for (const [text, value] of table) assert.equal(calculate(text).value, value, text);
  assert.deepEqual(calculate('what is (1 + 2) * 3 please'), { expression: '(1 + 2) * 3', value: 9 });
});

test('calc says what is wrong, and runs no code', () => {
  const table: [string, RegExp][] = [
    ['hello there', /no calculation/],
    ['', /no calculation/],
    ['2+', /stops in the middle/],
    ['2 + * 3', /does not fit together at "\*"/],
    ['(2+3', /stops in the middle/],
    ['1/0', /divides by zero/],
    ['sqrt(-1)', /no value/],
    ['9^9^9', /too large/],
    ['2+2 and 3+3', /more than one calculation in that: 2\+2 and 3\+3/],
    ['(1000)!', /0 to 170/],
    ['pow(1)', /pow takes 2 values/],
    ['process.exit(1)', /"exit" is no function/],
    ['constructor(1)', /"constructor" is no function/],
    ['I have 3 apples', /no calculation/],
    ['['.repeat(3000), /longer than/],
    [`${'('.repeat(900)}1`, /nested too deep/],
    [`${'-'.repeat(900)}1`, /nested too deep/],
    [`1${'^1'.repeat(900)}`, /nested too deep/],
  ];
  for (const [text, message] of table) assert.throws(() => calculate(text), { message }, text.slice(0, 40));
});

test('every tool answers each of its own examples', async () => {
  const unfit: string[] = [];
  for (const tool of tools.values()) {
    for (const example of tool.examples) {
      const { outcome } = await use(tool.name, example);
      if (!outcome.ok) unfit.push(`${tool.name}: ${example}: ${outcome.error.message}`);
    }
  }
  assert.deepEqual(unfit, []);
});

test('time in a zone, named as people name it', async () => {
  const zones: [string, string, string][] = [
    ['what time is it in Tokyo', 'Asia/Tokyo', '08:30:00'],
    ['what time is it in Tokyo right now?', 'Asia/Tokyo', '08:30:00'],
    ['time in new york', 'America/New_York', '18:30:00'],
    ['what time is it in São Paulo', 'America/Sao_Paulo', '20:30:00'],
    ['current time at Europe/Berlin', 'Europe/Berlin', '00:30:00'],
    ['time in India', 'Asia/Kolkata', '05:00:00'],
    ['tokyo time', 'Asia/Tokyo', '08:30:00'],
    ['what is the time in UTC', 'UTC', '23:30:00'],
  ];
  for (const [text, zone, time] of zones) {
    const result = await ask('time', text);
    assert.deepEqual([result.zone, result.time], [zone, time], text);
  }
  assert.deepEqual(await ask('time', null, { zone: 'Asia/Tokyo' }), {
    ...{
      zone: 'Asia/Tokyo',
      date: '2026-02-01',
      time: '08:30:00',
      weekday: 'Sunday',
      week: 5,
      offset: '+09:00',
      local: '2026-02-01T08:30:00+09:00',
    },
    ...{
      utc: '2026-01-31T23:30:00.000Z',
      epochMs: Date.UTC(2026, 0, 31, 23, 30),
      text: '08:30 on Sunday, 2026-02-01 (Asia/Tokyo, UTC+09:00)',
    },
  });
  assert.equal((await ask('time', 'what time is it')).epochMs, Date.UTC(2026, 0, 31, 23, 30));
  assert.equal((await ask('time', null, { zone: 'UTC', at: '2026-07-01T00:00:00Z' })).weekday, 'Wednesday');
  assert.match(await ask('time', 'what time is it in Atlantis'), /^input_invalid: "Atlantis" is no time zone/);
  assert.match(await ask('time', 'what time is it in constructor'), /^input_invalid/);
  assert.match(await ask('time', null, { zone: '../../etc' }), /^input_invalid/);
  assert.match(await ask('time', null, { at: 'soon' }), /^input_invalid/);
});

test('system tells of this machine', async () => {
  const result = await ask('system', 'how much memory is free');
  assert.deepEqual([result.hostname, result.memory.totalBytes], [hostname(), totalmem()]);
  assert.ok(
    result.memory.freeBytes > 0 && result.disk.totalBytes >= result.disk.freeBytes && result.cpu.cores > 0 && result.uptimeSeconds > 0,
  );
});

test('hash takes the text out of a sentence, or as it is', async () => {
  const sha256 = (value: string) => createHash('sha256').update(value).digest('hex');
  assert.deepEqual(await ask('hash', 'sha256 of hello'), { algorithm: 'sha256', encoding: 'hex', bytes: 5, digest: sha256('hello') });
  assert.equal((await ask('hash', 'what is the SHA-256 hash of "hello world"')).digest, sha256('hello world'));
  assert.equal((await ask('hash', 'hash hello')).digest, sha256('hello'));
  assert.equal((await ask('hash', 'md5 of x')).digest, createHash('md5').update('x').digest('hex'));
  assert.equal((await ask('hash', null, { value: 'sha256 of hello' })).digest, sha256('sha256 of hello'));
  assert.equal((await ask('hash', 'sha256 of hello', { algorithm: 'sha256' })).digest, sha256('sha256 of hello'));
  assert.equal((await ask('hash', null, { value: '', encoding: 'base64' })).digest, createHash('sha256').digest('base64'));
  assert.match(await ask('hash', null), /^input_invalid: There is nothing to hash/);
  assert.match(await ask('hash', 'x', { algorithm: 'rot13' }), /^input_invalid: hash does not take that: params\.algorithm/);
});

test('uuid gives as many as asked for', async () => {
  const five = await ask('uuid', 'give me 5 uuids');
  assert.equal(new Set(five.uuids).size, 5);
  assert.match(five.uuid, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  assert.equal((await ask('uuid', 'make three uuids')).uuids.length, 3);
  assert.match((await ask('uuid', 'uuid v7')).uuid, /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  assert.match(await ask('uuid', null, { count: 100_000 }), /^input_invalid/);
  assert.match(await ask('uuid', 'give me 5000 uuids'), /^input_invalid: From 1 to 1000/);
});

test('text counts and changes what it is given', async () => {
  assert.deepEqual(await ask('text', 'count words in the quick brown fox'), { op: 'count', words: 4, characters: 19, lines: 1, bytes: 19 });
  assert.deepEqual(await ask('text', null, { value: '👨‍👩‍👧 é\nx' }), { op: 'count', words: 2, characters: 5, lines: 2, bytes: 23 });
  assert.deepEqual(await ask('text', 'uppercase hello world'), { op: 'upper', text: 'HELLO WORLD' });
  assert.deepEqual(await ask('text', 'please make This Text lowercase'), { op: 'lower', text: 'this text' });
  assert.deepEqual(await ask('text', 'turn My Title into a slug'), { op: 'slug', text: 'my-title' });
  assert.deepEqual(await ask('text', 'capitalize every word of the lazy dog'), { op: 'title', text: 'The Lazy Dog' });
  assert.deepEqual(await ask('text', 'convert "ABC" to lower case'), { op: 'lower', text: 'abc' });
  assert.deepEqual(await ask('text', 'slug of My First Pöst, again!'), { op: 'slug', text: 'my-first-post-again' });
  assert.deepEqual(await ask('text', null, { op: 'reverse', value: 'ab👍🏽e\u0301' }), { op: 'reverse', text: 'e\u0301👍🏽ba' });
  assert.deepEqual(await ask('text', null, { op: 'title', value: "it's a dog" }), { op: 'title', text: "It's A Dog" });
  assert.match(await ask('text', null, { value: 'x'.repeat(100_001) }), /^input_invalid/);
});

test('json checks and formats', async () => {
  assert.deepEqual(await ask('json', 'format json {"a":[1]}'), { op: 'format', valid: true, text: '{\n  "a": [\n    1\n  ]\n}' });
  assert.deepEqual(await ask('json', 'minify { "a" : 1 }'), { op: 'minify', valid: true, text: '{"a":1}' });
  assert.deepEqual(await ask('json', null, { value: { a: 1 }, op: 'format', indent: 0 }), { op: 'format', valid: true, text: '{"a":1}' });
  assert.deepEqual(await ask('json', 'get the field name from this json {"name":"Ada"}'), { op: 'pick', path: 'name', value: 'Ada' });
  assert.equal((await ask('json', null, { path: 'a[1].b', value: { a: [0, { b: 7 }] } })).value, 7);
  assert.match(await ask('json', null, { path: 'constructor', value: {} }), /^input_invalid: There is no "constructor"/);
  assert.match(await ask('json', null, { value: '1'.repeat(1_000_001) }), /^input_invalid/);
  assert.match(await ask('json', 'format this json'), /^input_invalid: There is no JSON/);
  const { valid, error } = await ask('json', 'is this valid json {"a":1,\n"b":}');
  assert.deepEqual([valid, error.line, error.column], [false, 2, 5]);
  assert.match(
    await ask('json', 'format json {"a":1,'),
    /^input_invalid: That is not JSON: it ends where a name in double quotes is missing, at line 1, column 8\.$/,
  );
  assert.match(await ask('json', null, { value: '['.repeat(100_000) + ']'.repeat(100_000) }), /nested too deep/);
});

test('T19: no text holds the thread for long', async () => {
  const long = [
    ' ',
    'a',
    '9',
    '(',
    '-',
    'get ',
    'in ',
    'make x ',
    'sha256 of ',
    '{"a":',
    '[1,',
    '"',
    '\u{1F468}\u200D',
    'e\u0301',
    'json ',
    'the ',
    '?',
  ].map((piece) => piece.repeat(100_000 / piece.length));
  const spent: Record<string, number> = {};
  for (const name of tools.keys()) {
    for (const text of [
      ...long,
      ...long.map((each) => `make x${each}`.slice(0, 2000)),
      ...long.map((each) => `what is ${each}`.slice(0, 1900)),
    ]) {
      const began = performance.now();
      await ask(name, text);
      spent[name] = Math.max(spent[name] ?? 0, performance.now() - began);
    }
  }
  const slow = Object.entries(spent).filter(([, ms]) => ms > 500);
  assert.deepEqual(slow, []);
});

test('jsonFault agrees with JSON.parse and names the place', () => {
  const table: [string, string | null][] = [
    ['{}', null],
    [' [1, -0.5e+3, "\\u00e9\\n", true, null, {"a": {"": []}}] ', null],
    ['"\u007f\u2028"', null],
    ['', '1:1 it ends where a value is missing'],
    ['[1,]', '1:4 expected a value'],
    ['{"a":1,}', '1:8 expected a name in double quotes'],
    ['{a:1}', '1:2 expected a name in double quotes or }'],
    ["['a']", '1:2 expected a value or ]; strings take double quotes'],
    ['[01]', '1:2 expected a value or ]'],
    ['[1 2]', '1:4 expected a comma or ]'],
    ['{"a" 1}', '1:6 expected a colon'],
    ['[1}', '1:3 expected a comma or ]'],
    ['{}\n\n{}', '3:1 expected nothing more'],
    ['["a\nb"]', '1:2 expected a value or ]; the string is not closed, or has a bad escape or a line break in it'],
    ['[None]', '1:2 expected a value or ]; JSON has true, false, null and plain numbers'],
    ['[1] // x', '1:5 expected nothing more; JSON has no comments'],
  ];
  for (const [source, expected] of table) {
    const found = jsonFault(source);
    assert.equal(found === null ? null : `${found.line}:${found.column} ${found.message}`, expected, source);
    if (expected === null) JSON.parse(source);
    else assert.throws(() => JSON.parse(source), SyntaxError, source);
  }
  fc.assert(fc.property(fc.json(), (source) => jsonFault(source) === null));
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.string({ maxLength: 1 }), (source, at, piece) => {
      const changed = source.slice(0, at % (source.length + 1)) + piece + source.slice((at % (source.length + 1)) + 1);
      let valid = true;
      try {
        JSON.parse(changed);
      } catch {
        valid = false;
      }
      return (jsonFault(changed) === null) === valid;
    }),
    { numRuns: 500 },
  );
});

test('echo gives back text and params', async () => {
  assert.deepEqual(await ask('echo', 'hi', { a: 1 }), { text: 'hi', params: { a: 1 } });
});

test('the tool runner finds the tool, names the field that does not fit, and records one attempt', async () => {
  const { outcome, attempts } = await use('sums', '1+1', {}, 'tool:calc');
  assert.deepEqual(outcome, { ok: true, result: { expression: '1+1', value: 2 } });
  assert.deepEqual(
    attempts.map(({ id, route, error }) => [id, route, error]),
    [['att_1', 'TOOLS.sums', null]],
  );
  const misfit = await use('calc', null, { expression: 3 });
  assert.deepEqual(misfit.outcome.ok ? null : misfit.outcome.error.issues?.map(({ path }) => path), ['params.expression']);
  assert.deepEqual(misfit.attempts, []);
  assert.match(await ask('calc', null, { code: '1' }), /^input_invalid/);
  assert.match(await ask('nothing', 'x'), /^not_found: There is no tool "nothing"/);
});
