/** The built-in routes of the cortex. */
import { randomBytes } from 'node:crypto';
import type { CortexState, Discovered, GpuSample, Lease, Need, Provider, Resolved } from '../../../shared/cortex.ts';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Principal } from '../../../shared/model.ts';
import type { Loop } from '../jobs/loop.ts';
import type { CortexOperation, Implementation, ParsedOf } from '../operations.ts';
import type { Discover } from '../providers/controller.ts';
import { proposalOf } from '../providers/discover.ts';
import type { Run } from '../runners/runner.ts';
import type { Asking } from './asking.ts';
import type { Grants } from './grants.ts';
import type { Manifests } from './manifest.ts';
import type { WorldSource } from './world.ts';

export interface CortexOperationParts {
  world: Pick<WorldSource, 'world' | 'provider'>;
  loop: Pick<Loop, 'now' | 'lease' | 'release' | 'unload' | 'leases' | 'peek'>;
  asking: Pick<Asking, 'ask'>;
  manifests: Pick<Manifests, 'banishing' | 'reset'>;
  grants: Grants;
  state(): CortexState;
  need(ask: ParsedOf<'OS.resolve.need'>['need']): Need;
  samples(filter: { device?: string; since: number; until: number }): GpuSample[];
  registry: {
    text(): string;
    revision(): string;
    /** Resolves when it serves. Rejects with Refusal: registry_invalid, conflict, store_unavailable. */
    save(text: string, revision: string): Promise<void>;
  };
  /** What answers on the well-known ports of this machine. */
  discover(signal: AbortSignal): ReturnType<Discover>;
  ending: AbortSignal;
  clock(): number;
}

/** An answer has to be given before the operation's own time is over. */
const ANSWER_MS = 500;

