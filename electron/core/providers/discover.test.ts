import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { parse } from 'yaml';
import { parseRegistry } from '../registry/parse.ts';
import { discover, proposalOf } from './discover.ts';
import { freePort } from './standin/testing.ts';
import { openParts, refusal, startLlamaCpp, startLlamaSwap, startOllama, startStranger, startVllm } from './testing.ts';

const never = new AbortController().signal;
const library = [
  { name: 'llama3:8b', size: 1000, vram: 1500, capabilities: ['completion'], context: 8192 },
  { name: 'nomic-embed-text:latest', size: 100, vram: 200, capabilities: ['embedding'], context: 2048 },
];

/** A server that takes a connection and never says anything. */
async function startMute() {
  const server = createServer((socket) => void socket.resume().on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

test('every kind of model server is told from the others, and nothing else is taken for one', async () => {
  await using parts = openParts({ sovereign: () => true });
  await using ollama = await startOllama(library);
  await using swap = await startLlamaSwap([{ id: 'author/llama' }]);
  await using cpp = await startLlamaCpp({ model: 'qwen', context: 4096, vision: true });
  await using vllm = await startVllm('meta-llama/Llama-3.1-8B');
  await using stranger = await startStranger();
  await using garbled = await startOllama(library);
  await using mute = await startMute();
  garbled.everywhere = 'garbage';
  ollama.loaded.add('llama3:8b');
  const closed = await freePort();
  const servers = [mute, stranger, ollama, swap, garbled, cpp, vllm];
  const { found, looked } = await discover(parts, never, [closed, ...servers.map(({ port }) => port)]);
  assert.deepEqual(
    found.map(({ endpoint, kind, models }) => [
      endpoint,
      kind,
      models.map(({ model, capabilities, resident }) => `${model} ${capabilities} ${resident}`),
    ]),
    [
      [ollama.url, 'ollama', ['llama3:8b  true', 'nomic-embed-text:latest  false']],
      [swap.url, 'llama-swap', ['author/llama  false']],
      [cpp.url, 'llama.cpp', ['qwen text-generation,vision-analysis true']],
      [vllm.url, 'vllm', ['meta-llama/Llama-3.1-8B  true']],
    ],
  );
  assert.deepEqual(found[0]!.models[0]!.vram, { bytes: 1500, source: 'reported' });
  assert.equal(looked.length, servers.length + 1);
  for (const { asked } of [stranger, garbled, ollama, swap, cpp, vllm])
    assert.deepEqual(
      asked.filter((line) => !line.startsWith('GET ')),
      [],
    );
  assert.deepEqual([...swap.loaded], []);
});

test('a search that is given up rejects with why', async () => {
  await using parts = openParts();
  await using mute = await startMute();
  const gone = new AbortController();
  const given = refusal(discover(parts, gone.signal, [mute.port]));
  gone.abort();
  assert.equal((await given)[0], 'cancelled');
});

test('a proposal is one provider that the registry takes, whatever its server calls its models', () => {
  const model = (name: string, ...capabilities: string[]) => ({ model: name, capabilities, vram: null, resident: false });
  const strange = ['a: b # c', '- x', '*anchor', 'null', '\u202etxt', '"'].map((name) => model(name));
  const proposals = [
    { endpoint: 'http://127.0.0.1:11434', kind: 'ollama' as const, models: [model('llama3:8b\u2028x: 1', 'text-generation')] },
    { endpoint: 'http://127.0.0.1:8080', kind: 'llama.cpp' as const, models: [model('qwen', 'text-generation', 'vision-analysis')] },
    { endpoint: 'http://127.0.0.1:8000', kind: 'vllm' as const, models: [model('BAAI/bge-m3')] },
    { endpoint: 'http://127.0.0.1:5000', kind: 'openai' as const, models: strange },
    { endpoint: 'http://127.0.0.1:9292', kind: 'llama-swap' as const, models: [] },
  ].map(proposalOf);
  assert.equal(
    proposals[2],
    [
      'vllm-8000:',
      '  controller: openai',
      '  endpoint: http://127.0.0.1:8000',
      '  egress: local',
      '  # It does not say what it can do: correct this where it is wrong.',
      '  capabilities: [embedding]',
      '  model: BAAI/bge-m3',
      '',
    ].join('\n'),
  );
  for (const proposal of proposals) {
    assert.equal(Object.keys(parse(proposal) as object).length, 1, proposal);
    const services = 'orgs:\n  A:\n    services:\n      echo: { endpoint: "http://127.0.0.1:81/", egress: local }\n';
    const text = `providers:\n${proposal.replace(/^(?=.)/gm, '  ')}${services}`;
    assert.deepEqual(parseRegistry(text).problems, [], text);
  }
  assert.deepEqual(Object.keys((parse(proposals[3]!) as Record<string, { tiers: object }>)['openai-5000']!.tiers).length, strange.length);
});
