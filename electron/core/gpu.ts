/**
 * GPU devices as the machine's own tools report them: nvidia-smi (CSV) and the amdgpu driver's sysfs files. What a tool does not say
 * is null, never 0. Where nothing is found, `probes` says what was looked for and why it gave nothing.
 */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GpuDevice, GpuState } from '../../shared/model.ts';

export interface Gpu {
  /** Probes now, or joins a probe under way. Never rejects. */
  probe(): Promise<GpuState>;
  state(): GpuState;
  start(): void;
  [Symbol.dispose](): void;
}

export interface GpuOptions {
  /** Between probes while there is a device; without one it looks only every minute. */
  intervalMs?: number;
  /** Runs a program without a shell and gives its standard output. Rejects with code ENOENT, or `killed` when it took too long. */
  exec?(file: string, args: string[], timeoutMs: number): Promise<string>;
  /** Where sysfs is mounted. */
  root?: string;
  /** Milliseconds since the epoch. */
  clock?(): number;
  /** Called when something besides the time of the probe changed. */
  onChange(state: GpuState): void;
}

type Probe = { name: string; found: boolean; detail: string };
type Found = { devices: GpuDevice[]; probe: Probe };

const execTimeoutMs = 3000;
const searchIntervalMs = 60_000;

export function createGpu(options: GpuOptions): Gpu {
  const { intervalMs = 5000, exec = run, root = '/sys', clock = Date.now, onChange } = options;
  let state: GpuState = { probedAt: null, devices: [], probes: [] };
  let underWay: Promise<GpuState> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let disposed = false;

  async function probeAll(): Promise<GpuState> {
    const found = await Promise.all([probeNvidia(exec), probeAmd(root)]);
    const next: GpuState = { probedAt: clock(), devices: found.flatMap(({ devices }) => devices), probes: found.map(({ probe }) => probe) };
    const changed = JSON.stringify([next.devices, next.probes]) !== JSON.stringify([state.devices, state.probes]);
    state = next;
    if (changed && !disposed) onChange(state);
    return state;
  }

  function probe(): Promise<GpuState> {
    underWay ??= probeAll().finally(() => {
      underWay = null;
    });
    return underWay;
  }

  function tick(): void {
    void probe().then(() => {
      if (disposed) return;
      timer = setTimeout(tick, state.devices.length > 0 ? intervalMs : Math.max(intervalMs, searchIntervalMs)).unref();
    });
  }

  return {
    probe,
    state: () => state,
    start() {
      if (timer === null && !disposed) timer = setTimeout(tick, 0).unref();
    },
    [Symbol.dispose]() {
      disposed = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}

function run(file: string, args: string[], timeoutMs: number): Promise<string> {
  return new Promise((done, failed) => {
    // SIGKILL: nvidia-smi hanging on a lost card does not listen to anything softer.
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1024 * 1024, windowsHide: true } as const;
    execFile(file, args, options, (error, stdout) => (error === null ? done(stdout) : failed(error)));
  });
}

// --- nvidia-smi -----------------------------------------------------------------------------------------------------

const gpuFields = ['uuid', 'memory.total', 'memory.used', 'utilization.gpu', 'temperature.gpu', 'power.draw', 'name'];
const processFields = ['gpu_uuid', 'pid', 'used_gpu_memory', 'process_name'];

async function probeNvidia(exec: NonNullable<GpuOptions['exec']>): Promise<Found> {
  const name = 'nvidia-smi';
  try {
    const format = '--format=csv,noheader,nounits';
    const listed = await exec(name, [`--query-gpu=${gpuFields.join(',')}`, format], execTimeoutMs);
    const devices = rows(listed, gpuFields.length).map(([uuid, total, used, busy, temperature, power, model]): GpuDevice => {
      const utilization = numberIn(busy);
      return {
        id: uuid!,
        name: model!,
        vendor: 'nvidia',
        source: name,
        memoryTotalBytes: mebibytes(total),
        memoryUsedBytes: mebibytes(used),
        utilization: utilization === null ? null : utilization / 100,
        temperatureC: numberIn(temperature),
        powerW: numberIn(power),
        processes: [],
      };
    });
    if (devices.length === 0) return { devices, probe: { name, found: false, detail: `no device in its answer: ${firstLine(listed)}` } };
    // The list of processes is a second question; without an answer the devices still stand.
    const apps = await exec(name, [`--query-compute-apps=${processFields.join(',')}`, format], execTimeoutMs).catch(() => null);
    for (const [uuid, pid, used, program] of rows(apps ?? '', processFields.length)) {
      const number = numberIn(pid);
      if (number !== null)
        devices.find(({ id }) => id === uuid)?.processes.push({ pid: number, name: program!, memoryUsedBytes: mebibytes(used) });
    }
    const detail = `${devices.length} device${devices.length === 1 ? '' : 's'}${apps === null ? '; its process list is not to be had' : ''}`;
    return { devices, probe: { name, found: true, detail } };
  } catch (caught) {
    return { devices: [], probe: { name, found: false, detail: whyNot(caught) } };
  }
}

/** CSV without quotes; the last field takes what is left, commas and all. */
function rows(csv: string, width: number): string[][] {
  return csv
    .split(/\r?\n/)
    .map((line) => line.split(','))
    .filter((fields) => fields.length >= width)
    .map((fields) => [...fields.slice(0, width - 1), fields.slice(width - 1).join(',')].map((field) => field.trim()));
}

/** null for `[N/A]`, `[Not Supported]` and whatever else is no number. */
function numberIn(field: string | undefined): number | null {
  return field !== undefined && /^-?\d+(\.\d+)?$/.test(field.trim()) ? Number(field) : null;
}

function mebibytes(field: string | undefined): number | null {
  const value = numberIn(field);
  return value === null ? null : value * 1024 * 1024;
}

function whyNot(caught: unknown): string {
  const { code, killed, stdout, message } = caught as Partial<NodeJS.ErrnoException & { killed: boolean; stdout: string }>;
  if (code === 'ENOENT') return 'not installed';
  if (killed === true) return `did not answer within ${execTimeoutMs / 1000} s`;
  if (code === 'EACCES') return 'not allowed to run it';
  return `failed: ${firstLine(stdout || message || String(code))}`;
}

function firstLine(text: string): string {
  return text.trim().split('\n').at(0)!.slice(0, 200) || 'nothing';
}

// --- amdgpu ---------------------------------------------------------------------------------------------------------

async function probeAmd(root: string): Promise<Found> {
  const name = 'amdgpu (sysfs)';
  const folder = join(root, 'class', 'drm');
  let cards: string[];
  try {
    cards = (await readdir(folder)).filter((entry) => /^card\d+$/.test(entry)).sort();
  } catch {
    return { devices: [], probe: { name, found: false, detail: `no ${folder} on this machine` } };
  }
  const devices: GpuDevice[] = [];
  const others: string[] = [];
  for (const card of cards) {
    const device = join(folder, card, 'device');
    const vendor = await read(device, 'vendor');
    if (vendor !== '0x1002') {
      others.push(`${card} is ${vendor === '0x10de' ? 'NVIDIA' : vendor === '0x8086' ? 'Intel' : `vendor ${vendor ?? 'unknown'}`}`);
      continue;
    }
    const hwmon = await monitor(device);
    const busy = numberIn((await read(device, 'gpu_busy_percent')) ?? undefined);
    const temperature = await number(hwmon, 'temp1_input');
    const power = (await number(hwmon, 'power1_average')) ?? (await number(hwmon, 'power1_input'));
    devices.push({
      id: card,
      name: (await read(device, 'product_name')) || `AMD GPU ${(await read(device, 'device')) ?? card}`,
      vendor: 'amd',
      source: name,
      memoryTotalBytes: await number(device, 'mem_info_vram_total'),
      memoryUsedBytes: await number(device, 'mem_info_vram_used'),
      utilization: busy === null ? null : busy / 100,
      temperatureC: temperature === null ? null : temperature / 1000,
      powerW: power === null ? null : power / 1_000_000,
      processes: [],
    });
  }
  if (devices.length > 0)
    return { devices, probe: { name, found: true, detail: `${devices.length} device${devices.length === 1 ? '' : 's'}` } };
  return { devices, probe: { name, found: false, detail: others.length > 0 ? `no AMD card: ${others.join(', ')}` : 'no graphics card' } };
}

async function monitor(device: string): Promise<string | null> {
  try {
    const [first] = (await readdir(join(device, 'hwmon'))).sort();
    return first === undefined ? null : join(device, 'hwmon', first);
  } catch {
    return null;
  }
}

async function read(folder: string, file: string): Promise<string | null> {
  try {
    return (await readFile(join(folder, file), 'utf8')).trim();
  } catch {
    return null;
  }
}

async function number(folder: string | null, file: string): Promise<number | null> {
  return folder === null ? null : numberIn((await read(folder, file)) ?? undefined);
}
