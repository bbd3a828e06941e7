import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Provider, Resident, World } from '../../../shared/cortex.ts';
import type { GpuDevice } from '../../../shared/model.ts';
import { createGpu } from '../gpu.ts';
import { createController } from '../providers/controllers.ts';
import { openParts, providerOf, startLlamaCpp, startLlamaSwap, startOllama, startVllm, tierOf } from '../providers/testing.ts';
import { parseRegistry } from '../registry/parse.ts';
import { tempFolder } from '../testing.ts';
import { createBudget } from './budget.ts';
import { mayStandTogether, transitions } from './groups.ts';
import { indexOf } from './state.ts';
import { createWorldSource } from './world.ts';

const GiB = 1024 ** 3;
const ollama = { controller: { kind: 'ollama' } } as const;
/** The models of a stand-in for Ollama. */
const library = [
  { name: 'gemma3:27b', size: 15 * GiB, vram: 18 * GiB, capabilities: ['completion', 'vision'], context: 8192 },
  { name: 'gemma3:4b', size: 3 * GiB, vram: 4 * GiB, capabilities: ['completion', 'vision'], context: 8192 },
  { name: 'nomic-embed-text:latest', size: GiB / 4, vram: GiB / 2, capabilities: ['embedding'], context: 2048 },
  { name: 'gpt-oss:120b-cloud', size: 384, vram: 0, capabilities: ['completion'], context: 131_072 },
];
const bare = parseRegistry('orgs: {OS: {services: {calc: {kind: tool}}}}\n').registry!;
const card: GpuDevice = {
  ...{
    id: 'GPU-0',
    name: 'Pretended card',
    vendor: 'nvidia',
    source: 'test',
    memoryTotalBytes: 24 * GiB,
    memoryUsedBytes: GiB,
    demo: true,
  },
  ...{ utilization: null, temperatureC: null, powerW: null, processes: [], memorySource: { total: 'measured', used: 'measured' } },
};

