/**
 * GPU devices as the machine's own tools report them: nvidia-smi (CSV), the amdgpu driver's sysfs files, rocm-smi (JSON) where those have
 * nothing, and system_profiler, sysctl and ioreg on a Mac. What a tool does not say is null, never 0. Where nothing is found, `probes` says
 * what was looked for and why it gave nothing. A device whose tool fails or hangs stays, with its readings unknown: it still has its memory.
 */
import { execFile } from 'node:child_process';
import type { GpuSample } from '../../shared/cortex.ts';
import type { GpuDevice, GpuState } from '../../shared/model.ts';
import { probeAmd, probeRocm } from './gpu-amd.ts';
import { createAppleProbe } from './gpu-apple.ts';
import { bytesIn, type Exec, execTimeoutMs, type Found, firstLine, numberIn, unanswered } from './gpu-probe.ts';

export interface Gpu {
  /** A probe that begins after this call, so that it sees what a load took. Those who ask meanwhile share it. Never rejects. */
  probe(): Promise<GpuState>;
  state(): GpuState;
  start(): void;
  [Symbol.dispose](): void;
}

export interface GpuOptions {
  /** Between probes while there is a device; without one it looks only every minute. */
  intervalMs?: number;
  /** Runs a program without a shell and gives its standard output. Rejects with code ENOENT, or `killed` when it took too long. */
  exec?: Exec;
  /** Where sysfs is mounted. */
  root?: string;
  platform?: NodeJS.Platform;
  /** Of the demo: these devices stand in for those of the machine, which are not looked for. They are marked. */
  pretended?(): GpuDevice[] | Promise<GpuDevice[]>;
  /** Milliseconds since the epoch. */
  clock?(): number;
  /** Called when something besides the time of the probe changed. */
  onChange(state: GpuState): void;
  /** The readings of every probe, changed or not. */
  onSamples?(samples: GpuSample[]): void;
}

const searchIntervalMs = 60_000;
const MIB = 2 ** 20;

export function createGpu(options: GpuOptions): Gpu {
  const {
    intervalMs = 5000,
    exec = run,
    root = '/sys',
    platform = process.platform,
    clock = Date.now,
    pretended,
    onChange,
    onSamples,
  } = options;
  let state: GpuState = { probedAt: null, devices: [], probes: [] };
  let underWay: Promise<GpuState> | null = null;
  let next: Promise<GpuState> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let disposed = false;

  const nvidia = lasting(() => probeNvidia(exec));
  const amd = lasting(() => probeAmd(root));
  const rocm = lasting(sparing(() => probeRocm(exec), clock));
  const apple = lasting(sparing(createAppleProbe(exec), clock));

  async function look(): Promise<Found[]> {
    if (pretended) return [await probePretended(pretended)];
    const found = await Promise.all([nvidia(), amd(), ...(platform === 'darwin' ? [apple()] : [])]);
    // The same cards, asked in a slower way.
    return found[1]!.devices.length > 0 || platform === 'darwin' ? found : [...found, await rocm()];
  }

  async function probeAll(): Promise<GpuState> {
    const found = await look();
    const fresh: GpuState = {
      probedAt: clock(),
      devices: found.flatMap(({ devices }) => devices),
      probes: found.map(({ probe }) => probe),
    };
    const changed = JSON.stringify([fresh.devices, fresh.probes]) !== JSON.stringify([state.devices, state.probes]);
    state = fresh;
    if (disposed) return state;
    if (changed) onChange(state);
    if (state.devices.length > 0) onSamples?.(samplesOf(state));
    return state;
  }

  function begin(): Promise<GpuState> {
    next = null;
    underWay = probeAll().finally(() => {
      underWay = null;
    });
    return underWay;
  }

  function probe(): Promise<GpuState> {
    next ??= (underWay ?? Promise.resolve(state)).then(begin, begin);
    return next;
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

/** What a probe read, device by device; nothing before the first. */
export function samplesOf({ probedAt, devices }: GpuState): GpuSample[] {
  if (probedAt === null) return [];
  return devices.map(({ id, memoryUsedBytes, utilization, temperatureC, powerW }) => {
    return { at: probedAt, device: id, usedBytes: memoryUsedBytes, utilization, temperatureC, powerW };
  });
}

/** A tool that answered before and now fails, or is gone, as while its driver is updated, says nothing about whether its devices are still there. */
function lasting(probe: () => Promise<Found>): () => Promise<Found> {
  let last: GpuDevice[] = [];
  return async () => {
    const found = await probe();
    if (!found.unanswered) last = found.devices;
    else if (last.length > 0)
      return {
        ...found,
        devices: last.map((device) => ({
          ...device,
          ...{ memoryUsedBytes: null, utilization: null, temperatureC: null, powerW: null, processes: [] },
        })),
      };
    return found;
  };
}

/** A tool that is not there is looked for once a minute, however often the others are asked. */
function sparing(probe: () => Promise<Found>, clock: () => number): () => Promise<Found> {
  let missing: { found: Found; at: number } | null = null;
  return async () => {
    if (missing !== null && clock() - missing.at < searchIntervalMs) return missing.found;
    const found = await probe();
    missing = found.probe.found || (found.unanswered && found.missing !== true) ? null : { found, at: clock() };
    return found;
  };
}

async function probePretended(pretended: NonNullable<GpuOptions['pretended']>): Promise<Found> {
  const name = 'demo';
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(Object.assign(new Error(), { killed: true })), execTimeoutMs);
  try {
    const devices = (await Promise.race([pretended(), late])).map((device) => ({ ...device, demo: true }));
    const detail = `${devices.length} pretended device${devices.length === 1 ? '' : 's'}`;
    return { devices, probe: { name, found: devices.length > 0, detail }, unanswered: false };
  } catch (caught) {
    return unanswered(name, caught);
  } finally {
    clearTimeout(timer);
  }
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

async function probeNvidia(exec: Exec): Promise<Found> {
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
        memoryTotalBytes: bytesIn(total, MIB),
        memoryUsedBytes: bytesIn(used, MIB),
        memorySource: { total: 'measured', used: 'measured' },
        utilization: utilization === null ? null : utilization / 100,
        temperatureC: numberIn(temperature),
        powerW: numberIn(power),
        processes: [],
        demo: false,
      };
    });
    if (devices.length === 0)
      return { devices, probe: { name, found: false, detail: `no device in its answer: ${firstLine(listed)}` }, unanswered: false };
    // The list of processes is a second question; without an answer the devices still stand.
    const apps = await exec(name, [`--query-compute-apps=${processFields.join(',')}`, format], execTimeoutMs).catch(() => null);
    for (const [uuid, pid, used, program] of rows(apps ?? '', processFields.length)) {
      const number = numberIn(pid);
      if (number !== null)
        devices.find(({ id }) => id === uuid)?.processes.push({ pid: number, name: program!, memoryUsedBytes: bytesIn(used, MIB) });
    }
    const detail = `${devices.length} device${devices.length === 1 ? '' : 's'}${apps === null ? '; its process list is not to be had' : ''}`;
    return { devices, probe: { name, found: true, detail }, unanswered: false };
  } catch (caught) {
    return unanswered(name, caught);
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
