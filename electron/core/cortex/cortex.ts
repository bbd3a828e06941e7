/** Brings plans to life: evicts, loads, pulses, heals; keeps grants; and says how it all stands. What is decided is decided by the schedule. */
import type { NeedAsk } from '../../../shared/contract.ts';
import type { CortexState, Grant, Need, Resolved } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { Principal } from '../../../shared/model.ts';
import type { Bound } from './bound.ts';

export interface Cortex extends AsyncDisposable {
  state(): CortexState;
  need(ask: NeedAsk): Need;
  /** A dry run, leases counted. */
  resolve(need: Need): Resolved;
  /** Effects of the schedule. */
  animate(lease: string, plan: Resolved): void;
  evict(provider: string, tier: string): void;
  /** What a plan bound, as it can be called now. */
  bound(plan: Resolved): Bound[];
  /** The grant whose key this is, while it holds; null: nobody's, or revoked, or expired. */
  authenticate(secret: string): { grant: Grant; principal: Principal } | null;
  /** What `model` means under a grant; a refusal where it means nothing that was granted. Counts the request. */
  granted(grant: string, model: string | null): Bound | WireError;
  /** Cuts a call under a grant off when that ends; call what it answers when the call is over. */
  under(grant: string, cut: (reason: WireError) => void): () => void;
  /** A job ended: what was granted for it is revoked. */
  ended(job: string): void;
  configure(): void;
  /** The sovereign switch was turned. */
  refresh(): void;
  start(): void;
}
