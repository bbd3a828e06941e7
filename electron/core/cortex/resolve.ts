/** Which models a need gets on this hardware: pure, exact, deterministic. */
import type { Assignment, Eviction, Need, Rejected, Resolved, World } from '../../../shared/cortex.ts';
import { refuse, type WireError } from '../../../shared/errors.ts';
import { type Candidates, type Form, findCandidates } from './resolve-candidates.ts';
import { type Bounds, easiest, worthwhile } from './resolve-dominance.ts';
import { createRoom, type Effort, leastSwapPriority, members, type Room, rightNow, type View, viewAt } from './resolve-room.ts';
import { createFinder, type Plan } from './resolve-search.ts';
import {
  createShortWords,
  downgradeOf,
  gigabytes,
  outranked,
  reasonsOf,
  several,
  spanWords,
  stayWords,
  widestShelf,
} from './resolve-words.ts';

/** So much is tried at most; then the best so far is taken, and the reasons say so. About 0.1 s. */
const mostSteps = 400_000;

/**
 * In: what is needed, and the world as it is. Out: what is done for it, when, or why not; `World.version` of the world it is true of. Never throws
 * for what a registry or a caller can say. It is exact in all but inputs made to defeat it: past `mostSteps` it says in its reasons that it gave up.
 *
 * CANDIDATES. A candidate is a tier of a provider that offers a capability of the need. Left out before anything is ranked: remote
 * providers where the world is sovereign or the need sensitive; providers that are farther than the need's `egress` (local, lan, remote);
 * unavailable ones; with `need.model`, tiers whose model it is not, unless it is the provider's name; with `need.tier`, providers without a tier of
 * that name and tiers after it; tiers whose known context is shorter than `contextTokens`. A need without capabilities asks for any one tier of the
 * model.
 *   In place: a resident of this provider and tier that is warm or warming. It is used where it is, and needs neither a load nor room. A
 * provider whose controller is `openai` is always warm: likewise, whether resident or not.
 *   Otherwise it is a load. If devices are known: a tier whose vram is null is no candidate; one of 0 bytes is put on no device; any other is put on
 * one device, of `provider.devices` if that names any. If none is known, loads take no memory and are put on no device.
 *
 * PLAN. A set of candidates, at most one for a provider, each with its device, that offers every capability of the need, and the evictions E
 * that make room for it. It can be had when:
 *  - any two providers of the plan share a group, or one of them is in none;
 *  - no resident that the plan uses in place is in E;
 *  - E has every resident that a load banishes: other tiers of the same provider, and residents, on any device, of a provider that shares no group with
 *    it where both are in some;
 *  - on each device with loads and a known total: loads that are not pinned + max(reservedBytes, pinned loads) is at most total - others -
 *    residents that are not in E. A vram of null counts as 0. Residents that drain count as gone, everywhere;
 *  - every resident in E may go: it is not pinned (nor its provider), nobody leases it, its provider is known and its controller not `openai`, its priority is at
 *    most the need's, and the need's is at least 40;
 *  - if E is not empty: priority x weight of the context (speech 10, interactive 5, background 2, training 1) seconds is more than the sum over E of
 *    stopMs + reloadMs + contextMs, plus inertiaMs.
 * For given candidates and devices E is first of all that can be had by: least sum of stopMs + reloadMs + contextMs; fewest evictions; then, in
 * the order of provider, tier and device names, the set with the first resident that is not in both.
 *
 * OBJECTIVE. Of all plans that can be had now, the first by, in this order:
 *  1. fewest remote providers;
 *  2. fewest providers;
 *  3. least sum over E of stopMs + reloadMs + contextMs, then fewest evictions;
 *  4. least sum, over the providers of the plan, of the place of the tier in `tiers` (0 is the best);
 *  5. fewest loads, then fewest that are warming;
 *  6. shortest wait for what is not warm: the greatest loadMs of loads and of those warming (stops are in 3);
 *  7. fewest lan providers;
 *  8. names: the sorted names of the providers, name by name; then the places of their tiers in that order; then the places of their devices in
 *     `world.devices`, in that order, before which comes no device.
 * A capability that several providers of the plan offer is assigned to the nearest (local, lan, remote), then by name.
 *
 * WAIT. If none can be had now: the earliest moment at which one can, and its first plan by the same order. At moment t a resident
 *  - is leased no more if each of its leases has an `until` of at most t (one in the past counts as now; open ones end at some time, after all others);
 *  - goes by itself if it is not pinned and its idle time is over by t: `idleAt`, or the end of its leases plus the provider's `idleMs`. In E it then costs
 *    nothing, counts as no eviction, and needs no priority. Of sets that cost the same with as many evictions the one with fewest residents is first. It may be used in
 *    place nevertheless.
 * `waitsFor` has the leases of the residents in E, and `evictions` those of E that do not go by themselves.
 *
 * `etaMs` is t - now (null for an open lease) + the longest stopMs in E, or of one that drains on a device that is loaded on or in a provider of the plan,
 * + what 6 says.
 *
 * REFUSAL. If there is no such moment. Where a capability has no candidate: `sovereign_refused` if whatever has none is offered, and only by remote
 * providers that sovereign mode or the need's sensitivity excludes; else `no_capability`. Where each has some: `vram_exhausted` if there would be a plan with more memory; `conflict` if there would be none, because
 * of groups. `input_invalid` for a need of nothing, or of more than 30 capabilities.
 */
