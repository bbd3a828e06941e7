import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '../../shared/contract.ts';
import { openCore } from './testing.ts';

test('a new token is told to whoever asked for it, and to nobody who watches', async () => {
  await using core = await openCore('orgs: {}\n');
  const seen = Promise.withResolvers<Event>();
  const stop = core.watch(0, {
    snapshot() {},
    events(batch) {
      const told = batch.find((event) => event.type === 'crossing' && event.crossing.route === 'OS.tokens.create');
      if (told) seen.resolve(told);
    },
  });
  const { result } = await core.ask({ route: 'OS.tokens.create', params: { name: 'robot', capabilities: ['read'] } });
  const { secret } = result as { secret: string };
  const told = JSON.stringify(await seen.promise);
  stop();
  assert.deepEqual([/^dsp_/.test(secret), told.includes(secret), told.includes('[redacted]')], [true, false, true]);
});
