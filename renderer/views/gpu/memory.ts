/** What a device's memory is taken by, as pieces of one bar. Pure. */
import type { DeviceBudget, FigureSource } from '../../../shared/cortex.ts';

export interface Segment {
  kind: 'model' | 'others' | 'reserved' | 'free';
  key: string;
  /** Of a model. */
  provider: string | null;
  tier: string | null;
  /** What is said of it. */
  bytes: number;
  source: FigureSource | null;
  /** Where it lies in the bar, bytes of the total. */
  start: number;
  size: number;
}

export interface Bar {
  total: number;
  /** In order, one after the other; their sizes are the total, always. */
  segments: Segment[];
  /** By how much the figures say more than there is; the pieces are shrunk to fit then. */
  overBytes: number;
}

/** null where the size of the memory is not known. Models whose size nobody knows have no piece. */
export function barOf(device: DeviceBudget): Bar | null {
  const total = Math.round(device.total?.bytes ?? 0);
  if (total <= 0) return null;
  const taken: Omit<Segment, 'start' | 'size'>[] = [
    ...device.models.flatMap(({ provider, tier, vram }) =>
      vram === null
        ? []
        : [{ kind: 'model' as const, key: `${provider} ${tier}`, provider, tier, bytes: Math.max(0, vram.bytes), source: vram.source }],
    ),
    piece('others', Math.max(0, device.others.bytes), device.others.source),
    piece('reserved', Math.max(0, device.reservedBytes), null),
  ];
  const sum = taken.reduce((all, { bytes }) => all + bytes, 0);
  const scale = sum > total ? total / sum : 1;
  let reached = 0;
  const segments = taken.map((one) => {
    const start = Math.min(total, Math.round(reached * scale));
    reached += one.bytes;
    return { ...one, start, size: Math.min(total, Math.round(reached * scale)) - start };
  });
  const start = segments.at(-1)!.start + segments.at(-1)!.size;
  const free = total - start;
  return { total, segments: [...segments, { ...piece('free', free, null), start, size: free }], overBytes: Math.max(0, sum - total) };
}

function piece(kind: 'others' | 'reserved' | 'free', bytes: number, source: FigureSource | null): Omit<Segment, 'start' | 'size'> {
  return { kind, key: kind, provider: null, tier: null, bytes, source };
}

/** How many colours there are for models; see `--color-series-*`. */
export const HUES = 6;

/** A colour for each name, the same whatever order they come in, and different ones as long as there are enough. */
export function huesOf(names: readonly string[]): ReadonlyMap<string, number> {
  const hues = new Map<string, number>();
  const taken = new Set<number>();
  for (const name of [...new Set(names)].sort()) {
    let hue = 0;
    for (let at = 0; at < name.length; at++) hue = (hue * 31 + name.charCodeAt(at)) % 9973;
    hue %= HUES;
    if (taken.size === HUES) taken.clear();
    while (taken.has(hue)) hue = (hue + 1) % HUES;
    taken.add(hue);
    hues.set(name, hue);
  }
  return hues;
}
