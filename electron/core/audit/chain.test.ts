import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHAIN_COLUMNS, type ChainValue, createHasher, cutJson, GENESIS, sealDetail } from './chain.ts';

const healthy: ChainValue[] = [7, 1_700_000_000_123, 'intent', 'x_1', null, 'owner', 'http', 'FND.salesforce', '', '{"ü":1}', 'd', 'p'];

/** Reads an encoding back, from its documentation alone. */
function decode(bytes: Buffer): ChainValue[] {
  assert.deepEqual([bytes[0], bytes[1]], [1, CHAIN_COLUMNS.length]);
  const values: ChainValue[] = [];
  let at = 2;
  while (at < bytes.length) {
    const tag = bytes[at];
    const length = bytes.readUInt32BE(at + 1);
    const field = bytes.subarray(at + 5, at + 5 + length);
    at += 5 + length;
    if (tag === 0) values.push(null);
    else if (tag === 1) values.push(Number(field.readBigInt64BE()));
    else if (tag === 2) values.push(field.toString('utf8'));
    else if (tag === 3) values.push(new Uint8Array(field));
    else values.push(field.readDoubleBE());
  }
  assert.equal(at, bytes.length);
  return values;
}

const value = fc.oneof(
  fc.constant(null),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ minLength: 200, maxLength: 400 }),
  fc.maxSafeInteger().map((n) => n + 0),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Number.isInteger(n)),
  fc.uint8Array({ maxLength: 20 }),
);
const row = fc.array(value, { minLength: CHAIN_COLUMNS.length, maxLength: CHAIN_COLUMNS.length });

test('A01: every row is read back from its encoding, so no two rows encode alike', () => {
  const hasher = createHasher();
  fc.assert(
    fc.property(row, (values) => {
      assert.deepEqual(
        decode(hasher.encode(values)),
        values.map((one) => (Object.is(one, -0) ? 0 : one)),
      );
    }),
    { numRuns: 500 },
  );
});

test('moving a character from one column to the next changes the encoding', () => {
  const hasher = createHasher();
  const hashes = [
    healthy,
    healthy.with(5, 'ownerh').with(6, 'ttp'),
    healthy.with(4, ''),
    healthy.with(8, null),
    healthy.with(0, '7'),
    healthy.with(0, -7),
    healthy.with(1, 1_700_000_000_124),
  ].map((values) => hasher.hash(values));
  assert.equal(new Set(hashes).size, hashes.length);
});

test('the encoding is the one that is documented, byte by byte', () => {
  const encoded = createHasher().encode(healthy);
  const text = (s: string) => {
    const bytes = Buffer.from(s);
    return Buffer.concat([Buffer.from([2, 0, 0, 0, bytes.length]), bytes]);
  };
  const expected = Buffer.concat([
    Buffer.from('010c', 'hex'),
    Buffer.from('01000000080000000000000007', 'hex'),
    Buffer.from('01000000080000018bcfe5687b', 'hex'),
    text('intent'),
    text('x_1'),
    Buffer.from('0000000000', 'hex'),
    ...['owner', 'http', 'FND.salesforce', '', '{"ü":1}', 'd', 'p'].map(text),
  ]);
  assert.deepEqual(encoded, expected);
  assert.equal(createHasher().hash(healthy), createHash('sha256').update(expected).digest('hex'));
  assert.equal(GENESIS, createHash('sha256').update('dispatcher audit chain v1').digest('hex'));
});

test('A15: a cut detail is JSON, fits, and keeps as much as fits', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 2000 }), (piece, times) => {
      const text = JSON.stringify({ text: piece.repeat(times) });
      const sealed = sealDetail(text);
      if (Buffer.byteLength(text) <= 8192) return assert.deepEqual(sealed, { detail: text, digest: '' });
      assert.equal(sealed.digest, createHash('sha256').update(text).digest('hex'));
      const size = Buffer.byteLength(sealed.detail);
      assert.ok(size <= 8192 && size > 8192 - 16);
      assert.ok(text.startsWith((JSON.parse(sealed.detail) as { head: string }).head.replace(/\uFFFD$/, '')));
    }),
    { numRuns: 60 },
  );
  assert.equal(cutJson('abc', 3, 36), '{"cut":{"bytes":3},"head":"abc"}');
});
