import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ControllerSpec } from '../../../shared/cortex.ts';
import { tempFolder } from '../testing.ts';
import { aProvider, aRun, GiB, openScene, outOfMemory, owner, refusedWith, startOllamaStandIn } from './testing.ts';

const text = { capabilities: ['text-generation'] };
const broken = { status: 500, error: 'llama runner process no longer running' };
const freePort = async () => {
  const { port, ...server } = await startOllamaStandIn({});
  await server[Symbol.asyncDispose]();
  return port;
};
const loads = (seen: string[]) => seen.filter((line) => line.startsWith('load'));

/** Two servers on one card that has room for one of their models. */
async function twoBig(t: Parameters<typeof openScene>[0], more: Parameters<typeof aProvider>[2] | object = {}) {
  const [one, two] = [await startOllamaStandIn({ 'one:only': 16 * GiB }), await startOllamaStandIn({ 'two:only': 16 * GiB })];
  t.after(() => Promise.all([one[Symbol.asyncDispose](), two[Symbol.asyncDispose]()]));
  const sizes = { only: 16 * GiB };
  const providers = [
    aProvider('one', one, { sizes, capabilities: ['text-generation'], ...more }),
    aProvider('two', two, { sizes, capabilities: ['vision-analysis'], ...more }),
  ];
  return { one, two, scene: await openScene(t, { providers, servers: [one, two] }) };
}

test('a cold model that two want at once is loaded once, pulsed, and learnt from', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': 10 * GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': 12 * GiB } })], servers: [server] });
  const gate = Promise.withResolvers<void>();
  server.hold.load = gate.promise;
  const loading = scene.step('model_loading');
  const [a, b] = [scene.lease(text), scene.lease(text)];
  const told = await loading;
  gate.resolve();
  await Promise.all([a.leased, b.leased]);
  assert.deepEqual(
    { loads: loads(server.seen), told, held: scene.held().map(({ id, state }) => [id, state]), steps: scene.steps() },
    {
      loads: ['load big:70B'],
      told: { provider: 'big', tier: '70B', model: 'big:70B', device: 'card', eta_ms: 1000 },
      held: [
        [a.id, 'held'],
        [b.id, 'held'],
      ],
      steps: ['model_loading', 'model_warm'],
    },
  );
  assert.deepEqual(scene.signals[0], '🧠 OS → OS : model_loading, provider=big, tier=70B, model=big:70B, device=card, eta=1.0s');
  const { bytes, source } = scene.rows[1]!.detail;
  assert.deepEqual([bytes, source, scene.cortex.state().models[0]?.vram], [10 * GiB, 'measured', { bytes: 10 * GiB, source: 'measured' }]);
});

test('what is in flight is over before its model goes', async (t) => {
  const { one, scene } = await twoBig(t);
  const first = scene.lease(text);
  await first.leased;
  const over = scene.cortex.calling('one');
  scene.loop.release(first.id);
  const draining = scene.step('model_draining');
  const second = scene.lease({ capabilities: ['vision-analysis'] });
  const { in_flight } = await draining;
  const before = [...one.seen];
  over();
  await second.leased;
  assert.deepEqual([in_flight, before.includes('unload one:only'), one.seen.at(-1), [...one.loaded]], [1, false, 'unload one:only', []]);
  assert.deepEqual(scene.steps().slice(2), ['model_draining', 'model_unloading', 'model_gone', 'model_loading', 'model_warm']);
});

test('what another provider of the same model has in flight is over before it goes, for both', async (t) => {
  await using one = await startOllamaStandIn({ 'one:only': 10 * GiB });
  await using two = await startOllamaStandIn({ 'two:only': 20 * GiB });
  const first = aProvider('one', one, { sizes: { only: 10 * GiB } });
  const scene = await openScene(t, {
    providers: [
      first,
      { ...first, name: 'mirror', capabilities: ['ocr'] },
      aProvider('two', two, { sizes: { only: 20 * GiB }, capabilities: ['vision-analysis'] }),
    ],
    servers: [one, two],
  });
  const lease = scene.lease(text);
  await lease.leased;
  await scene.refresh('one');
  const over = scene.cortex.calling('mirror');
  scene.loop.release(lease.id);
  const draining = scene.step('model_draining');
  const second = scene.lease({ capabilities: ['vision-analysis'] });
  const { in_flight } = await draining;
  const phases = () => scene.cortex.state().models.map(({ provider, phase }) => `${provider} ${phase}`);
  const during = { phases: phases(), unloaded: one.seen.includes('unload one:only') };
  over();
  await second.leased;
  assert.deepEqual(
    { in_flight, during, after: phases() },
    {
      in_flight: 1,
      during: { phases: ['mirror draining', 'one draining', 'two cold'], unloaded: false },
      after: ['mirror cold', 'one cold', 'two warm'],
    },
  );
});

