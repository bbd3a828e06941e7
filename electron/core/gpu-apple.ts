/**
 * Macs with unified memory: a program on the graphics cores may have a share of what the machine has. What that share is by default no tool
 * says, so the total is estimated: two thirds up to 32 GiB, three quarters above, as Metal recommends (`recommendedMaxWorkingSetSize`), unless
 * `iogpu.wired_limit_mb` was set. In use is what the driver says (`ioreg`).
 */
import type { GpuDevice } from '../../shared/model.ts';
import { type Exec, execTimeoutMs, type Found, numberIn, unanswered } from './gpu-probe.ts';

const GIB = 2 ** 30;
/** It looks at every display when asked for the first time. */
const profilerTimeoutMs = 15_000;

type Card = Record<string, string | undefined>;

export function createAppleProbe(exec: Exec): () => Promise<Found> {
  const name = 'system_profiler';
  // It is slow, and what it says of the card does not change.
  let own: Card | null = null;

  async function probe(): Promise<Found> {
    if (own === null) {
      const cards = cardsIn(await exec(name, ['-json', 'SPDisplaysDataType'], profilerTimeoutMs));
      own = cards.find((card) => /apple/i.test(`${card.spdisplays_vendor} ${card.sppci_model}`)) ?? null;
      if (own === null) {
        const names = cards.map((card) => card.sppci_model ?? card._name ?? 'a card');
        const detail = names.length > 0 ? `no unified memory: ${names.join(', ')}` : 'no graphics in its answer';
        return { devices: [], probe: { name, found: false, detail }, unanswered: false };
      }
    }
    const ask = (file: string, ...args: string[]) => exec(file, args, execTimeoutMs).catch(() => '');
    const [memory, limit, accelerator] = await Promise.all([
      ask('sysctl', '-n', 'hw.memsize'),
      ask('sysctl', '-n', 'iogpu.wired_limit_mb'),
      ask('ioreg', '-r', '-d', '1', '-w', '0', '-c', 'IOAccelerator'),
    ]);
    const statistic = (label: string) => numberIn(accelerator.match(new RegExp(`"${label}"\\s*=\\s*(\\d+)`))?.[1]);
    const busy = statistic('Device Utilization %');
    const device: GpuDevice = {
      id: 'apple0',
      name: own.sppci_model ?? own._name ?? 'Apple GPU',
      vendor: 'apple',
      source: name,
      memoryTotalBytes: shareOf(numberIn(memory), numberIn(limit)),
      memoryUsedBytes: statistic('In use system memory'),
      memorySource: { total: 'estimated', used: 'measured' },
      utilization: busy === null ? null : busy / 100,
      temperatureC: null,
      powerW: null,
      processes: [],
      demo: false,
    };
    return {
      devices: [device],
      probe: { name, found: true, detail: '1 device with unified memory; its total is estimated' },
      unanswered: false,
    };
  }
  return () => probe().catch((caught) => unanswered(name, caught));
}

function shareOf(memory: number | null, limitMiB: number | null): number | null {
  if (limitMiB !== null && limitMiB > 0) return limitMiB * 2 ** 20;
  if (memory === null || memory <= 0) return null;
  return Math.floor(memory * (memory <= 32 * GIB ? 2 / 3 : 3 / 4));
}

function cardsIn(printed: string): Card[] {
  let answer: { SPDisplaysDataType?: unknown } | null;
  try {
    answer = JSON.parse(printed) as typeof answer;
  } catch {
    return [];
  }
  const cards = answer?.SPDisplaysDataType;
  return Array.isArray(cards) ? cards.filter((card) => typeof card === 'object' && card !== null) : [];
}
