/** Whether a model answers: asked before it is given, tried again a few times, and believed for a short while. */
import type { Provider, Tier } from '../../../shared/cortex.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { CortexSettings } from '../../../shared/model.ts';
import type { Controller } from '../providers/controller.ts';
import { sameModel } from '../providers/ollama.ts';
import type { Callers } from './callers.ts';
import { refusalOf, type Spans } from './spans.ts';
import type { WorldSource } from './world.ts';

/** A tier of a provider, and who starts and ends it. */
export interface Place {
  provider: Provider;
  tier: Tier;
  controller: Controller;
}

/** How patient the cortex is; the defaults are right for everything but tests. */
export interface Patience {
  /** How long a pulse may take. */
  pulseMs: number;
  /** Pulses after the first that failed, and the pause before the first of them; it doubles. */
  retries: number;
  pauseMs: number;
  /** How long a provider whose load failed is left alone. */
  restMs: number;
  /** How long a server may take to show that it let go, its own time for it aside. */
  goneMs: number;
}

export const patience: Patience = { pulseMs: 15_000, retries: 2, pauseMs: 500, restMs: 5000, goneMs: 10_000 };

export interface PulseParts {
  world: Pick<WorldSource, 'phase'>;
  callers: Pick<Callers, 'count'>;
  spans: Spans;
  settings(): Pick<CortexSettings, 'pulseFreshMs'>;
  now(): number;
  tell(step: string, detail: Record<string, string | number | null>): Promise<void>;
  patience: Pick<Patience, 'pulseMs' | 'retries' | 'pauseMs'>;
}

export interface Pulses {
  /** null: it answered, now or a short time ago. */
  pulse(at: Place): Promise<WireError | null>;
  /** What it answered before says nothing any more. */
  forget(provider: string): void;
}

export function createPulses(parts: PulseParts): Pulses {
  const { world, callers, spans, settings, now, tell, patience } = parts;
  const pulses = new Map<string, { tier: string; at: number }>();

  async function pulse(at: Place): Promise<WireError | null> {
    const { provider, tier, controller } = at;
    const { name } = provider;
    const { pulseMs, retries, pauseMs } = patience;
    const last = pulses.get(name);
    const isFresh = last?.tier === tier.name && now() - last.at < settings().pulseFreshMs && isUp(name);
    if (isFresh) return null;
    pulses.delete(name);
    const late = refuse('upstream_timeout', `${name} did not answer a pulse within ${pulseMs} ms.`, { hint: 'Look at its log.' });
    for (let tried = 0; ; tried++) {
      // One that is busy answers a completion when its turn comes; that it has its model and answers says enough.
      const isBusy = callers.count(name) > 0;
      const ask = (signal: AbortSignal) => (isBusy ? ready(at, signal) : controller.pulse(tier, signal));
      const error = await refusalOf(spans.within(pulseMs, late, ask));
      if (error === null) {
        pulses.set(name, { tier: tier.name, at: now() });
        return null;
      }
      await refusalOf(
        tell('model_pulse_failed', { provider: name, tier: tier.name, try: tried + 1, error: error.code, said: error.message }),
      );
      if (tried === retries || spans.ending.aborted || !mayHeal(error)) return error;
      await refusalOf(spans.pause(pauseMs * 2 ** tried));
    }
  }

  async function ready({ provider: { name, controller: spec }, tier, controller }: Place, signal: AbortSignal): Promise<void> {
    const { resident } = await controller.list(signal);
    if (spec.kind === 'openai' || resident.some(({ model }) => sameModel(model, tier.model))) return;
    throw new Refusal(refuse('upstream_failed', `${name} does not hold ${tier.model} any more.`));
  }

  /** A pulse of a moment ago says nothing of a server that is known to be down now. */
  const isUp = (provider: string) => {
    const { phase } = world.phase(provider);
    return phase === 'warm' || phase === 'warming';
  };

  return { pulse, forget: (provider) => void pulses.delete(provider) };
}

/** Another try, or a new start of its server, could change it. */
export const mayHeal = ({ code, status = 500 }: WireError) => code.startsWith('upstream_') && status >= 500;