export function resolve(need: Need, world: World): Resolved {
  return resolveCounted(need, world).resolved;
}

/** The same, and how much was tried. */
export function resolveCounted(need: Need, world: World, limit = mostSteps): { resolved: Resolved; steps: number; exact: boolean } {
  const effort: Effort = { steps: 0, limit: 0, cut: false };
  const counted = (resolved: Resolved) => {
    if (effort.cut) resolved.reasons.push(`Not every plan was compared: the search ended after ${effort.steps} steps.`);
    return { resolved, steps: effort.steps, exact: !effort.cut };
  };
  const fault = faultOf(need);
  if (fault !== null) return counted(refused({ need, world, error: fault, rejected: [] }));
  const providers = new Map(world.providers.map((provider) => [provider.name, provider]));
  const room = createRoom(need, world, providers);
  const candidates = findCandidates(need, world, room);
  const { forms, rejected, all } = candidates;
  const missing = all & ~forms.reduce((mask, { mask: theirs }) => mask | theirs, 0);
  if (missing !== 0) return counted(refused({ need, world, error: missingError({ need, candidates, missing }), rejected }));

  const widest = Math.max(1, need.capabilities.length);
  const allow = (share: number) => {
    effort.limit = effort.steps + limit * share;
  };
  allow(0.2);
  const easy = easiest(forms, effort);
  allow(0.2);
  let view = viewAt(room, rightNow, effort);
  let bounds = fewestAt(view);
  if (bounds === null) {
    allow(0.2);
    const later = earliest();
    if (later === null) {
      allow(0.2);
      const error = shortError({ need, world, room, forms: easy, all, effort });
      const reasonOf = createShortWords({ need, room });
      for (const form of forms) rejected.push({ provider: form.provider.name, tier: form.tier.name, reason: reasonOf(form) });
      return counted(refused({ need, world, error, rejected }));
    }
    allow(0.2);
    view = viewAt(room, later.moment, effort);
    bounds = fewestAt(view) ?? { all, remote: widest, providers: widest, plan: later.plan };
  }
  allow(0.2);
  const best = createFinder(worthwhile(forms, bounds, effort), view, effort).find(bounds, 'best') ?? bounds.plan;
  return counted(answer({ need, world, plan: best, view, candidates }));

  /** The fewest remote providers, and the fewest providers with those, that a plan takes. */
  function fewestAt(at: View): (Bounds & { plan: Plan }) | null {
    const finder = createFinder(easy, at, effort);
    const far = easy.some((form) => form.remote === 1);
    for (let remote = 0; remote <= (far ? widest : 0); remote++) {
      for (let count = Math.max(1, remote); count <= widest; count++) {
        const plan = finder.find({ all, remote, providers: count }, 'first');
        if (plan !== null) return { all, remote, providers: count, plan };
      }
    }
    return null;
  }

  function earliest(): { moment: number; plan: Plan } | null {
    const moments = new Set<number>();
    for (const { endsAt, goneAt, evictable } of room.occupants) {
      if (goneAt !== null) moments.add(goneAt);
      if (evictable && endsAt !== rightNow) moments.add(endsAt);
    }
    const sorted = [...moments].sort((a, b) => a - b);
    let found: { moment: number; plan: Plan } | null = null;
    // More may go with every moment and for less, and nothing more is needed: what can be had once can be had later.
    for (let [low, high, middle] = [0, sorted.length - 1, sorted.length - 1]; low <= high; middle = (low + high) >> 1) {
      const moment = sorted[middle]!;
      const plan = createFinder(easy, viewAt(room, moment, effort), effort).find({ all, remote: widest, providers: widest }, 'first');
      if (plan !== null) found = { moment, plan };
      else if (found === null) return null;
      if (plan !== null) high = middle - 1;
      else low = middle + 1;
    }
    return found;
  }
}

