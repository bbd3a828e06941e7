import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { refuse } from '../../shared/errors.ts';
import type { Crossing } from '../../shared/model.ts';
import { canonicalJson, createIds, createSigner, textOf, tooDeep, traceIdOf } from './crossing.ts';

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

test('the text that is sent is the canonical text of its crossing, then its signature', async () => {
  const scalar = fc.oneof(fc.string({ unit: 'binary' }), fc.double(), fc.constant(null));
  const given = fc.record({
    result: fc.oneof(fc.jsonValue(), fc.constant(undefined)),
    text: fc.oneof(scalar, fc.constant(',"result":null,')),
    why: fc.string({ unit: 'binary' }),
    error: fc.constantFrom(null, null, refuse('limited', 'Wait.', { hint: 'A second.' })),
    audit: fc.constantFrom(null, { hash: 'ab', seq: 1 }, { seq: 1, hash: 'ab' }),
    attempts: fc.array(
      fc.constantFrom(
        { durationMs: 0.1, endpoint: null, error: null, id: 'att_1', route: 'a.b', startedAt: 1, status: 200 },
        { id: 'att_2', route: 'a.b', endpoint: 'http://x', startedAt: 1, durationMs: 2, status: null, error: 'limited' },
      ),
    ),
    boundaries: fc.array(fc.constantFrom({ boundary: 'b', ms: 1e-7, outcome: 'passed' }, { ms: 1e21, outcome: 'passed', boundary: 'b' })),
    left: fc.constantFrom([], [{ host: 'x', egress: 'remote', bytes: 1 }]),
    more: fc.constantFrom({}, { directives: { html: '<p>' } }, { zzz: 1 }),
  });
  await fc.assert(
    fc.asyncProperty(given, async ({ more, ...members }) => {
      const { signature: _, ...rest } = crossing('x');
      const made = { ...rest, ...members, ...more } as unknown as Crossing;
      const canonical = canonicalJson(made);
      const text = textOf(await signer.sign(made));
      assert.equal(text, `${canonical.slice(0, -1)},"signature":${JSON.stringify(made.signature)}}`);
      assert.equal(signer.verify(JSON.parse(text)).ok, true);
    }),
  );
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
