import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceBudget, Figure, GpuWaiter, ModelState } from '../../../shared/cortex.ts';
import { capabilitiesOf, groupModels, rowsOf, transitionOf, waitersFor } from './models.ts';

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
  usage: null,
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

test('bringing a provider up banishes whom the core says, or fits beside what is there, whole or smaller, or does not', () => {
  const gb = (bytes: number): Figure => ({ bytes, source: 'estimated' });
  const all = groupModels([
    model('tiered', '70B', { vram: gb(20) }),
    model('tiered', '8B', { vram: gb(6) }),
    model('warm', '7B', { phase: 'warm', vram: gb(6) }),
    model('served', 'x', { controller: 'openai' }),
    model('unknown', 'x'),
  ]);
  const of = (name: string, freeBytes: number | null, banishes: string[] = []) =>
    transitionOf(all.find((one) => one.name === name)!, {
      transitions: [{ provider: name, banishes }],
      devices: [{ freeBytes } as DeviceBudget],
    });
  assert.deepEqual(of('tiered', 30, ['warm']), { kind: 'banishes', names: ['warm'] });
  assert.deepEqual(of('tiered', 20), { kind: 'fits', tier: '70B', instead: null });
  assert.deepEqual(of('tiered', 10), { kind: 'fits', tier: '8B', instead: { tier: '70B', needBytes: 20, freeBytes: 10 } });
  assert.deepEqual(of('tiered', 5), { kind: 'tight', needBytes: 6, freeBytes: 5 });
  assert.deepEqual([of('tiered', null), of('unknown', 30)], [{ kind: 'free' }, { kind: 'free' }]);
  assert.deepEqual([of('warm', 30), of('served', 30)], [null, null]);
});

test('a capability leads to its providers, those that answer first; what is remote does not while sovereign is on', () => {
  const index = (sovereign: boolean) =>
    capabilitiesOf(groupModels(models), sovereign).map(({ name, providers, ready }) => [
      name,
      providers.map((one) => one.name).join(' '),
      ready,
    ]);
  assert.deepEqual(index(false), [
    ['text-generation', 'cloud writer eyes', 2],
    ['vision-analysis', 'eyes', 0],
  ]);
  assert.deepEqual(index(true), [
    ['text-generation', 'writer cloud eyes', 1],
    ['vision-analysis', 'eyes', 0],
  ]);
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
