/** What a resolution says of itself: sentences with numbers. */
import type { Eviction, Need, Rejected } from '../../../shared/cortex.ts';
import type { Candidates, Form } from './resolve-candidates.ts';
import { contextWeights, leastSwapPriority, members, type Occupant, type Room, type View } from './resolve-room.ts';
import type { Choice, Plan } from './resolve-search.ts';

export const gigabytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GB`;

const seconds = (ms: number) => `${Number((ms / 1000).toFixed(1))}`;

/** `37.5 s`; what is longer than two minutes in whole minutes or hours, rounded up. */
export function spanWords(ms: number): string {
  const minutes = Math.ceil(ms / 60_000);
  if (minutes <= 2) return `${seconds(ms)} s`;
  return minutes <= 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

/** As many as one sentence holds; hundreds may use one model. */
const NAMED_MOST = 6;

/** `a, b and c`; of many: `a, b, c, d, e and 40 more`. */
export function several(names: readonly string[]): string {
  if (names.length < 2) return names.join('');
  if (names.length <= NAMED_MOST) return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
  return `${names.slice(0, NAMED_MOST - 1).join(', ')} and ${names.length - NAMED_MOST + 1} more`;
}

const providers = (count: number) => (count === 1 ? '1 provider' : `${count} providers`);

/** `250 s is more than 35 s (...)`, or `is not more than`. */
function swapWords(need: Need, costs: readonly { stopMs: number; reloadMs: number; contextMs: number }[], room: Room): string {
  const whim = need.priority * contextWeights[need.context];
  const sum = (of: 'stopMs' | 'reloadMs' | 'contextMs') => costs.reduce((total, cost) => total + cost[of], 0);
  const [stop, reload, context] = [sum('stopMs'), sum('reloadMs'), sum('contextMs')];
  const inertia = whim * 1000 - room.allowedMs;
  const total = stop + reload + context + inertia;
  return (
    `priority ${need.priority} x ${need.context} ${contextWeights[need.context]} = ${whim} s is ${whim * 1000 > total ? '' : 'not '}more than ${seconds(total)} s ` +
    `(stop ${seconds(stop)} + reload ${seconds(reload)} + context ${seconds(context)} + inertia ${seconds(inertia)})`
  );
}

/** Why somebody who stands in the way does not go now. null: it does. */
export function stayWords(occupant: Occupant, need: Need, room: Room): string | null {
  const { resident, provider } = occupant;
  const name = `${resident.provider} ${resident.tier}`;
  if (resident.pinned || provider?.pinned === true) return `${name} is pinned`;
  if (resident.leases.length > 0) {
    return `${name} is in use by ${several(resident.leases.map(({ id }) => id))}`;
  }
  if (provider === null || provider.controller.kind === 'openai') return `${name} cannot be unloaded from here`;
  if (need.priority < leastSwapPriority) return `priority ${need.priority} is below ${leastSwapPriority}: ${name} is not evicted for it`;
  if (resident.priority > need.priority) return `${name} has priority ${resident.priority}, the need ${need.priority}`;
  if (occupant.costMs < room.allowedMs) return null;
  return `no swap for ${name}: ${swapWords(need, [resident], room)}`;
}

export interface Told {
  need: Need;
  plan: Plan;
  view: View;
  candidates: Candidates;
  evictions: readonly Eviction[];
}

/** The device on which a form would have most room, and what is free there. */
export function widestShelf(form: Form, room: Room): { device: number; id: string; free: number } {
  let found = { device: -1, id: '', free: form.bytes === 0 ? 0 : Number.NEGATIVE_INFINITY };
  for (const device of form.devices) {
    const shelf = room.devices[device];
    const free = shelf === undefined ? 0 : shelf.free - (form.pinned ? 0 : shelf.reserved);
    if (shelf !== undefined && free > found.free) found = { device, id: shelf.id, free };
  }
  return found;
}

/** Why a form is not had now: what it needs, what there is, and who holds the rest. */
export function createShortWords({ need, room }: { need: Need; room: Room }): (form: Form) => string {
  const holders = room.devices.map((): Occupant | null => null);
  for (const occupant of room.occupants) {
    const { device, bytes } = occupant;
    if (device >= 0 && bytes > (holders[device]?.bytes ?? 0)) holders[device] = occupant;
  }
  return (form) => {
    for (const occupant of form.forced) {
      const why = stayWords(occupant, need, room);
      if (why !== null) return `${occupant.resident.provider} ${occupant.resident.tier} would have to go, but ${why}`;
    }
    const { device, id, free } = widestShelf(form, room);
    if (form.forced.length > 0 && free >= form.bytes) {
      return `${several(form.forced.map(({ resident }) => `${resident.provider} ${resident.tier}`))} would have to go for it`;
    }
    if (form.bytes === 0) return 'it may not stand beside the rest';
    const numbers = `${form.tier.name} needs ${gigabytes(form.bytes)}, ${gigabytes(Math.max(0, free))} are free on ${id}`;
    const holder = holders[device] ?? null;
    const why = holder === null || free >= form.bytes ? null : stayWords(holder, need, room);
    return why === null ? numbers : `${numbers}; ${why}`;
  };
}

/** `8B because vision is resident`, and the cause alone. What else the plan loads counts as resident. */
export function downgradeOf(choice: Choice, better: Form, { need, plan, view }: Told): { cause: string; reason: string } {
  const { room } = view;
  const { form } = choice;
  const gone = new Set(members(plan.evictions));
  const mates = plan.choices.filter((other) => other !== choice && other.form.bytes > 0);
  const taken = (device: number) => mates.reduce((sum, mate) => sum + (mate.device === device ? mate.form.bytes : 0), 0);
  const beside = { ...room, devices: room.devices.map((shelf, device) => ({ ...shelf, free: shelf.free - taken(device) })) };
  for (const { device, bytes } of gone) if (device >= 0) beside.devices[device]!.free += bytes;
  // Where it could be if it stood alone; else where there is most room.
  const held = room.devices.map(({ free }) => free);
  for (const { device, bytes } of room.occupants) if (device >= 0) held[device]! += bytes;
  const able = better.devices.filter((device) => device >= 0 && held[device]! >= better.bytes);
  const { device, id, free } = widestShelf(able.length === 0 ? better : { ...better, devices: able }, beside);
  const own = better.forced.find((occupant) => occupant.provider === form.provider && !gone.has(occupant)) ?? null;
  const numbers =
    better.bytes === 0 ? '' : `: ${better.tier.name} needs ${gigabytes(better.bytes)}, ${gigabytes(Math.max(0, free))} are free on ${id}`;
  const said = (cause: string) => ({ cause, reason: `${form.tier.name} because ${cause}${numbers}.` });

  if (better.bytes > free + (own?.device === device ? own.bytes : 0)) {
    const standing = room.occupants.filter((occupant) => occupant.device === device && occupant.bytes > 0 && !gone.has(occupant));
    const holders = [
      ...standing.map(({ resident, bytes }) => ({ name: resident.provider, bytes })),
      ...mates.filter((mate) => mate.device === device).map((mate) => ({ name: mate.form.provider.name, bytes: mate.form.bytes })),
    ].sort((a, b) => b.bytes - a.bytes);
    const names = [...new Set(holders.map(({ name }) => name))].filter((name) => name !== form.provider.name).slice(0, 3);
    if (names.length === 0) return said(`${better.tier.name} does not fit`);
    return said(`${several(names)} ${names.length === 1 ? 'is' : 'are'} resident`);
  }
  if (own !== null) {
    const stays = stayWords(own, need, room);
    return said(stays ?? `${own.resident.tier} is resident already, and ${better.tier.name} would cost a swap`);
  }
  const barred = better.forced.find((occupant) => !gone.has(occupant));
  return said(
    barred === undefined
      ? `${better.tier.name} is not to be had beside the rest of the plan`
      : `${barred.resident.provider} is resident and shares no group with ${form.provider.name}`,
  );
}

export function reasonsOf(told: Told): string[] {
  const { need, plan, view, evictions } = told;
  const { room } = view;
  const reasons: string[] = [];
  const names = plan.choices.map(({ form }) => form.provider.name);
  const count = need.capabilities.length;
  if (count > 1 && names.length === 1) {
    reasons.push(`${names[0]} covers ${count === 2 ? 'both' : `all ${count}`} capabilities alone: 1 provider instead of ${count}.`);
  } else if (names.length > 1)
    reasons.push(`${several(names)} cover ${count} capabilities together: ${providers(names.length)}, fewer would not do.`);
  const far = plan.choices.filter(({ form }) => form.remote === 1).map(({ form }) => form.provider.name);
  if (far.length > 0) reasons.push(`${several(far)} ${far.length === 1 ? 'is' : 'are'} remote: nothing nearer would do now.`);
  const paid = evictions.length > 0;
  if (paid) {
    for (const { provider, tier, frees, device, cause } of evictions) {
      const freed = frees === null ? '' : `: frees ${gigabytes(frees.bytes)}${device === null ? '' : ` on ${device}`}`;
      reasons.push(`evicts ${provider} ${tier} (${cause})${freed}.`);
    }
    reasons.push(`swap: ${swapWords(need, evictions, room)}.`);
  }
  for (const { form, device } of plan.choices) {
    const name = `${form.provider.name} ${form.tier.name}`;
    if (form.phase === 'warm') reasons.push(`${name} is warm${form.inPlace === null ? '' : ' already'}.`);
    else if (form.phase === 'warming') reasons.push(`${name} is loading already: at most ${spanWords(form.readyMs)}.`);
    else {
      const shelf = room.devices[device];
      const where = shelf === undefined ? '' : `: needs ${gigabytes(form.bytes)}, ${freeWords(shelf.free, shelf.id)}`;
      reasons.push(`${name} loads in ${spanWords(form.readyMs)}${where}.`);
    }
    if (need.contextTokens !== null && form.tier.context === null) {
      reasons.push(`${name}: its longest context is not known, ${need.contextTokens} tokens may not fit.`);
    }
  }
  if (room.devices.length === 0 && plan.choices.some(({ form }) => form.phase === 'cold' && form.tier.vram?.bytes !== 0)) {
    reasons.push('No device is known, so memory is not budgeted.');
  }
  return reasons;
}

const freeWords = (free: number, id: string) =>
  free === Number.POSITIVE_INFINITY
    ? `the memory of ${id} is not known, so it is not budgeted`
    : `${gigabytes(Math.max(0, free))} are free on ${id}`;

/** Why whoever could be had, in itself, is not in the plan. */
export function outranked({ need, plan, view, candidates }: Told): Rejected[] {
  const { room } = view;
  const chosen = new Map(plan.choices.map(({ form }) => [form.provider, form.position]));
  const remote = plan.choices.some(({ form }) => form.remote === 1);
  const together = plan.choices.reduce((mask, { form }) => mask | form.mask, 0);
  const alone = plan.choices.length === 1;
  const names = several(plan.choices.map(({ form }) => form.provider.name));
  const rejected: Rejected[] = [];
  const shortWords = createShortWords({ need, room });
  const roughlyFits = createRoughlyFits(view);
  let last: { provider: unknown; fitting: boolean; forms: Form[] } | null = null;
  const close = () => {
    if (last === null || last.forms.length === 0) return;
    const form = last.forms[0]!;
    const { name } = form.provider;
    let reason = `fits, but ${names} ${alone ? 'comes' : 'come'} first`;
    if (form.remote === 1 && !remote) reason = 'remote, and nearer ones will do';
    else if (!last.fitting) reason = shortWords(last.forms.at(-1)!);
    else if (alone && form.mask !== together) reason = `covers less than ${names}`;
    else if (plan.evictions.paid === 0 && form.phase === 'cold' && form.bytes > 0 && widestShelf(form, room).free < form.bytes) {
      reason = `${form.tier.name} would need evictions, ${names} ${alone ? 'needs' : 'need'} none`;
    }
    rejected.push({ provider: name, tier: null, reason });
  };
  for (const form of candidates.forms) {
    const position = chosen.get(form.provider);
    if (position !== undefined) {
      if (form.position < position) rejected.push({ provider: form.provider.name, tier: form.tier.name, reason: shortWords(form) });
      continue;
    }
    if (last === null || last.provider !== form.provider) {
      close();
      last = { provider: form.provider, fitting: false, forms: [] };
    }
    last.forms.push(form);
    if (!last.fitting) last.fitting = roughlyFits(form);
  }
  close();
  return rejected;
}

/** By what could be freed at most on its devices: cheap, and never false where it fits. */
function createRoughlyFits({ room, going }: View): (form: Form) => boolean {
  const most = room.devices.map(({ free }) => free);
  for (const occupant of room.occupants) if (occupant.device >= 0 && going(occupant) !== null) most[occupant.device]! += occupant.bytes;
  return ({ devices, bytes, pinned, forced }) =>
    forced.every((occupant) => going(occupant) !== null) &&
    devices.some((device) => device < 0 || most[device]! - (pinned ? 0 : room.devices[device]!.reserved) >= bytes);
}
