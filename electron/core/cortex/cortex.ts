/** Brings plans to life: evicts, loads, pulses, heals; keeps grants; and says how it all stands. What is decided is decided by the schedule. */
import { type EventBody, type NeedAsk, needOf } from '../../../shared/contract.ts';
import { type CortexState, emptyCortex, type GpuAlert, type Grant, type Need, type Resolved, type World } from '../../../shared/cortex.ts';
import { refuse, type WireError } from '../../../shared/errors.ts';
import type { CortexSettings, Principal } from '../../../shared/model.ts';
import type { Gpu } from '../gpu.ts';
import type { Loop } from '../jobs/loop.ts';
import { inert } from '../mcp/display.ts';
import type { CortexOperation, Implementation } from '../operations.ts';
import type { Store } from '../store/store.ts';
import { createAnimator } from './animate.ts';
import { createAsking } from './asking.ts';
import type { Bound } from './bound.ts';
import type { Budget } from './budget.ts';
import { createCallers } from './callers.ts';
import { createGrants, type GrantParts } from './grants.ts';
import { createManifests } from './manifest.ts';
import { type CortexOperationParts, createCortexOperations } from './operations.ts';
import { type Patience, patience } from './pulse.ts';
import { createSpans } from './spans.ts';
import { stateOf } from './state.ts';
import type { WorldSource } from './world.ts';

export interface CortexParts {
  world: WorldSource;
  budget: Budget;
  loop: Pick<Loop, 'now' | 'lease' | 'release' | 'world' | 'animated' | 'notAnimated' | 'unload' | 'leases' | 'peek'>;
  store: GrantParts['store'] & { read: Pick<Store['read'], 'gpuSamples'> };
  gpu: Pick<Gpu, 'state' | 'probe'>;
  alerts(): GpuAlert[];
  settings(): CortexSettings;
  /** For what is written into it. */
  registry: CortexOperationParts['registry'];
  discover: CortexOperationParts['discover'];
  hasRoute: GrantParts['hasRoute'];
  job: GrantParts['job'];
  url: GrantParts['url'];
  /** Milliseconds since the epoch. */
  clock(): number;
  /** A row of kind `change`; resolves when it is durable. What it rejects with keeps the step from being taken. */
  record(what: string, detail: Record<string, unknown>): Promise<void>;
  publish(event: EventBody, signal: string | null): void;
  /** Whether anybody hears events; signals are kept in any case. Absent: somebody does. */
  watched?(): boolean;
  patience?: Partial<Patience>;
}

export interface Cortex extends AsyncDisposable {
  state(): CortexState;
  need(ask: NeedAsk): Need;
  /** A dry run, leases counted. */
  resolve(need: Need): Resolved;
  /** Effects of the schedule. */
  animate(lease: string, plan: Resolved): void;
  evict(provider: string, tier: string): void;
  used(provider: string, about: { priority: number }): void;
  /** What a plan bound, as it can be called now. */
  bound(plan: Resolved): Bound[];
  /** A call of a provider's model begins; call what it answers when it is over. While one is in flight nothing is unloaded there. */
  calling(provider: string): () => void;
  /** The grant whose key this is, while it holds; null: nobody's, or revoked, or expired. */
  authenticate(secret: string): { grant: Grant; principal: Principal } | null;
  /** The grant whose key this was, so that it can be said why it is none any more; null: nobody's. */
  endedGrant(secret: string): Grant | null;
  /** What `model` means under a grant; a refusal where it means nothing that was granted, or takes no more calls now. Counts the request. */
  granted(grant: string, model: string | null): Bound | WireError;
  /** Cuts a call under a grant off when that ends; call what it answers when the call is over. */
  under(grant: string, cut: (reason: WireError) => void): () => void;
  /** A job ended: what was granted for it is revoked. */
  ended(job: string): void;
  /** The world source has another world. */
  moved(world: World): void;
  /** Something that `state` tells is another: leases, alerts, readings. Fronts are told soon, if it is. */
  changed(): void;
  configure(): void;
  /** The sovereign switch was turned. */
  refresh(): void;
  start(): void;
  /** The core shuts down: nobody waits for models any more. Calls are over only when nobody does, and only then this is disposed of. */
  closing(): void;
  readonly operations: Pick<Implementation, CortexOperation>;
}

/** Changes within it are one event. */
const GATHER_MS = 200;
/** Calls end more often than idle times have to be known. */
const USED_MS = 500;

