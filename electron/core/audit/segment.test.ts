import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { createTree, DAY_MS, prunableFrom, sealSegment } from './segment.ts';

const sha256 = (...bytes: Buffer[]) => createHash('sha256').update(Buffer.concat(bytes)).digest();

/** RFC 6962, section 2.1, word for word. */
function merkleRoot(leaves: Buffer[]): Buffer {
  if (leaves.length === 1) return sha256(Buffer.of(0), leaves[0]!);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha256(Buffer.of(1), merkleRoot(leaves.slice(0, k)), merkleRoot(leaves.slice(k)));
}

test('the root is that of RFC 6962, also when parts of the tree were made apart', () => {
  const given = fc.tuple(fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(199), { maxLength: 4 }));
  fc.assert(
    fc.property(given, ([size, cuts]) => {
      const leaves = Array.from({ length: size }, (_, i) => sha256(Buffer.of(i)));
      const edges = [0, ...cuts.filter((cut) => cut < size).sort((a, b) => a - b), size];
      const whole = createTree();
      for (const [i, from] of edges.slice(0, -1).entries()) {
        const part = createTree();
        for (let at = from; at < edges[i + 1]!; at++) part.add(at, leaves[at]!.toString('hex'));
        whole.append(part.parts());
      }
      assert.equal(whole.root(), merkleRoot(leaves).toString('hex'));
    }),
  );
});

test('a segment is hashed as its documentation says, and may go ninety whole days after it ended', () => {
  const rows = { day: 20_000, first: 5, last: 9, head: 'a'.repeat(64), root: 'b'.repeat(64), previous: 'c'.repeat(64) };
  const text = `dispatcher segment v1\n20000\n5\n9\n${rows.root}\n${rows.head}\n${rows.previous}\n`;
  assert.equal(sealSegment(rows).hash, sha256(Buffer.from(text)).toString('hex'));
  assert.deepEqual([prunableFrom(1, 90), prunableFrom(1, 1), prunableFrom(1, 100)], [92 * DAY_MS, 92 * DAY_MS, 102 * DAY_MS]);
});
