import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createController } from './controllers.ts';
import type { StandIn } from './standin/testing.ts';
import { openParts, providerOf, refusal, startLlamaCpp, startLlamaSwap, startOllama, startVllm } from './testing.ts';

const GiB = 1024 ** 3;
const library = [
  { name: 'llama3:8b', size: 5 * GiB, vram: 6 * GiB, capabilities: ['completion', 'tools'], context: 8192 },
  { name: 'llava:13b', size: 8 * GiB, vram: 9 * GiB, capabilities: ['completion', 'vision'], context: 4096 },
  { name: 'nomic-embed-text:latest', size: GiB / 4, vram: GiB / 2, capabilities: ['embedding'], context: 2048 },
  { name: 'gpt-oss:120b-cloud', size: 384, vram: 0, capabilities: ['completion', 'thinking'], context: 131_072 },
  { name: 'renamed', size: 384, vram: 0, capabilities: ['completion'], context: 131_072, remote_host: 'https://ollama.com:443' },
];
const never = new AbortController().signal;
const kind = <K extends 'ollama' | 'openai' | 'llama-swap'>(name: K) => ({ controller: { kind: name } });

test('Ollama: what it has, what that can do and needs, and what runs elsewhere', async () => {
  await using parts = openParts();
  await using ollama = await startOllama(library);
  const provider = providerOf(`${ollama.url}/v1/`, { ...kind('ollama'), models: ['llama3:8b'] });
  const controller = createController(provider, parts);
  ollama.loaded.add('llava:13b');
  const before = await controller.list(never);
  await controller.load(provider.tiers[0]!, never);
  const after = await controller.list(never);
  const estimated = (gib: number) => ({ bytes: Math.round(gib * GiB * 1.2), source: 'estimated' });
  const elsewhere = { vram: { bytes: 0, source: 'reported' }, context: 131_072, remote: true };
  assert.deepEqual(before, {
    models: [
      { model: 'llama3:8b', capabilities: ['text-generation', 'tool-use'], vram: estimated(5), context: 8192, remote: false },
      { model: 'llava:13b', capabilities: ['text-generation', 'vision-analysis'], vram: estimated(8), context: 4096, remote: false },
      { model: 'nomic-embed-text:latest', capabilities: ['embedding'], vram: estimated(1 / 4), context: 2048, remote: false },
      { model: 'gpt-oss:120b-cloud', capabilities: ['reasoning', 'text-generation'], ...elsewhere },
      { model: 'renamed', capabilities: ['text-generation'], ...elsewhere },
    ],
    resident: [
      {
        model: 'llava:13b',
        phase: 'warm',
        vram: { bytes: 9 * GiB, source: 'reported' },
        idleAt: Date.parse('2030-06-04T14:38:31.837-07:00'),
      },
    ],
    usage: null,
  });
  assert.deepEqual(
    after.resident.map(({ model, idleAt }) => [model, idleAt]),
    [
      ['llama3:8b', null],
      ['llava:13b', Date.parse('2030-06-04T14:38:31.837-07:00')],
    ],
  );
  // What a model can do is asked for once.
  assert.equal(ollama.asked.filter((line) => line === 'POST /api/show').length, library.length);
});

test('Ollama: a load, a pulse and an unload, of a model that talks and of one that only embeds', async () => {
  await using parts = openParts();
  await using ollama = await startOllama(library);
  const life = async (model: string, capabilities: string[]) => {
    const provider = providerOf(ollama.url, { ...kind('ollama'), models: [model], capabilities });
    const controller = createController(provider, parts);
    const tier = provider.tiers[0]!;
    const seen: string[][] = [];
    for (const step of ['load', 'pulse', 'unload'] as const) {
      await controller[step](tier, never);
      seen.push([step, ...ollama.loaded]);
    }
    return { seen, restarted: await controller.restart(never) };
  };
  const told = await life('llama3:8b', ['text-generation']);
  const embedded = await life('nomic-embed-text', ['embedding']);
  assert.deepEqual(told, { seen: [['load', 'llama3:8b'], ['pulse', 'llama3:8b'], ['unload']], restarted: false });
  assert.deepEqual(embedded, {
    seen: [['load', 'nomic-embed-text:latest'], ['pulse', 'nomic-embed-text:latest'], ['unload']],
    restarted: false,
  });
  assert.ok(ollama.asked.includes('POST /v1/embeddings') && ollama.asked.includes('POST /v1/chat/completions'));
});