test('a drain that does not end is given up, and nothing is cut off', async (t) => {
  const { one, two, scene } = await twoBig(t, { drainMs: 20 });
  const first = scene.lease(text);
  await first.leased;
  scene.cortex.calling('one');
  scene.loop.release(first.id);
  const error = await refusedWith(scene.lease({ capabilities: ['vision-analysis'] }).leased);
  assert.deepEqual([error.code, one.seen.includes('unload one:only'), two.seen], ['conflict', false, []]);
  assert.match(error.message, /one still answers 1 calls after 20 ms/);
  assert.equal(scene.cortex.state().models.find(({ provider }) => provider === 'one')?.phase, 'warm');
});

test('a server that dies in a load: the next candidate comes', async (t) => {
  await using one = await startOllamaStandIn({ 'one:only': GiB });
  await using two = await startOllamaStandIn({ 'two:only': GiB });
  const providers = [one, two].map((server, i) => aProvider(['one', 'two'][i]!, server, { sizes: { only: GiB } }));
  const scene = await openScene(t, { providers, servers: [one, two] });
  one.fail.load = ['die'];
  const plan = await scene.lease(text).leased;
  assert.deepEqual(
    plan.assignments.map(({ provider }) => provider),
    ['two'],
  );
  assert.ok(scene.steps().includes('model_failed'));
});

test('a server that dies in a drain holds nothing any more', async (t) => {
  const { one, scene } = await twoBig(t);
  const first = scene.lease(text);
  await first.leased;
  scene.loop.release(first.id);
  one.fail.unload = ['die'];
  const plan = await scene.lease({ capabilities: ['vision-analysis'] }).leased;
  const gone = scene.rows.find(({ what }) => what === 'model_gone');
  assert.deepEqual([plan.assignments[0]?.provider, gone?.detail.provider], ['two', 'one']);
});

test('a pulse that is not answered is tried again, then its controller restarts it', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server] });
  server.fail.pulse = [broken, 'cut', broken];
  await scene.lease(text).leased;
  assert.deepEqual(scene.steps(), [
    ...['model_loading', 'model_warm', 'model_pulse_failed', 'model_pulse_failed', 'model_pulse_failed'],
    ...['model_restarting', 'model_restarted', 'model_loading', 'model_warm'],
  ]);
  assert.deepEqual(server.seen.slice(-3), ['unload big:70B', 'load big:70B', 'pulse big:70B']);
});

/** A server of one model, which is killed by the first word it is asked for. */
const frail = `
  const { existsSync, writeFileSync } = require('node:fs');
  const [port, marker] = process.argv.slice(2);
  require('node:http').createServer((request, response) => {
    const isPulse = request.url === '/v1/chat/completions';
    if (isPulse && !existsSync(marker)) {
      writeFileSync(marker, '');
      process.kill(process.pid, 'SIGKILL');
    }
    const body = isPulse ? { choices: [{ message: { content: 'o' } }] } : { data: [{ id: 'box:only' }], status: 'ok' };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }).listen(Number(port), '127.0.0.1');
  // Should nobody end it.
  setTimeout(() => process.exit(), 60_000);
`;

