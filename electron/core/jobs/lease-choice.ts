/** What somebody would get as things are, and when those who have it let go. */
import type { Need, Resolved } from '../../../shared/cortex.ts';
import { contextWeights, leastSwapPriority } from '../cortex/resolve-room.ts';
import { type Book, type Entry, type Group, isFree, lengthOf, placeOf, providersOf, remoteOf, type Turn, type View } from './lease-book.ts';
import { createView, fitsNow, fullOf, isSettled, needKey, resolveIn } from './lease-view.ts';

export interface Choice {
  plan: Resolved;
  /** It can be had now, if nobody is to go before. */
  ready: boolean;
  /** It never can be had, as things are. */
  hopeless: boolean;
  reason: string;
  /** When it should be warm, by its plan alone; null: nobody knows. */
  eta: number | null;
}

/** Every swap is worth it. */
const EAGER_MS = -1e12;

export function viewOf({ next }: Turn): View | null {
  if (next.view === null && next.known !== null) next.view = createView(next, next.known);
  return next.view;
}

export function lookAgain({ next }: Turn, at: number): void {
  if (next.again === null || at < next.again) next.again = at;
}

/** What somebody would get, by `view` and the places that are taken now. */
export function choose(
  turn: Turn,
  { need, excluded, stale }: Pick<Group, 'need' | 'excluded' | 'stale'>,
  { view, since }: { view: View | null; since: number },
): Choice {
  const { next } = turn;
  const etaOf = (plan: Resolved) => (plan.etaMs === null || view === null ? null : Math.max(next.now, view.world.at + plan.etaMs));
  const waits = (plan: Resolved, reason: string, eta = etaOf(plan)): Choice => ({ plan, ready: false, hopeless: false, reason, eta });
  if (view === null) return waits(unknown(need), 'it is not known yet which models there are');
  if (stale !== null && view.world.version <= stale.version && next.now < stale.until) {
    lookAgain(turn, stale.until);
    return waits({ ...unknown(need), version: stale.version }, 'what was planned does not fit any more; it is planned again');
  }
  const without = new Map(excluded.map((provider) => [provider, 'its load failed']));
  let plan = resolveIn(view, need, without);
  if (plan.outcome === 'grant') {
    if (excluded.length === 0 && isSettled(plan)) next.warm.set(needKey(need), plan);
    const remote = remoteOf(plan);
    const first = plan;
    const nearer = remote === 0 ? undefined : view.world.unavailable.find(({ soon, provider }) => soon && rejects(first, provider));
    if (nearer !== undefined) return waits(plan, `${nearer.provider}: ${nearer.reason}`, null);
    const full = fullOf(next, plan);
    if (full.length > 0) {
      // Another one that is warm and just as near will do.
      for (let busy = full; plan.outcome === 'grant' && busy.length > 0; busy = fullOf(next, plan)) {
        for (const provider of busy) without.set(provider, 'it takes no more at a time');
        plan = resolveIn(view, need, without);
      }
      if (!isFree(plan) || remoteOf(plan) > remote) return waits(first, fullWords(next, full[0]!), soonest(next, first));
    }
    if (!fitsNow(view, plan)) return waits(plan, 'what it replaces is still being unloaded');
    return { plan, ready: true, hopeless: false, reason: plan.reasons[0] ?? 'it is next', eta: etaOf(plan) };
  }
  if (need.priority >= leastSwapPriority && (plan.outcome === 'wait' || plan.error?.code === 'vram_exhausted')) {
    const aged = resolveEagerly(next, view, [need, without]);
    // It is no refusal that what would go for it is in use: once it is idle it is only a matter of time.
    if (aged.outcome === 'wait' && plan.outcome === 'refusal') return waits(aged, aged.reasons[0] ?? 'what would make room is in use');
    if (aged.outcome === 'grant' && aged.evictions.length > 0) {
      const costMs = aged.evictions.reduce((sum, { stopMs, reloadMs, contextMs }) => sum + stopMs + reloadMs + contextMs, 0);
      const shortMs = costMs + view.world.inertiaMs - need.priority * contextWeights[need.context] * 1000 + 1;
      const prior = aged.evictions.some((eviction) => (view.residents.get(placeOf(eviction))?.priority ?? 0) > need.priority);
      const due = since + (prior ? next.starveMs : Math.min(Math.max(shortMs, 0), next.starveMs));
      const cost = `the swap costs ${Math.round((costMs + view.world.inertiaMs) / 1000)} s`;
      if (due <= next.now) {
        const [busy] = fullOf(next, aged);
        if (busy !== undefined) return waits(aged, fullWords(next, busy), soonest(next, aged));
        if (!fitsNow(view, aged)) return waits(aged, 'what it replaces is still being unloaded');
        const reason = `it waited ${Math.round((next.now - since) / 1000)} s, and now ${cost} and is worth it`;
        return { plan: { ...aged, reasons: [reason, ...aged.reasons] }, ready: true, hopeless: false, reason, eta: etaOf(aged) };
      }
      lookAgain(turn, due);
      const eta = aged.etaMs === null ? null : due + aged.etaMs;
      const other = etaOf(plan);
      if (plan.outcome === 'refusal' || (eta !== null && (other === null || eta < other)))
        return waits({ ...aged, outcome: 'wait' }, `${cost}, which is worth it after ${Math.ceil((due - since) / 1000)} s of waiting`, eta);
    }
  }
  if (plan.outcome === 'wait') return waits(plan, plan.reasons[0] ?? 'what it needs is in use');
  const hope = hopeOf(next, view, plan);
  return hope === null ? { plan, ready: false, hopeless: true, reason: plan.error!.message, eta: null } : waits(plan, hope, null);
}

