import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Asked, readAsked } from './model-body.ts';

const space = fc.stringMatching(/^[ \n\r\t]{0,3}$/);
const name = fc.stringMatching(/^[a-zA-Z0-9:_+-]{1,40}$/);

/** A string as JSON, every character of it written out where `written` says so. */
const quoted = (text: string, written: boolean) =>
  written ? `"${Array.from(text, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"` : JSON.stringify(text);

test('the model stands where it is said to stand, however the body is written', () => {
  const others = fc.dictionary(
    fc
      .string({ maxLength: 12 })
      .filter((key) => !['model', 'stream', 'messages', 'input', 'options', 'max_tokens', '__proto__'].includes(key)),
    fc.jsonValue({ maxDepth: 4 }),
    { maxKeys: 6 },
  );
  fc.assert(
    fc.property(
      others,
      name,
      fc.array(space, { minLength: 30, maxLength: 30 }),
      fc.nat(6),
      fc.boolean(),
      fc.boolean(),
      (more, model, spaces, place, inKey, inValue) => {
        let turn = 0;
        const next = () => spaces[turn++ % spaces.length]!;
        const members = Object.entries(more).map(([key, value]) => `${JSON.stringify(key)}${next()}:${next()}${JSON.stringify(value)}`);
        members.splice(Math.min(place, members.length), 0, `${quoted('model', inKey)}${next()}:${next()}${quoted(model, inValue)}`);
        const bytes = Buffer.from(`${next()}{${next()}${members.join(`${next()},${next()}`)}${next()}}${next()}`);
        const asked = readAsked(bytes) as Asked;
        assert.deepEqual([asked.model, JSON.parse(bytes.toString('utf8', asked.at.start, asked.at.end))], [model, model]);
        const changed = Buffer.concat([bytes.subarray(0, asked.at.start), Buffer.from('"another"'), bytes.subarray(asked.at.end)]);
        assert.deepEqual(JSON.parse(changed.toString()), { ...JSON.parse(bytes.toString()), model: 'another' });
      },
    ),
    { numRuns: 1000 },
  );
});

test('what is read has to be there once, and only at the top', () => {
  const read = (text: string | Buffer) => {
    const asked = readAsked(Buffer.from(text as string));
    return 'code' in asked ? [asked.code, asked.issues?.[0]?.path] : [asked.model, asked.stream, asked.maxTokens];
  };
  assert.deepEqual(read('{"a":{"model":"x","model":"y"},"model":"m","stream":null}'), ['m', null, null]);
  assert.deepEqual(read('{"model":"m","model":"m"}'), ['input_invalid', 'model']);
  assert.deepEqual(read('{"model":"m","max_tokens":1,"max\\u005ftokens":9}'), ['input_invalid', 'max_tokens']);
  assert.deepEqual(read('{"model":"m","stream":true,"max_tokens":5,"max_completion_tokens":7,"options":{"num_predict":6}}'), [
    'm',
    true,
    7,
  ]);
  assert.deepEqual(read(Buffer.from([0x7b, 0xff, 0x7d])), ['input_invalid', '']);
  assert.deepEqual(read('\ufeff{"model":"m"}')[0], 'input_invalid');
  assert.deepEqual(read('{"stream":true}'), ['input_invalid', 'model']);
});
