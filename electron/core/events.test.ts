import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Event } from '../../shared/contract.ts';
import { createJournal } from './events.ts';

const sovereign = { type: 'sovereign', sovereign: { on: true, since: 1, by: 'me' } } as const;

test('what happens in one turn comes as one batch, in order, to each watcher from when it came', async () => {
  const journal = createJournal(() => 7);
  const first: number[][] = [];
  const second: number[][] = [];
  const seqs = (batch: Event[]) => batch.map((event) => event.seq);
  journal.publish(sovereign);
  journal.watch((batch) => first.push(seqs(batch)));
  journal.publish(sovereign, 'one');
  journal.publish(sovereign, 'two');
  journal.watch((batch) => second.push(seqs(batch)));
  journal.publish(sovereign);
  await turn();
  journal.publish(sovereign);
  await turn();
  assert.deepEqual({ first, second }, { first: [[2, 3], [4], [5]], second: [[4], [5]] });
  assert.deepEqual(journal.signals(10), [
    { seq: 2, at: 7, signal: 'one' },
    { seq: 3, at: 7, signal: 'two' },
  ]);
});

test('events are given again from where a watcher was, or it is told that they are gone', () => {
  const journal = createJournal(() => 0);
  const stop = journal.watch(() => {});
  for (let i = 0; i < 10_000; i++) journal.publish(sovereign);
  stop();
  assert.equal(journal.after(9990)!.length, 10);
  assert.equal(journal.after(9990)![0]!.seq, 9991);
  assert.deepEqual([journal.after(10_000), journal.after(10), journal.after(10_001)], [[], null, null]);
});

test('a watcher gets every event, however many come in one turn', async () => {
  const journal = createJournal(() => 0);
  const seen: number[] = [];
  journal.watch((batch) => seen.push(...batch.map((event) => event.seq)));
  for (let i = 0; i < 20_000; i++) journal.publish(sovereign);
  await turn();
  assert.deepEqual([seen.length, seen[0], seen.at(-1)], [20_000, 1, 20_000]);
  assert.equal(journal.after(10_000), null);
});

test('what nobody watches is counted and its signal kept, but not the event', () => {
  const journal = createJournal(() => 0);
  journal.publish(sovereign, 'one');
  assert.deepEqual([journal.seq, journal.kept, journal.after(0), journal.signals(9).length], [1, false, null, 1]);
});

test('events that say how large they are do not fill the heap: every watcher gets them, later ones are told that they are gone', async () => {
  const journal = createJournal(() => 0);
  let seen = 0;
  const stop = journal.watch((batch) => {
    seen += batch.length;
  });
  const publish = async (bytes: number) => {
    journal.publish(sovereign, null, bytes);
    await turn();
  };
  for (let i = 0; i < 40; i++) await publish(1_048_576);
  assert.deepEqual([seen, journal.after(32), journal.after(33)?.length], [40, null, 7]);
  journal.publish(sovereign, null, 40_000_000);
  stop();
  await turn();
  assert.deepEqual([journal.after(40), journal.after(41)], [null, []]);
});
