import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { editDistance } from './nearest.ts';
import { nearestNames, type Table } from './table.ts';

/** By the book: the whole matrix. */
function slowly(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)));
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      d[i]![j] = Math.min(d[i - 1]![j]! + 1, d[i]![j - 1]! + 1, d[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d[i]![j] = Math.min(d[i]![j]!, d[i - 2]![j - 2]! + 1);
    }
  return d[a.length]![b.length]!;
}

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });

test('the bounded distance is the whole one up to its bound, and one more above it', () => {
  fc.assert(
    fc.property(word, word, fc.integer({ min: 0, max: 13 }), (a, b, most) => {
      assert.equal(editDistance(a, b), slowly(a, b));
      assert.equal(editDistance(a, b, most), Math.min(most + 1, slowly(a, b)));
    }),
    { numRuns: 2000 },
  );
});

function tableOf(names: string[]): Table {
  return { names: new Map(names.map((name) => [name.toLowerCase(), name])) } as Table;
}

test('the three nearest names come for any word, the likeliest first', () => {
  const table = tableOf(['FND.salesforce', 'FND.crm', 'AI.router', 'AI.ollama', 'OS.calc', 'MED.sales']);
  assert.deepEqual(
    ['FND.salesfroce', 'salesforce', 'ollma', 'OS.calculator', 'zzzzzzzzzzzz', ''].map((name) => nearestNames(table, name)[0]),
    ['FND.salesforce', 'FND.salesforce', 'AI.ollama', 'OS.calc', 'AI.ollama', 'AI.ollama'],
  );
  assert.equal(nearestNames(table, 'zzzzzzzzzzzz').length, 3);
});

test('an unknown name among 20,000 is answered before anybody notices', () => {
  const table = tableOf(Array.from({ length: 20_000 }, (_, i) => `ORG${i % 50}.customer-service-worker-${i}`));
  for (const name of ['ORG1.custmer-service-worker-77', 'x'.repeat(200), 'customer-sarvice-walker']) {
    const began = process.cpuUsage();
    assert.equal(nearestNames(table, name).length, 3);
    const { user, system } = process.cpuUsage(began);
    assert.ok(user + system < 400_000, `${name.slice(0, 30)}: ${(user + system) / 1000} ms`);
  }
});
