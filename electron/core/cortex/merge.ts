/** The world from what everybody says: the registry, the units, the servers, and whoever loads and unloads. Pure. */
import type { Figure, ModelPhase, Provider, Resident, Tier, Unavailable } from '../../../shared/cortex.ts';
import type { Listing } from '../providers/controller.ts';
import { fullName, sameModel } from '../providers/ollama.ts';
import { type Said, serverKey } from './servers.ts';

/** What only whoever loads and unloads knows, until the server says it too. */
export type Note =
  | { phase: 'warming'; resident: Resident }
  | { phase: 'warm'; resident: Resident }
  | { phase: 'draining' }
  | { phase: 'gone' }
  /** It is unavailable until another note, or until `until`. */
  | { phase: 'error' | 'halted'; detail: string; until: number | null };

/** A note that holds. */
export interface Noted {
  note: Note;
  /** When it was made; a server that was asked before `question` cannot have known of it. */
  at: number;
  question: number;
}

export interface Sources {
  /** As they are declared, those without tiers included. */
  declared: readonly Provider[];
  said(provider: Provider): Said;
  noted(provider: string): Noted | null;
  /** Who used it last and when; null: nobody since it is in memory. */
  used(provider: string): { at: number; priority: number | null } | null;
  footprint(provider: Provider, tier: Tier): Figure | null;
  loadMs(provider: Provider, tier: Tier): number;
  /** The value of an environment variable, null when it is not set. */
  secret(name: string): string | null;
  /** Where a resident is, as whoever loaded it said; undefined: nobody did. */
  home(provider: string, tier: string): string | null | undefined;
  /** The only device there is; null: there is none, or there are several. */
  onlyDevice: string | null;
  /** The sidecar's provider. */
  sidecar: string | null;
  now: number;
  /** What times of servers, which are since the epoch, are ahead of those here. */
  epochMs: number;
}

