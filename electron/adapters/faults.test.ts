/** The whole, broken at its edges: model servers that die, hang, lie and change behind its back, a card that others fill, and crowds at the door. */
import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

const oneOf = (name: string, server: { url: string }, more: object = {}) =>
  provider(name, server, { sizes: { '8B': 8 }, capabilities: [name], ...more });
const helper = (url: string) => `orgs: { T: { name: Test, services: { helper: { endpoint: "${url}/slow", egress: local } } } }`;
const words = async (response: Response) => {
  const text = await response.text();
  return { end: /data: \[DONE\]/.test(text), error: /data: (\{"error".*\})/.exec(text)?.[1] ?? null };
};

test(
  'a server that dies in a stream: the stream ends with an error and no [DONE], and the next request comes when it is back',
  within,
  async () => {
    await using box = await startBox({ 'a:8B': 8 * GiB });
    await using house = await openHouse({ providers: oneOf('a', box) });
    const { body: grant } = await house.grant({ capabilities: ['a'] });
    const streams = await Promise.all([house.chat('a:8B', { stream: true }), house.chat('a:8B', { stream: true, as: grant.api_key! })]);
    await seen(() => box.streams.length === 2);
    await box.die();
    const heard = await Promise.all(streams.map(words));
    assert.deepEqual(
      heard.map(({ end, error }) => [end, error !== null]),
      [
        [false, true],
        [false, true],
      ],
    );
    const ended = await seen(async () => (await house.standing()).grants.find(({ id }) => id === grant.id)?.revoked);
    assert.match(ended.why, /a/);
    await box.rise();
    const back = await seen(async () => {
      const { status } = await house.chat('a:8B');
      return status === 200 && status;
    });
    assert.deepEqual([back, (await house.standing()).leases], [200, []]);
  },
);

test('a load that hangs is given up after warm_up, and the next candidate comes', within, async () => {
  await using first = await startBox({ 'a:8B': 8 * GiB });
  await using second = await startBox({ 'z:8B': 8 * GiB });
  const providers = [oneOf('a', first, { capabilities: ['chat'], warm_up: '300ms' }), oneOf('z', second, { capabilities: ['chat'] })].join(
    '\n',
  );
  await using house = await openHouse({ providers });
  first.hold.load = new Promise(() => {});
  const { status, body } = await house.grant({ capabilities: ['chat'] });
  assert.deepEqual([status, body.models?.map(({ provider: name }) => name), only(second.log, 'load')], [200, ['z'], ['z:8B']]);
  const [failed] = await house.audit('model_failed');
  assert.match(failed!.detail, /300 ms/);
});

test('a server that answers garbage to its lists cannot be had, hurts nobody else, and is back when it makes sense', within, async () => {
  await using bad = await startBox({ 'a:8B': 8 * GiB });
  await using good = await startBox({ 'z:8B': 8 * GiB });
  bad.lists = 'garbage';
  await using house = await openHouse({ providers: [oneOf('a', bad), oneOf('z', good)].join('\n') });
  const [a, z] = await Promise.all([house.grant({ capabilities: ['a'] }, { wait_ms: 300 }), house.grant({ capabilities: ['z'] })]);
  assert.deepEqual([a.status >= 500, z.status], [true, 200]);
  bad.lists = 'well';
  const back = await seen(async () => {
    const { status } = await house.chat('a:8B');
    return status === 200 && status;
  });
  assert.equal(back, 200);
});

test('a swap waits for a slow unload: the card never holds both', within, async () => {
  const card = createCard(12);
  await using box = await startBox({ 'a:8B': 8 * GiB, 'b:8B': 8 * GiB }, { card });
  await using house = await openHouse({ providers: [oneOf('a', box, { stop_time: '2s' }), oneOf('b', box)].join('\n') }, { card });
  assert.equal((await house.chat('a:8B')).status, 200);
  const held = Promise.withResolvers<void>();
  box.hold.unload = held.promise;
  const asked = house.chat('b:8B');
  await seen(() => only(box.log, 'unload').length === 1);
  const { queue } = await house.standing();
  assert.equal(only(box.log, 'load').length, 1);
  held.resolve();
  assert.equal((await asked).status, 200);
  assert.deepEqual(
    [queue.length <= 1, box.log.filter((line) => !line.startsWith('pulse'))],
    [true, ['load a:8B', 'call a:8B', 'unload a:8B', 'load b:8B', 'call b:8B']],
  );
});

test('a server that lets go by itself is believed: no ghost tools, its memory is free, and a call loads it again', within, async () => {
  const card = createCard(12);
  await using box = await startBox({ 'a:8B': 8 * GiB, 'b:8B': 8 * GiB }, { card });
  await using house = await openHouse(
    { providers: [oneOf('a', box, { tools: ['T.helper'] }), oneOf('b', box)].join('\n'), more: helper(box.url) },
    { card },
  );
  const { body: grant } = await house.grant({ capabilities: ['a'] });
  assert.deepEqual(grant.tools, ['T.helper']);
  box.loaded.clear();
  const tools = await seen(async () => {
    const one = (await house.standing()).grants.find(({ id }) => id === grant.id)!;
    return one.tools.length === 0 && one;
  });
  assert.equal(tools.revoked, null);
  assert.equal((await house.cortex()).models.find(({ provider: name }) => name === 'a')?.phase, 'cold');
  assert.deepEqual([(await house.chat('a:8B', { as: grant.api_key! })).status, only(box.log, 'call')], [200, ['a:8B']]);
  await seen(async () => (await house.standing()).grants.find(({ id }) => id === grant.id)!.tools.length === 1);
});