test('a server that is killed in the middle of a pulse is started again', async (t) => {
  using folder = tempFolder();
  const [script, marker] = [join(folder.path, 'server.cjs'), join(folder.path, 'marker')];
  writeFileSync(script, frail);
  const port = await freePort();
  const controller: ControllerSpec = { kind: 'command', start: [process.execPath, script, `${port}`, marker], stop: [] };
  const provider = aProvider('box', { url: `http://127.0.0.1:${port}` }, { sizes: { only: GiB }, controller });
  const scene = await openScene(t, { providers: [provider], servers: [] });
  const { id, leased } = scene.lease(text);
  await leased;
  assert.deepEqual(
    scene.steps().filter((step) => step !== 'model_pulse_failed'),
    ['model_loading', 'model_warm', 'model_restarting', 'model_restarted', 'model_loading', 'model_warm'],
  );
  assert.ok(scene.steps().includes('model_pulse_failed'));
  scene.loop.release(id);
  await scene.cortex.operations['OS.models.unload']({ provider: 'box' }, owner, aRun(scene));
});

test('a model that stays silent is not granted: the next candidate is', async (t) => {
  await using one = await startOllamaStandIn({ 'one:only': GiB });
  await using two = await startOllamaStandIn({ 'two:only': GiB });
  const providers = [one, two].map((server, i) => aProvider(['one', 'two'][i]!, server, { sizes: { only: GiB } }));
  const scene = await openScene(t, { providers, servers: [one, two], patience: { pulseMs: 20 } });
  one.hold.pulse = new Promise(() => {});
  const plan = await scene.lease(text).leased;
  const failed = scene.rows.find(({ what }) => what === 'model_failed')?.detail;
  assert.deepEqual([plan.assignments[0]?.provider, failed?.provider, failed?.error], ['two', 'one', 'upstream_timeout']);
});

test('a warm model that answered a moment ago is not asked again', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const providers = [aProvider('big', server, { sizes: { '70B': GiB } })];
  const scene = await openScene(t, { providers, servers: [server], settings: { pulseFreshMs: 60_000 } });
  await scene.lease(text).leased;
  await scene.lease(text).leased;
  assert.deepEqual(server.seen, ['load big:70B', 'pulse big:70B']);
});

test('a server that is busy is asked whether it has the model, not for a word of it', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server] });
  await scene.lease(text).leased;
  const over = scene.cortex.calling('big');
  server.hold.pulse = new Promise(() => {});
  await scene.lease(text).leased;
  over();
  assert.deepEqual(server.seen, ['load big:70B', 'pulse big:70B']);
});

test('another tier of a provider comes in place of the one it holds', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': 20 * GiB, 'big:8B': 6 * GiB });
  const providers = [aProvider('big', server, { sizes: { '70B': 20 * GiB, '8B': 6 * GiB } })];
  const scene = await openScene(t, { providers, servers: [server] });
  await scene.cortex.operations['OS.models.load']({ provider: 'big', tier: '8B' }, owner, aRun(scene));
  const small = [...server.loaded];
  await scene.lease({ ...text, tier: '70B', priority: 90 }).leased;
  assert.deepEqual([small, [...server.loaded]], [['big:8B'], ['big:70B']]);
  assert.deepEqual(scene.steps(), [
    ...['model_loading', 'model_warm', 'model_draining', 'model_unloading', 'model_gone', 'model_loading', 'model_warm'],
  ]);
});

test('a load that runs out of memory takes the next tier, and is remembered', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': 20 * GiB, 'big:8B': 6 * GiB });
  const providers = [aProvider('big', server, { sizes: { '70B': 20 * GiB, '8B': 6 * GiB } })];
  const scene = await openScene(t, { providers, servers: [server] });
  server.fail.load = [outOfMemory];
  const plan = await scene.lease(text).leased;
  const [best] = scene.cortex.state().models;
  assert.deepEqual(
    [plan.assignments[0]?.tier, server.seen, scene.steps()],
    [
      '8B',
      ['load big:70B', 'load big:8B', 'pulse big:8B'],
      ['model_loading', 'model_too_big', 'model_failed', 'model_loading', 'model_warm'],
    ],
  );
  assert.ok((best?.vram?.bytes ?? 0) > 24 * GiB, 'it takes more than what was free');
});

