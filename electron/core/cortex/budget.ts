/** What models take and what devices have left, and how each figure is known. */
import type { Figure, Provider, Resident, Tier, WorldDevice } from '../../../shared/cortex.ts';
import type { GpuState } from '../../../shared/model.ts';

export interface Load {
  provider: string;
  tier: string;
  model: string;
  context: number | null;
  device: string | null;
}

export interface Budget {
  /** The best figure there is: learned from loads (measured, else reported), then declared, then from the name's number of parameters (estimated); null: none. */
  footprint(provider: Provider, tier: Tier): Figure | null;
  /** Median of the loads so far, else what is declared. */
  loadMs(provider: Provider, tier: Tier): number;
  /** The devices as resolve sees them: what no resident accounts for is held by others. `reserved`: for the sidecar, by device. */
  devices(gpu: GpuState, residents: readonly Resident[], reserved: (device: string) => number): WorldDevice[];
  /** A load that worked: what it took, as it was measured or reported, and how long. Kept. */
  learn(load: Load & { took: Figure | null; loadMs: number }): void;
  /** A load ran out of memory: it takes more than what was free. Kept. */
  tooBig(load: Load & { freeBytes: number | null }): void;
}
