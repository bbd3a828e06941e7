/** Who can be had at all for a need, and in which forms; and why the others cannot. */
import type { Need, Provider, Rejected, Tier, World } from '../../../shared/cortex.ts';
import type { Footprint, Occupant, Room } from './resolve-room.ts';

/** A provider at one tier. */
export interface Form extends Footprint {
  provider: Provider;
  tier: Tier;
  /** Of the tier: 0 is the best. */
  position: number;
  /** Of the provider's name among those of all candidates. */
  rank: number;
  /** A bit for each capability of the need. */
  mask: number;
  remote: 0 | 1;
  lan: 0 | 1;
  phase: 'warm' | 'warming' | 'cold';
  /** Until it is warm, from when its place is free. */
  readyMs: number;
  /** Counts a load as 64 and one that is warming as 1: there are at most 30 of them. */
  loads: number;
  /** Sorted by these, whatever may make another form needless comes before it, but for rounding. */
  ease: number;
  merit: number;
  /** Where it may be put; `[-1]` where no device matters. */
  devices: readonly number[];
  /** Which devices it may be on in general: '' for any. */
  reach: string;
  /** The provider's groups, sorted and joined; '' for none. */
  groups: string;
}

export interface Candidates {
  forms: Form[];
  rejected: Rejected[];
  /** Bits that somebody offers who was left out because of how far it is; `purged`: by the sovereign switch or a sensitive need. */
  tooFar: number;
  purged: number;
  /** Bits that somebody offers who is left out for another reason. */
  lost: number;
  all: number;
}

const distance = { local: 0, lan: 1, remote: 2 } as const;

function fits(form: { provider: Provider; tier: Tier; position: number }, need: Need): string | null {
  const { provider, tier, position } = form;
  if (need.model !== null && provider.name !== need.model && tier.model !== need.model) return `is not ${need.model}`;
  if (need.tier !== null) {
    const least = provider.tiers.findLastIndex(({ name }) => name === need.tier);
    if (least < 0) return `has no tier ${need.tier}`;
    if (position > least) return `is below the tier ${need.tier}`;
  }
  if (need.contextTokens !== null && tier.context !== null && tier.context < need.contextTokens) {
    return `takes ${tier.context} tokens, ${need.contextTokens} have to fit`;
  }
  return null;
}

const joined = (groups: readonly string[]) => (groups.length === 0 ? '' : [...new Set(groups)].sort().join('\n'));

export function bitCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}

/** Whether two providers may be resident together, by their joined groups. */
export function createCompatible(): (a: string, b: string) => boolean {
  const known = new Map<string, Map<string, boolean>>();
  return (a, b) => {
    if (a === b || a === '' || b === '') return true;
    let row = known.get(a);
    if (row === undefined) {
      row = new Map();
      known.set(a, row);
    }
    let answer = row.get(b);
    if (answer === undefined) {
      const others = new Set(b.split('\n'));
      answer = a.split('\n').some((group) => others.has(group));
      row.set(b, answer);
    }
    return answer;
  };
}

