import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { GpuSample } from '../../shared/cortex.ts';
import type { GpuDevice, GpuState } from '../../shared/model.ts';
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
  const gpu = createGpu({
    ...{ exec: absent, root: folder(t), platform: 'linux', clock: () => 1000, onChange: (state) => changes.push(state) },
    ...options,
  });
  t.after(() => gpu[Symbol.dispose]());
  return { gpu, changes };
}

/** What programs print, by their name; those that are not named are not installed. */
function programs(printed: Record<string, string | ((args: string[]) => string) | Error>): NonNullable<GpuOptions['exec']> {
  return async (file, args) => {
    const print = printed[file];
    if (print === undefined) return absent();
    if (print instanceof Error) throw print;
    return typeof print === 'string' ? print : print(args);
  };
}

const hanging = Object.assign(new Error('x'), { killed: true });
const exact = { total: 'measured', used: 'measured' } as const;

function nvidia(devices: string, processes: string | Error = ''): NonNullable<GpuOptions['exec']> {
  return async (file, args) => {
    if (file !== 'nvidia-smi') return absent();
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
      ['rocm-smi', false, 'not installed'],
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
      ...{ memorySource: exact, demo: false },
      processes: [
        { pid: 4242, name: '/usr/bin/ollama, runner', memoryUsedBytes: 900 * 2 ** 20 },
        { pid: 77, name: 'python', memoryUsedBytes: null },
      ],
    },
    {
      ...{ id: 'GPU-2', name: 'Tesla, odd', vendor: 'nvidia', source: 'nvidia-smi' },
      ...{ memoryTotalBytes: null, memoryUsedBytes: null, utilization: null, temperatureC: 0, powerW: null, processes: [] },
      ...{ memorySource: exact, demo: false },
    },
  ]);
  assert.deepEqual(probes[0], { name: 'nvidia-smi', found: true, detail: '2 devices' });
});

test('figures of memory are whole bytes, and what nothing can be counted with is not known', async (t) => {
  const exec = nvidia(`GPU-1, ${'9'.repeat(400)}, 0.3, 1, 1, 1, Card\nGPU-2, 1e9, -1, 1, 1, 1, Card\n`, 'GPU-1, 7, 0.1, python\n');
  const { devices } = await setup(t, { exec }).gpu.probe();
  assert.deepEqual(
    devices.map(({ memoryTotalBytes, memoryUsedBytes, processes }) => [memoryTotalBytes, memoryUsedBytes, processes[0]?.memoryUsedBytes]),
    [
      [null, 314_573, 104_858],
      [null, null, undefined],
    ],
  );
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
  const gpu = createGpu({ root: folder(t), platform: 'linux', onChange: () => {} });
  const began = performance.now();
  const first = gpu.probe();
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
      ...{ memorySource: exact, utilization: 0.05, temperatureC: 48, powerW: 15, processes: [], demo: false },
    },
    {
      ...{ id: 'card2', name: 'Radeon Pro', vendor: 'amd', source: 'amdgpu (sysfs)', memoryTotalBytes: null, memoryUsedBytes: null },
      ...{ memorySource: exact, utilization: null, temperatureC: null, powerW: null, processes: [], demo: false },
    },
  ]);
  assert.deepEqual(probes[1], { name: 'amdgpu (sysfs)', found: true, detail: '2 devices' });
  const intel = folder(t, { 'class/drm/card0/device/vendor': '0x8086\n', 'class/drm/card1/device/vendor': '0x10de\n' });
  assert.equal((await setup(t, { root: intel }).gpu.probe()).probes[1]?.detail, 'no AMD card: card0 is Intel, card1 is NVIDIA');
});