test('three loads in a row that fail halt a provider until it is reset', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server] });
  server.fail.load = [broken, broken, broken];
  const codes: string[] = [];
  for (let i = 0; i < 4; i++) codes.push((await refusedWith(scene.lease(text).leased)).code);
  const halted = scene.cortex.state().models[0];
  await scene.cortex.operations['OS.models.reset']({ provider: 'big' }, owner, aRun(scene));
  await scene.lease(text).leased;
  assert.deepEqual(codes, ['upstream_failed', 'upstream_failed', 'upstream_failed', 'no_capability']);
  assert.equal(loads(server.seen).length, 4);
  assert.equal(halted?.phase, 'halted');
  assert.ok(scene.signals.some((signal) => signal.startsWith('🛑 OS → OS : model_halted, provider=big')));
  assert.equal(scene.cortex.state().models[0]?.phase, 'warm');
});

test('a plan that the world has outrun is made again, not acted on', async (t) => {
  const { one, two, scene } = await twoBig(t);
  await using three = await startOllamaStandIn({ 'three:only': GiB });
  const first = scene.lease(text);
  await first.leased;
  const over = scene.cortex.calling('one');
  scene.loop.release(first.id);
  const draining = scene.step('model_draining');
  const second = scene.lease({ capabilities: ['vision-analysis'] });
  await draining;
  const before = scene.providers.findIndex(({ name }) => name === 'two');
  scene.providers.splice(before, 1, aProvider('three', three, { sizes: { only: GiB }, capabilities: ['vision-analysis'] }));
  scene.turn();
  over();
  const plan = await second.leased;
  assert.deepEqual([plan.assignments[0]?.provider, two.seen, one.seen.at(-1)], ['three', [], 'unload one:only']);
  assert.ok(scene.steps().includes('plan_stale'));
});

test('somebody loads a model and unloads it again; not while it is used', async (t) => {
  const { one, scene } = await twoBig(t);
  const { operations } = scene.cortex;
  const load = (provider: string, run = aRun(scene)) => operations['OS.models.load']({ provider }, owner, run);
  const unload = () => operations['OS.models.unload']({ provider: 'one' }, owner, aRun(scene));
  const nothing = await refusedWith(unload());
  const { lease, plan } = await load('one');
  const asked = await refusedWith(load('two'));
  const user = scene.lease(text);
  await user.leased;
  const used = await refusedWith(unload());
  scene.loop.release(user.id);
  const unloaded = await unload();
  assert.deepEqual(
    [nothing.code, lease.holder.kind, plan.assignments[0]?.provider, asked.code, used.code, unloaded, [...one.loaded]],
    ['conflict', 'load', 'one', 'confirm_required', 'conflict', { provider: 'one', freedBytes: 16 * GiB }, []],
  );
  await load('one');
  await load('two', aRun(scene, { confirmed: true }));
  assert.deepEqual([...one.loaded], []);
});

test('what nobody used for its idle time goes by itself', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const providers = [aProvider('big', server, { sizes: { '70B': GiB }, idleMs: 100 })];
  const scene = await openScene(t, { providers, servers: [server] });
  const { id, leased } = scene.lease(text);
  await leased;
  const gone = scene.step('model_gone');
  scene.loop.release(id);
  const { cause } = await gone;
  assert.deepEqual([cause, [...server.loaded]], ['unused', []]);
});

test('nothing is loaded that cannot be put on record', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server] });
  await scene.store[Symbol.asyncDispose]();
  const error = await refusedWith(scene.lease(text).leased);
  assert.deepEqual([error.code, server.seen], ['shutting_down', []]);
});

test('what watchers are told is gathered, and told only when it is something else', async (t) => {
  await using server = await startOllamaStandIn({ 'big:70B': GiB });
  const settings = { pools: [{ name: 'BIG', endpoint: `${server.url}/` }] };
  const scene = await openScene(t, { providers: [aProvider('big', server, { sizes: { '70B': GiB } })], servers: [server], settings });
  const { leased, id } = scene.lease(text);
  await leased;
  const { pools, leases, devices, models } = scene.cortex.state();
  assert.deepEqual(pools, [{ name: 'BIG', endpoint: `${server.url}/`, providers: ['big'], warm: ['big:70B'], waiting: 0 }]);
  assert.deepEqual([leases[0]?.id, models[0]?.leases, devices[0]?.freeBytes], [id, [id], 23 * GiB]);
  const { version } = scene.cortex.state();
  for (let i = 0; i < 5; i++) scene.cortex.changed();
  assert.equal(scene.cortex.state().version, version);
});