export interface Merged {
  providers: Provider[];
  /** The provider as it is declared, whose server has it; by name. */
  declaredAs: Map<string, Provider>;
  residents: Resident[];
  unavailable: Unavailable[];
  phases: Map<string, { phase: ModelPhase; detail: string | null }>;
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

export function merge(sources: Sources): Merged {
  const merged: Merged = { providers: [], declaredAs: new Map(), residents: [], unavailable: [], phases: new Map() };
  const names = new Set(sources.declared.map(({ name }) => name));
  // Memory that two providers hold in common is counted with the first.
  const counted = new Set<string>();
  for (const declared of [...sources.declared].sort(byName)) {
    const said = sources.said(declared);
    const outage = outageOf(declared, { said, secret: sources.secret });
    const those = declared.tiers.length > 0 ? [declared] : reported(declared, said.listing, names);
    // A server of which nothing is known yet is shown all the same.
    if (those.length === 0 && outage !== null) place(merged, { declared, outage });
    for (const one of those) {
      const { provider, missing } = known(one, { declared, said, sources });
      merged.providers.push(provider);
      merged.declaredAs.set(provider.name, declared);
      const residents = residentsOf(provider, { declared, said, sources, counted });
      merged.residents.push(...residents);
      judge(merged, { provider, residents, outage: outage ?? missing, noted: sources.noted(provider.name), now: sources.now });
    }
  }
  merged.providers.sort(byName);
  share(merged);
  return merged;
}

/** What several providers hold in common goes for all of them when it goes for one. */
function share({ residents, declaredAs }: Merged): void {
  const together = Map.groupBy(residents, (resident) => placeOf(declaredAs.get(resident.provider)!, resident.model));
  for (const those of together.values()) {
    if (those.length < 2) continue;
    const goes = those.some(({ phase }) => phase === 'draining');
    const priority = Math.max(...those.map((resident) => resident.priority));
    const pinned = those.some((resident) => resident.pinned);
    // It goes when the last of them has not used it for its time.
    const stays = pinned || those.some(({ idleAt }) => idleAt === null);
    const idleAt = stays ? null : Math.max(...those.map((resident) => resident.idleAt!));
    for (const resident of those) {
      Object.assign(resident, { priority, pinned, idleAt });
      resident.sharedWith = those.flatMap(({ provider }) => (provider === resident.provider ? [] : [provider]));
      if (goes) resident.phase = 'draining';
    }
  }
}

/** The same for whoever has the same memory. */
const placeOf = (declared: Provider, model: string): string => JSON.stringify([serverKey(declared), fullName(model)]);

const notYet = 'its server has not answered yet';

const unavailable = (provider: string, reason: string): Unavailable => ({ provider, reason, ...(reason === notYet && { soon: true }) });

function place(merged: Merged, { declared, outage }: { declared: Provider; outage: string }): void {
  merged.unavailable.push(unavailable(declared.name, outage));
  merged.phases.set(declared.name, { phase: 'unknown', detail: outage });
}

/** Why nothing can be had of a server now; null when it can. */
function outageOf({ auth, egress, tiers }: Provider, { said, secret }: { said: Said; secret(name: string): string | null }): string | null {
  if (auth !== null && secret(auth.env) === null) return `its key is missing: the environment variable ${auth.env} is not set`;
  if (said.failure !== null) return `its server does not answer: ${said.failure.message}`;
  const isAsked = egress !== 'remote' || tiers.length === 0;
  return isAsked && said.question === 0 ? notYet : null;
}

/** The models of a server that says itself what it has, each a provider. */
function reported(declared: Provider, listing: Listing | null, names: ReadonlySet<string>): Provider[] {
  return (listing?.models ?? []).flatMap(({ model, capabilities, vram, context, remote }) => {
    const name = `${declared.name}.${model}`;
    if (names.has(name)) return [];
    const away = remote || declared.egress !== 'local';
    return {
      ...declared,
      name,
      egress: remote ? 'remote' : declared.egress,
      capabilities: capabilities.length > 0 ? [...capabilities].sort() : declared.capabilities,
      tiers: [
        {
          name: model,
          model,
          vram: away ? { bytes: 0, source: 'reported' } : vram,
          context,
          loadMs: declared.controller.kind === 'openai' ? 0 : 20_000,
        },
      ],
      origin: { ...declared.origin, kind: 'running' },
    };
  });
}

/** What the server and the loads so far say of a provider's tiers. Those of which the server says that it has not got them are left out. */
function known(
  provider: Provider,
  { declared, said, sources }: { declared: Provider; said: Said; sources: Sources },
): { provider: Provider; missing: string | null } {
  const pinned = provider.pinned || provider.name === sources.sidecar;
  const models = said.listing?.models ?? null;
  const kind = provider.controller.kind;
  const listed = new Map(provider.tiers.map((tier) => [tier, models?.find(({ model }) => sameModel(model, tier.model)) ?? null]));
  // Others answer to any name, or do not list what they could start.
  const all = models !== null && loads(kind) ? provider.tiers.filter((tier) => listed.get(tier)) : provider.tiers;
  const missing = all.length > 0 ? null : `its server has no model ${provider.tiers.map(({ model }) => model).join(' or ')}`;
  const there = all.length > 0 ? all : provider.tiers;
  // A model that the server passes on to another machine is as far away as that one, whatever the server's own address.
  const near = there.filter((tier) => !listed.get(tier)?.remote);
  const egress = near.length === 0 ? 'remote' : provider.egress;
  const tiers = (near.length === 0 ? there : near).map((tier): Tier => {
    const told = listed.get(tier);
    const about = { ...tier, vram: tier.vram ?? told?.vram ?? null, context: tier.context ?? told?.context ?? null };
    if (egress !== 'local') return { ...about, vram: { bytes: 0, source: 'estimated' } };
    const whole = { ...provider, egress, tiers: [about] };
    return {
      ...about,
      vram: sources.footprint(whole, about),
      loadMs: declared.controller.kind === 'openai' ? 0 : sources.loadMs(whole, about),
    };
  });
  // What another machine has in memory is its own affair: there it is always warm, and nothing is loaded or unloaded from here.
  const controller = egress === 'remote' && loads(kind) ? ({ kind: 'openai' } as const) : provider.controller;
  return { provider: { ...provider, controller, pinned, egress, tiers }, missing };
}

/** Its server loads what it is asked for. */
const loads = (kind: Provider['controller']['kind']) => kind === 'ollama' || kind === 'llama-swap';

interface Standing {
  tier: Tier;
  phase: Resident['phase'];
  vram: Figure | null;
  idleAt: number | null;
}

function residentsOf(
  provider: Provider,
  { declared, said, sources, counted }: { declared: Provider; said: Said; sources: Sources; counted: Set<string> },
): Resident[] {
  if (provider.egress === 'remote' && provider.controller.kind === 'openai') return [];
  const noted = sources.noted(provider.name);
  const standing = new Map<string, Standing>(listedResidents(provider, { said, sources }).map((one) => [one.tier.name, one]));
  const note = noted?.note;
  if (note?.phase === 'gone') standing.clear();
  if (note?.phase === 'draining') for (const one of standing.values()) one.phase = 'draining';
  if (note?.phase === 'warming' || note?.phase === 'warm') {
    const { resident, phase } = note;
    const tier = provider.tiers.find(({ name }) => name === resident.tier);
    if (tier) standing.set(tier.name, { tier, phase, vram: resident.vram ?? standing.get(tier.name)?.vram ?? null, idleAt: null });
  }
  const used = sources.used(provider.name);
  return [...standing.values()].map(({ tier, phase, vram, idleAt }): Resident => {
    const key = placeOf(declared, tier.model);
    const isFirst = !counted.has(key);
    counted.add(key);
    const home = sources.home(provider.name, tier.name);
    const only = provider.devices.length === 1 ? provider.devices[0]! : sources.onlyDevice;
    const ownIdle = provider.idleMs === null ? null : (used?.at ?? sources.now) + provider.idleMs;
    return {
      provider: provider.name,
      tier: tier.name,
      model: tier.model,
      device: provider.egress === 'local' ? (home === undefined ? only : home) : null,
      vram: isFirst ? vram : { bytes: 0, source: 'reported' },
      phase,
      leases: [],
      priority: used?.priority ?? provider.priority,
      pinned: provider.pinned,
      stopMs: provider.stopMs,
      reloadMs: tier.loadMs,
      contextMs: note && 'resident' in note && note.resident.tier === tier.name ? note.resident.contextMs : 0,
      idleAt: provider.pinned ? null : soonest(ownIdle, idleAt),
    };
  });
}

const soonest = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.min(a, b));

