import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import type { Provider } from '../../../shared/cortex.ts';
import { Refusal } from '../../../shared/errors.ts';
import { inert } from '../mcp/display.ts';
import { createController } from './controllers.ts';
import { freePort } from './standin/testing.ts';
import { openParts, providerOf, refusal } from './testing.ts';
import { until } from './until.ts';

const run = promisify(execFile);
const never = new AbortController().signal;

/** A real Podman with everything it keeps in a folder of its own, its API on a socket there, and an image of busybox. */
async function openPodman() {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'dp-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const rootfs = join(folder, 'rootfs');
  for (const path of ['bin', 'tmp', 'www/v1']) mkdirSync(join(rootfs, path), { recursive: true });
  cpSync('/usr/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const name of ['sh', 'httpd', 'sleep', 'kill', 'echo']) symlinkSync('busybox', join(rootfs, 'bin', name));
  writeFileSync(join(rootfs, 'www/health'), 'ok');
  writeFileSync(join(rootfs, 'www/v1/models'), JSON.stringify({ object: 'list', data: [{ id: 'tiny' }] }));
  const config = join(folder, 'containers.conf');
  const engine = '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n';
  writeFileSync(config, `[containers]\ndefault_ulimits = []\nnetns = "host"\n${engine}`);
  const env = { PATH: process.env.PATH, HOME: folder, CONTAINERS_CONF: config };
  const kept = [
    '--root',
    join(folder, 'root'),
    '--runroot',
    join(folder, 'run'),
    '--tmpdir',
    join(folder, 'tmp'),
    '--storage-driver',
    'vfs',
  ];
  const podman = async (...args: string[]) => (await run('podman', [...kept, ...args], { env, timeout: 60_000 })).stdout.trim();
  const socket = join(folder, 'api.sock');

  const tar = join(folder, 'rootfs.tar');
  await run('tar', ['-C', rootfs, '-cf', tar, '.']);
  await podman('import', tar, 'localhost/tiny:1');
  const service = spawn('podman', [...kept, 'system', 'service', '--time', '0', `unix://${socket}`], { env, stdio: 'ignore' });
  stack.defer(async () => {
    await podman('rm', '--all', '--force', '--time', '0').catch(() => {});
    service.kill('SIGTERM');
    if (service.exitCode === null && service.signalCode === null) await once(service, 'exit');
    await run('umount', ['--recursive', join(folder, 'root')]).catch(() => {});
  });
  const hears = async () => statSync(socket, { throwIfNoEntry: false }) !== undefined;
  await until({ check: hears, withinMs: 20_000, failure: () => 'the API of podman did not come up', signal: never });
  const owned = stack.move();
  return {
    socket,
    /** A container of that image that runs `script`. */
    create: (name: string, script: string, ...options: string[]) =>
      podman('create', '--name', name, ...options, '--entrypoint', '["/bin/sh","-c"]', 'localhost/tiny:1', script),
    state: (name: string) => podman('inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', name),
    running: async () => (await podman('ps', '--format', '{{.Names}}')).split('\n').filter((line) => line !== ''),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Why there is no Podman to test with; null where there is. */
function missing(): string | null {
  try {
    for (const program of ['podman', 'runc', 'busybox', 'tar']) execFileSync('/bin/sh', ['-c', 'command -v "$0"', program]);
  } catch {
    return 'podman, runc or busybox is not installed (apt-get install podman runc busybox-static)';
  }
  return process.getuid?.() === 0 ? null : 'only root can run containers without a user namespace and its tools';
}

const reason = missing();
let podman: Awaited<ReturnType<typeof openPodman>> | null = null;
let broken: string | null = reason;

before(async () => {
  if (reason !== null) return;
  try {
    podman = await openPodman();
    // Where containers cannot be run at all (no cgroups, no mounts) every test would fail for the same reason.
    await podman.create('probe', 'exit 0');
    const provider = container('probe', { endpoint: 'http://127.0.0.1:9' });
    await using parts = openParts();
    const [, message] = await refusal(createController(provider, parts).load(provider.tiers[0]!, never));
    if (!message.includes('exit code 0')) broken = `podman cannot run a container here: ${message}`;
  } catch (caught) {
    // A program that failed, or a Podman that is mute; anything else is a fault of this test.
    if (!(caught instanceof Refusal) && !(caught instanceof Error && 'stderr' in caught)) throw caught;
    broken = `podman does not work here: ${inert('stderr' in caught ? String(caught.stderr) : caught.message, 300)}`;
  }
});

after(async () => {
  await podman?.[Symbol.asyncDispose]();
});

function withPodman(t: TestContext): NonNullable<typeof podman> {
  if (broken !== null) t.skip(broken);
  return podman!;
}

const container = (name: string, more: Partial<Provider> & { endpoint?: string; socket?: string } = {}) => {
  const { endpoint = 'http://127.0.0.1:9', socket = podman!.socket, ...rest } = more;
  const models = ['tiny'];
  return providerOf(endpoint, {
    models,
    capabilities: ['stt'],
    warmMs: 20_000,
    controller: { kind: 'container', container: name, socket },
    ...rest,
  });
};

test('a real container is started, is warm when its server answers, is drained of what it does, and stops', async (t) => {
  const pod = withPodman(t);
  if (broken !== null) return;
  await using parts = openParts();
  const port = await freePort();
  // It ends by itself when it is asked to, once what it does is done.
  const script = `httpd -f -p 127.0.0.1:${port} -h /www & child=$!; trap 'sleep 0.3; kill $child; exit 7' TERM; wait; wait`;
  await pod.create('speech', script);
  const provider = container('speech', { endpoint: `http://127.0.0.1:${port}`, stopMs: 5000 });
  const controller = createController(provider, parts);
  const tier = provider.tiers[0]!;
  const seen: unknown[] = [];
  const look = async () => seen.push((await controller.list(never)).resident.map(({ model, phase }) => `${model} ${phase}`).join());
  await look();
  await controller.load(tier, never);
  await look();
  await controller.load(tier, never);
  await controller.pulse(tier, never);
  seen.push(await controller.restart(never));
  await look();
  await controller.unload(tier, never);
  await look();
  await controller.unload(tier, never);
  seen.push(await pod.state('speech'), await pod.running());
  assert.deepEqual(seen, ['', 'tiny warm', true, 'tiny warm', '', 'exited 7', []]);
});

test('a container that dies while it starts says with what, and out of memory is told from the rest', async (t) => {
  const pod = withPodman(t);
  if (broken !== null) return;
  await using parts = openParts();
  const load = async (name: string, script: string) => {
    await pod.create(name, script);
    const provider = container(name);
    return refusal(createController(provider, parts).load(provider.tiers[0]!, never));
  };
  assert.deepEqual(await load('broken', 'sleep 0.2; echo "no such file: \x1b[31mmodel.gguf" >&2; exit 3'), [
    'upstream_failed',
    'box ended while it started (exit code 3): no such file: model.gguf',
  ]);
  assert.deepEqual(await load('greedy', 'echo "ggml_cuda: cudaMalloc failed: out of memory"; echo bye; exit 1'), [
    'vram_exhausted',
    'box ran out of memory: ggml_cuda: cudaMalloc failed: out of memory',
  ]);
  assert.deepEqual(await load('killed', 'sleep 0.1; kill -9 $$ ; sleep 9 & exit 137'), [
    'vram_exhausted',
    'box ran out of memory: it was killed while it started (exit code 137)',
  ]);
  assert.deepEqual(await pod.running(), []);
});

test('a container that never becomes ready is stopped again, as is one whose load is given up', async (t) => {
  const pod = withPodman(t);
  if (broken !== null) return;
  await using parts = openParts();
  await pod.create('mute', 'while true; do sleep 0.1; done');
  const late = container('mute', { warmMs: 600 });
  const [code, message] = await refusal(createController(late, parts).load(late.tiers[0]!, never));
  const stopped = await pod.running();
  const gone = new AbortController();
  const patient = container('mute');
  const given = refusal(createController(patient, parts).load(patient.tiers[0]!, gone.signal));
  const starts = async () => (await pod.running()).length > 0;
  await until({ check: starts, withinMs: 10_000, failure: () => 'it did not start', signal: never });
  gone.abort();
  assert.deepEqual(
    [code, message, stopped, (await given)[0], await pod.running()],
    ['upstream_timeout', 'box did not become ready (127.0.0.1 refused the connection.) within 0.6 s.', [], 'cancelled', []],
  );
});

test('an unknown container, a name that is none, and a remote provider under sovereign start nothing', async (t) => {
  const pod = withPodman(t);
  if (broken !== null) return;
  await using parts = openParts();
  await using closed = openParts({ sovereign: () => true });
  await pod.create('cloud', 'sleep 60');
  const load = (provider: Provider, with_ = parts) => refusal(createController(provider, with_).load(provider.tiers[0]!, never));
  assert.deepEqual(await load(container('nobody')), ['not_found', `box has no container nobody: none at ${pod.socket}.`]);
  assert.equal((await load(container('../images')))[0], 'not_found');
  assert.equal((await load(container('cloud', { egress: 'remote' }), closed))[0], 'sovereign_refused');
  assert.deepEqual(await pod.running(), []);
});
