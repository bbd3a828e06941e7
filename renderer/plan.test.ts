import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Assignment, Eviction, PlannedLoad, Resolved } from '../shared/cortex.ts';
import { refuse } from '../shared/errors.ts';
import { costMs, type Held, listed, planWords, withNames } from './plan.ts';

const GB = 1024 ** 3;
const writer: Assignment = {
  capability: 'text-generation',
  provider: 'writer',
  tier: '8B',
  model: 'w:8b',
  device: '0',
  egress: 'local',
  phase: 'warm',
};
const load: PlannedLoad = {
  provider: 'writer',
  tier: '8B',
  model: 'w:8b',
  device: '0',
  vram: { bytes: 6 * GB, source: 'reported' },
  loadMs: 9000,
};
const eviction: Eviction = {
  provider: 'eyes',
  tier: '7B',
  model: 'e:7b',
  device: '0',
  frees: null,
  cause: 'memory',
  stopMs: 500,
  reloadMs: 8000,
  contextMs: 1500,
};
const plan = (more: Partial<Resolved>): Resolved => ({
  outcome: 'grant',
  need: {
    capabilities: ['text-generation'],
    tier: null,
    model: null,
    priority: 50,
    context: 'interactive',
    contextTokens: null,
    sensitive: false,
    egress: 'remote',
  },
  assignments: [writer],
  loads: [],
  evictions: [],
  etaMs: 0,
  waitsFor: [],
  downgrade: null,
  error: null,
  reasons: [],
  rejected: [],
  version: 1,
  ...more,
});
const said = (more: Partial<Resolved>, named?: (lease: string) => string | null) => {
  const { tone, lead, more: rest } = planWords(plan(more), named);
  return [tone, lead, ...rest.map(({ text }) => text)];
};

test('what is warm is used as it is', () => {
  assert.deepEqual(said({}), ['ready', 'writer 8B is warm']);
});

test('a load says what it takes, what goes for it, when it is ready, and what it is less than', () => {
  assert.deepEqual(
    said({
      assignments: [{ ...writer, phase: 'cold' }],
      loads: [load],
      evictions: [eviction],
      etaMs: 9500,
      downgrade: { provider: 'writer', from: '70B', to: '8B', cause: 'vision is resident' },
    }),
    ['work', 'Loads writer 8B (6.0 GB)', 'evicts eyes 7B', 'ready in about 10 s', '8B instead of 70B because vision is resident'],
  );
});

test('a wait says for whom, by the name of who has the lease, and what comes then', () => {
  assert.deepEqual(
    said({ outcome: 'wait', loads: [load], etaMs: 31_000, waitsFor: ['lease_1', 'lease_2'] }, (lease) =>
      lease === 'lease_1' ? 'job_12' : null,
    ),
    ['wait', 'Waits for job_12 and lease_2, then loads writer 8B (6.0 GB)', 'ready in about 31 s'],
  );
});

test('an unknown time is not zero, and what leaves the machine is said', () => {
  assert.deepEqual(said({ outcome: 'wait', etaMs: null, assignments: [{ ...writer, provider: 'cloud', egress: 'remote' }] }), [
    'wait',
    'Waits for its turn',
    'nobody knows how long',
    'the words leave this machine for cloud',
  ]);
});

test('one that runs elsewhere is not said to be warm here', () => {
  const cloud: Assignment = { ...writer, provider: 'cloud', tier: 'large', egress: 'remote' };
  assert.deepEqual(
    [said({ assignments: [cloud] }), said({ assignments: [writer, cloud] })],
    [
      ['ready', 'Uses cloud large', 'the words leave this machine for cloud'],
      ['ready', 'writer 8B is warm, uses cloud large', 'the words leave this machine for cloud'],
    ],
  );
});

test('a refusal is its message', () => {
  assert.deepEqual(said({ outcome: 'refusal', error: refuse('vram_exhausted', 'It needs 40 GB, 3 GB are free.') }), [
    'refused',
    'It needs 40 GB, 3 GB are free.',
  ]);
});

test('an eviction costs the stop, the load and what has to be read again', () => {
  assert.equal(costMs(eviction), 10_000);
});

test('long lists are cut', () => {
  assert.deepEqual(
    [['a'], ['a', 'b'], ['a', 'b', 'c', 'd', 'e']].map((names) => listed(names)),
    ['a', 'a and b', 'a, b, c and 2 more'],
  );
});

test('a lease in a sentence is called by who has it: a job by its words or its id, a grant by its task', () => {
  const held = {
    leases: [
      { id: 'lease_1', holder: { kind: 'job', id: 'job_12' }, caller: 'owner' },
      { id: 'lease_4', holder: { kind: 'job', id: 'job_13' }, caller: 'owner' },
      { id: 'lease_2a', holder: { kind: 'grant', id: 'grant_1' }, caller: 'n8n' },
    ],
    grants: [{ id: 'grant_1', task: 'the digest' }],
    jobs: [{ id: 'job_13', text: 'plan the week', route: 'LOC.planner' }],
  } as unknown as Held;
  assert.equal(
    withNames('waits for lease_1, lease_2a, lease_4 and lease_3 to end.', held),
    'waits for job_12, the grant “the digest”, the job “plan the week” and another lease to end.',
  );
});
