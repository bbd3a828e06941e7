import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Crossing } from '../../shared/model.ts';
import { canonicalJson, createIds, createSigner, tooDeep, traceIdOf } from './crossing.ts';

const folder = mkdtempSync(join(tmpdir(), 'crossing-'));
after(() => rmSync(folder, { recursive: true }));
const signer = createSigner(join(folder, 'key.pem'));

const crossing = (id: string, result: unknown = null): Crossing => ({
  at: 1,
  attempts: [],
  audit: null,
  boundaries: [],
  caller: 'owner',
  confidence: 1,
  door: 'http',
  durationMs: 1.5,
  error: null,
  id,
  job: null,
  left: [],
  mock: false,
  ok: true,
  parent: null,
  result,
  route: 'OS.echo',
  signature: null,
  text: null,
  traceparent: '',
  why: '',
});

test('crossings finished together share one signature and each verifies alone', async () => {
  for (const size of [1, 2, 3, 5, 8, 13]) {
    const signed = await Promise.all(Array.from({ length: size }, (_, i) => signer.sign(crossing(`x${i}`, { i }))));
    assert.deepEqual(new Set(signed.map((entry) => entry.signature!.value)).size, 1);
    // Over the wire and back, as a caller would check it.
    for (const entry of signed) assert.equal(signer.verify(JSON.parse(JSON.stringify(entry))).ok, true, `${entry.id} of ${size}`);
  }
});

test('a crossing that was changed, moved in its tree or signed by another key does not verify', async () => {
  const [first, second] = await Promise.all([signer.sign(crossing('a', { n: 1 })), signer.sign(crossing('b'))]);
  const other = createSigner(join(folder, 'other.pem'));
  const verdicts = [
    { ...first!, result: { n: 2 } },
    { ...first!, signature: { ...first!.signature!, leaf: 1 } },
    { ...first!, signature: { ...first!.signature!, path: [] } },
    { ...first!, signature: second!.signature },
    { ...first!, signature: null },
  ].map((entry) => signer.verify(entry).ok);
  assert.deepEqual([...verdicts, other.verify(first!).ok], [false, false, false, false, false, false]);
});

test('the key is made once, private to the owner, and read back', () => {
  const again = createSigner(join(folder, 'key.pem'));
  assert.equal(again.keyId, signer.keyId);
  assert.equal(statSync(join(folder, 'key.pem')).mode & 0o777, 0o600);
  assert.equal(createPublicKey(readFileSync(join(folder, 'key.pem'))).asymmetricKeyType, 'ed25519');
  writeFileSync(join(folder, 'broken.pem'), '');
  assert.throws(() => createSigner(join(folder, 'broken.pem')), /cannot be read/);
});

test('canonical JSON is the same for equal values whatever their order, and parses back to the value', () => {
  assert.equal(canonicalJson({ b: 1, a: [{ d: null, c: '\u20ac' }], '1': 1e21 }), '{"1":1e+21,"a":[{"c":"€","d":null}],"b":1}');
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJson(value);
      assert.equal(canonicalJson(JSON.parse(text)), text);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('nesting is bounded without using up the stack', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i++) deep = [deep];
  assert.equal(tooDeep(deep), true);
  assert.throws(() => canonicalJson(deep), /nested deeper/);
  assert.equal(tooDeep({ a: [1, { b: 2 }] }), false);
});

test('a traceparent is taken when it is one', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  assert.deepEqual(
    [`00-${id}-00f067aa0ba902b7-01`, `ff-${id}-00f067aa0ba902b7-01`, `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, 'x', undefined].map(
      traceIdOf,
    ),
    [id, null, null, null, null],
  );
});

test('ids sort by time and do not repeat', () => {
  let now = 1_000_000;
  const ids = createIds(() => now);
  const made = Array.from({ length: 2000 }, () => ids.next('x_') + (now++ && ''));
  assert.deepEqual([...made].sort(), made);
  assert.equal(new Set(made).size, 2000);
  assert.match(made[0]!, /^x_[0-9a-hjkmnp-tv-z]{26}$/);
});
