/** One provider at a time: making it warm, healing it, letting it go. What is asked of one provider is done one after the other. */
import type { Provider, Resident, Tier } from '../../../shared/cortex.ts';
import { onlyRefusals, Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { CortexSettings, GpuDevice, GpuState } from '../../../shared/model.ts';
import type { Gpu } from '../gpu.ts';
import { sameModel } from '../providers/ollama.ts';
import { type Budget, measure } from './budget.ts';
import type { Callers } from './callers.ts';
import { createPulses, mayHeal, type Patience, type Place } from './pulse.ts';
import { refusalOf, type Spans } from './spans.ts';
import type { WorldSource } from './world.ts';

/** stale: the world is not as the plan had it. memory: the device ran out of it. failed: it cannot be had now. */
export type Manifested = { ok: true } | { ok: false; why: 'stale' | 'memory' | 'failed'; error: WireError };

export interface Wanted {
  provider: string;
  tier: string;
  device: string | null;
}

/** Loads in a row that may fail. */
const FAILURES_MOST = 3;

export interface ManifestParts {
  world: WorldSource;
  budget: Pick<Budget, 'footprint' | 'loadMs' | 'learn' | 'tooBig'>;
  gpu: Pick<Gpu, 'probe'>;
  callers: Callers;
  spans: Spans;
  settings(): Pick<CortexSettings, 'pulseFreshMs'>;
  /** Of the schedule. */
  now(): number;
  /** A step as a signal and as a row of the audit; resolves when the row is durable. */
  tell(step: string, detail: Record<string, string | number | null>): Promise<void>;
  patience: Patience;
}

export interface Manifests {
  /** Loads it if need be and pulses it, healing what does not answer. Those who want the same at one time share what is done. Never rejects. */
  manifest(wanted: Wanted): Promise<Manifested>;
  /** Drains and unloads; null when it is gone. What is in flight is never cut off. Never rejects. */
  banish(provider: string, tier: string, cause: string): Promise<WireError | null>;
  /** The unloads under way. */
  banishing(): ReadonlyMap<string, Promise<WireError | null>>;
  /** Failures that were counted are forgotten. */
  reset(provider: string): Promise<void>;
}

export function createManifests(parts: ManifestParts): Manifests {
  const { world, budget, gpu, callers, spans, now, tell } = parts;
  const inLine = createLine();
  const unloads = new Map<string, Promise<WireError | null>>();
  const failures = new Map<string, number>();
  const pulses = createPulses(parts);
  /** Loads and unloads under way, and how many began: what is in use says what one took only where it was alone. */
  const moves = { now: 0, begun: 0 };

  const residentOf = (provider: string): Resident | null => world.world().residents.find((one) => one.provider === provider) ?? null;

  function place(name: string, tierName: string): Place | null {
    const provider = world.provider(name);
    const controller = world.controller(name);
    const tier = provider?.tiers.find((one) => one.name === tierName);
    return provider && controller && tier ? { provider, tier, controller } : null;
  }

  // --- making it warm --------------------------------------------------------------------------------------------------

  async function warm({ provider: name, tier: tierName, device }: Wanted): Promise<Manifested> {
    const at = place(name, tierName);
    if (at === null) return stale(`${name} has no tier ${tierName} any more.`);
    const { phase, detail } = world.phase(name);
    if (phase === 'halted') return { ok: false, why: 'failed', error: haltedError(name, detail) };
    let outcome = await once(at, device);
    if (!outcome.ok && outcome.why === 'failed' && mayHeal(outcome.error) && (await restart(at, outcome.error)))
      outcome = await once(at, device);
    if (outcome.ok) failures.delete(name);
    else if (outcome.why !== 'stale') await failed(at, outcome);
    return outcome;
  }

  async function once(at: Place, device: string | null): Promise<Manifested> {
    const { provider, tier } = at;
    if (provider.controller.kind !== 'openai') {
      const there = residentOf(provider.name);
      if (there !== null && there.tier !== tier.name) return stale(`${provider.name} holds its tier ${there.tier}.`);
      if (there?.phase !== 'warm') {
        const error = await load(at, device);
        if (error !== null) return { ok: false, why: error.code === 'vram_exhausted' ? 'memory' : 'failed', error };
      }
    }
    const error = await pulses.pulse(at);
    return error === null ? { ok: true } : { ok: false, why: 'failed', error };
  }

  async function load({ provider, tier, controller }: Place, device: string | null): Promise<WireError | null> {
    const { name, warmMs } = provider;
    const about = { provider: name, tier: tier.name, model: tier.model, device };
    const resident = newResident(provider, tier, device);
    pulses.forget(name);
    world.note(name, { phase: 'warming', resident });
    const unwritten = await refusalOf(tell('model_loading', { ...about, eta_ms: resident.reloadMs }));
    const alone = begin();
    const before = await gpu.probe();
    const startedAt = now();
    const late = refuse('upstream_timeout', `${name} did not have ${tier.model} loaded within ${warmMs} ms.`, {
      hint: 'Give it more time as warm_ms in the registry, or look at its log.',
    });
    const error = unwritten ?? (await refusalOf(spans.within(warmMs, late, (signal) => controller.load(tier, signal))));
    const learnt = { ...about, context: tier.context };
    if (error !== null) {
      alone();
      // Somebody else may have taken memory while it loaded: it takes more than was free then, which is not what was free before.
      const states = error.code === 'vram_exhausted' ? [before, await gpu.probe()] : [before];
      const free = error.vram?.free ?? leastFree(states, device);
      // What is learnt is in the world that is told of next.
      if (error.code === 'vram_exhausted') budget.tooBig({ ...learnt, freeBytes: free });
      world.note(name, { phase: 'gone' });
      if (error.code === 'vram_exhausted') {
        // What others took while it loaded was taken for a part of it; now that nothing is, it is theirs.
        await gpu.probe();
        world.note(name, { phase: 'gone' });
        await refusalOf(tell('model_too_big', { ...about, free_bytes: free }));
      }
      return error;
    }
    const loadMs = now() - startedAt;
    const listed = await list({ provider, tier, controller }).catch(onlyRefusals);
    const reported = listed?.resident.find(({ model }) => sameModel(model, tier.model))?.vram ?? null;
    const after = await gpu.probe();
    const took = measure({ before, after, device: alone() ? device : null, reported });
    budget.learn({ ...learnt, took, loadMs });
    world.note(name, { phase: 'warm', resident: { ...resident, phase: 'warm', vram: took ?? resident.vram, idleAt: idleAt(provider) } });
    await refusalOf(tell('model_warm', { ...about, took_ms: loadMs, bytes: took?.bytes ?? null, source: took?.source ?? null }));
    return null;
  }

  /** Something is loaded or unloaded. What it answers ends that, and says whether it was the only one all the time. */
  function begin(): () => boolean {
    moves.begun++;
    const wasAlone = moves.now++ === 0;
    const mine = moves.begun;
    return () => {
      moves.now--;
      return wasAlone && moves.begun === mine;
    };
  }

  const idleAt = ({ idleMs }: Provider): number | null => (idleMs === null ? null : now() + idleMs);

  const newResident = (provider: Provider, tier: Tier, device: string | null): Resident => ({
    provider: provider.name,
    tier: tier.name,
    model: tier.model,
    device,
    vram: budget.footprint(provider, tier),
    phase: 'warming',
    leases: [],
    priority: provider.priority,
    pinned: provider.pinned,
    stopMs: provider.stopMs,
    reloadMs: budget.loadMs(provider, tier),
    contextMs: 0,
    idleAt: null,
  });

  // --- healing ---------------------------------------------------------------------------------------------------------

  /** True when it was ended and started. Never while a call is in flight there. */
  async function restart({ provider, controller }: Place, why: WireError): Promise<boolean> {
    const { name, warmMs, stopMs } = provider;
    if (!(await calm(provider, usersOf(name)))) return false;
    const unwritten = await refusalOf(tell('model_restarting', { provider: name, error: why.code, said: why.message }));
    if (unwritten !== null) return false;
    const late = refuse('upstream_timeout', `${name} did not restart in time.`);
    let restarted = false;
    const error = await refusalOf(
      spans.within(warmMs + stopMs, late, async (signal) => {
        restarted = await controller.restart(signal);
      }),
    );
    if (error !== null || !restarted) {
      await refusalOf(
        tell('model_not_restarted', { provider: name, error: error?.code ?? null, said: error?.message ?? 'its controller cannot' }),
      );
      return false;
    }
    pulses.forget(name);
    world.note(name, { phase: 'gone' });
    await world.refresh(name);
    await refusalOf(tell('model_restarted', { provider: name }));
    return true;
  }

  async function failed({ provider, tier }: Place, { why, error }: { why: string; error: WireError }): Promise<void> {
    const { name } = provider;
    if (spans.ending.aborted) return;
    const count = (failures.get(name) ?? 0) + 1;
    failures.set(name, count);
    const about = { provider: name, tier: tier.name, error: error.code, said: error.message, failures: count };
    await refusalOf(tell('model_failed', about));
    if (count >= FAILURES_MOST && provider.controller.kind !== 'openai') {
      world.note(name, { phase: 'halted', detail: `${count} loads in a row failed: ${error.message}`, until: null });
      await refusalOf(tell('model_halted', about));
    } else if (why === 'failed') {
      world.note(name, { phase: 'error', detail: error.message, until: now() + parts.patience.restMs });
      await world.refresh(name);
    }
  }

  // --- letting it go ---------------------------------------------------------------------------------------------------

  async function letGo(name: string, { tier: tierName, cause }: { tier: string; cause: string }): Promise<WireError | null> {
    const there = residentOf(name);
    if (there === null || there.tier !== tierName) return null;
    const at = place(name, tierName);
    if (at === null)
      return refuse('not_found', `${name} is not declared any more, so it is not known how to unload it.`, {
        hint: 'Unload it at its server.',
      });
    const { provider, controller, tier } = at;
    const about = { provider: name, tier: tierName, model: tier.model, device: there.device, cause };
    const users = usersOf(name);
    const keep = () => world.note(name, { phase: 'warm', resident: { ...there, phase: 'warm', idleAt: idleAt(provider) } });
    world.note(name, { phase: 'draining' });
    void tell('model_draining', { ...about, in_flight: inFlight(users) }).catch(() => undefined);
    if (!(await calm(provider, users))) {
      keep();
      const left = inFlight(users);
      const error = refuse('conflict', `${name} still answers ${left} calls after ${provider.drainMs} ms, and none is cut off.`, {
        hint: 'Wait for them, or cancel them.',
      });
      await refusalOf(tell('model_kept', { ...about, in_flight: left }));
      return error;
    }
    pulses.forget(name);
    const unwritten = await refusalOf(tell('model_unloading', about));
    if (unwritten !== null) {
      keep();
      return unwritten;
    }
    const within = provider.stopMs + parts.patience.goneMs;
    const late = refuse('upstream_timeout', `${name} did not unload ${tier.model} within ${within} ms.`);
    const ended = begin();
    const error = await refusalOf(spans.within(within, late, (signal) => controller.unload(tier, signal)));
    const isGone = await seenGone(at, within);
    await gpu.probe();
    ended();
    if (isGone) {
      world.note(name, { phase: 'gone' });
      // Those that had it as well hold it until their server has said that it is gone.
      if (users.length > 1) await world.refresh(name);
      await refusalOf(tell('model_gone', { ...about, error: error?.code ?? null, bytes: there.vram?.bytes ?? null }));
      return null;
    }
    keep();
    await world.refresh(name);
    const still = error ?? refuse('upstream_failed', `${name} still holds ${tier.model} although it was told to let go.`);
    await refusalOf(tell('model_kept', { ...about, error: still.code, said: still.message }));
    return still;
  }

  /** Whoever has what is unloaded with it. */
  const usersOf = (name: string): string[] => [name, ...(residentOf(name)?.sharedWith ?? [])];

  const inFlight = (users: readonly string[]): number => users.reduce((sum, user) => sum + callers.count(user), 0);

  /** No call of any of them is in flight; false when there still is one after the time it has to drain. */
  async function calm({ name, drainMs }: Provider, users: readonly string[]): Promise<boolean> {
    if (inFlight(users) === 0) return true;
    const late = refuse('upstream_timeout', `${name} is still in use.`);
    const all = (signal: AbortSignal) => Promise.all(users.map((user) => callers.calm(user, signal)));
    await refusalOf(spans.within(drainMs, late, all));
    return inFlight(users) === 0;
  }

  async function seenGone(at: Place, withinMs: number): Promise<boolean> {
    const until = now() + withinMs;
    for (let pauseMs = 20; !spans.ending.aborted; pauseMs = Math.min(1000, pauseMs * 2)) {
      try {
        const { resident } = await list(at);
        if (!resident.some(({ model }) => sameModel(model, at.tier.model))) return true;
      } catch (caught) {
        if (!(caught instanceof Refusal)) throw caught;
        // Nothing listens there: its memory went with it.
        if (caught.wire.code === 'upstream_refused') return true;
      }
      if (now() >= until) return false;
      await refusalOf(spans.pause(pauseMs));
    }
    return false;
  }

  const list = ({ provider: { name }, controller }: Place) =>
    spans.within(parts.patience.pulseMs, refuse('upstream_timeout', `${name} does not say what it holds.`), (signal) =>
      controller.list(signal),
    );

  return {
    manifest: (wanted) => inLine(wanted.provider, `warm ${wanted.tier}`, () => warm(wanted)),
    banish(provider, tier, cause) {
      const over = inLine(provider, `gone ${tier}`, () => letGo(provider, { tier, cause }));
      if (unloads.get(provider) !== over) {
        unloads.set(provider, over);
        const leave = () => {
          if (unloads.get(provider) === over) unloads.delete(provider);
        };
        over.then(leave, leave);
      }
      return over;
    },
    banishing: () => unloads,
    async reset(provider) {
      failures.delete(provider);
      pulses.forget(provider);
      // What it says of itself counts again.
      world.note(provider, { phase: 'error', detail: 'it was reset', until: now() });
      await world.refresh(provider);
    },
  };
}

function leastFree(states: readonly GpuState[], device: string | null): number | null {
  const known = states.map(({ devices }) => freeOn(devices.find(({ id }) => id === device))).filter((free) => free !== null);
  return known.length === 0 ? null : Math.min(...known);
}

const freeOn = (device: GpuDevice | undefined): number | null =>
  device?.memoryTotalBytes == null || device.memoryUsedBytes === null ? null : device.memoryTotalBytes - device.memoryUsedBytes;

const stale = (message: string): Manifested => ({ ok: false, why: 'stale', error: refuse('conflict', message) });

const haltedError = (provider: string, detail: string | null) =>
  refuse('no_capability', `${provider} is halted: ${detail ?? 'its loads failed'}.`, {
    hint: 'Look at its log, then reset it with OS.models.reset.',
  });

/** What is done with one provider, in turns: behind what is done with it now, or together with it where that is the same. */
function createLine(): <T>(provider: string, what: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, { what: string; over: Promise<unknown> }>();
  return <T>(provider: string, what: string, work: () => Promise<T>): Promise<T> => {
    const before = last.get(provider);
    if (before?.what === what) return before.over as Promise<T>;
    const over = before === undefined ? work() : before.over.then(work, work);
    last.set(provider, { what, over });
    const leave = () => {
      if (last.get(provider)?.over === over) last.delete(provider);
    };
    over.then(leave, leave);
    return over;
  };
}