test('amdgpu: programs that compute, on the card that they hold memory of', async (t) => {
  const root = folder(t, {
    'class/drm/card1/device/vendor': '0x1002\n',
    'class/drm/card1/device/drm/renderD128/dev': '226:128\n',
    'class/drm/card2/device/vendor': '0x1002\n',
    'class/drm/card2/device/drm/renderD129/dev': '226:129\n',
    'class/kfd/kfd/topology/nodes/0/gpu_id': '0\n',
    'class/kfd/kfd/topology/nodes/0/properties': 'cpu_cores_count 16\ndrm_render_minor 0\n',
    'class/kfd/kfd/topology/nodes/1/gpu_id': '30381\n',
    'class/kfd/kfd/topology/nodes/1/properties': 'simd_count 192\ndrm_render_minor 128\ngfx_target_version 110000\n',
    'class/kfd/kfd/topology/nodes/2/gpu_id': '5555\n',
    'class/kfd/kfd/topology/nodes/2/properties': 'simd_count 64\n',
    'class/kfd/kfd/proc/4000000001/vram_30381': '1610571776\n',
    'class/kfd/kfd/proc/4000000001/vram_5555': '1\n',
    'class/kfd/kfd/proc/4000000002/vram_30381': '0\n',
    'class/kfd/kfd/proc/4000000003/pasid': '32771\n',
  });
  const { devices } = await setup(t, { root }).gpu.probe();
  assert.deepEqual(
    devices.map(({ id, processes }) => [id, processes]),
    [
      ['card1', [{ pid: 4_000_000_001, name: 'process 4000000001', memoryUsedBytes: 1_610_571_776 }]],
      ['card2', []],
    ],
  );
});

test('nvidia-smi: every way to say nothing is null', async (t) => {
  const nothing = [
    '[N/A]',
    '[Not Supported]',
    '[Unknown Error]',
    '[Insufficient Permissions]',
    'N/A',
    '',
    '-',
    'ERR!',
    '12 MiB',
    'NaN',
    '0x10',
  ];
  const lines = nothing.map((field, i) => [`GPU-${i}`, ...Array(5).fill(field), 'Card'].join(', '));
  const { devices } = await setup(t, { exec: nvidia(lines.join('\n')) }).gpu.probe();
  assert.deepEqual(
    devices.map((device) => [...[device.memoryTotalBytes, device.memoryUsedBytes, device.utilization, device.temperatureC, device.powerW]]),
    nothing.map(() => [null, null, null, null, null]),
  );
});

test('a card whose tool hangs later keeps its memory, and its readings are unknown until it answers', async (t) => {
  const card = 'GPU-1, 24564, 1024, 37, 61, 120.50, NVIDIA GeForce RTX 4090\n';
  const says: (string | Error)[] = [card, hanging, hanging, card, 'No devices were found\n', hanging];
  const exec: GpuOptions['exec'] = async (file, args) => {
    if (file !== 'nvidia-smi') return absent();
    if (!args[0]!.startsWith('--query-gpu=')) return '';
    const said = says.shift()!;
    if (said instanceof Error) throw said;
    return said;
  };
  const { gpu } = setup(t, { exec });
  const seen: unknown[] = [];
  for (let i = 0; i < 6; i++) {
    const { devices, probes } = await gpu.probe();
    seen.push([probes[0]!.found, ...devices.map((device) => [device.memoryTotalBytes, device.memoryUsedBytes, device.temperatureC])]);
  }
  const known = [true, [24564 * 2 ** 20, 2 ** 30, 61]];
  const unknown = [false, [24564 * 2 ** 20, null, null]];
  assert.deepEqual(seen, [known, unknown, unknown, known, [false], [false]]);
});

test('a probe begins after it was asked for, and those who ask meanwhile share it', async (t) => {
  const asked: string[] = [];
  const gate = Promise.withResolvers<void>();
  const exec: GpuOptions['exec'] = async (file, args) => {
    if (file !== 'nvidia-smi') return absent();
    if (!args[0]!.startsWith('--query-gpu=')) return '';
    asked.push('asked');
    if (asked.length === 1) await gate.promise;
    return `GPU-1, 24564, ${asked.length}, 1, 1, 1, Card`;
  };
  const { gpu } = setup(t, { exec });
  const before = gpu.probe();
  assert.equal(gpu.probe(), before, 'it did not begin yet');
  await Promise.resolve();
  const after = gpu.probe();
  assert.equal(gpu.probe(), after);
  gate.resolve();
  const used = async (state: Promise<GpuState>) => (await state).devices[0]?.memoryUsedBytes;
  assert.deepEqual([await used(before), await used(after), await used(gpu.probe())], [2 ** 20, 2 * 2 ** 20, 3 * 2 ** 20]);
});

