import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GpuWaiter, ModelState } from '../../../shared/cortex.ts';
import { banishedBy, capabilitiesOf, groupModels, rowsOf, waitersFor } from './models.ts';

const model = (provider: string, tier: string, more: Partial<ModelState> = {}): ModelState => ({
  provider,
  tier,
  model: `${provider}:${tier}`,
  capabilities: ['text-generation'],
  egress: 'local',
  phase: 'cold',
  detail: null,
  device: null,
  vram: null,
  loadMs: 1000,
  stopMs: 2000,
  contextMs: 0,
  controller: 'ollama',
  leases: [],
  waiting: 0,
  idleAt: null,
  lastUsedAt: null,
  pinned: false,
  groups: [],
  origin: { kind: 'registry', file: null, line: null },
  demo: false,
  ...more,
});
const models = [
  model('writer', '70B'),
  model('writer', '8B', { phase: 'warm', waiting: 2 }),
  model('eyes', '7B', { capabilities: ['text-generation', 'vision-analysis'], phase: 'halted' }),
  model('cloud', 'large', { egress: 'remote', phase: 'warm' }),
];
const lines = (options: Partial<Parameters<typeof rowsOf>[1]>) =>
  rowsOf(groupModels(models), { q: '', filter: null, open: new Set(), ...options }).map((row) =>
    row.kind === 'provider' ? row.group.name : `  ${row.tier.tier}`,
  );

test('a provider is one line by name, spoken for by the tier in memory, and opens into its tiers', () => {
  const [, , writer] = groupModels(models);
  assert.deepEqual([writer!.name, writer!.shown.tier, writer!.waiting], ['writer', '8B', 2]);
  assert.deepEqual(lines({ open: new Set(['writer', 'eyes']) }), ['cloud', 'eyes', 'writer', '  70B', '  8B']);
});

test('the list can be searched by provider, tier and capability, and narrowed to what is in memory here, cold or in trouble', () => {
  assert.deepEqual(
    [
      lines({ q: 'vision' }),
      lines({ q: 'writer 70' }),
      lines({ filter: 'memory' }),
      lines({ filter: 'trouble' }),
      lines({ filter: 'cold' }),
    ],
    [['eyes'], ['writer'], ['writer'], ['eyes'], []],
  );
});

test('a provider banishes who is in memory and shares no group with it; whoever is in none stays', () => {
  const all = groupModels([
    model('a', '1', { groups: ['day', 'both'] }),
    model('b', '1', { groups: ['night'], phase: 'warm' }),
    model('c', '1', { groups: ['both'], phase: 'warm' }),
    model('d', '1', { phase: 'warm' }),
    model('e', '1', { groups: ['night'] }),
    model('f', '1', { groups: ['night'], phase: 'warm', egress: 'remote' }),
  ]);
  assert.deepEqual(
    ['a', 'd', 'e'].map((name) => banishedBy(all, name)),
    [['b'], [], ['c']],
  );
});

test('a capability leads to its providers, those that are warm first', () => {
  assert.deepEqual(
    capabilitiesOf(groupModels(models)).map(({ name, providers, ready }) => [name, providers.map((one) => one.name).join(' '), ready]),
    [
      ['text-generation', 'cloud writer eyes', 2],
      ['vision-analysis', 'eyes', 0],
    ],
  );
});

test('in line for a provider stands who names it or one of its models, or needs some of what it can do', () => {
  const waiter = (id: string, position: number, need: object) =>
    ({ id, position, need: { capabilities: [], model: null, ...need } }) as unknown as GpuWaiter;
  const queue = [
    waiter('able', 3, { capabilities: ['text-generation', 'stt'] }),
    waiter('by name', 1, { model: 'writer' }),
    waiter('by model', 0, { model: 'writer:70B' }),
    waiter('other', 2, { model: 'eyes' }),
    waiter('unable', 4, { capabilities: ['stt'] }),
  ];
  const writer = groupModels(models).find(({ name }) => name === 'writer')!;
  assert.deepEqual(
    waitersFor(queue, writer).map(({ id }) => id),
    ['by model', 'by name', 'able'],
  );
});
