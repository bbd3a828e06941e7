/** What starts, ends and asks after the models of one provider. It decides nothing; who calls it sees to it that it is asked one thing at a time. */
import type { Discovered, Figure, Provider, Tier } from '../../../shared/cortex.ts';
import type { Egress } from '../egress.ts';

/** What a provider's server says of itself. */
export interface Listing {
  /** In memory now, by the server's own name of the model. `idleAt`: when the server unloads it by itself; null: not said, or never. */
  resident: { model: string; phase: 'warming' | 'warm'; vram: Figure | null; idleAt: number | null }[];
  /** What it could load; null where it does not say. `capabilities` empty: it does not say. */
  models: { model: string; capabilities: string[]; vram: Figure | null; context: number | null }[] | null;
}

/**
 * Everything rejects with Refusal: upstream_refused, upstream_unreachable, upstream_timeout, upstream_failed (its message has the server's words),
 * egress_refused, sovereign_refused, cancelled; `load` with vram_exhausted when the server or program ran out of device memory.
 */
export interface Controller {
  list(signal: AbortSignal): Promise<Listing>;
  /** Resolves when the server says that it has it; a `pulse` shows whether it answers. */
  load(tier: Tier, signal: AbortSignal): Promise<void>;
  unload(tier: Tier, signal: AbortSignal): Promise<void>;
  /** One token, one embedding, or the server's own readiness: resolves when it answered. */
  pulse(tier: Tier, signal: AbortSignal): Promise<void>;
  /** Ends and starts what serves it, where the controller can; false where it cannot. */
  restart(signal: AbortSignal): Promise<boolean>;
}

export interface ControllerParts {
  egress: Egress;
  /** The secret in an environment variable, null when it is not set. */
  secret(name: string): string | null;
  clock(): number;
}

export type CreateController = (provider: Provider, parts: ControllerParts) => Controller;

/** Looks for servers on the well-known ports of this machine (11434, 11435, 8080, 8000, 1234, 5000, 8001...); what does not answer is left out. */
export type Discover = (
  parts: ControllerParts,
  signal: AbortSignal,
) => Promise<{ found: Omit<Discovered, 'known' | 'proposal'>[]; looked: string[] }>;