test('every way in which a load fails has its code and the words of the server, without what is no text', async () => {
  await using parts = openParts();
  const fails = async (fault: StandIn['fault'], start: () => Promise<StandIn>, name: 'ollama' | 'llama-swap') => {
    await using server = await start();
    const provider = providerOf(server.url, { ...kind(name), models: ['llama3:8b'], warmMs: fault === 'hang' ? 200 : 5000 });
    server.fault = fault;
    return await refusal(createController(provider, parts).load(provider.tiers[0]!, never));
  };
  const ollama = () => startOllama(library);
  const swap = () => startLlamaSwap([{ id: 'llama3:8b' }]);
  const died = 'box ran out of memory: llama runner process has terminated: cudaMalloc failed: out of memory ggml_gallocr_reserve_n failed';
  assert.deepEqual(await fails('out-of-memory', ollama, 'ollama'), ['vram_exhausted', died]);
  assert.deepEqual(await fails('out-of-memory', swap, 'llama-swap'), [
    'vram_exhausted',
    'box ran out of memory: ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: cudaMalloc failed: out of memory',
  ]);
  assert.deepEqual(await fails('garbage', ollama, 'ollama'), [
    'upstream_failed',
    'box answered POST /api/generate with what is no JSON object.',
  ]);
  assert.equal((await fails('huge', ollama, 'ollama'))[0], 'upstream_too_large');
  assert.equal((await fails('hang', ollama, 'ollama'))[0], 'upstream_timeout');
  assert.equal((await fails('hang', swap, 'llama-swap'))[0], 'upstream_timeout');
  for (const [start, name] of [
    [ollama, 'ollama'],
    [swap, 'llama-swap'],
  ] as const) {
    assert.match((await fails('die', start, name))[0], /^upstream_(failed|unreachable|refused)$/);
  }
});

test('a server that is down, mute, garbled or endless is no listing; nor is one whose secret is not set', async () => {
  await using parts = openParts();
  const table: Record<string, string[]> = {};
  for (const [name, start] of [
    ['ollama', () => startOllama(library)],
    ['llama-swap', () => startLlamaSwap([{ id: 'a' }])],
    ['openai', () => startVllm('a')],
  ] as const) {
    await using server = await start();
    const of = (more = {}) => createController(providerOf(server.url, { ...kind(name), models: ['a'], ...more }), parts);
    const codes: string[] = [];
    for (const fault of ['garbage', 'huge', 'out-of-memory'] as const) {
      server.everywhere = fault;
      codes.push((await refusal(of().list(never)))[0]);
    }
    server.everywhere = 'hang';
    codes.push((await refusal(of().list(AbortSignal.timeout(100))))[0]);
    const gone = new AbortController();
    const hanging = refusal(of().list(gone.signal));
    gone.abort();
    codes.push((await hanging)[0]);
    codes.push((await refusal(of({ auth: { kind: 'bearer', env: 'KEY', header: null } }).list(never)))[0]);
    await server[Symbol.asyncDispose]();
    codes.push((await refusal(of().list(never)))[0]);
    table[name] = codes;
  }
  const all = [
    'upstream_failed',
    'upstream_too_large',
    'vram_exhausted',
    'upstream_timeout',
    'cancelled',
    'registry_invalid',
    'upstream_refused',
  ];
  assert.deepEqual(table, { ollama: all, 'llama-swap': all, openai: all });
});