test('what somebody else loads behind its back is counted, with its holder, and not loaded into', within, async () => {
  const card = createCard(24);
  await using box = await startBox({ 'a:8B': 8 * GiB, stranger: 20 * GiB }, { card });
  await using house = await openHouse({ providers: oneOf('a', box) }, { card });
  box.loaded.add('stranger');
  await seen(async () => (await house.cortex()).devices[0]!.others.bytes === 20 * GiB);
  const { status, body } = await house.grant({ capabilities: ['a'] }, { wait_ms: 500 });
  const { outcome, error } = await house.resolve({ capabilities: ['a'] });
  assert.deepEqual(
    [status >= 400, outcome, error?.code, error?.vram?.need, error?.vram?.free, box.log],
    [true, 'refusal', 'vram_exhausted', 8 * GiB, 4 * GiB, []],
    JSON.stringify(body),
  );
  box.loaded.delete('stranger');
  await seen(async () => (await house.cortex()).devices[0]!.others.bytes === 0);
  assert.equal((await house.grant({ capabilities: ['a'] })).status, 200);
});

test('a card that others fill between plan and load: out of memory, the next tier, and it is not tried again', within, async () => {
  const card = createCard(24);
  await using box = await startBox({ 'a:70B': 20 * GiB, 'a:8B': 6 * GiB }, { card });
  await using house = await openHouse({ providers: provider('a', box, { sizes: { '70B': 20, '8B': 6 } }) }, { card });
  const held = Promise.withResolvers<void>();
  box.hold.load = held.promise;
  const asked = house.grant({ capabilities: ['text-generation'] });
  await seen(() => only(box.log, 'load').length === 1);
  card.othersBytes = 8 * GiB;
  held.resolve();
  const { status, body } = await asked;
  assert.deepEqual([status, body.models?.map(({ tier }) => tier), only(box.log, 'load')], [200, ['8B'], ['a:70B', 'a:8B']]);
  await house.revoke(body.id);
  const again = await house.grant({ capabilities: ['text-generation'] });
  assert.deepEqual([again.body.models?.map(({ tier }) => tier), only(box.log, 'load')], [['8B'], ['a:70B', 'a:8B']]);
  await house.revoke(again.body.id);
  // When the others are gone the better one fits again.
  card.othersBytes = 0;
  await seen(async () => {
    await house.core.dispatch({ route: 'OS.gpu', door: 'library', principal: house.core.owner.principal });
    return (await house.cortex()).devices[0]!.others.bytes === 0;
  });
  const best = await house.grant({ capabilities: ['text-generation'], tier: '70B' });
  assert.deepEqual([best.status, best.body.models?.map(({ tier }) => tier)], [200, ['70B']], JSON.stringify(best.body));
});

test('nvidia-smi that goes away between two probes leaves its figures unknown, never 0, and the card counted', within, async () => {
  const tools = mkdtempSync(join(tmpdir(), 'tools-'));
  const tool = join(tools, 'nvidia-smi');
  const { PATH } = process.env;
  const put = (usedMiB: number | string) => {
    writeFileSync(`${tool}.new`, `#!/bin/sh\ncase "$1" in *uuid,memory*) echo "GPU-1, 24576, ${usedMiB}, 1, 40, 50.0, Card";; esac\n`, {
      mode: 0o755,
    });
    renameSync(`${tool}.new`, tool);
  };
  put(0);
  process.env.PATH = `${tools}:${PATH}`;
  try {
    await using box = await startBox({ 'a:8B': 8 * GiB, 'b:20B': 20 * GiB });
    await using house = await openHouse({
      providers: [oneOf('a', box), provider('b', box, { sizes: { '20B': 20 }, capabilities: ['b'] })].join('\n'),
    });
    await seen(async () => (await house.cortex()).devices[0]?.used?.bytes === 0);
    assert.equal((await house.grant({ capabilities: ['a'] })).status, 200);
    rmSync(tool);
    const gone = await seen(async () => {
      const [device] = (await house.cortex()).devices;
      return (device === undefined || device.used === null) && (await house.cortex());
    });
    const { outcome } = await house.resolve({ capabilities: ['b'] });
    assert.deepEqual([gone.devices.map(({ total, used }) => [total?.bytes, used]), outcome], [[[24 * GiB, null]], 'wait']);
    put('[N/A]');
    await house.send('GET', '/gpu');
    put(8192);
    await seen(async () => (await house.cortex()).devices[0]?.used?.bytes === 8 * GiB);
  } finally {
    process.env.PATH = PATH;
    rmSync(tools, { recursive: true, force: true });
  }
});

