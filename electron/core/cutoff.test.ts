import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuse } from '../../shared/errors.ts';
import { Cutoff } from './cutoff.ts';

test('the first reason counts, for who listens, for who has the signal and for who asks for it later', () => {
  const cutoff = new Cutoff();
  const told: unknown[] = [];
  cutoff.listen(() => told.push('replaced'));
  cutoff.listen((reason) => told.push(reason));
  const { signal } = cutoff;
  const first = refuse('cancelled', 'The caller cancelled.');
  cutoff.cut(first);
  cutoff.cut(refuse('shutting_down', 'Too late.'));
  const late = new Cutoff();
  late.cut(first);
  assert.deepEqual([told, cutoff.reason, signal.reason, late.signal.reason], [[first], first, first, first]);
});
