/** Decides who gets which models when: the line for the GPU, leases, batches, evictions. Pure, a part of the schedule. */
import type { Lease, Need, Resolved, World } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { Waits } from '../../../shared/model.ts';

/** Somebody wants models. Times are of the schedule's clock. */
export interface LeaseAsk {
  id: string;
  holder: Lease['holder'];
  caller: string;
  need: Need;
  /** It is given up when it has none by then; null: it waits for ever. */
  expiresAt: number | null;
  /** When it is taken back; null: when it is released. */
  until: number | null;
}

export type LeaseEvent =
  | { type: 'lease'; at: number; ask: LeaseAsk }
  /** It is not wanted any more: in line, while it is animated, or held. */
  | { type: 'release'; at: number; lease: string }
  | { type: 'world'; at: number; world: World }
  /** What was to be animated is warm and has answered a pulse. */
  | { type: 'animated'; at: number; lease: string }
  /** It is not. `provider`: whose fault it was, which is no candidate for this lease any more; null: the world changed, so it is resolved again. */
  | { type: 'not_animated'; at: number; lease: string; provider: string | null; error: WireError | null }
  /** It should go: it was idle long enough, or somebody said so. Nothing happens while somebody uses it. */
  | { type: 'unload'; at: number; provider: string };

export type LeaseEffect =
  | { type: 'animate'; lease: string; plan: Resolved }
  /** It stands in line, or what it needs is loading. */
  | { type: 'hold'; lease: string; waits: Waits; plan: Resolved }
  | { type: 'leased'; lease: string; plan: Resolved }
  /** It gets none, or what it held was taken back. */
  | { type: 'unleased'; lease: string; error: WireError }
  | { type: 'evict'; provider: string; tier: string }
  /** Somebody let go of it who had `priority`: its idle time starts again. */
  | { type: 'used'; provider: string; priority: number };