test('figures of a server that nothing can be counted with are not known', async () => {
  await using parts = openParts();
  const figures = [1e300, -1, 0.5, 2 ** 53];
  await using server = await startOllama(
    figures.map((figure, i) => ({ name: `odd:${i}b`, size: figure, vram: figure, capabilities: ['completion'], context: figure })),
  );
  for (const i of figures.keys()) server.loaded.add(`odd:${i}b`);
  const { models, resident } = await createController(providerOf(server.url, { ...kind('ollama'), models: ['odd:0b'] }), parts).list(never);
  assert.deepEqual(
    models!.map(({ vram, context }, i) => [vram, context, resident[i]!.vram]),
    figures.map(() => [null, null, null]),
  );
});

test('llama-swap: what is configured, peers that are elsewhere, and a model with slashes in its name from cold to gone', async () => {
  await using parts = openParts();
  const life = async (options: Parameters<typeof startLlamaSwap>[1]) => {
    await using swap = await startLlamaSwap([{ id: 'author/llama' }, { id: 'other' }, { id: 'far', peerID: 'gpu2' }], options);
    const provider = providerOf(swap.url, { ...kind('llama-swap'), models: ['author/llama'] });
    const controller = createController(provider, parts);
    const tier = provider.tiers[0]!;
    const { models } = await controller.list(never);
    const phases = [];
    const phase = async () => phases.push((await controller.list(never)).resident.map((one) => `${one.model} ${one.phase}`).join());
    await phase();
    await controller.load(tier, never);
    await phase();
    await controller.pulse(tier, never);
    await controller.unload(tier, never);
    await phase();
    phases.push(await controller.restart(never));
    await controller.load(tier, never);
    phases.push(await controller.restart(never), ...swap.loaded);
    return { models: models!.map(({ model, remote }) => [model, remote]), phases };
  };
  const expected = {
    models: [
      ['author/llama', false],
      ['other', false],
      ['far', true],
    ],
    phases: ['', 'author/llama warm', '', false, true],
  };
  assert.deepEqual(await life({}), expected);
  assert.deepEqual(await life({ noHealth: true }), expected);
  assert.deepEqual(await life({ old: true }), expected);
});

test('llama-swap: one that can only end all its models does not do so while there are others; no name leads to another path', async () => {
  await using parts = openParts();
  await using swap = await startLlamaSwap([{ id: 'a' }, { id: 'b' }], { old: true });
  const provider = providerOf(swap.url, { ...kind('llama-swap'), models: ['a', 'b', '../../unload', 'c'] });
  const controller = createController(provider, parts);
  const [a, b, climbs, missing] = provider.tiers;
  await controller.load(a!, never);
  await controller.load(b!, never);
  const kept = await refusal(controller.unload(a!, never));
  const codes = [await refusal(controller.load(climbs!, never)), await refusal(controller.load(missing!, never))].map(([code]) => code);
  assert.deepEqual(
    [kept, codes, [...swap.loaded]],
    [
      ['upstream_failed', 'box can only end all its models at once, and 2 are running.'],
      ['not_found', 'not_found'],
      ['a', 'b'],
    ],
  );
  assert.ok(!swap.asked.includes('GET /unload'));
});

test('llama.cpp and vLLM: always warm, with the context they were started with and how busy they are', async () => {
  await using parts = openParts();
  await using cpp = await startLlamaCpp({ model: 'qwen', context: 16_384, vision: true });
  await using vllm = await startVllm('llama');
  const of = (server: StandIn, model: string) => createController(providerOf(server.url, { ...kind('openai'), models: [model] }), parts);
  const warm = (model: string) => [{ model, phase: 'warm', vram: null, idleAt: null }];
  cpp.loading = true;
  const loading = await of(cpp, 'qwen').list(never);
  cpp.loading = false;
  assert.deepEqual(loading, { resident: [{ ...warm('qwen')[0], phase: 'warming' }], models: null, usage: null });
  assert.deepEqual(await of(cpp, 'qwen').list(never), {
    resident: warm('qwen'),
    models: [{ model: 'qwen', capabilities: ['text-generation', 'vision-analysis'], vram: null, context: 16_384, remote: false }],
    usage: null,
  });
  assert.deepEqual(await of(vllm, 'llama').list(never), {
    resident: warm('llama'),
    models: [{ model: 'llama', capabilities: [], vram: null, context: 32_768, remote: false }],
    usage: { running: 3, waiting: 1, cacheShare: 0.25 },
  });
  // What is not there is not asked for again and again.
  const again = of(vllm, 'llama');
  for (let times = 0; times < 3; times++) await again.list(never);
  assert.equal(vllm.asked.filter((line) => line === 'GET /props').length, 2);
  // Nor is a server without declared tiers a surprise.
  cpp.loading = true;
  const undeclared = createController(providerOf(cpp.url, { models: [] }), parts);
  assert.deepEqual((await undeclared.list(never)).resident, []);
});