export function createCortexOperations(parts: CortexOperationParts): Pick<Implementation, CortexOperation> {
  const { world, loop, asking, manifests, grants, registry, clock } = parts;
  let found: Discovered[] = [];

  function declared(name: string): Provider {
    const provider = world.provider(name);
    if (provider) return provider;
    const names = world.world().providers.map((one) => one.name);
    throw new Refusal(
      refuse('not_found', `There is no provider ${name.slice(0, 100)}.`, {
        hint: names.length > 0 ? `There are: ${names.slice(0, 20).join(', ')}.` : 'Name one under providers: in the registry.',
      }),
    );
  }

  // --- loading and unloading -------------------------------------------------------------------------------------------

  /** Of several ways to ask for it, the one whose plan has this very tier. */
  function planned(name: string, tierName: string | undefined): { need: Need; plan: Resolved } {
    const provider = declared(name);
    const tier = tierName === undefined ? null : provider.tiers.find((one) => one.name === tierName);
    if (tier === undefined)
      throw new Refusal(
        refuse('not_found', `${name} has no tier ${tierName}.`, { hint: `It has ${provider.tiers.map((one) => one.name).join(', ')}.` }),
      );
    // Somebody who asks for it by name and has seen what it costs goes before all that is idle.
    const asked = { priority: 100, contextTokens: null };
    const asks = tier === null ? [{ model: name }] : [{ model: name, tier: tier.name }, { model: tier.model }];
    const plans = asks.map((ask) => {
      const need = { ...parts.need(ask), ...asked };
      return { need, plan: loop.peek(need) };
    });
    const isIt = ({ assignments }: Resolved) =>
      assignments.some((one) => one.provider === name && (tier === null || one.tier === tier.name));
    return plans.find(({ plan }) => isIt(plan)) ?? plans.find(({ plan }) => plan.outcome === 'refusal') ?? plans[0]!;
  }

  async function load(
    { provider: name, tier }: ParsedOf<'OS.models.load'>,
    by: Principal,
    run: Run,
  ): Promise<{ lease: Lease; plan: Resolved }> {
    const { need, plan } = planned(name, tier);
    if (plan.outcome === 'refusal') throw new Refusal(plan.error ?? refuse('no_capability', `${name} cannot be loaded.`));
    if (tier !== undefined && !plan.assignments.some((one) => one.provider === name && one.tier === tier))
      throw new Refusal(refuse('conflict', `${name} cannot be had as ${tier} now: ${plan.reasons[0] ?? 'another tier is planned'}`));
    if (plan.evictions.length > 0 && !run.runtime.confirmed)
      throw new Refusal(
        refuse('confirm_required', `Loading ${name} evicts ${plan.evictions.map(costOf).join(', ')}.`, {
          hint: 'Send it again with confirm: true if that is what you want.',
        }),
      );
    const id = `lease_${randomBytes(8).toString('hex')}`;
    const waitMs = Math.max(0, run.deadlineAt - clock() - ANSWER_MS);
    let got: { lease: Lease; plan: Resolved } | null = null;
    await asking.ask(
      { id, holder: { kind: 'load', id }, caller: by.id, need, task: null, waitMs, lastsMs: null, signal: run.signal },
      {
        held(given) {
          got = { lease: loop.leases().leases.find((one) => one.id === id)!, plan: given };
        },
        lost() {},
      },
    );
    loop.release(id);
    return got!;
  }

  async function unload({ provider: name }: ParsedOf<'OS.models.unload'>): Promise<{ provider: string; freedBytes: number | null }> {
    const provider = declared(name);
    const there = world.world().residents.find((one) => one.provider === name);
    if (!there)
      throw new Refusal(
        refuse('conflict', `${name} holds no model.`, {
          hint: provider.controller.kind === 'openai' ? 'Its server is always warm; end it there.' : 'There is nothing to unload.',
        }),
      );
    const { leases } = loop.leases();
    const users = leases.filter(({ models }) => models.some((one) => one.provider === name));
    if (users.length > 0)
      throw new Refusal(
        refuse('conflict', `${name} is in use by ${users.map(({ holder }) => `${holder.kind} ${holder.id}`).join(', ')}.`, {
          hint: 'Cancel or revoke them first, or wait.',
        }),
      );
    loop.unload(name);
    // The schedule has said what to do, and whoever does it begins in this turn.
    await Promise.resolve();
    await Promise.resolve();
    const going = manifests.banishing().get(name);
    if (going === undefined)
      throw new Refusal(refuse('conflict', `${name} is not unloaded: somebody needs it.`, { hint: 'Look at the line with OS.grants.' }));
    const error = await going;
    if (error !== null) throw new Refusal(error);
    return { provider: name, freedBytes: there.vram?.bytes ?? null };
  }

  // --- discovery -------------------------------------------------------------------------------------------------------

  async function look(signal: AbortSignal): Promise<{ found: Discovered[]; looked: string[] }> {
    const seen = await parts.discover(AbortSignal.any([signal, parts.ending]));
    const known = new Set(world.world().providers.map(({ endpoint }) => address(endpoint)));
    found = seen.found.map((one) => ({ ...one, known: known.has(address(one.endpoint)), proposal: proposalOf(one) }));
    return { found, looked: seen.looked };
  }

  async function add({ endpoint, name }: ParsedOf<'OS.providers.add'>, run: Run): Promise<{ provider: string; revision: string }> {
    const isIt = (one: Discovered) => address(one.endpoint) === address(endpoint);
    const one = found.find(isIt) ?? (await look(run.signal)).found.find(isIt);
    if (!one)
      throw new Refusal(
        refuse('not_found', `No model server was found at ${endpoint.slice(0, 200)}.`, { hint: 'See what there is with OS.discover.' }),
      );
    const { addProvider } = await import('../registry/edit.ts');
    const { text, provider } = addProvider(registry.text(), { proposal: one.proposal, ...(name !== undefined && { name }) });
    await registry.save(text, registry.revision());
    return { provider, revision: registry.revision() };
  }

  return {
    'OS.resolve.need': ({ need }) => loop.peek(parts.need(need)),
    'OS.cortex': () => parts.state(),
    'OS.gpu.history': ({ device, hours }) => {
      const until = clock();
      return { samples: parts.samples({ ...(device !== undefined && { device }), since: until - hours * 3_600_000, until }) };
    },
    'OS.models.load': load,
    'OS.models.unload': (input) => unload(input),
    async 'OS.models.reset'({ provider }) {
      declared(provider);
      await manifests.reset(provider);
      return { provider };
    },
    'OS.discover': (_input, _by, run) => look(run.signal),
    'OS.providers.add': (input, _by, run) => add(input, run),
    'OS.grants': (_input, by) => ({ grants: grants.list().filter((grant) => isOf(grant, by)), ...loop.leases() }),
    'OS.grants.create': (input, by, run) => grants.create(input, by, run.signal),
    'OS.grants.revoke'({ id }, by) {
      const grant = grants.get(id);
      if (grant === null || !isOf(grant, by))
        throw new Refusal(refuse('not_found', `There is no grant ${id.slice(0, 100)}.`, { hint: 'List them with OS.grants.' }));
      grants.revoke(id, `${by.name} revoked it`);
      return { id };
    },
  };
}

/** Callers have their own; who may change everything has all. */
const isOf = ({ caller }: { caller: string }, by: Principal) => caller === by.id || by.capabilities.includes('admin');

const costOf = ({ provider, tier, stopMs, reloadMs, contextMs }: Resolved['evictions'][number]) =>
  `${provider} ${tier} (${((stopMs + reloadMs + contextMs) / 1000).toFixed(1)} s to have it back)`;

const address = (endpoint: string) => endpoint.replace(/\/+$/, '').replace(/\/v1$/, '').replace('//localhost', '//127.0.0.1');
