/** Readings of a device as lines. Pure. */
import type { GpuSample } from '../../../shared/cortex.ts';

export type Metric = 'usedBytes' | 'utilization' | 'temperatureC' | 'powerW';
const metrics: readonly Metric[] = ['usedBytes', 'utilization', 'temperatureC', 'powerW'];

export interface Series {
  /** Seconds since the epoch, rising. */
  at: number[];
  values: Record<Metric, (number | null)[]>;
}

/** What was kept and what came since, each reading once. */
export function mergeSamples(kept: readonly GpuSample[], live: readonly GpuSample[]): GpuSample[] {
  const last = new Map<string, number>();
  for (const { device, at } of kept) last.set(device, Math.max(at, last.get(device) ?? 0));
  return [...kept, ...live.filter(({ device, at }) => at > (last.get(device) ?? 0))];
}

/**
 * The readings of one device from `from` to `to` (milliseconds), at most `points` of them and the highest of those that fall together, so that
 * a peak stays a peak. Where nobody read for long there is a null, which is a gap. Places stay where they are while the window moves on.
 */
export function seriesOf(
  samples: readonly GpuSample[],
  { device, from, to, points }: { device: string; from: number; to: number; points: number },
): Series {
  const width = Math.max(1, (to - from) / points);
  const mine = samples.filter((one) => one.device === device && one.at >= from && one.at <= to).sort((a, b) => a.at - b.at);
  const buckets = new Map<number, GpuSample>();
  for (const one of mine) {
    const bucket = Math.floor(one.at / width);
    const before = buckets.get(bucket);
    buckets.set(bucket, before ? highest(before, one) : one);
  }
  const found = [...buckets.values()];
  const gap = Math.max(3 * width, 4 * usualPause(found));
  const series: Series = { at: [], values: { usedBytes: [], utilization: [], temperatureC: [], powerW: [] } };
  const add = (at: number, value: (metric: Metric) => number | null) => {
    series.at.push(at / 1000);
    for (const metric of metrics) series.values[metric].push(value(metric));
  };
  found.forEach((one, index) => {
    const before = found[index - 1];
    if (before && one.at - before.at > gap) add((before.at + one.at) / 2, () => null);
    add(one.at, (metric) => one[metric]);
  });
  return series;
}

function highest(a: GpuSample, b: GpuSample): GpuSample {
  const of = (metric: Metric) => (a[metric] === null ? b[metric] : b[metric] === null ? a[metric] : Math.max(a[metric], b[metric]));
  return {
    ...b,
    usedBytes: of('usedBytes'),
    utilization: of('utilization'),
    temperatureC: of('temperatureC'),
    powerW: of('powerW'),
  };
}

/** The median pause between two readings, milliseconds. */
function usualPause(samples: readonly GpuSample[]): number {
  const pauses = samples.slice(1).map((one, index) => one.at - samples[index]!.at);
  return pauses.sort((a, b) => a - b)[pauses.length >> 1] ?? 0;
}