export function createCortex(parts: CortexParts): Cortex {
  const { world, budget, loop, gpu, clock } = parts;
  const spans = createSpans();
  const priorities = new Map<string, number>();
  const usedAt = new Map<string, number>();
  let shown: CortexState = emptyCortex;
  let shownText = '';
  let timer: NodeJS.Timeout | null = null;

  const callers = createCallers({
    now: loop.now,
    over(provider) {
      const now = loop.now();
      if (now - (usedAt.get(provider) ?? 0) < USED_MS) return;
      usedAt.set(provider, now);
      changed();
      world.used(provider, { priority: priorities.get(provider) ?? world.provider(provider)?.priority ?? 0 });
    },
  });

  /** A step that is a signal and a row of the audit. */
  function tell(step: string, detail: Record<string, string | number | null>): Promise<void> {
    const recorded = parts.record(step, detail);
    publish(signalOf(step, detail));
    return recorded;
  }

  const settings = () => ({ pulseFreshMs: parts.settings().pulseFreshMs });
  const manifests = createManifests({
    ...{ world, budget, gpu, callers, spans, settings, tell },
    now: loop.now,
    patience: { ...patience, ...parts.patience },
  });
  const animator = createAnimator({ world, loop, manifests, ending: spans.ending, tell });
  const asking = createAsking(loop);
  const grants = createGrants({
    ...{ loop, asking, clock, need: needOf, bound, tell, settings: parts.settings },
    store: parts.store,
    calls: callers.count,
    world: world.world,
    hasRoute: parts.hasRoute,
    job: parts.job,
    url: parts.url,
  });

  function bound(plan: Resolved): Bound[] {
    const found = new Map<string, Bound>();
    for (const { capability, provider: name, tier: tierName, device } of plan.assignments) {
      const known = found.get(name);
      if (known) {
        known.capabilities.push(capability);
        continue;
      }
      const provider = world.provider(name);
      const tier = provider?.tiers.find((one) => one.name === tierName);
      if (provider && tier) found.set(name, { provider, tier, capabilities: [capability], device });
    }
    return [...found.values()];
  }

  // --- how it stands ---------------------------------------------------------------------------------------------------

  function state(): CortexState {
    const seen = stateOf({
      world: world.world(),
      phase: world.phase,
      usage: world.usage,
      lastUsedAt: callers.lastAt,
      gpu: gpu.state(),
      ...loop.leases(),
      grants: grants.list(),
      alerts: parts.alerts(),
      invalid: world.invalid(),
      settings: parts.settings(),
    });
    const text = JSON.stringify(seen);
    if (text !== shownText) {
      shown = { version: shown.version + 1, ...seen };
      shownText = text;
    }
    return shown;
  }

  /** With a signal at once, since signals are a story; without one only where something is another. */
  function publish(signal: string | null): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (spans.ending.aborted) return;
    // How it stands is made when somebody looks.
    if (parts.watched?.() === false) {
      if (signal !== null) parts.publish({ type: 'cortex', cortex: shown }, signal);
      return;
    }
    const { version } = shown;
    const cortex = state();
    if (signal !== null || cortex.version !== version) parts.publish({ type: 'cortex', cortex }, signal);
  }

  function changed(): void {
    if (!spans.ending.aborted) timer ??= setTimeout(publish, GATHER_MS, null).unref();
  }

  function used(provider: string, { priority }: { priority: number }): void {
    priorities.set(provider, priority);
    world.used(provider, { priority });
  }

  return {
    state,
    need: needOf,
    bound,
    used,
    changed,
    resolve: loop.peek,
    animate(lease, plan) {
      for (const { provider } of plan.assignments) priorities.set(provider, plan.need.priority);
      animator.animate(lease, plan);
    },
    evict: animator.evict,
    calling: callers.calling,
    authenticate: grants.authenticate,
    endedGrant: grants.ended,
    granted: grants.granted,
    under: grants.under,
    ended: grants.taskEnded,
    moved(next) {
      loop.world(next);
      grants.review();
      changed();
    },
    configure() {
      grants.review();
      changed();
    },
    refresh() {
      grants.review();
      changed();
    },
    start: grants.start,
    closing: () => asking.giveUp(() => true, refuse('shutting_down', 'Dispatcher shuts down.')),
    operations: createCortexOperations({
      ...{ world, loop, asking, manifests, grants, state, need: needOf, clock },
      samples: parts.store.read.gpuSamples,
      registry: parts.registry,
      discover: parts.discover,
      ending: spans.ending,
    }),
    async [Symbol.asyncDispose]() {
      // First whoever waits hears of it; then what they waited for is cut off.
      await grants[Symbol.asyncDispose]();
      spans[Symbol.dispose]();
      if (timer !== null) clearTimeout(timer);
      await animator[Symbol.asyncDispose]();
    },
  };
}

const icons: Record<string, string> = {
  model_failed: '❌',
  model_halted: '🛑',
  model_too_big: '❌',
  model_pulse_failed: '💔',
  grant_made: '🔑',
  grant_ended: '🔑',
};

/** `🧠 OS → OS : model_loading, provider=big, tier=70B, eta=12.5s`. */
function signalOf(step: string, detail: Record<string, string | number | null>): string {
  const words = Object.entries(detail).flatMap(([name, value]) => {
    if (value === null) return [];
    if (name.endsWith('_ms') && typeof value === 'number') return [`${name.slice(0, -3)}=${(value / 1000).toFixed(1)}s`];
    if (name === 'until' && typeof value === 'number') return [`until=${new Date(value).toISOString()}`];
    if (name.endsWith('bytes') && typeof value === 'number') return [`${name.slice(0, -5)}memory=${(value / 1024 ** 3).toFixed(1)}GB`];
    return [`${name}=${inert(String(value).replaceAll(',', ' '), 120)}`];
  });
  return `${icons[step] ?? '🧠'} OS → OS : ${[step, ...words].join(', ')}`;
}
