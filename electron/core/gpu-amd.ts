/** AMD cards: the amdgpu driver's sysfs files, and rocm-smi where there are none (Windows, containers without /sys). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GpuDevice } from '../../shared/model.ts';
import { bytesIn, type Exec, execTimeoutMs, type Found, firstLine, numberIn, unanswered } from './gpu-probe.ts';

export async function probeAmd(root: string): Promise<Found> {
  const name = 'amdgpu (sysfs)';
  const folder = join(root, 'class', 'drm');
  let cards: string[];
  try {
    cards = (await readdir(folder)).filter((entry) => /^card\d+$/.test(entry)).sort();
  } catch {
    return { devices: [], probe: { name, found: false, detail: `no ${folder} on this machine` }, unanswered: false };
  }
  const devices: GpuDevice[] = [];
  const others: string[] = [];
  const holders = await computing(join(root, 'class', 'kfd', 'kfd'));
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
      memoryTotalBytes: bytesIn((await read(device, 'mem_info_vram_total')) ?? undefined),
      memoryUsedBytes: bytesIn((await read(device, 'mem_info_vram_used')) ?? undefined),
      memorySource: { total: 'measured', used: 'measured' },
      utilization: busy === null ? null : busy / 100,
      temperatureC: temperature === null ? null : temperature / 1000,
      powerW: power === null ? null : power / 1_000_000,
      processes: holders.get((await names(join(device, 'drm'), /^renderD(\d+)$/))[0] ?? '') ?? [],
      demo: false,
    });
  }
  if (devices.length > 0)
    return {
      devices,
      probe: { name, found: true, detail: `${devices.length} device${devices.length === 1 ? '' : 's'}` },
      unanswered: false,
    };
  const detail = others.length > 0 ? `no AMD card: ${others.join(', ')}` : 'no graphics card';
  return { devices, probe: { name, found: false, detail }, unanswered: false };
}

/** Programs that are looked at: one card has a few. */
const PROCESSES_MOST = 256;

/**
 * What programs that compute hold of each card, by the number of its render node; nothing where the compute driver is not there. Source: amdkfd's
 * `proc/<pid>/vram_<gpu_id>`, in bytes, and its topology. Programs that only draw are not in it.
 */
async function computing(kfd: string): Promise<Map<string, GpuDevice['processes']>> {
  const held = new Map<string, GpuDevice['processes']>();
  const cards: { id: string; render: string }[] = [];
  for (const node of await names(join(kfd, 'topology', 'nodes'), /^(\d+)$/)) {
    const folder = join(kfd, 'topology', 'nodes', node);
    const id = await read(folder, 'gpu_id');
    const render = /^drm_render_minor (\d+)$/m.exec((await read(folder, 'properties')) ?? '')?.[1];
    if (id !== null && id !== '0' && render !== undefined) cards.push({ id, render });
  }
  if (cards.length === 0) return held;
  for (const pid of (await names(join(kfd, 'proc'), /^(\d+)$/)).slice(0, PROCESSES_MOST)) {
    for (const { id, render } of cards) {
      const bytes = bytesIn((await read(join(kfd, 'proc', pid), `vram_${id}`)) ?? undefined);
      if (bytes === null || bytes === 0) continue;
      const name = (await read(join('/proc', pid), 'comm')) ?? `process ${pid}`;
      held.set(render, [...(held.get(render) ?? []), { pid: Number(pid), name, memoryUsedBytes: bytes }]);
    }
  }
  return held;
}

/** What `pattern` finds in the names of a folder, sorted; none where it cannot be read. */
async function names(folder: string, pattern: RegExp): Promise<string[]> {
  const found = await readdir(folder).catch(() => []);
  return found.flatMap((name) => pattern.exec(name)?.[1] ?? []).sort();
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

// --- rocm-smi -------------------------------------------------------------------------------------------------------

const rocmArguments = ['--showproductname', '--showuse', '--showmeminfo', 'vram', '--showtemp', '--showpower', '--json'];

/** Its labels changed over the versions; the first that has a number counts. Source: rocm_smi.py of ROCm 4 to 6. */
const labels = {
  name: ['Card Series', 'Card series', 'Card Model', 'Card model'],
  total: ['VRAM Total Memory (B)'],
  used: ['VRAM Total Used Memory (B)'],
  busy: ['GPU use (%)'],
  temperature: ['Temperature (Sensor edge) (C)', 'Temperature (Sensor junction) (C)'],
  power: ['Average Graphics Package Power (W)', 'Current Socket Graphics Package Power (W)'],
};

export async function probeRocm(exec: Exec): Promise<Found> {
  const name = 'rocm-smi';
  try {
    const printed = await exec(name, rocmArguments, execTimeoutMs);
    const devices = cardsIn(printed).map(([id, card]): GpuDevice => {
      const figure = (what: keyof typeof labels, read = numberIn) =>
        labels[what].map((label) => read(card[label])).find((value) => value !== null) ?? null;
      const busy = figure('busy');
      return {
        id,
        name:
          labels.name.map((label) => card[label]).find((text) => text !== undefined && !/^(N\/A|0x[0-9a-f]+)?$/i.test(text)) ??
          `AMD GPU ${id}`,
        vendor: 'amd',
        source: name,
        memoryTotalBytes: figure('total', bytesIn),
        memoryUsedBytes: figure('used', bytesIn),
        memorySource: { total: 'measured', used: 'measured' },
        utilization: busy === null ? null : busy / 100,
        temperatureC: figure('temperature'),
        powerW: figure('power'),
        processes: [],
        demo: false,
      };
    });
    const found = devices.length > 0;
    const detail = found ? `${devices.length} device${devices.length === 1 ? '' : 's'}` : `no device in its answer: ${firstLine(printed)}`;
    return { devices, probe: { name, found, detail }, unanswered: false };
  } catch (caught) {
    return unanswered(name, caught);
  }
}

/** `{"card0": {...}, "system": {...}}`, after whatever it warns of. */
function cardsIn(printed: string): [id: string, card: Record<string, string>][] {
  let answer: unknown;
  try {
    answer = JSON.parse(printed.slice(printed.indexOf('{')));
  } catch {
    return [];
  }
  if (typeof answer !== 'object' || answer === null) return [];
  return Object.entries(answer)
    .filter(([id, card]) => /^card\d+$/.test(id) && typeof card === 'object' && card !== null)
    .map(([id, card]) => [id, Object.fromEntries(Object.entries(card as object).map(([label, value]) => [label, String(value)]))]);
}
