import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Resolved } from '../../../shared/cortex.ts';
import { refuse } from '../../../shared/errors.ts';
import { createEgress } from '../egress.ts';
import type { LeaseHolder } from '../jobs/loop.ts';
import { json, startService } from '../testing.ts';
import { createSchemaCheck } from './schema-check.ts';
import { createSidecarHost } from './sidecar-host.ts';
import { aProvider } from './testing.ts';

const signal = new AbortController().signal;
const schema = { type: 'object', properties: { city: { type: 'string' } } };
const said = json({ choices: [{ index: 0, message: { role: 'assistant', content: '{"city":"Bern"}' }, finish_reason: 'stop' }] });

test('it is asked for again when it is refused at once, and called by the tier that was given', async () => {
  await using server = await startService(said);
  await using egress = createEgress({ sovereign: () => false });
  using checker = createSchemaCheck();
  const provider = aProvider('small', server, { sizes: { '2B': 2, '1B': 1 } });
  const asked = Promise.withResolvers<LeaseHolder>();
  const leases: string[] = [];
  using host = createSidecarHost({
    ...{ egress, checker, secret: () => null, clock: () => 0, againMs: 1 },
    settings: () => ({ provider: 'small', lexicon: null, budgetMs: 30_000 }),
    world: { provider: () => provider, phase: () => ({ phase: 'warm', detail: null }) },
    loop: {
      lease(ask, holder) {
        leases.push(ask.id);
        if (leases.length === 1) holder.unleased(refuse('vram_exhausted', 'There is no room.'));
        else asked.resolve(holder);
      },
      release() {},
    },
  });
  host.configure();
  assert.equal(host.current(), null, 'it is warm, but somebody else made it so');
  const holder = await asked.promise;
  holder.leased({ assignments: [{ capability: 'small', provider: 'small', tier: '1B', model: 'small:1B' }] } as unknown as Resolved);
  assert.deepEqual(await host.current()!.extract('Bern', schema, signal), { city: 'Bern' });
  assert.deepEqual(
    server.ledger.map(({ body }) => JSON.parse(body).model),
    ['small:1B'],
  );
  holder.unleased(refuse('upstream_failed', 'It went away.'));
  assert.equal(host.current(), null);
});
