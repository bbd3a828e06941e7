/** What starts, ends and asks after the models of one provider. It decides nothing; who calls it sees to it that it is asked one thing at a time. */
import type { Discovered, Figure, Provider, Tier, Usage } from '../../../shared/cortex.ts';
import type { Egress } from '../egress.ts';

/** What a provider's server says of itself. */
export interface Listing {
  /** In memory now, by the server's own name of the model. `idleAt`: when the server unloads it by itself; null: not said, or never. */
  resident: { model: string; phase: 'warming' | 'warm'; vram: Figure | null; idleAt: number | null }[];
  /** What it could load; null where it does not say. */
  models: ListedModel[] | null;
  /** How busy it is; null where it does not say. */
  usage: Usage | null;
}

export interface ListedModel {
  model: string;
  /** In this project's words, sorted; empty: it does not say. */
  capabilities: string[];
  vram: Figure | null;
  context: number | null;
  /** The server passes it on to another machine (an Ollama cloud model, a peer of llama-swap): egress `remote`, whatever the server's own address. */
  remote: boolean;
}

/**
 * Everything rejects with Refusal: upstream_refused, upstream_name_unknown, upstream_unreachable, upstream_timeout, upstream_too_large,
 * upstream_failed (its message has the server's words), egress_refused, sovereign_refused, registry_invalid (a secret is not set), not_found
 * (it knows no such model or container), cancelled; `load` with vram_exhausted when the server or program ran out of device memory: its
 * `vram` says nothing but that, whoever budgets fills it in.
 */
export interface Controller {
  list(signal: AbortSignal): Promise<Listing>;
  /** Resolves when the server says that it has it; a `pulse` shows whether it answers. Bounded by the provider's `warmMs`. */
  load(tier: Tier, signal: AbortSignal): Promise<void>;
  /** Resolves when it is gone. What runs there may be cut: who calls it has drained before. */
  unload(tier: Tier, signal: AbortSignal): Promise<void>;
  /** One token, one embedding, or the server's own readiness: resolves when it answered. */
  pulse(tier: Tier, signal: AbortSignal): Promise<void>;
  /** Ends what serves it, and starts it where it does not start by itself with the next load; false where it cannot. */
  restart(signal: AbortSignal): Promise<boolean>;
}

export interface ControllerParts {
  egress: Egress;
  /** The value of an environment variable, null when it is not set. */
  secret(name: string): string | null;
  clock(): number;
}

export type CreateController = (provider: Provider, parts: ControllerParts) => Controller;

/** Looks for servers on the well-known ports of this machine (11434, 11435, 8080, 8000, 1234, 5000, 8001...); what does not answer is left out. */
export type Discover = (
  parts: ControllerParts,
  signal: AbortSignal,
) => Promise<{ found: Omit<Discovered, 'known' | 'proposal'>[]; looked: string[] }>;
