import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countBefore, firstOf, itemsOf, type Ordered, type Ranked, sizeOf, withItem, withoutItem } from './ordered.ts';

test('whatever is added and removed, it stays in order, and older sets stay as they were', () => {
  const edits = fc.array(fc.record({ at: fc.integer({ min: 0, max: 20 }), removes: fc.option(fc.nat()) }), { maxLength: 200, size: 'max' });
  fc.assert(
    fc.property(edits, (edits) => {
      let set: Ordered<Ranked> = null;
      let plain: Ranked[] = [];
      const seen: { set: Ordered<Ranked>; plain: Ranked[] }[] = [];
      for (const [ticket, { at, removes }] of edits.entries()) {
        const victim = removes === null ? undefined : plain[removes % plain.length];
        const item = { at, ticket };
        set = victim === undefined ? withItem(set, item) : withoutItem(set, victim);
        plain =
          victim === undefined
            ? [...plain, item].sort((a, b) => a.at - b.at || a.ticket - b.ticket)
            : plain.filter((other) => other !== victim);
        seen.push({ set, plain });
      }
      for (const { set, plain } of seen) {
        assert.deepEqual([itemsOf(set), sizeOf(set), firstOf(set)], [plain, plain.length, plain[0] ?? null]);
        const before = plain.map((item) => countBefore(set, item));
        assert.deepEqual(before, [...plain.keys()]);
      }
    }),
  );
});

test('removing what is not there gives the same set', () => {
  const set = withItem(withItem(null, { at: 1, ticket: 1 }), { at: 2, ticket: 2 });
  assert.equal(withoutItem(set, { at: 1, ticket: 2 }), set);
});