function faultOf({ capabilities, model }: Need): WireError | null {
  if (capabilities.length === 0 && model === null) return refuse('input_invalid', 'The need names neither a capability nor a model.');
  if (capabilities.length > 30) return refuse('input_invalid', `The need names ${capabilities.length} capabilities; 30 are the most.`);
  return null;
}

function refused({ need, world, error, rejected }: { need: Need; world: World; error: WireError; rejected: Rejected[] }): Resolved {
  return {
    ...{ outcome: 'refusal', need, assignments: [], loads: [], evictions: [], etaMs: null, waitsFor: [], downgrade: null, error },
    ...{ reasons: [error.message], rejected, version: world.version },
  };
}

function missingError({ need, candidates, missing }: { need: Need; candidates: Candidates; missing: number }): WireError {
  const named = (mask: number) => need.capabilities.filter((_, i) => (mask & (1 << i)) !== 0).join(', ') || (need.model ?? '');
  const purged = missing & candidates.purged & ~candidates.tooFar & ~candidates.lost;
  const nobody = missing & ~candidates.purged & ~candidates.tooFar & ~candidates.lost;
  if (nobody !== 0) {
    return refuse('no_capability', `Nobody offers ${named(nobody)}.`, { hint: 'Name a provider under providers: in the registry.' });
  }
  if (purged === missing) {
    return refuse('sovereign_refused', `Only remote providers offer ${named(purged)}.`, {
      hint: need.sensitive ? 'The need is sensitive; declare a local provider.' : 'Declare a local provider, or turn sovereign off.',
    });
  }
  const far = missing & candidates.tooFar & ~candidates.lost;
  if (far !== 0) {
    return refuse('no_capability', `Nobody within ${need.egress} offers ${named(far)}.`, {
      hint: 'Allow a farther egress, or declare a nearer provider.',
    });
  }
  const why = candidates.rejected.map(({ provider, tier, reason }) => `${tier === null ? provider : `${provider} ${tier}`}: ${reason}`);
  return refuse('no_capability', `Nobody who offers ${named(missing)} can be had: ${why.slice(0, 5).join('; ')}.`);
}

interface Short {
  need: Need;
  world: World;
  room: Room;
  forms: readonly Form[];
  all: number;
  effort: Effort;
}

/** Nothing that ends or goes makes room. */
function shortError({ need, world, room, forms, all, effort }: Short): WireError {
  const endless: Room = { ...room, devices: room.devices.map((shelf) => ({ ...shelf, free: Number.POSITIVE_INFINITY })) };
  const roomy = createFinder(forms, viewAt(endless, Number.POSITIVE_INFINITY, effort), effort);
  const plan = roomy.find({ all, remote: 30, providers: 30 }, 'first');
  const stays = room.occupants.map((occupant) => stayWords(occupant, need, room)).filter((why) => why !== null);
  const hint =
    need.priority < leastSwapPriority
      ? `A priority of at least ${leastSwapPriority} may make room.`
      : 'Unload something, or ask for a smaller tier.';
  if (plan === null) {
    return refuse(
      'conflict',
      `What it needs may not be resident beside what is${stays.length === 0 ? '' : `: ${stays.slice(0, 3).join('; ')}`}.`,
      { hint },
    );
  }
  const largest = plan.choices.reduce((a, b) => (b.form.bytes > a.form.bytes ? b : a)).form;
  const together = plan.choices.reduce((sum, { form }) => sum + form.bytes, 0);
  const { id, free } = widestShelf(largest, room);
  const known = Number.isFinite(free);
  const holders = [
    ...room.occupants.map(({ resident: { provider, tier, vram } }) => ({
      ...{ name: `${provider} ${tier}`, bytes: vram?.bytes ?? null, source: vram?.source ?? ('estimated' as const) },
    })),
    ...world.devices
      .filter(({ others }) => others.bytes > 0)
      .map(({ name, others }) => ({ name: `other programs on ${name}`, bytes: others.bytes, source: others.source })),
  ].sort((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0));
  const message = known
    ? `${largest.provider.name} ${largest.tier.name} needs ${gigabytes(largest.bytes)}, ${gigabytes(Math.max(0, free))} are free on ${id}.`
    : `There is no room for ${largest.provider.name} ${largest.tier.name}.`;
  return refuse('vram_exhausted', stays.length === 0 ? message : `${message.slice(0, -1)}; ${stays.slice(0, 3).join('; ')}.`, {
    hint,
    vram: { need: together, free: known ? Math.max(0, free) : null, holders },
  });
}