/** What the server says is in memory, of the provider's tiers. */
function listedResidents(provider: Provider, { said, sources }: { said: Said; sources: Sources }): Standing[] {
  const { listing } = said;
  if (listing === null) return [];
  const found = provider.tiers.flatMap((tier) => {
    const one = listing.resident.find(({ model }) => sameModel(model, tier.model));
    return one ? [{ tier, one }] : [];
  });
  // A server of one model answers to whatever name, and calls it by a path.
  const [alone, ...more] = listing.resident;
  const served = provider.controller.kind !== 'ollama' && provider.controller.kind !== 'llama-swap';
  if (found.length === 0 && served && alone && more.length === 0 && provider.tiers.length === 1)
    found.push({ tier: provider.tiers[0]!, one: alone });
  return found.map(({ tier, one }) => {
    // What a load was measured to take is nearer the truth than what the server thinks it does.
    const measured = tier.vram?.source === 'measured' ? tier.vram : null;
    return {
      tier,
      phase: one.phase,
      vram: measured ?? one.vram ?? tier.vram,
      idleAt: one.idleAt === null ? null : one.idleAt - sources.epochMs,
    };
  });
}

function judge(
  merged: Merged,
  about: { provider: Provider; residents: Resident[]; outage: string | null; noted: Noted | null; now: number },
): void {
  const { provider, residents, outage, noted, now } = about;
  const { name, controller } = provider;
  const note = noted?.note;
  const tell = (phase: ModelPhase, detail: string | null) => void merged.phases.set(name, { phase, detail });
  const lost = (reason: string) => void merged.unavailable.push(unavailable(name, reason));
  if ((note?.phase === 'error' || note?.phase === 'halted') && (note.until === null || note.until > now)) {
    lost(note.phase === 'halted' ? `halted: ${note.detail}` : note.detail);
    tell(note.phase, note.detail);
  } else if (note?.phase === 'warming') {
    // Whoever loads it knows better than a server that is just being started.
    tell('warming', null);
  } else if (outage !== null) {
    lost(outage);
    tell('unknown', outage);
  } else {
    const there = residents.find(({ phase }) => phase === 'draining') ?? residents[0];
    tell(there?.phase ?? (controller.kind === 'openai' ? 'warm' : 'cold'), null);
  }
}