/** A live world over these providers, with a clock that is turned by hand. */
async function openWorld(
  providers: Provider[],
  more: { scan?: string[]; sidecar?: string; keys?: Record<string, string>; pace?: number } = {},
) {
  const { pace = 15 } = more;
  await using stack = new AsyncDisposableStack();
  const clock = { now: 1_000_000 };
  const epoch = Date.parse('2026-11-21T12:00:00Z');
  const switches = { sovereign: false };
  const parts = stack.use(
    openParts({ sovereign: () => switches.sovereign, secret: (name) => more.keys?.[name] ?? null, clock: () => epoch + clock.now }),
  );
  const devices = [structuredClone(card)];
  const gpu = stack.use(createGpu({ pretended: () => devices, onChange: () => source.sensed(), clock: () => epoch }));
  await gpu.probe().catch(() => undefined);
  const registry = { ...bare, providers, cortex: { ...bare.cortex, scan: more.scan ?? [] } };
  if (more.sidecar) registry.cortex.sidecar = { provider: more.sidecar, lexicon: null, budgetMs: 2000 };
  const worlds: World[] = [];
  const waiting = new Set<{ isIt(world: World): boolean; found(world: World): void }>();
  const source = stack.use(
    createWorldSource({
      registry: () => registry,
      createController,
      parts,
      gpu,
      budget: createBudget({ store: { read: { footprints: () => [] }, saveFootprint: () => {} }, clock: () => epoch }),
      sovereign: () => switches.sovereign,
      now: () => clock.now,
      onChange(world) {
        worlds.push(world);
        for (const one of waiting) if (one.isIt(world)) one.found(world);
      },
      paces: { near: pace, remote: pace, refused: pace, hanging: pace, patience: 2000 },
    }),
  );
  const owned = stack.move();
  return {
    source,
    worlds,
    clock,
    gpu,
    devices,
    registry,
    switches,
    /** The world as soon as it is so. */
    async when(isIt: (world: World) => boolean): Promise<World> {
      const now = source.world();
      if (isIt(now)) return now;
      const { promise, resolve } = Promise.withResolvers<World>();
      const one = { isIt, found: resolve };
      waiting.add(one);
      try {
        return await promise;
      } finally {
        waiting.delete(one);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const residents = ({ residents: those }: World) => those.map(({ provider, tier, phase }) => `${provider} ${tier} ${phase}`);
const names = ({ providers }: World) => providers.map(({ name }) => name);
const residentOf = (provider: string, tier: string, more: Partial<Resident> = {}): Resident => ({
  ...{
    provider,
    tier,
    model: tier,
    device: 'GPU-0',
    vram: { bytes: 17 * GiB, source: 'measured' },
    phase: 'warm',
    leases: [],
    priority: 50,
  },
  ...{ pinned: false, stopMs: 1000, reloadMs: 5000, contextMs: 700, idleAt: null, ...more },
});

describe('what there is', () => {
  test('a server without tiers is asked what it has: each model is a provider of its own, and a cloud model is remote', async () => {
    await using server = await startOllama(library);
    const host = providerOf(server.url, { ...ollama, name: 'box', models: [], capabilities: [], groups: ['g'] });
    await using world = await openWorld([host, providerOf(server.url, { ...ollama, name: 'box.gemma3:4b', models: ['gemma3:4b'] })]);
    assert.deepEqual(
      [names(world.source.world()), world.source.phase('box')],
      [['box.gemma3:4b'], { phase: 'unknown', detail: 'its server has not answered yet' }],
    );
    world.source.start();
    await world.source.ready();
    const { providers } = world.source.world();
    assert.deepEqual(
      providers.map(({ name, egress, capabilities, groups, origin, tiers: [tier] }) => [
        ...[name, egress, capabilities.join('+'), groups.length, origin.kind],
        ...[tier!.model, tier!.vram, tier!.context],
      ]),
      [
        [
          'box.gemma3:27b',
          'local',
          'text-generation+vision-analysis',
          1,
          'running',
          'gemma3:27b',
          { bytes: 18 * GiB, source: 'estimated' },
          8192,
        ],
        [
          'box.gemma3:4b',
          'local',
          'text-generation',
          0,
          'registry',
          'gemma3:4b',
          { bytes: Math.round(3.6 * GiB), source: 'estimated' },
          8192,
        ],
        [
          'box.gpt-oss:120b-cloud',
          'remote',
          'text-generation',
          1,
          'running',
          'gpt-oss:120b-cloud',
          { bytes: 0, source: 'estimated' },
          131_072,
        ],
        [
          ...['box.nomic-embed-text:latest', 'local', 'embedding', 1, 'running', 'nomic-embed-text:latest'],
          ...[{ bytes: Math.round(0.3 * GiB), source: 'estimated' }, 2048],
        ],
      ],
    );
    assert.deepEqual(indexOf(world.source.world().providers), [
      { capability: 'embedding', providers: ['box.nomic-embed-text:latest'] },
      { capability: 'text-generation', providers: ['box.gemma3:27b', 'box.gemma3:4b', 'box.gpt-oss:120b-cloud'] },
      { capability: 'vision-analysis', providers: ['box.gemma3:27b'] },
    ]);
    assert.equal(world.source.provider('box'), null);
    await world.source.controller('box.gemma3:27b')!.load(providers[0]!.tiers[0]!, new AbortController().signal);
    assert.deepEqual(residents(await world.when(({ residents: those }) => those.length > 0)), ['box.gemma3:27b gemma3:27b warm']);
  });

  test('a tier that its server has not got is left out; with none left it is unavailable and says so', async () => {
    await using server = await startOllama(library);
    await using world = await openWorld([
      providerOf(server.url, { ...ollama, name: 'gemma', models: ['gemma3:70b', 'gemma3:27b', 'gpt-oss:120b-cloud'] }),
      providerOf(server.url, { ...ollama, name: 'none', models: ['llama3:8b'] }),
      providerOf(server.url, { ...ollama, name: 'cloud', models: ['gpt-oss:120b-cloud'] }),
    ]);
    world.source.start();
    await world.source.ready();
    const { providers, unavailable } = world.source.world();
    assert.deepEqual(
      providers.map(({ name, egress, tiers }) => [name, egress, ...tiers.map((tier) => tier.name)]),
      [
        ['cloud', 'remote', 'gpt-oss:120b-cloud'],
        ['gemma', 'local', 'gemma3:27b'],
        ['none', 'local', 'llama3:8b'],
      ],
    );
    assert.deepEqual(unavailable, [{ provider: 'none', reason: 'its server has no model llama3:8b' }]);
    // The three have one server, and it is asked once for all.
    assert.equal(server.asked.filter((line) => line === 'GET /api/tags').length, 1);
  });

  test('llama-swap, llama.cpp and vLLM: what is loaded, also by another name, and what another machine has', async () => {
    await using swap = await startLlamaSwap([{ id: 'qwen' }, { id: 'far', peerID: 'other' }]);
    await using cpp = await startLlamaCpp({ model: 'llava.gguf', context: 4096, vision: true });
    await using vllm = await startVllm('mistral');
    await using world = await openWorld([
      providerOf(swap.url, { controller: { kind: 'llama-swap' }, name: 'swap', models: [], capabilities: ['text-generation'] }),
      providerOf(cpp.url, { name: 'eyes', models: ['llava'] }),
      providerOf(vllm.url, { name: 'auto', models: [], capabilities: ['text-generation'] }),
    ]);
    world.source.start();
    await world.source.ready();
    assert.deepEqual(
      world.source.world().providers.map(({ name, egress }) => `${name} ${egress}`),
      ['auto.mistral local', 'eyes local', 'swap.far remote', 'swap.qwen local'],
    );
    assert.deepEqual(residents(world.source.world()), ['auto.mistral mistral warm', 'eyes llava warm']);
    assert.deepEqual(['auto.mistral', 'eyes', 'swap.qwen', 'nobody'].map(world.source.usage), [
      { running: 3, waiting: 1, cacheShare: 0.25 },
      null,
      null,
      null,
    ]);
    assert.deepEqual(world.source.phase('swap.qwen'), { phase: 'cold', detail: null });
    cpp.loading = true;
    await world.source.refresh('eyes');
    assert.deepEqual(world.source.phase('eyes'), { phase: 'warming', detail: null });
  });

  test('an API on the internet is not asked, unless it is to say what it has; without its key it cannot be had', async () => {
    await using server = await startVllm('big');
    const cloud = { egress: 'remote', auth: { kind: 'bearer', env: 'KEY', header: null } } as const;
    const providers = [
      providerOf(server.url, { ...cloud, name: 'cloud', models: ['big'] }),
      providerOf(`${server.url}/`, { name: 'other', models: ['x'], auth: { ...cloud.auth, env: 'NONE' }, egress: 'remote' }),
    ];
    await using world = await openWorld(providers, { keys: { KEY: 'secret' } });
    world.source.start();
    await world.source.ready();
    assert.deepEqual(world.source.phase('cloud'), { phase: 'warm', detail: null });
    assert.deepEqual(world.source.world().unavailable, [
      { provider: 'other', reason: 'its key is missing: the environment variable NONE is not set' },
    ]);
    assert.deepEqual([world.source.world().residents, server.asked], [[], []]);
  });
});

test('a server on the internet that is to say what it has is not asked while sovereign is on, and is at once after', async () => {
  await using server = await startVllm('big');
  await using world = await openWorld([providerOf(server.url, { name: 'cloud', models: [], egress: 'remote' })], { pace: 3_600_000 });
  world.switches.sovereign = true;
  world.source.configure();
  world.source.start();
  await world.source.ready();
  assert.match(world.source.phase('cloud').detail ?? '', /sovereign/i);
  assert.deepEqual(server.asked, []);
  world.switches.sovereign = false;
  world.source.configure();
  assert.deepEqual(names(await world.when((now) => now.providers.length > 0)), ['cloud.big']);
});

describe('what changes', () => {
  test('models that somebody else loads and unloads, and a server that ends and comes back, are seen without being asked for', async () => {
    const server = await startOllama(library);
    await using world = await openWorld([providerOf(server.url, { ...ollama, name: 'gemma', models: ['gemma3:27b'] })]);
    world.source.start();
    await world.when(({ unavailable }) => unavailable.length === 0);
    server.loaded.add('gemma3:27b');
    const loaded = await world.when(({ residents: those }) => those.length === 1);
    assert.deepEqual(loaded.residents[0], {
      ...{ provider: 'gemma', tier: 'gemma3:27b', model: 'gemma3:27b', device: 'GPU-0', phase: 'warm', leases: [], priority: 50 },
      ...{ vram: { bytes: 18 * GiB, source: 'reported' }, pinned: false, stopMs: 1000, reloadMs: 1000, contextMs: 0 },
      idleAt: Date.parse('2030-06-04T14:38:31.837-07:00') - Date.parse('2026-11-21T12:00:00Z'),
    });
    await server[Symbol.asyncDispose]();
    const down = await world.when(({ unavailable }) => unavailable.length === 1);
    assert.match(down.unavailable[0]!.reason, /^its server does not answer: /);
    assert.deepEqual([world.source.phase('gemma').phase, down.residents], ['unknown', []]);
    await using again = await startOllama(library, { port: server.port });
    again.loaded.add('gemma3:27b');
    const back = await world.when(({ residents: those }) => those.length === 1);
    assert.deepEqual([back.unavailable, world.source.phase('gemma')], [[], { phase: 'warm', detail: null }]);
  });

  test('a server that hangs keeps what it held, and is unavailable', async () => {
    await using server = await startOllama(library);
    await using world = await openWorld([providerOf(server.url, { ...ollama, name: 'gemma', models: ['gemma3:27b'] })]);
    server.loaded.add('gemma3:27b');
    world.source.start();
    await world.source.ready();
    server.everywhere = 'garbage';
    const mute = await world.when(({ unavailable }) => unavailable.length === 1);
    assert.deepEqual(residents(mute), ['gemma gemma3:27b warm']);
  });

  test('the version rises only when something changed, and once for what changes in one turn', async () => {
    await using server = await startOllama(library);
    await using world = await openWorld([providerOf(server.url, { ...ollama, name: 'gemma', models: ['gemma3:27b'], idleMs: 60_000 })]);
    server.loaded.add('gemma3:27b');
    world.source.start();
    await world.source.ready();
    await world.gpu.probe();
    await new Promise(setImmediate);
    const { version } = world.source.world();
    const told = world.worlds.length;
    for (let i = 0; i < 5; i++) {
      world.clock.now += 5000;
      await world.source.refresh('gemma');
      world.source.configure();
      world.source.sensed();
    }
    await new Promise(setImmediate);
    assert.deepEqual([world.source.world().version, world.worlds.length], [version, told]);
    assert.equal(world.source.world().at, world.clock.now);
    world.source.used('gemma', { priority: 90 });
    world.source.used('gemma', { priority: 70 });
    world.source.note('gemma', { phase: 'draining' });
    await new Promise(setImmediate);
    assert.deepEqual([world.source.world().version, world.worlds.length], [version + 1, told + 1]);
    assert.deepEqual([world.worlds.at(-1)?.residents[0]?.phase, world.worlds.at(-1)?.residents[0]?.priority], ['draining', 70]);
    world.switches.sovereign = true;
    world.source.configure();
    assert.deepEqual([world.source.world().version, world.source.world().sovereign], [version + 2, true]);
  });

  test('what two providers have in common stays for as long as one of them wants it to', async () => {
    await using server = await startVllm('m');
    const common = { models: ['m'], idleMs: 60_000 };
    await using world = await openWorld([
      providerOf(server.url, { name: 'a', ...common, priority: 70 }),
      providerOf(server.url, { name: 'b', ...common }),
    ]);
    world.source.start();
    await world.source.ready();
    world.clock.now += 10_000;
    world.source.used('b', { priority: 10 });
    const seen = () =>
      world.source
        .world()
        .residents.map(({ provider, idleAt, priority, sharedWith, vram }) => [provider, idleAt, priority, sharedWith, vram]);
    const before = seen();
    world.source.note('b', { phase: 'draining' });
    assert.deepEqual(
      [before, world.source.world().residents.map(({ phase }) => phase)],
      [
        [
          ['a', 1_070_000, 70, ['b'], null],
          // It takes its memory once.
          ['b', 1_070_000, 70, ['a'], { bytes: 0, source: 'reported' }],
        ],
        ['draining', 'draining'],
      ],
    );
  });

  test('it goes when nobody used it for its time, counted from the last use, and never when it is pinned', async () => {
    await using server = await startVllm('m');
    await using other = await startVllm('m');
    const idle = { idleMs: 60_000, models: ['m'] };
    await using world = await openWorld([
      providerOf(server.url, { name: 'a', ...idle }),
      providerOf(other.url, { name: 'b', ...idle, pinned: true }),
    ]);
    world.source.start();
    await world.source.ready();
    const idleAt = () => world.source.world().residents.map((one) => one.idleAt);
    const first = idleAt();
    world.clock.now += 10_000;
    world.source.used('a', { priority: 10 });
    assert.deepEqual(
      [first, idleAt()],
      [
        [1_060_000, null],
        [1_070_000, null],
      ],
    );
    const { version } = world.source.world();
    world.clock.now += 100;
    world.source.used('a', { priority: 10 });
    assert.deepEqual([world.source.world().version, idleAt()[0]], [version, 1_070_000], 'a busy model is no news each time');
    world.clock.now += 900;
    world.source.used('a', { priority: 10 });
    assert.deepEqual([world.source.world().version, idleAt()[0]], [version + 1, 1_071_000]);
  });

  test('what another program holds, and what is kept for the sidecar while it is not there', async () => {
    await using server = await startOllama(library);
    const small = providerOf(server.url, {
      ...ollama,
      name: 'small',
      models: [],
      tiers: [tierOf('gemma3:4b', { vram: { bytes: 4 * GiB, source: 'estimated' } })],
    });
    await using world = await openWorld([small], { sidecar: 'small' });
    world.source.start();
    await world.source.ready();
    await world.gpu.probe();
    const before = world.source.world();
    assert.deepEqual(
      [before.devices[0]?.reservedBytes, before.devices[0]?.others.bytes, before.providers[0]?.pinned],
      [4 * GiB, GiB, true],
    );
    server.loaded.add('gemma3:4b');
    world.devices[0]!.memoryUsedBytes = 6 * GiB;
    // What was loaded is reason to read the devices again.
    const after = await world.when(({ devices: [device] }) => device?.reservedBytes === 0 && device.others.bytes === 2 * GiB);
    assert.deepEqual([after.residents[0]?.pinned, after.residents[0]?.idleAt], [true, null]);
  });
});

describe('what whoever loads and unloads knows', () => {
  const open = async () => {
    await using stack = new AsyncDisposableStack();
    const server = stack.use(await startOllama(library));
    const world = stack.use(await openWorld([providerOf(server.url, { ...ollama, name: 'gemma', models: ['gemma3:27b', 'gemma3:4b'] })]));
    const owned = stack.move();
    return { ...world, server, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  };

  test('holds until the server says the same', async () => {
    await using world = await open();
    const { source, server } = world;
    const phase = () => [...residents(source.world()), source.phase('gemma').phase];
    await source.refresh('gemma');
    source.note('gemma', { phase: 'warming', resident: residentOf('gemma', 'gemma3:27b', { phase: 'warming' }) });
    world.clock.now += 3000;
    assert.deepEqual([...phase(), source.phase('gemma').detail], ['gemma gemma3:27b warming', 'warming', 'loading for 3 s']);
    await source.refresh('gemma');
    assert.deepEqual(phase(), ['gemma gemma3:27b warming', 'warming'], 'a load is under way, whatever the server says');
    source.note('gemma', { phase: 'warm', resident: residentOf('gemma', 'gemma3:27b') });
    assert.deepEqual(
      [phase(), source.world().residents[0]?.vram, source.world().residents[0]?.contextMs],
      [['gemma gemma3:27b warm', 'warm'], { bytes: 17 * GiB, source: 'measured' }, 700],
    );
    server.loaded.add('gemma3:27b');
    await source.refresh('gemma');
    server.loaded.clear();
    await source.refresh('gemma');
    assert.deepEqual(phase(), ['cold'], 'the server said the same, and then something else');
    server.loaded.add('gemma3:4b');
    await source.refresh('gemma');
    source.note('gemma', { phase: 'draining' });
    assert.deepEqual(phase(), ['gemma gemma3:4b draining', 'draining']);
    source.note('gemma', { phase: 'gone' });
    assert.deepEqual(phase(), ['cold']);
    await source.refresh('gemma');
    assert.deepEqual(phase(), ['cold'], 'servers are late to say what they did');
    await source.refresh('gemma');
    assert.deepEqual(phase(), ['gemma gemma3:4b warm', 'warm'], 'but not for ever');
  });

  test('an answer to a question that was put before is none', async () => {
    await using world = await open();
    const { source, server } = world;
    await source.refresh('gemma');
    const earlier = source.refresh('gemma');
    server.loaded.add('gemma3:27b');
    source.note('gemma', { phase: 'warm', resident: residentOf('gemma', 'gemma3:27b') });
    source.note('gemma', { phase: 'gone' });
    server.loaded.clear();
    await earlier;
    assert.deepEqual(residents(source.world()), []);
  });

  test('a failure makes it unavailable for its time, three until somebody says so', async () => {
    await using world = await open();
    const { source } = world;
    await source.refresh('gemma');
    source.note('gemma', { phase: 'error', detail: 'connection refused', until: world.clock.now + 40 });
    assert.deepEqual(
      [source.world().unavailable, source.phase('gemma')],
      [[{ provider: 'gemma', reason: 'connection refused' }], { phase: 'error', detail: 'connection refused' }],
    );
    const before = source.world().version;
    world.clock.now += 40;
    const after = await world.when(({ unavailable }) => unavailable.length === 0);
    assert.ok(after.version > before, 'and it is told when the time is over');
    source.note('gemma', { phase: 'halted', detail: 'three loads failed', until: null });
    await source.refresh('gemma');
    assert.deepEqual(source.world().unavailable, [{ provider: 'gemma', reason: 'halted: three loads failed' }]);
    source.note('gemma', { phase: 'gone' });
    assert.deepEqual([source.world().unavailable, source.phase('gemma').phase], [[], 'cold']);
  });
});

describe('containers that name themselves', () => {
  const unit = (port: number, more = '') =>
    `services:\n  vision:\n    image: llava\n    ports: ["${port}:8080"]\n    labels:\n      dispatcher.capabilities: vision-analysis\n      dispatcher.model: m\n      dispatcher.controller: openai\n${more}`;

  test('come, change and go with their files, and a name that is taken is told', async () => {
    await using server = await startVllm('m');
    using folder = tempFolder();
    const port = Number(new URL(server.url).port);
    const file = join(folder.path, 'compose.yaml');
    await using world = await openWorld([providerOf(server.url, { name: 'taken', models: ['m'] })], { scan: [folder.path] });
    world.source.start();
    await world.source.ready();
    const started = performance.now();
    writeFileSync(file, unit(port));
    const came = await world.when((now) => names(now).includes('vision'));
    assert.ok(performance.now() - started < 2000, 'issue 4: a change shows within 2 s');
    assert.deepEqual(came.providers.find(({ name }) => name === 'vision')?.origin, { kind: 'compose', file, line: 2 });
    writeFileSync(
      file,
      unit(
        port,
        '      dispatcher.vram: much\n  taken:\n    ports: ["81:81"]\n    labels: [dispatcher.capabilities=ocr, dispatcher.model=x]\n',
      ),
    );
    await world.when((now) => !names(now).includes('vision'));
    assert.deepEqual(
      world.source.invalid().map(({ line, unit: name, message }) => `${line} ${name} ${message}`),
      [
        '9 vision dispatcher.vram: "much" does not fit here. Write bytes, or a size such as 6 GB or 5.5GiB.',
        '10 taken There is a provider taken already, in the registry.',
      ],
    );
    rmSync(file);
    await world.when(() => world.source.invalid().length === 0);
  });
});

describe('groups', () => {
  const provider = (name: string, ...groups: string[]) => providerOf('http://127.0.0.1:1', { ...ollama, name, models: ['m'], groups });

  test('providers stand together when they share a group, or when one is in none', () => {
    const table = [
      [[], [], true],
      [['a'], [], true],
      [['a'], ['a', 'b'], true],
      [['a'], ['b'], false],
    ] as const;
    for (const [one, other, together] of table) {
      const pair = [provider('x', ...one), provider('y', ...other)] as const;
      assert.deepEqual([mayStandTogether(...pair), mayStandTogether(pair[1], pair[0])], [together, together], `${one} ${other}`);
    }
  });

  test('which transitions are free, and whom the others banish', () => {
    const providers = [
      provider('big', 'big'),
      provider('eyes', 'senses'),
      provider('ears', 'senses'),
      provider('loose'),
      provider('new', 'big'),
    ];
    const those = [residentOf('eyes', 'm'), residentOf('ears', 'm'), residentOf('big', 'm', { phase: 'draining' })];
    assert.deepEqual(transitions({ providers, residents: those }), [
      { provider: 'big', banishes: ['ears', 'eyes'] },
      { provider: 'loose', banishes: [] },
      { provider: 'new', banishes: ['ears', 'eyes'] },
    ]);
  });
});