interface Answer {
  need: Need;
  world: World;
  plan: Plan;
  view: View;
  candidates: Candidates;
}

function answer({ need, world, plan, view, candidates }: Answer): Resolved {
  const { room, moment } = view;
  const { choices } = plan;
  const going = members(plan.evictions);
  const deviceOf = ({ form, device }: { form: Form; device: number }) =>
    form.inPlace !== null ? form.inPlace.resident.device : (room.devices[device]?.id ?? null);

  const capabilities = need.capabilities.length > 0 ? need.capabilities : choices[0]!.form.provider.capabilities;
  const nearest = [...choices].sort((a, b) => distanceOf(a.form) - distanceOf(b.form) || a.form.rank - b.form.rank);
  const assignments = (capabilities.length > 0 ? capabilities : [need.model!]).map((capability): Assignment => {
    const choice = nearest.find(({ form }) => form.provider.capabilities.includes(capability)) ?? nearest[0]!;
    const { provider, tier, phase } = choice.form;
    return {
      capability,
      provider: provider.name,
      tier: tier.name,
      model: tier.model,
      device: deviceOf(choice),
      egress: provider.egress,
      phase,
    };
  });
  const loading = choices.filter(({ form }) => form.phase === 'cold');
  const loads = loading.map((choice) => {
    const { provider, tier } = choice.form;
    return { provider: provider.name, tier: tier.name, model: tier.model, device: deviceOf(choice), vram: tier.vram, loadMs: tier.loadMs };
  });
  const evictions = going
    .filter((occupant) => view.going(occupant)!.paid === 1)
    .map(({ resident, provider }): Eviction => {
      const { tier, model, device, vram, stopMs, reloadMs, contextMs } = resident;
      const forcing = loading.filter(({ form }) => form.forced.some((forced) => forced.resident === resident));
      const own = forcing.some(({ form }) => form.provider === provider);
      const cause = own ? 'tier' : forcing.length > 0 ? 'group' : 'memory';
      return { ...{ provider: resident.provider, tier, model, device, frees: vram, cause }, stopMs, reloadMs, contextMs };
    });
  const inTheWay = room.draining.filter((resident) =>
    loading.some(
      (choice) => choice.form.provider.name === resident.provider || (resident.device !== null && deviceOf(choice) === resident.device),
    ),
  );
  const stopMs = Math.max(0, ...going.map(({ resident }) => resident.stopMs), ...inTheWay.map((resident) => resident.stopMs));
  const readyMs = Math.max(...choices.map(({ form }) => form.readyMs));
  const grant = moment === rightNow;
  const waitMs = grant ? 0 : moment - world.at;
  const waitsFor = grant ? [] : [...new Set(going.flatMap(({ resident }) => resident.leases.map(({ id }) => id)))].sort();

  const lower = choices
    .map((choice) => {
      const { provider, position } = choice.form;
      return { choice, better: candidates.forms.find((other) => other.provider === provider && other.position < position) };
    })
    .find(({ better }) => better !== undefined);
  const told = { need, plan, view, candidates, evictions };
  const reasons = reasonsOf(told);
  let downgrade: Resolved['downgrade'] = null;
  if (lower?.better !== undefined) {
    const { choice, better } = lower;
    const { provider, tier } = choice.form;
    const { cause, reason } = downgradeOf(choice, better, told);
    downgrade = { provider: provider.name, from: better.tier.name, to: tier.name, cause };
    reasons.unshift(reason);
  }
  if (!grant) reasons.unshift(...waitWords({ need, view, going, waitsFor, waitMs }));
  return {
    ...{ outcome: grant ? 'grant' : 'wait', need, assignments, loads, evictions, waitsFor, downgrade, error: null, reasons },
    etaMs: Number.isFinite(waitMs) ? waitMs + stopMs + readyMs : null,
    rejected: [...candidates.rejected, ...outranked(told)],
    version: world.version,
  };
}

const distanceOf = ({ remote, lan }: Form) => remote * 2 + lan;

interface Waiting {
  need: Need;
  view: View;
  going: ReturnType<typeof members>;
  waitsFor: readonly string[];
  waitMs: number;
}

function waitWords({ need, view, going, waitsFor, waitMs }: Waiting): string[] {
  const when = Number.isFinite(waitMs) ? `${spanWords(waitMs)} at most` : 'nobody knows when';
  const words = [
    waitsFor.length > 0 ? `waits for ${several(waitsFor)} to end: ${when}.` : `waits until what is idle is unloaded: ${when}.`,
  ];
  for (const occupant of going) {
    const why = stayWords(occupant, need, view.room);
    if (why !== null) words.push(`${why}.`);
  }
  return words;
}