/** What is warm and takes one more, without looking at anything else; null: look. */
export function settledChoice(book: Book, key: string): Choice | null {
  const plan = book.warm.get(key);
  return plan === undefined || fullOf(book, plan).length > 0 ? null : { plan, ready: true, hopeless: false, reason: '', eta: book.now };
}

const rejects = ({ rejected }: Resolved, name: string): boolean => rejected.some(({ provider }) => provider === name);

function unknown(need: Need): Resolved {
  return {
    ...{ outcome: 'wait', need, assignments: [], loads: [], evictions: [], etaMs: null, waitsFor: [], downgrade: null },
    ...{ error: null, reasons: [], rejected: [], version: 0 },
  };
}

/** As if any swap were worth it, and what others did with a model gave it no priority. */
function resolveEagerly({ known }: Book, view: View, [need, without]: [Need, ReadonlyMap<string, string>]): Resolved {
  const declared = (provider: string) => known?.providers.get(provider)?.priority ?? 0;
  const key = `eager ${needKey(need)} ${[...without.keys()].sort().join()}`;
  let plan = view.plans.get(key);
  if (plan === undefined) {
    const residents = view.world.residents.map((resident) => ({
      ...resident,
      priority: Math.min(resident.priority, declared(resident.provider)),
    }));
    const world = { ...view.world, inertiaMs: EAGER_MS, residents };
    plan = resolveIn({ ...view, world, plans: new Map() }, need, without);
    view.plans.set(key, plan);
  }
  return plan;
}

/** What is under way that may change a refusal, in words. */
function hopeOf({ animations }: Book, { residents, world }: View, { error, need, rejected }: Resolved): string | null {
  const unknown = error?.code === 'input_invalid' ? undefined : world.unavailable.find(({ soon }) => soon);
  if (unknown !== undefined) return `${unknown.provider}: ${unknown.reason}`;
  if (error?.code === 'vram_exhausted') {
    for (const { phase, provider } of residents.values()) if (phase !== 'warm') return `${provider} is ${phase}, which may make room`;
  }
  if (error?.code === 'no_capability') {
    for (const { plan } of animations.values()) {
      const busy = plan.loads.find(
        ({ provider, model }) => provider === need.model || model === need.model || rejected.some((one) => one.provider === provider),
      );
      if (busy !== undefined) return `${busy.provider} is being loaded`;
    }
  }
  return null;
}

function fullWords({ known }: Book, provider: string): string {
  return `${provider} takes ${known!.providers.get(provider)!.concurrency} at a time`;
}

// --- how long others take ---------------------------------------------------------------------------------------------

/** When somebody who has models lets go of them, as far as can be said. */
export function endOf(book: Book, { ask, plan, heldAt, until, phase }: Entry): number | null {
  if (ask.holder.kind === 'grant' || plan === null) return until;
  const usual = usualOf(book, plan);
  if (usual === null) return until;
  const ends = Math.max(book.now, (phase === 'held' ? heldAt : book.now) + usual);
  return until === null ? ends : Math.min(until, ends);
}

export function usualOf(book: Book, { assignments }: Resolved): number | null {
  let longest: number | null = 0;
  for (const assigned of assignments) {
    const usual = lengthOf(book, assigned);
    longest = usual === null || longest === null ? null : Math.max(longest, usual);
  }
  return longest;
}

/** When the first of those who have it lets go. */
export function soonest(book: Book, plan: Resolved): number | null {
  let at: number | null = null;
  for (const provider of providersOf(plan)) {
    for (const lease of book.uses.get(provider)?.keys() ?? []) {
      const ends = endOf(book, book.entries.get(lease)!);
      if (ends !== null && (at === null || ends < at)) at = ends;
    }
  }
  return at;
}
