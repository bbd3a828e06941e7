import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Call } from '../../../shared/contract.ts';
import type { GpuDevice, Job, JobDetail } from '../../../shared/model.ts';
import type { Core } from '../core.ts';
import { GiB, startOllamaStandIn } from '../cortex/testing.ts';
import { openCore, operate, tempFolder } from '../testing.ts';

const card: GpuDevice = {
  ...{ id: 'gpu0', name: 'Card', vendor: 'nvidia', source: 'nvidia-smi', processes: [], demo: true },
  ...{ memoryTotalBytes: 24 * GiB, memoryUsedBytes: 0, memorySource: { total: 'measured', used: 'measured' } },
  ...{ utilization: null, temperatureC: null, powerW: null },
};

/** Two models of which one fits at a time. */
const registryOf = (url: string) => `
providers:
  one: {controller: ollama, endpoint: "${url}", egress: local, capabilities: [text-generation], model: one, vram: 20 GB, priority: 0}
  two: {controller: ollama, endpoint: "${url}", egress: local, capabilities: [text-generation], model: two, vram: 20 GB, priority: 0}
  far: {controller: openai, endpoint: "${url}", egress: remote, capabilities: [text-generation], model: three}
orgs:
  W:
    name: Works
    services:
      one: {kind: model, need: {model: one}}
      two: {kind: model, need: {model: two}}
      far: {kind: model, need: {model: far}}
      again: {kind: model, need: {model: one}, idempotent: true, retry: {times: 2, backoff: 1ms, max: 1ms}}
      both:
        kind: grid
        policy: all
        steps:
          first: {route: W.one, params: {prompt: a}}
          second: {route: W.two, params: {prompt: b}}
limits: off
`;

async function setUp(t: TestContext) {
  const server = await startOllamaStandIn({ one: 20 * GiB, two: 20 * GiB, three: 0 });
  t.after(() => server[Symbol.asyncDispose]());
  const folder = tempFolder();
  t.after(() => folder[Symbol.dispose]());
  const open = async () => {
    const core = await openCore(registryOf(server.url), { home: folder.path, gpus: () => [card] });
    t.after(() => core[Symbol.asyncDispose]());
    return core;
  };
  return { server, open };
}

function submit(core: Core, route: string, more: Partial<Call> = {}) {
  const { promise: job, resolve } = Promise.withResolvers<string>();
  const call = { route, params: { prompt: 'hello' }, door: 'library' as const, principal: core.owner.principal, ...more };
  return { job, answer: core.dispatch(call, undefined, (accepted) => resolve(accepted.job)) };
}

const get = (core: Core, id: string) => operate(core, 'OS.jobs.get', { id }) as Promise<JobDetail>;

/** Resolves with the job once it is so. */
function until(core: Core, id: string, is: (job: Job) => boolean): Promise<Job> {
  return new Promise((resolve) => {
    const see = (job: Job) => {
      if (job.id !== id || !is(job)) return;
      stop();
      resolve(job);
    };
    const stop = core.watch(0, {
      snapshot: ({ jobs }) => queueMicrotask(() => jobs.forEach(see)),
      events: (batch) => {
        for (const event of batch) if (event.type === 'job') see(event.job);
      },
    });
  });
}

/** `one` is warm, and a job has it until the returned function is called. */
async function keepBusy(core: Core, server: Awaited<ReturnType<typeof startOllamaStandIn>>) {
  assert.equal((await submit(core, 'W.one').answer).error, null);
  const { promise, resolve } = Promise.withResolvers<void>();
  server.hold.pulse = promise;
  const { job, answer } = submit(core, 'W.one');
  await until(core, await job, ({ state }) => state === 'running');
  return async () => {
    delete server.hold.pulse;
    resolve();
    return answer;
  };
}

