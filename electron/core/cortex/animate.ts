/** Brings plans to life, one after the other of its steps: is it still true, what has to go, what has to come, is it all there. */
import type { Resolved } from '../../../shared/cortex.ts';
import { toWire, type WireError } from '../../../shared/errors.ts';
import { reportBug } from '../jobs/life.ts';
import type { Loop } from '../jobs/loop.ts';
import type { Manifests } from './manifest.ts';
import type { WorldSource } from './world.ts';

export interface AnimateParts {
  world: Pick<WorldSource, 'world'>;
  loop: Pick<Loop, 'world' | 'animated' | 'notAnimated' | 'leases'>;
  manifests: Manifests;
  /** The cortex ends: nobody is told anything any more. */
  ending: AbortSignal;
  tell(step: string, detail: Record<string, string | number | null>): Promise<void>;
}

export interface Animator extends AsyncDisposable {
  /** Answers with `animated` or `notAnimated`, never before it returns. */
  animate(lease: string, plan: Resolved): void;
  evict(provider: string, tier: string): void;
}

/** provider null: what was planned does not fit the world any more, or did not fit the memory for the first time. */
type Verdict = { warm: true } | { warm: false; provider: string | null; error: WireError | null };

export function createAnimator({ world, loop, manifests, ending, tell }: AnimateParts): Animator {
  /** Leases that ran out of memory once: the next tier is theirs, and after that the next candidate. */
  const fell = new Set<string>();
  const running = new Set<Promise<void>>();

  function run(work: () => Promise<void>): void {
    // After the schedule has done all that led here.
    const done = Promise.resolve()
      .then(work)
      .catch(reportBug)
      .finally(() => running.delete(done));
    running.add(done);
  }

  async function bring(lease: string, plan: Resolved): Promise<void> {
    let verdict: Verdict;
    try {
      verdict = await perform(lease, plan);
    } catch (caught) {
      reportBug(caught);
      verdict = { warm: false, provider: plan.assignments[0]?.provider ?? null, error: toWire(caught) };
    }
    if (ending.aborted) return;
    if (verdict.warm || verdict.provider !== null) fell.delete(lease);
    // It is judged in the world that this was seen in, or made.
    if (!verdict.warm || plan.loads.length + plan.evictions.length > 0) loop.world(world.world());
    if (verdict.warm) loop.animated(lease);
    else loop.notAnimated(lease, { provider: verdict.provider, error: verdict.error });
  }

  async function perform(lease: string, plan: Resolved): Promise<Verdict> {
    const changed = world.world().version === plan.version ? null : staleness(lease, plan);
    if (changed !== null) return stale(lease, changed);

    // Those that go by themselves make room as well.
    const going = plan.loads.length > 0 ? [...manifests.banishing().values()] : [];
    const gone = await Promise.all(plan.evictions.map(async ({ provider, tier, cause }) => manifests.banish(provider, tier, cause)));
    await Promise.all(going);
    const kept = gone.find((error) => error !== null);
    if (kept !== undefined) return { warm: false, provider: plan.loads[0]?.provider ?? plan.assignments[0]!.provider, error: kept };
    if (gone.length + going.length > 0) {
      const since = staleness(lease, { ...plan, evictions: [] });
      if (since !== null) return stale(lease, since);
    }

    const wanted = new Map(plan.assignments.map(({ provider, tier, device }) => [provider, { provider, tier, device }]));
    const results = await Promise.all(
      Array.from(wanted.values(), async (one) => ({ provider: one.provider, result: await manifests.manifest(one) })),
    );
    for (const { provider, result } of results) {
      if (result.ok) continue;
      if (result.why === 'stale') return stale(lease, result.error.message);
      if (result.why === 'failed' || fell.has(lease)) return { warm: false, provider, error: result.error };
      remember(lease);
      return { warm: false, provider: null, error: result.error };
    }
    const lost = staleness(lease, { ...plan, evictions: [], loads: [] });
    return lost === null ? { warm: true } : stale(lease, lost);
  }

  function remember(lease: string): void {
    // Those that were given up meanwhile come no more.
    const { leases } = loop.leases();
    for (const id of fell) if (!leases.some((one) => one.id === id)) fell.delete(id);
    fell.add(lease);
  }

  /** The schedule counts how often that happens to a lease. */
  function stale(lease: string, why: string): Verdict {
    void tell('plan_stale', { lease, why }).catch(() => undefined);
    return { warm: false, provider: null, error: null };
  }

  /** Why the plan is not one for the world as it is now; null: it still is. */
  function staleness(lease: string, { assignments, loads, evictions }: Resolved): string | null {
    const { providers, residents, unavailable, devices, sovereign } = world.world();
    const goes = (provider: string) => evictions.some((one) => one.provider === provider);
    for (const { provider: name, tier, model, egress } of assignments) {
      const provider = providers.find((one) => one.name === name);
      if (!provider?.tiers.some((one) => one.name === tier && one.model === model)) return `${name} does not offer ${model} any more.`;
      if (provider.egress !== egress) return `${name} is ${provider.egress} now, and was ${egress} when it was planned.`;
      if (sovereign && provider.egress === 'remote') return `${name} is remote, and sovereign is on.`;
      const reason = unavailable.find((one) => one.provider === name)?.reason;
      if (reason !== undefined) return `${name} cannot be had: ${reason}.`;
      if (provider.controller.kind === 'openai') continue;
      const there = residents.find((one) => one.provider === name);
      if (there && there.tier !== tier && !goes(name)) return `${name} holds its tier ${there.tier}.`;
      if (!there && !loads.some((one) => one.provider === name)) return `${name} does not hold ${model} any more.`;
    }
    const { leases } = loop.leases();
    for (const { provider } of evictions)
      if (leases.some(({ id, models }) => id !== lease && models.some((one) => one.provider === provider)))
        return `${provider} is in use again.`;
    for (const { id, total, others } of devices) {
      if (total === null) continue;
      // Those that come are counted below, and those that go make room.
      const stay = residents.filter((one) => one.device === id && one.phase !== 'draining' && !goes(one.provider));
      const coming = loads.filter((load) => load.device === id && !stay.some((one) => one.provider === load.provider));
      const need = sum(coming.map(({ vram }) => vram?.bytes ?? 0));
      const free = total.bytes - others.bytes - sum(stay.map(({ vram }) => vram?.bytes ?? 0));
      if (need > free) return `${id} has ${free} bytes left, and ${need} are needed.`;
    }
    return null;
  }

  return {
    animate: (lease, plan) => run(() => bring(lease, plan)),
    evict: (provider, tier) => run(async () => void (await manifests.banish(provider, tier, 'unused'))),
    async [Symbol.asyncDispose]() {
      await Promise.all(running);
    },
  };
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