test('a registry that changes what a tier takes ends no grant; one that renames the tier does', within, async () => {
  await using box = await startBox({ 'a:8B': 8 * GiB, 'a:small': 8 * GiB });
  await using house = await openHouse({ providers: provider('a', box, { sizes: { '8B': 8 } }) });
  const { body: grant } = await house.grant({ capabilities: ['text-generation'] });
  await house.edit(provider('a', box, { sizes: { '8B': 9 }, priority: 70 }));
  const still = (await house.chat('a:8B', { as: grant.api_key! })).status;
  await house.edit(provider('a', box, { sizes: { small: 9 } }));
  const { leases } = await house.standing();
  assert.deepEqual([still, (await house.chat('a:8B', { as: grant.api_key! })).status, leases], [200, 401, []]);
});

test('a warm model that does not answer is not granted: the next candidate is, and whoever has no other hears why', within, async () => {
  await using mute = await startBox({ 'a:8B': 0 });
  await using other = await startBox({ 'z:8B': 8 * GiB });
  const far = { controller: 'openai', sizes: { '8B': 0 } };
  const providers = [provider('a', mute, { ...far, capabilities: ['chat', 'alone'] }), oneOf('z', other, { capabilities: ['chat'] })].join(
    '\n',
  );
  await using house = await openHouse({ providers });
  mute.fail.pulse = Array<{ status: number; error: string }>(20).fill({ status: 400, error: 'no' });
  const { body } = await house.grant({ capabilities: ['chat'] });
  const alone = await house.grant({ capabilities: ['alone'] });
  assert.deepEqual(
    [body.models?.map(({ provider: name }) => name), alone.status >= 400, (await house.standing()).leases.length],
    [['z'], true, 1],
  );
});

test('a provider that leaves the registry while it loads: whoever waited hears why, and the others go on', within, async () => {
  await using box = await startBox({ 'a:8B': 8 * GiB, 'b:8B': 8 * GiB });
  await using house = await openHouse({ providers: [oneOf('a', box), oneOf('b', box)].join('\n') });
  const held = Promise.withResolvers<void>();
  box.hold.load = held.promise;
  const asked = Promise.all([house.grant({ capabilities: ['a'] }), house.chat('a:8B')]);
  await seen(() => only(box.log, 'load').length === 1);
  await house.edit(oneOf('b', box));
  held.resolve();
  const [grant, chat] = await asked;
  assert.deepEqual(
    [grant.status >= 400, chat.status >= 400, (await house.chat('b:8B')).status, only(box.log, 'call')],
    [true, true, 200, ['b:8B']],
    JSON.stringify(grant.body),
  );
  const { leases, queue } = await house.standing();
  assert.deepEqual([leases, queue], [[], []]);
});

test(
  'sovereign that goes on and off as fast as can be: at the end nothing is held, and what is far is only had while it is off',
  within,
  async () => {
    await using near = await startBox({ 'a:8B': 8 * GiB });
    await using far = await startBox({ 'f:8B': 0 });
    const providers = [
      oneOf('a', near),
      provider('f', far, { sizes: { '8B': 0 }, controller: 'openai', egress: 'remote', capabilities: ['f'] }),
    ].join('\n');
    await using house = await openHouse({ providers });
    const crowd = Array.from({ length: 60 }, async (_, index) => {
      if (index % 3 === 0) await house.sovereign(index % 2 === 0);
      const { status, body } = await house.grant({ capabilities: [index % 2 === 0 ? 'f' : 'a'] });
      if (status === 200) await house.chat(body.models[0]!.model, { as: body.api_key! });
      if (status === 200) await house.revoke(body.id);
      // A pulse that the switch cut off leaves its provider alone for a while.
      return status === 503 ? (body as unknown as { code: string }).code : status;
    });
    const statuses = new Set(await Promise.all(crowd));
    await house.sovereign(true);
    const before = far.received;
    const refused = await house.grant({ capabilities: ['f'] });
    const { leases, queue, grants } = await house.standing();
    assert.deepEqual(
      [
        [...statuses].every((status) => [200, 401, 403, 'no_capability'].includes(status)),
        refused.status,
        far.received,
        leases,
        queue,
        grants.filter(({ revoked }) => revoked === null),
      ],
      [true, 403, before, [], [], []],
      [...statuses].join(),
    );
  },
);

test('a provider that takes one call at a time is never asked twice at once', within, async () => {
  await using box = await startBox({ 'a:8B': 8 * GiB });
  await using house = await openHouse({ providers: oneOf('a', box, { concurrency: 1 }) });
  assert.equal((await house.chat('a:8B')).status, 200);
  const held = Promise.withResolvers<void>();
  box.hold.call = held.promise;
  box.log.length = 0;
  const asked = Array.from({ length: 3 }, () => house.chat('a:8B').then(({ status }) => status, String));
  await seen(async () => box.log.length > 0 && (await house.standing()).queue.length === 2);
  assert.deepEqual(box.log, ['call a:8B']);
  held.resolve();
  assert.deepEqual(await Promise.all(asked), [200, 200, 200]);
});