test('a pulse asks for one token, one embedding, or the readiness of the server, and knows an answer from none', async () => {
  await using parts = openParts();
  await using vllm = await startVllm('llama');
  const pulse = (capabilities: string[], model = 'llama') => {
    const provider = providerOf(vllm.url, { ...kind('openai'), models: [model], capabilities });
    return createController(provider, parts).pulse(provider.tiers[0]!, never);
  };
  await pulse(['embedding', 'text-generation']);
  await pulse(['embedding']);
  await pulse(['stt']);
  assert.deepEqual(vllm.asked, ['POST /v1/chat/completions', 'POST /v1/embeddings', 'GET /health']);
  assert.deepEqual(await refusal(pulse(['text-generation'], 'gone')), [
    'upstream_failed',
    "box answered 404 to POST /v1/chat/completions: model 'gone' not found",
  ]);
  vllm.everywhere = 'garbage';
  assert.equal((await refusal(pulse(['text-generation'])))[0], 'upstream_failed');
});

test('nothing is asked of a remote provider while sovereign is on', async () => {
  await using parts = openParts({ sovereign: () => true });
  await using vllm = await startVllm('llama');
  const provider = providerOf(vllm.url, { ...kind('openai'), models: ['llama'], egress: 'remote' });
  const controller = createController(provider, parts);
  const codes = [await refusal(controller.list(never)), await refusal(controller.pulse(provider.tiers[0]!, never))];
  assert.deepEqual([codes.map(([code]) => code), vllm.asked], [['sovereign_refused', 'sovereign_refused'], []]);
});

test('a cloud model is not asked for under sovereign, though its server is on this machine', async () => {
  let sovereign = true;
  await using parts = openParts({ sovereign: () => sovereign });
  await using ollama = await startOllama(library);
  const provider = providerOf(ollama.url, { ...kind('ollama'), models: ['gpt-oss:120b-cloud', 'renamed:latest', 'llama3:8b'] });
  const controller = createController(provider, parts);
  await controller.list(never);
  const before = ollama.asked.length;
  const [named, renamed, local] = provider.tiers;
  const codes = [];
  for (const tier of [named!, renamed!])
    for (const work of [controller.load(tier, never), controller.pulse(tier, never)]) codes.push((await refusal(work))[0]);
  assert.deepEqual([codes, ollama.asked.length - before], [Array(4).fill('sovereign_refused'), 0]);
  await controller.load(local!, never);
  sovereign = false;
  await controller.load(named!, never);
  assert.deepEqual([...ollama.loaded], ['llama3:8b', 'gpt-oss:120b-cloud']);
});

test('a server that dies in an unload, and one that keeps what it was told to let go, are said', async () => {
  await using parts = openParts();
  await using ollama = await startOllama(library);
  const provider = providerOf(ollama.url, { ...kind('ollama'), models: ['llama3:8b'], drainMs: 300 });
  const controller = createController(provider, parts);
  await controller.load(provider.tiers[0]!, never);
  ollama.keeps = true;
  const kept = await refusal(controller.unload(provider.tiers[0]!, never));
  ollama.everywhere = 'die';
  const [code] = await refusal(controller.unload(provider.tiers[0]!, never));
  assert.deepEqual(kept, ['upstream_timeout', 'box did not unload llama3:8b within 0.3 s.']);
  assert.match(code, /^upstream_(failed|unreachable|refused)$/);
});
