import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Grant } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import { hashToken } from '../principals.ts';
import { createScratch } from '../store/scratch.ts';
import { aProvider, aRun, GiB, type OllamaStandIn, openScene, owner, refusedWith, type Scene, startOllamaStandIn } from './testing.ts';

const need = { capabilities: ['text-generation'] };
const caller = { id: 'tok_1', name: 'Robot', capabilities: ['dispatch'] } as const;

async function setUp(t: Parameters<typeof openScene>[0], more: Partial<Parameters<typeof aProvider>[2]> = {}) {
  const server = await startOllamaStandIn({ 'big:70B': GiB, 'other:8B': GiB });
  t.after(() => server[Symbol.asyncDispose]());
  const big = aProvider('big', server, { sizes: { '70B': GiB }, tools: ['OS.calc', 'OS.gone'], ...more });
  const scene = await openScene(t, { providers: [big], servers: [server], routes: ['OS.calc'] });
  return { server, scene };
}

const create = (scene: Scene, asked: Partial<{ task: string; wait_ms: number; ttl_ms: number }> = {}, run = aRun(scene)) =>
  scene.cortex.operations['OS.grants.create']({ need, task: 'report', wait_ms: 60_000, ...asked }, caller, run) as Promise<Grant>;

test('a grant: an address, a key that is shown once and kept as a digest, its models, its tools', async (t) => {
  const { scene } = await setUp(t);
  const made = await create(scene, { ttl_ms: 5000 });
  const key = made.api_key!;
  const row = scene.store.read.grants()[0];
  assert.match(key, /^dgk_[\w-]{43}$/);
  assert.deepEqual(
    { ...made, id: '', api_key: '', reasons: [] },
    {
      ...{ id: '', task: 'report', caller: 'tok_1', base_url: 'http://127.0.0.1:7777/v1', api_key: '' },
      models: [{ model: 'big:70B', provider: 'big', tier: '70B', capabilities: ['text-generation'], device: 'card', egress: 'local' }],
      tools: ['OS.calc'],
      settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 },
      ...{ created_at: scene.time.at, expires_at: scene.time.at + 5000, revoked: null, requests: 0, reasons: [] },
    },
  );
  assert.deepEqual([row?.id, row?.keyHash, row?.revokedAt, JSON.stringify(row).includes(key)], [made.id, hashToken(key), null, false]);
  assert.deepEqual(scene.cortex.authenticate(key)?.principal, {
    ...{ id: made.id, name: 'report', capabilities: ['dispatch'], countsAs: 'tok_1' },
  });
  assert.deepEqual(
    [scene.cortex.authenticate(`${key}x`), scene.cortex.authenticate(''), scene.cortex.endedGrant(key), scene.held()[0]?.holder],
    [null, null, null, { kind: 'grant', id: made.id }],
  );
  const told = JSON.stringify([scene.rows, scene.signals, scene.events, scene.cortex.state()]);
  assert.equal(told.includes(key), false);
});

test('what `model` means under a grant', async (t) => {
  const { scene } = await setUp(t);
  const { id } = await create(scene);
  const means = (model: string | null) => {
    const bound = scene.cortex.granted(id, model);
    return 'code' in bound ? bound.code : bound.tier.model;
  };
  const asked = [
    null,
    'big:70B',
    'big',
    '70B',
    'cap:text-generation',
    'cap:text-generation+vision-analysis',
    'other:8B',
    'big:70B\r\nx: y',
    '',
  ];
  assert.deepEqual(asked.map(means), [...Array(5).fill('big:70B'), ...Array(4).fill('forbidden')]);
  assert.equal(scene.cortex.state().grants[0]?.requests, 5);
});

test('a provider that takes so many calls at one time gets no more under a grant', async (t) => {
  const { scene } = await setUp(t, { concurrency: 2 });
  const { id } = await create(scene);
  const call = () => {
    const bound = scene.cortex.granted(id, null);
    return 'code' in bound ? bound : scene.cortex.calling(bound.provider.name);
  };
  const [first, second, third] = [call(), call(), call()];
  (first as () => void)();
  const fourth = call();
  assert.deepEqual(
    [first, second, third, fourth].map((one) => ('code' in one ? [one.code, one.retryAfterMs] : 'answered')),
    ['answered', 'answered', ['limited', 1000], 'answered'],
  );
});

const causes: Record<
  string,
  { end(scene: Scene, about: { grant: Grant; server: OllamaStandIn }): unknown; why: RegExp; code?: string; provider?: object }
> = {
  'its task ended': { end: (scene) => scene.cortex.ended('job_1'), why: /its task job_1 ended/ },
  'its time was over': {
    end(scene, { grant }) {
      scene.time.at = grant.expires_at;
      return scene.step('grant_ended');
    },
    why: /its time was over/,
  },
  'somebody revoked it': {
    end: (scene, { grant }) => scene.cortex.operations['OS.grants.revoke']({ id: grant.id }, caller, aRun(scene)),
    why: /Robot revoked it/,
  },
  'sovereign was switched on': {
    end(scene) {
      scene.sovereign.on = true;
      scene.turn();
      scene.cortex.refresh();
    },
    why: /sovereign was switched on/,
    code: 'sovereign_refused',
    provider: { controller: { kind: 'openai' }, egress: 'remote' },
  },
  'its provider is gone': {
    end(scene) {
      scene.providers.length = 0;
      scene.turn();
    },
    why: /big is not among the providers any more/,
  },
  'its server died': {
    async end(scene, { server }) {
      await server.die();
      await scene.refresh('big');
    },
    why: /big cannot be had any more/,
  },
  'the core ends': { end: (scene) => scene.cortex[Symbol.asyncDispose](), why: /Dispatcher shut down/ },
};

