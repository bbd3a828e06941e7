import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Exchange } from '../../../shared/contract.ts';
import { refuse } from '../../../shared/errors.ts';
import { createPassage } from './passage.ts';

/** An exchange that keeps what it is given. */
function listen(path = '/chat/completions') {
  const heads: unknown[] = [];
  const writes: string[] = [];
  let broken = 0;
  const exchange: Exchange = {
    ...{ dialect: 'openai', path, method: 'POST', headers: {}, body: new Uint8Array(), model: null, stream: true },
    head: (status, headers) => void heads.push([status, headers]),
    write(bytes) {
      writes.push(Buffer.from(bytes).toString());
      return null;
    },
    broken() {
      broken++;
    },
  };
  return { exchange, heads, writes, broken: () => broken };
}

const events = { 'content-type': 'text/event-stream; charset=utf-8' };
const cut = refuse('cancelled', 'It was cut.');

test('a stream cut anywhere goes on byte for byte, in whole events, and breaks off with an error of its own', () => {
  const line = fc.stringMatching(/^[ -~é😀]{0,30}$/u).map((text) => `data: {"t":${JSON.stringify(text)}}`);
  const event = fc.tuple(line, fc.constantFrom('\n\n', '\r\n\r\n')).map(([text, end]) => text + end);
  fc.assert(
    fc.property(
      fc.array(event, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(400), { maxLength: 12 }),
      fc.nat(400),
      (all, cuts, end) => {
        const whole = Buffer.from(all.join(''));
        const { exchange, writes } = listen();
        const passage = createPassage(exchange);
        passage.head(200, events);
        const stop = Math.min(end, whole.length);
        const places = [0, ...cuts.map((at) => Math.min(at, stop)).sort((a, b) => a - b), stop];
        for (let i = 1; i < places.length; i++) if (places[i]! > places[i - 1]!) passage.bytes(whole.subarray(places[i - 1]!, places[i]));
        for (const text of writes) assert.match(text, /\n\r?\n$/);
        passage.fail(cut);
        const said = writes.pop()!;
        assert.match(said, /^data: \{"error":\{"message":"It was cut\.".*"code":"cancelled"\}\}\n\n$/);
        assert.ok(whole.toString().startsWith(writes.join('')), 'nothing is changed');
        const complete = whole.subarray(0, stop).toString('latin1').lastIndexOf('\n\n');
        assert.ok(Buffer.from(writes.join('')).length >= (complete < 0 ? 0 : complete + 2), 'no whole event is held back');
      },
    ),
    { numRuns: 500 },
  );
});

test('what is left at the end goes out, and events too long to hold go out in pieces', () => {
  const { exchange, writes } = listen();
  const passage = createPassage(exchange);
  passage.head(200, events);
  passage.bytes(Buffer.from('data: 1\n\ndata: 2'));
  assert.deepEqual(writes, ['data: 1\n\n']);
  passage.end();
  const long = listen();
  const other = createPassage(long.exchange);
  other.head(200, events);
  const piece = Buffer.from(`data: ${'x'.repeat(70_000)}`);
  other.bytes(piece);
  other.bytes(Buffer.from('yz'));
  other.fail(cut);
  assert.deepEqual(
    [writes.join(''), long.writes[0]?.length, long.writes.at(-1)?.slice(0, 15)],
    ['data: 1\n\ndata: 2', piece.length, '\n\ndata: {"error'],
  );
});

test('figures are read from the end of an answer, not from what was said in it', () => {
  const read = (text: string, type = 'application/json') => {
    const { exchange } = listen();
    const passage = createPassage(exchange);
    passage.head(200, { 'content-type': type });
    for (let at = 0; at < text.length; at += 1000) passage.bytes(Buffer.from(text.slice(at, at + 1000)));
    passage.end();
    const { usage, finishReason } = passage.facts();
    return [usage, finishReason];
  };
  const said = JSON.stringify({ content: '"usage": {"total_tokens": 9}, "finish_reason":"length"' });
  const usage = { prompt_tokens: 1, details: { cached: 2 } };
  assert.deepEqual(read(`{"a":${said},"choices":[{"finish_reason":"stop"}],"usage":${JSON.stringify(usage)}}`), [usage, 'stop']);
  assert.deepEqual(read(`{"a":${said}}`), [null, null]);
  assert.deepEqual(read(`{"x":"${'y'.repeat(100_000)}","usage": ${JSON.stringify(usage)}}`), [usage, null]);
  assert.deepEqual(read('data: {"choices":[{"finish_reason":"tool_calls"}],"usage":null}\n\ndata: [DONE]\n\n', 'text/event-stream'), [
    null,
    'tool_calls',
  ]);
  const line = '{"done":true,"done_reason":"stop","prompt_eval_count":3,"prompt_eval_duration":1,"eval_count":4}\n';
  assert.deepEqual(read(line, 'application/x-ndjson'), [{ prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }, 'stop']);
  assert.deepEqual(read('{"usage": {"a": "}{"'), [null, null]);
});

test('an answer about our own credentials, or that sends us elsewhere, is nobody else’s', () => {
  for (const status of [301, 401, 403, 407]) {
    const { exchange, heads, writes } = listen();
    const passage = createPassage(exchange);
    passage.head(status, { 'content-type': 'application/json', location: 'http://evil/' });
    passage.bytes(Buffer.from('{"error":"key sk-1"}'));
    passage.end();
    assert.deepEqual([status, heads, writes, passage.facts().withheld], [status, [], [], '{"error":"key sk-1"}']);
  }
});

test('a whole answer that breaks off is broken, and one that has not begun is left to the door', () => {
  const begun = listen();
  const passage = createPassage(begun.exchange);
  passage.head(200, { 'content-type': 'application/json', 'content-length': '100', 'set-cookie': 'a=b', server: 'x' });
  passage.bytes(Buffer.from('{'));
  passage.fail(cut);
  const early = listen();
  createPassage(early.exchange).fail(cut);
  assert.deepEqual(
    [begun.heads, begun.broken(), early.broken(), early.writes],
    [[[200, { 'content-type': 'application/json', 'content-length': '100' }]], 1, 0, []],
  );
  const named = listen('/responses');
  const responses = createPassage(named.exchange);
  responses.head(200, events);
  responses.fail(cut);
  assert.match(named.writes.join(''), /^event: error\ndata: \{"type":"error","code":"cancelled"/);
});
