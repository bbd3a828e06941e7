import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRegistry } from '../registry/registry.ts';
import { aProvider, aRun, GiB, openScene, owner, refusedWith, startOllamaStandIn } from './testing.ts';

const text = { capabilities: ['text-generation'] };

test('a dry run says what would be loaded, and loads nothing', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server] });
  const resolved = await scene.cortex.operations['OS.resolve.need']({ need: text }, owner, aRun(scene));
  assert.deepEqual(
    [resolved.outcome, resolved.loads.map(({ model }) => model), resolved.need.priority, server.seen],
    ['grant', ['big:70B'], 50, []],
  );
});

test('fronts hear who offers what, and whom a load would banish', async (t) => {
  await using server = await startOllamaStandIn({ 'day:1B': GiB, 'night:1B': GiB, 'loose:1B': GiB });
  const each = { sizes: { '1B': GiB }, stopMs: 100 };
  const providers = [
    aProvider('night', server, { ...each, groups: ['night'], capabilities: ['constructor', 'text-generation'] }),
    aProvider('day', server, { ...each, groups: ['day'] }),
    aProvider('loose', server, each),
  ];
  server.loaded.add('day:1B');
  const scene = await openScene(t, { providers, servers: [server] });
  const { capabilities, transitions, models } = await scene.cortex.operations['OS.cortex']({}, owner, aRun(scene));
  assert.deepEqual(
    { capabilities, transitions, models: models.map(({ provider, controller, stopMs, loadMs }) => [provider, controller, stopMs, loadMs]) },
    {
      capabilities: [
        { capability: 'constructor', providers: ['night'] },
        { capability: 'text-generation', providers: ['day', 'loose', 'night'] },
      ],
      transitions: [
        { provider: 'loose', banishes: [] },
        { provider: 'night', banishes: ['day'] },
      ],
      models: ['day', 'loose', 'night'].map((name) => [name, 'ollama', 100, 1000]),
    },
  );
});

test('what was found on this machine goes into the registry as it was proposed', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const big = { model: 'big:70B', capabilities: ['text-generation'], vram: null, resident: false };
  const found = [
    { endpoint: server.url, kind: 'ollama' as const, models: [big] },
    { endpoint: 'http://127.0.0.1:1234', kind: 'openai' as const, models: [{ ...big, model: 'phi', capabilities: [] }] },
  ];
  const providers = [aProvider('big', { url: `${server.url.replace('127.0.0.1', 'localhost')}/` }, { sizes: { '70B': GiB } })];
  const scene = await openScene(t, { providers, servers: [server], found });
  const { operations } = scene.cortex;
  const seen = await operations['OS.discover']({}, owner, aRun(scene));
  const added = await operations['OS.providers.add']({ endpoint: 'http://localhost:1234/v1/', name: 'studio' }, owner, aRun(scene));
  const { registry } = parseRegistry(scene.registry.text);
  const other = await refusedWith(operations['OS.providers.add']({ endpoint: 'http://127.0.0.1:9' }, owner, aRun(scene)));
  assert.deepEqual(
    [seen.found.map(({ known }) => known), seen.looked, added, other.code],
    [[true, false], ['11434'], { provider: 'studio', revision: 'r1' }, 'not_found'],
  );
  assert.deepEqual(
    registry?.providers.map(({ name, endpoint, tiers }) => [name, endpoint, tiers.map(({ model }) => model)]),
    [['studio', 'http://127.0.0.1:1234', ['phi']]],
  );
});

test('what is not there cannot be loaded, unloaded or reset, and the answer says what is', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server] });
  const { operations } = scene.cortex;
  const asks = [
    operations['OS.models.load']({ provider: 'small' }, owner, aRun(scene)),
    operations['OS.models.load']({ provider: 'big', tier: '1B' }, owner, aRun(scene)),
    operations['OS.models.unload']({ provider: 'small' }, owner, aRun(scene)),
    operations['OS.models.reset']({ provider: 'small' }, owner, aRun(scene)),
  ];
  const errors = await Promise.all(asks.map(refusedWith));
  assert.deepEqual(
    errors.map(({ code, hint }) => [code, hint]),
    [
      ['not_found', 'There are: big.'],
      ['not_found', 'It has 70B.'],
      ['not_found', 'There are: big.'],
      ['not_found', 'There are: big.'],
    ],
  );
});

test('readings of the devices are those of the time that was asked for', async (t) => {
  const scene = await openScene(t, { providers: [], servers: [] });
  const sample = { device: 'card', usedBytes: GiB, utilization: 0.5, temperatureC: 60, powerW: 200 };
  const at = [scene.time.at - 7_200_000, scene.time.at - 60_000];
  scene.store.saveGpuSamples(at.map((when) => ({ ...sample, at: when })));
  await scene.store.setSetting('flushed', '1');
  const history = async (hours: number) =>
    (await scene.cortex.operations['OS.gpu.history']({ hours }, owner, aRun(scene))).samples.map((one) => one.at);
  assert.deepEqual([await history(1), await history(3)], [[at[1]], at]);
});