test('a job waits for the model that it needs until whoever has the memory lets go, and says so', async (t) => {
  const { server, open } = await setUp(t);
  const core = await open();
  const letGo = await keepBusy(core, server);
  const { job, answer } = submit(core, 'W.two');
  const waiting = await get(core, await job);
  const first = await letGo();
  const second = await answer;
  const after = await get(core, await job);
  assert.deepEqual(
    {
      waiting: [waiting.state, waiting.waits?.kind, waiting.waits?.position, waiting.starts],
      ended: [first.error, second.error, after.state, after.waits, after.starts],
      loads: server.seen.filter((what) => !what.startsWith('pulse')),
      why: after.events?.map(({ kind }) => kind).includes('waiting'),
    },
    {
      waiting: ['waiting', 'gpu', 0, 0],
      ended: [null, null, 'succeeded', null, 1],
      loads: ['load one', 'unload one', 'load two'],
      why: true,
    },
  );
});

test('a job that waits for a model is cancelled at once, and is given up at its deadline; nothing is loaded for it', async (t) => {
  const { server, open } = await setUp(t);
  const core = await open();
  const letGo = await keepBusy(core, server);
  const cancelled = submit(core, 'W.two');
  await operate(core, 'OS.jobs.cancel', { id: await cancelled.job });
  const late = await submit(core, 'W.two', { deadlineMs: 30 }).answer;
  const gone = await cancelled.answer;
  await letGo();
  assert.deepEqual([gone.error?.code, late.error?.code, server.seen.includes('load two')], ['cancelled', 'wait_expired', false]);
});

test('a job that waits for a model waits again after a restart; one whose answer went straight to its caller ends', async (t) => {
  const { server, open } = await setUp(t);
  const before = await open();
  const letGo = await keepBusy(before, server);
  const waiting = submit(before, 'W.two');
  const exchange = {
    ...{
      path: '/chat/completions',
      method: 'POST' as const,
      headers: {},
      body: Buffer.from('{"messages":[]}'),
      model: null,
      stream: false,
    },
    dialect: 'openai' as const,
    head() {},
    broken() {},
    write: () => null,
  };
  const passed = submit(before, 'W.two', { exchange });
  const ids = [await waiting.job, await passed.job];
  const over = before[Symbol.asyncDispose]();
  await letGo();
  await over;
  const after = await open();
  const restored = await until(after, ids[0]!, ({ state }) => state === 'succeeded');
  const [, ended] = await Promise.all(ids.map((id) => get(after, id)));
  assert.deepEqual(
    [(await passed.answer).error?.code, restored.starts, ended!.state, ended!.errorCode],
    ['shutting_down', 1, 'failed', 'shutting_down'],
  );
});

test('steps of a grid take their turns at the models they need', async (t) => {
  const { server, open } = await setUp(t);
  const core = await open();
  const { error } = await submit(core, 'W.both').answer;
  assert.deepEqual([error, server.seen.filter((what) => what.startsWith('load')).sort()], [null, ['load one', 'load two']]);
});

test('a run that failed gives its models back, and its retry asks for them anew', async (t) => {
  const { server, open } = await setUp(t);
  const core = await open();
  assert.equal((await submit(core, 'W.one').answer).error, null);
  server.fail.pulse = [{ status: 503, error: 'busy' }];
  const { job, answer } = submit(core, 'W.again');
  const { error } = await answer;
  const { starts } = await get(core, await job);
  const { leases } = (await operate(core, 'OS.grants')) as { leases: unknown[] };
  assert.deepEqual([error, starts, leases], [null, 2, []]);
});

test('sovereign cuts a run off that uses a remote model, and the job says so', async (t) => {
  const { server, open } = await setUp(t);
  const core = await open();
  server.loaded.add('three');
  const { promise, resolve } = Promise.withResolvers<void>();
  t.after(() => resolve());
  server.hold.pulse = promise;
  const { job, answer } = submit(core, 'W.far');
  await until(core, await job, ({ state }) => state === 'running');
  await operate(core, 'OS.sovereign.set', { on: true });
  const { error } = await answer;
  assert.equal(error?.code, 'sovereign_refused');
});