test('every probe gives its readings, changed or not, and none where there is no device', async (t) => {
  let now = 1000;
  const samples: GpuSample[][] = [];
  const options = { clock: () => now, onSamples: (read: GpuSample[]) => samples.push(read) };
  const { gpu, changes } = setup(t, { ...options, exec: nvidia('GPU-1, 24564, 1, [N/A], 61, 1, Card') });
  await gpu.probe();
  now = 6000;
  await gpu.probe();
  const read = { device: 'GPU-1', usedBytes: 2 ** 20, utilization: null, temperatureC: 61, powerW: 1 };
  assert.deepEqual([samples, changes.length], [[[{ at: 1000, ...read }], [{ at: 6000, ...read }]], 1]);
  samples.length = 0;
  await setup(t, options).gpu.probe();
  assert.deepEqual(samples, []);
});

test('rocm-smi: JSON of several versions, after its warnings, where sysfs has nothing', async (t) => {
  const printed = `
WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status

${JSON.stringify({
  card0: {
    'Temperature (Sensor edge) (C)': '45.0',
    'Temperature (Sensor junction) (C)': '52.0',
    'Average Graphics Package Power (W)': '60.5',
    'GPU use (%)': '12',
    'VRAM Total Memory (B)': '25753026560',
    'VRAM Total Used Memory (B)': '0',
    'Card series': 'Radeon RX 7900 XTX',
  },
  card1: {
    'Temperature (Sensor junction) (C)': '35.0',
    'Current Socket Graphics Package Power (W)': 'N/A',
    'GPU use (%)': 'N/A',
    'VRAM Total Memory (B)': '206141652992',
    'Card Series': 'N/A',
    'Card Model': '0x74a1',
  },
  system: { 'Driver version': '6.8.5' },
})}`;
  const { devices, probes } = await setup(t, { exec: programs({ 'rocm-smi': printed }) }).gpu.probe();
  const card = { vendor: 'amd', source: 'rocm-smi', memorySource: exact, processes: [], demo: false };
  assert.deepEqual(devices, [
    {
      ...{ ...card, id: 'card0', name: 'Radeon RX 7900 XTX', memoryTotalBytes: 25_753_026_560, memoryUsedBytes: 0 },
      ...{ utilization: 0.12, temperatureC: 45, powerW: 60.5 },
    },
    {
      ...{ ...card, id: 'card1', name: 'AMD GPU card1', memoryTotalBytes: 206_141_652_992, memoryUsedBytes: null },
      ...{ utilization: null, temperatureC: 35, powerW: null },
    },
  ]);
  assert.deepEqual(probes[2], { name: 'rocm-smi', found: true, detail: '2 devices' });
  const detail = async (said: string | Error) =>
    (await setup(t, { exec: programs({ 'rocm-smi': said }) }).gpu.probe()).probes.find(({ name }) => name === 'rocm-smi')?.detail;
  assert.deepEqual(
    [await detail('{"card0": nul'), await detail('null'), await detail(hanging)],
    ['no device in its answer: {"card0": nul', 'no device in its answer: null', 'did not answer within 3 s'],
  );
});

test('a tool that is not there is looked for once a minute, however often the cards are asked', async (t) => {
  let now = 0;
  const asked: string[] = [];
  const exec: GpuOptions['exec'] = (file) => {
    asked.push(file);
    return absent();
  };
  const { gpu } = setup(t, { exec, clock: () => now });
  for (now of [0, 5000, 59_999, 60_000]) await gpu.probe();
  assert.equal(asked.filter((file) => file === 'rocm-smi').length, 2);
});

