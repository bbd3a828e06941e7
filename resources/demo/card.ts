/** A pretended graphics card: it counts bytes that nobody really holds. */
import type { GpuDevice } from '../../shared/model.ts';

const GIB = 2 ** 30;

export interface Card {
  /** What a tool of a real card would print. */
  device(): GpuDevice;
  readonly freeBytes: number;
  /** false: there is not enough left. */
  take(holder: string, bytes: number): boolean;
  give(holder: string): void;
  /** How busy it looks, 0..1, until the returned function is called. */
  work(): () => void;
}

/** 24 GiB, of which a pretended desktop holds 1.1. */
export function createCard(): Card {
  const total = 24 * GIB;
  const desktop = 1.1 * GIB;
  const holders = new Map<string, number>();
  let busy = 0;
  const used = () => desktop + [...holders.values()].reduce((sum, bytes) => sum + bytes, 0);
  return {
    get freeBytes() {
      return total - used();
    },
    device() {
      const share = used() / total;
      const utilization = busy === 0 ? 0 : Math.min(0.98, 0.4 + 0.2 * busy);
      return {
        id: 'demo0',
        name: 'Pretended card, 24 GB',
        vendor: 'nvidia',
        source: 'demo',
        memorySource: { total: 'reported', used: 'reported' },
        demo: true,
        memoryTotalBytes: total,
        memoryUsedBytes: Math.round(used()),
        utilization,
        temperatureC: Math.round(38 + 14 * share + 22 * utilization),
        powerW: Math.round(24 + 40 * share + 210 * utilization),
        processes: [{ pid: 1, name: 'pretended desktop', memoryUsedBytes: Math.round(desktop) }],
      };
    },
    take(holder, bytes) {
      if (holders.has(holder)) return true;
      if (used() + bytes > total) return false;
      holders.set(holder, bytes);
      return true;
    },
    give(holder) {
      holders.delete(holder);
    },
    work() {
      busy += 1;
      let over = false;
      return () => {
        if (!over) busy -= 1;
        over = true;
      };
    },
  };
}
