import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { GpuState } from '../../shared/model.ts';
import { createGpu, type GpuOptions } from './gpu.ts';

function folder(t: TestContext, files: Record<string, string> = {}): string {
  const root = mkdtempSync(join(tmpdir(), 'gpu-'));
  t.after(() => rmSync(root, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const absent = () => Promise.reject(Object.assign(new Error('spawn nvidia-smi ENOENT'), { code: 'ENOENT' }));

function setup(t: TestContext, options: Partial<GpuOptions>) {
  const changes: GpuState[] = [];
  const gpu = createGpu({ exec: absent, root: folder(t), clock: () => 1000, onChange: (state) => changes.push(state), ...options });
  t.after(() => gpu[Symbol.dispose]());
  return { gpu, changes };
}

function nvidia(devices: string, processes: string | Error = ''): NonNullable<GpuOptions['exec']> {
  return async (file, args) => {
    assert.equal(file, 'nvidia-smi');
    if (args[0]!.startsWith('--query-gpu=')) return devices;
    if (processes instanceof Error) throw processes;
    return processes;
  };
}

test('a machine with no GPU has no devices and says what was looked for', async (t) => {
  const { gpu, changes } = setup(t, {});
  const state = await gpu.probe();
  assert.deepEqual(state.devices, []);
  assert.deepEqual(
    state.probes.map(({ name, found, detail }) => [name, found, detail.replace(/no \S+class/, 'no class')]),
    [
      ['nvidia-smi', false, 'not installed'],
      ['amdgpu (sysfs)', false, 'no class/drm on this machine'],
    ],
  );
  await gpu.probe();
  assert.equal(changes.length, 1, 'nothing new is no news');
  assert.deepEqual(gpu.state(), state);
});

test('nvidia-smi: what it does not say is null, never 0; names and programs keep their commas', async (t) => {
  const exec = nvidia(
    'GPU-1, 24564, 1024, 37, 61, 120.50, NVIDIA GeForce RTX 4090\nGPU-2, [N/A], [Not Supported], [N/A], 0, [Unknown Error], Tesla, odd\n',
    'GPU-1, 4242, 900, /usr/bin/ollama, runner\nGPU-1, 77, [N/A], python\nGPU-9, 1, 1, lost\n[Insufficient Permissions]\n',
  );
  const { gpu } = setup(t, { exec });
  const { devices, probes } = await gpu.probe();
  assert.deepEqual(devices, [
    {
      ...{ id: 'GPU-1', name: 'NVIDIA GeForce RTX 4090', vendor: 'nvidia', source: 'nvidia-smi' },
      ...{ memoryTotalBytes: 24564 * 2 ** 20, memoryUsedBytes: 2 ** 30, utilization: 0.37, temperatureC: 61, powerW: 120.5 },
      processes: [
        { pid: 4242, name: '/usr/bin/ollama, runner', memoryUsedBytes: 900 * 2 ** 20 },
        { pid: 77, name: 'python', memoryUsedBytes: null },
      ],
    },
    {
      ...{ id: 'GPU-2', name: 'Tesla, odd', vendor: 'nvidia', source: 'nvidia-smi' },
      ...{ memoryTotalBytes: null, memoryUsedBytes: null, utilization: null, temperatureC: 0, powerW: null, processes: [] },
    },
  ]);
  assert.deepEqual(probes[0], { name: 'nvidia-smi', found: true, detail: '2 devices' });
});

test('nvidia-smi that hangs, fails or talks without answering is told as such', async (t) => {
  const detail = async (exec: GpuOptions['exec']) => (await setup(t, { exec }).gpu.probe()).probes[0]?.detail;
  assert.equal(await detail(() => Promise.reject(Object.assign(new Error('x'), { killed: true }))), 'did not answer within 3 s');
  const driver = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\nMore\n";
  assert.equal(
    await detail(() => Promise.reject(Object.assign(new Error('x'), { code: 9, stdout: driver }))),
    `failed: ${driver.split('\n')[0]}`,
  );
  assert.equal(await detail(nvidia('No devices were found\n')), 'no device in its answer: No devices were found');
  const { gpu } = setup(t, { exec: nvidia('GPU-1, 1, 1, 1, 1, 1, X', new Error('no')) });
  assert.equal((await gpu.probe()).probes[0]?.detail, '1 device; its process list is not to be had');
});

test('the program is run without a shell and killed when it hangs', { skip: process.platform === 'win32' }, async (t) => {
  const bin = folder(t, { 'nvidia-smi': '#!/bin/sh\ntrap "" TERM\nwhile :; do sleep 0.2; done\n' });
  chmodSync(join(bin, 'nvidia-smi'), 0o755);
  const path = process.env.PATH;
  process.env.PATH = `${bin}:${path}`;
  t.after(() => {
    process.env.PATH = path;
  });
  const gpu = createGpu({ root: folder(t), onChange: () => {} });
  const began = performance.now();
  const first = gpu.probe();
  assert.equal(gpu.probe(), first, 'a second probe joins the first');
  assert.equal((await first).probes[0]?.detail, 'did not answer within 3 s');
  assert.ok(performance.now() - began < 6000);
});

test('amdgpu: sysfs files in their units, connectors and other makers passed over', async (t) => {
  const root = folder(t, {
    'class/drm/card1/device/vendor': '0x1002\n',
    'class/drm/card1/device/device': '0x744c\n',
    'class/drm/card1/device/mem_info_vram_total': '25753026560\n',
    'class/drm/card1/device/mem_info_vram_used': '0\n',
    'class/drm/card1/device/gpu_busy_percent': '5\n',
    'class/drm/card1/device/hwmon/hwmon3/temp1_input': '48000\n',
    'class/drm/card1/device/hwmon/hwmon3/power1_average': '15000000\n',
    'class/drm/card1-DP-1/status': 'connected\n',
    'class/drm/card2/device/vendor': '0x1002\n',
    'class/drm/card2/device/product_name': 'Radeon Pro\n',
    'class/drm/card0/device/vendor': '0x8086\n',
  });
  const { devices, probes } = await setup(t, { root }).gpu.probe();
  assert.deepEqual(devices, [
    {
      ...{
        id: 'card1',
        name: 'AMD GPU 0x744c',
        vendor: 'amd',
        source: 'amdgpu (sysfs)',
        memoryTotalBytes: 25_753_026_560,
        memoryUsedBytes: 0,
      },
      ...{ utilization: 0.05, temperatureC: 48, powerW: 15, processes: [] },
    },
    {
      ...{ id: 'card2', name: 'Radeon Pro', vendor: 'amd', source: 'amdgpu (sysfs)', memoryTotalBytes: null, memoryUsedBytes: null },
      ...{ utilization: null, temperatureC: null, powerW: null, processes: [] },
    },
  ]);
  assert.deepEqual(probes[1], { name: 'amdgpu (sysfs)', found: true, detail: '2 devices' });
  const intel = folder(t, { 'class/drm/card0/device/vendor': '0x8086\n', 'class/drm/card1/device/vendor': '0x10de\n' });
  assert.equal((await setup(t, { root: intel }).gpu.probe()).probes[1]?.detail, 'no AMD card: card0 is Intel, card1 is NVIDIA');
});