for (const [name, { end, why, code = 'unauthenticated', provider = {} }] of Object.entries(causes)) {
  test(`a grant ends when ${name}`, async (t) => {
    const { server, scene } = await setUp(t, provider);
    scene.jobs.set('job_1', 'running');
    const grant = await create(scene, { task: 'job_1', ttl_ms: 20 });
    const cut: WireError[] = [];
    const over = scene.cortex.under(grant.id, (reason) => cut.push(reason));
    const done = scene.cortex.under(grant.id, () => assert.fail('that call was over'));
    done();
    const ended = scene.step('grant_ended');
    await end(scene, { grant, server });
    await ended;
    over();
    const late: WireError[] = [];
    scene.cortex.under(grant.id, (reason) => late.push(reason));
    const bound = scene.cortex.granted(grant.id, 'big:70B');
    assert.deepEqual(
      {
        cut: cut.map((reason) => reason.code),
        late: late.map((reason) => reason.code),
        bound: 'code' in bound && bound.code,
        key: scene.cortex.authenticate(grant.api_key!),
        held: scene.held().length,
        rows: scene.steps().filter((step) => step === 'grant_ended').length,
        kept: scene.store.read.grants()[0]?.revokedAt,
      },
      { cut: [code], late: ['unauthenticated'], bound: 'unauthenticated', key: null, held: 0, rows: 1, kept: scene.time.at },
    );
    assert.match(cut[0]!.message, why);
    assert.match(scene.cortex.endedGrant(grant.api_key!)?.revoked?.why ?? '', why);
  });
}

test('nothing is granted for a job that ended, before it was asked or while it waited', async (t) => {
  const { server, scene } = await setUp(t);
  scene.jobs.set('job_1', 'succeeded').set('job_2', 'running');
  const before = await refusedWith(create(scene, { task: 'job_1' }));
  const gate = Promise.withResolvers<void>();
  server.hold.load = gate.promise;
  const loading = scene.step('model_loading');
  const waiting = refusedWith(create(scene, { task: 'job_2' }));
  await loading;
  scene.cortex.ended('job_2');
  gate.resolve();
  assert.deepEqual([before.code, (await waiting).code, scene.held(), scene.cortex.state().grants], ['conflict', 'conflict', [], []]);
});

test('whoever waits too long, or goes away, gets nothing and holds nothing', async (t) => {
  const { server, scene } = await setUp(t);
  server.hold.load = new Promise(() => {});
  const late = await refusedWith(create(scene, { wait_ms: 20 }));
  const run = aRun(scene);
  const gone = refusedWith(create(scene, {}, run));
  run.cutoff.cut({ code: 'cancelled', message: 'The caller cancelled.', hint: null });
  assert.deepEqual([late.code, (await gone).code, scene.held(), scene.cortex.state().grants], ['wait_expired', 'cancelled', [], []]);
});

test('a grant that cannot be put on record is none', async (t) => {
  const { scene } = await setUp(t);
  await scene.lease(need, 'warm').leased;
  scene.loop.release('warm');
  await scene.store[Symbol.asyncDispose]();
  const error = await refusedWith(create(scene));
  const shown = scene.cortex.state().grants.map(({ revoked }) => revoked?.why);
  assert.deepEqual([error.code, scene.held(), shown], ['shutting_down', [], ['it could not be put on record']]);
});

test('what the core before this one granted has ended, says so, and is on record as ended', async (t) => {
  const scratch = createScratch(t);
  const before = await scratch.open();
  const grant = { id: 'grant_1', task: 'report', caller: 'tok_1', models: [], requests: 3, revoked: null, expires_at: 1e15 };
  await before.saveGrant({ id: 'grant_1', json: JSON.stringify(grant), keyHash: hashToken('dgk_1'), expiresAt: 1e15, revokedAt: null }, 1);
  await before[Symbol.asyncDispose]();
  const scene = await openScene(t, { providers: [], servers: [], scratch });
  await scene.cortex[Symbol.asyncDispose]();
  assert.deepEqual(
    [scene.cortex.authenticate('dgk_1'), scene.cortex.endedGrant('dgk_1')?.revoked?.why, scene.rows[0]?.detail.why],
    [null, 'Dispatcher was started again', 'Dispatcher was started again'],
  );
  assert.equal(scene.store.read.grants()[0]?.revokedAt, scene.time.at);
});

test('no ghost tools: those of a model that went cold are not granted', async (t) => {
  const { server, scene } = await setUp(t);
  const { tools } = await create(scene);
  server.loaded.clear();
  // What was just loaded is believed to be there until its server has said twice that it is not.
  await scene.refresh('big');
  await scene.refresh('big');
  const [grant] = scene.cortex.state().grants;
  assert.deepEqual([tools, grant?.tools, grant?.revoked], [['OS.calc'], [], null]);
});

test('callers see and revoke their own grants, admins all', async (t) => {
  const { scene } = await setUp(t);
  const { id } = await create(scene);
  const other = { ...caller, id: 'tok_2' };
  const { operations } = scene.cortex;
  const seen = async (by: typeof owner) => (await operations['OS.grants']({}, by, aRun(scene))).grants.length;
  const refused = await refusedWith((async () => operations['OS.grants.revoke']({ id }, other, aRun(scene)))());
  assert.deepEqual([await seen({ ...caller }), await seen(other), await seen(owner), refused.code], [1, 0, 1, 'not_found']);
  await operations['OS.grants.revoke']({ id }, owner, aRun(scene));
  assert.match(scene.cortex.state().grants[0]?.revoked?.why ?? '', /Owner revoked it/);
});
