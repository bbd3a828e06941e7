import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeadlines, type Due } from './deadlines.ts';
import { type Placed, Register, Underway } from './underway.ts';

test('what is under way is all that came and did not go, also while it is looked through', () => {
  const items = Array.from({ length: 5 }, (_, name) => ({ name, place: 0 }));
  const underway = new Underway<(typeof items)[number]>();
  for (const item of items) underway.add(item);
  underway.delete(items[1]!);
  underway.delete(items[4]!);
  underway.add(items[1]!);
  const seen: number[] = [];
  for (const item of underway) {
    seen.push(item.name);
    underway.delete(item);
  }
  assert.deepEqual({ seen: seen.sort(), left: [...underway] }, { seen: [0, 1, 2, 3], left: [] });
});

test('a register has its items by name, oldest first, whatever their names', () => {
  const register = new Register<number>();
  for (const [at, name] of ['b', '__proto__', 'a', 'constructor', 'b'].entries()) register.set(name, at);
  register.delete('a');
  register.delete('never there');
  assert.deepEqual([register.values(), register.size, register.get('a'), register.get('b')], [[4, 1, 3], 3, undefined, 4]);
});

test('one timer ends each item once it is due, also one that came later and is due sooner, and leaves the others', async () => {
  const underway = new Underway<Placed & Due & { name: string }>();
  const ended: { name: string; early: boolean }[] = [];
  const both = Promise.withResolvers<void>();
  using deadlines = createDeadlines(underway, (item) => {
    underway.delete(item);
    ended.push({ name: item.name, early: performance.now() < item.dueAt });
    if (ended.length === 2) both.resolve();
  });
  const from = performance.now();
  for (const [name, ms] of Object.entries({ never: 3_600_000, first: 10, second: 30 })) {
    const item = { name, place: 0, dueAt: from + ms };
    underway.add(item);
    deadlines.watch(item.dueAt);
  }
  // The timer keeps nobody alive; this does.
  const alive = setInterval(() => {}, 1000);
  await both.promise;
  clearInterval(alive);
  assert.deepEqual(
    new Map(ended.map(({ name, early }) => [name, early])),
    new Map([
      ['first', false],
      ['second', false],
    ]),
  );
});