export function findCandidates(need: Need, world: World, room: Room): Candidates {
  const bits = new Map(need.capabilities.map((capability, i) => [capability, 1 << i]));
  const all = need.capabilities.length === 0 ? 1 : 2 ** need.capabilities.length - 1;
  const found: Candidates = { forms: [], rejected: [], tooFar: 0, purged: 0, lost: 0, all };
  const { rejected } = found;
  const unavailable = new Map(world.unavailable.map(({ provider, reason }) => [provider, reason]));
  const standing = new Map<string, Occupant[]>();
  for (const occupant of room.occupants) {
    const { provider } = occupant.resident;
    const before = standing.get(provider);
    if (before === undefined) standing.set(provider, [occupant]);
    else before.push(occupant);
  }
  const compatible = createCompatible();
  const grouped = room.occupants
    .map((occupant) => ({ occupant, groups: joined(occupant.provider?.groups ?? []) }))
    .filter(({ groups }) => groups !== '');
  const banished = new Map<string, readonly Occupant[]>([['', []]]);
  const banishedBy = (groups: string): readonly Occupant[] => {
    let those = banished.get(groups);
    if (those === undefined) {
      those = grouped.filter(({ groups: theirs }) => !compatible(groups, theirs)).map(({ occupant }) => occupant);
      banished.set(groups, those);
    }
    return those;
  };
  const anywhere = room.devices.map((_, i) => i);
  const nowhere = [-1];

  const offering: { provider: Provider; mask: number }[] = [];
  for (const provider of world.providers) {
    let mask = 0;
    if (need.capabilities.length > 0) for (const capability of provider.capabilities) mask |= bits.get(capability) ?? 0;
    else if (provider.name === need.model || provider.tiers.some(({ model }) => model === need.model)) mask = 1;
    if (mask !== 0) offering.push({ provider, mask });
  }
  offering.sort(({ provider: a }, { provider: b }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));

  for (const [rank, { provider, mask }] of offering.entries()) {
    const out = (reason: string, tier: string | null = null) => rejected.push({ provider: provider.name, tier, reason });
    if (provider.egress === 'remote' && (world.sovereign || need.sensitive)) {
      found.purged |= mask;
      out(world.sovereign ? 'remote, and sovereign is on' : 'remote, and the need is sensitive');
      continue;
    }
    if (distance[provider.egress] > distance[need.egress]) {
      found.tooFar |= mask;
      out(`${provider.egress}, and the need allows ${need.egress} at most`);
      continue;
    }
    const why = unavailable.get(provider.name);
    if (why !== undefined) {
      found.lost |= mask;
      out(why);
      continue;
    }
    const mine = standing.get(provider.name) ?? [];
    const served = provider.controller.kind === 'openai';
    const groups = joined(provider.groups);
    const width = bitCount(mask);
    let reach: { devices: number[]; name: string } | null = null;
    for (const [position, tier] of provider.tiers.entries()) {
      const unfit = fits({ provider, tier, position }, need);
      if (unfit !== null) {
        found.lost |= mask;
        out(unfit, tier.name);
        continue;
      }
      const inPlace = mine.find(({ resident }) => resident.tier === tier.name) ?? null;
      const phase = inPlace !== null ? (inPlace.resident.phase as 'warm' | 'warming') : served ? 'warm' : 'cold';
      let bytes = 0;
      let devices: readonly number[] = nowhere;
      if (phase === 'cold' && room.devices.length > 0) {
        if (tier.vram === null) {
          found.lost |= mask;
          out('its memory is not known; give vram:', tier.name);
          continue;
        }
        bytes = tier.vram.bytes;
        if (bytes > 0) {
          reach ??= {
            devices: provider.devices.length === 0 ? anywhere : anywhere.filter((i) => provider.devices.includes(room.devices[i]!.id)),
            name: provider.devices.length === 0 ? '' : [...provider.devices].sort().join('\n'),
          };
          devices = reach.devices;
          if (devices.length === 0) {
            found.lost |= mask;
            out(`none of its devices is here: ${provider.devices.join(', ')}`, tier.name);
            continue;
          }
        }
      }
      const others = phase === 'cold' ? mine : [];
      const banned = phase === 'cold' ? banishedBy(groups) : [];
      const remote = provider.egress === 'remote' ? 1 : 0;
      const lan = provider.egress === 'lan' ? 1 : 0;
      const readyMs = phase === 'warm' ? 0 : tier.loadMs;
      const loads = phase === 'cold' ? 64 : phase === 'warming' ? 1 : 0;
      found.forms.push({
        provider,
        tier,
        position,
        rank,
        mask,
        remote,
        lan,
        phase,
        loads,
        readyMs,
        bytes,
        devices,
        reach: reach?.name ?? '',
        groups,
        inPlace,
        pinned: provider.pinned,
        forced: others.length === 0 ? banned : [...new Set([...others, ...banned])],
        ease: remote * 2 ** 52 + bytes * 32 - width,
        merit: position * 2 ** 44 + loads * 2 ** 37 + lan * 2 ** 36 + readyMs,
      });
    }
  }
  return found;
}
