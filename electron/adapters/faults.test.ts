import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCard, GiB, only, openHouse, provider, seen, startBox } from './card-testing.ts';

const within = { timeout: 30_000 };

test('a cold model that two, and fifty, want at once is loaded once', within, async () => {
  const card = createCard(24);
  await using box = await startBox({ 'a:8B': 8 * GiB, 'b:8B': 8 * GiB }, { card });
  const providers = [provider('a', box, { sizes: { '8B': 8 } }), provider('b', box, { sizes: { '8B': 8 }, capabilities: ['b'] })].join(
    '\n',
  );
  await using house = await openHouse({ providers }, { card });
  const held = Promise.withResolvers<void>();
  box.hold.load = held.promise;
  const fifty = Promise.all(Array.from({ length: 50 }, () => house.chat('a:8B')));
  const two = Promise.all([house.chat('cap:b'), house.grant({ capabilities: ['b'] })]);
  await seen(() => only(box.log, 'load').length === 2);
  held.resolve();
  const [answers, [chat, grant]] = await Promise.all([fifty, two]);
  assert.deepEqual(
    [
      [...new Set(answers.map(({ status }) => status))],
      chat.status,
      grant.status,
      only(box.log, 'load').sort(),
      only(box.log, 'call').length,
    ],
    [[200], 200, 200, ['a:8B', 'b:8B'], 51],
  );
});

test('a grant that may not leave the machine ends when the registry says that its provider is far away', within, async () => {
  await using here = await startBox({ 'a:8B': 8 * GiB });
  await using away = await startBox({ 'a:8B': 8 * GiB });
  await using house = await openHouse({ providers: provider('a', here, { sizes: { '8B': 8 } }) });
  const { body } = await house.grant({ capabilities: ['text-generation'], sensitive: true });
  assert.equal((await house.chat('a:8B', { as: body.api_key! })).status, 200);
  await house.edit(provider('a', away, { sizes: { '8B': 8 }, egress: 'remote', controller: 'openai' }));
  const [ended] = (await house.standing()).grants;
  assert.deepEqual(
    [(await house.chat('a:8B', { as: body.api_key! })).status, away.received, ended?.revoked?.why],
    [401, 0, 'a as it was granted is not there any more'],
  );
});