test('a Mac: unified memory, its total estimated and marked so', async (t) => {
  const profile = {
    SPDisplaysDataType: [
      {
        ...{ _name: 'Apple M2 Max', spdisplays_mtlgpufamilysupport: 'spdisplays_metal3', spdisplays_vendor: 'sppci_vendor_Apple' },
        ...{ sppci_bus: 'spdisplays_builtin', sppci_cores: '38', sppci_device_type: 'spdisplays_gpu', sppci_model: 'Apple M2 Max' },
      },
    ],
  };
  const statistics =
    '  | {\n  |   "model" = "Apple M2 Max"\n  |   "PerformanceStatistics" = {"In use system memory (driver)"=0,"Alloc system memory"=4272832512,"Tiler Utilization %"=54,"Device Utilization %"=57,"In use system memory"=1200357376}\n';
  const mac = (memory: string, limit: string | Error, io: string | Error = statistics) => {
    let profiled = 0;
    const exec = programs({
      system_profiler: () => {
        profiled += 1;
        return JSON.stringify(profile);
      },
      sysctl: ([, key]) => {
        if (key === 'hw.memsize') return memory;
        if (limit instanceof Error) throw limit;
        return limit;
      },
      ioreg: io,
    });
    return { ...setup(t, { exec, platform: 'darwin' }), profiled: () => profiled };
  };
  const { gpu, profiled } = mac('34359738368\n', '0\n');
  const { devices, probes } = await gpu.probe();
  assert.deepEqual(devices, [
    {
      ...{ id: 'apple0', name: 'Apple M2 Max', vendor: 'apple', source: 'system_profiler', processes: [], demo: false },
      ...{ memoryTotalBytes: Math.floor((32 * 2 ** 30 * 2) / 3), memoryUsedBytes: 1_200_357_376 },
      ...{ memorySource: { total: 'estimated', used: 'measured' }, utilization: 0.57, temperatureC: null, powerW: null },
    } satisfies GpuDevice,
  ]);
  assert.equal(probes.at(-1)?.detail, '1 device with unified memory; its total is estimated');
  await gpu.probe();
  assert.equal(profiled(), 1, 'what is slow and does not change is asked once');
  const total = async (...given: Parameters<typeof mac>) =>
    (await mac(...given).gpu.probe()).devices.map((device) => [device.memoryTotalBytes, device.memoryUsedBytes]);
  assert.deepEqual(
    [await total('68719476736', '0', ''), await total('34359738368', '26624'), await total('', new Error('unknown oid'), hanging)],
    [[[48 * 2 ** 30, null]], [[26 * 2 ** 30, 1_200_357_376]], [[null, null]]],
  );
  const intel = JSON.stringify({ SPDisplaysDataType: [{ sppci_model: 'AMD Radeon Pro 5500M', spdisplays_vendor: 'sppci_vendor_amd' }] });
  const found = await setup(t, { exec: programs({ system_profiler: intel }), platform: 'darwin' }).gpu.probe();
  assert.deepEqual([found.devices, found.probes.at(-1)?.detail], [[], 'no unified memory: AMD Radeon Pro 5500M']);
});

test('pretended cards stand in for those of the machine and are marked', async (t) => {
  const card: GpuDevice = {
    ...{ id: 'demo0', name: 'Pretended card', vendor: 'nvidia', source: 'demo', memoryTotalBytes: 24 * 2 ** 30, memoryUsedBytes: 2 ** 30 },
    ...{ memorySource: exact, utilization: 0, temperatureC: 40, powerW: 30, processes: [], demo: false },
  };
  const asked: string[] = [];
  const exec: GpuOptions['exec'] = (file) => {
    asked.push(file);
    return absent();
  };
  const state = await setup(t, { exec, pretended: () => [card] }).gpu.probe();
  assert.deepEqual(
    [state.devices, state.probes, asked],
    [[{ ...card, demo: true }], [{ name: 'demo', found: true, detail: '1 pretended device' }], []],
  );
  const broken = await setup(t, { pretended: () => Promise.reject(new Error('gone')) }).gpu.probe();
  assert.deepEqual([broken.devices, broken.probes], [[], [{ name: 'demo', found: false, detail: 'failed: gone' }]]);
});
