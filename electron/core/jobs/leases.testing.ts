/** A pretended machine for stories about leases: it plays the world, animates when it is told to, and unloads at once. */
import type { Need, Provider, Resident, Resolved, World } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import { someDevice, someNeed, someProvider, someTier, someWorld } from '../cortex/resolve.testing.ts';
import {
  configureLeases,
  createLeases,
  type LeaseAsk,
  type LeaseEffect,
  type LeaseEvent,
  type Leases,
  leasesDue,
  stepLeases,
} from './leases.ts';

export const START = 1_000_000;

/** A provider with one tier, `<name>-model`, that can do `name`. */
export function model(name: string, gigabytes: number, more: Partial<Provider> = {}): Provider {
  const tier = someTier('only', gigabytes * 1e9, { model: `${name}-model`, loadMs: 10_000 });
  return someProvider(name, { capabilities: [name], tiers: [tier], ...more });
}

export function createMachine({
  providers,
  gigabytes = 24,
  more = {},
}: {
  providers: Provider[];
  gigabytes?: number;
  more?: Partial<World>;
}) {
  let leases: Leases = configureLeases(createLeases(), 60_000);
  let now = START;
  let world = someWorld({ devices: [someDevice('gpu0', gigabytes * 1e9)], providers, ...more });
  const told: LeaseEffect[] = [];
  const plans = new Map<string, Resolved>();
  const leaving: string[] = [];

  function take(event: LeaseEvent | { type: 'time'; at: number }): void {
    const stepped = stepLeases(leases, event);
    leases = stepped.leases;
    machine.onEvent(event);
    for (const effect of stepped.effects) {
      told.push(effect);
      machine.onEffect(effect);
      if (effect.type === 'evict') leaving.push(`${effect.provider} ${effect.tier}`);
      if (effect.type !== 'animate') continue;
      machine.onAnimate(effect.lease, effect.plan, [...plans.values()]);
      plans.set(effect.lease, effect.plan);
    }
    if (leaving.length === 0) return;
    const gone = leaving.splice(0);
    say({ residents: world.residents.filter(({ provider, tier }) => !gone.includes(`${provider} ${tier}`)) });
  }
  const say = (change: Partial<World>) => {
    world = { ...world, ...change, version: world.version + 1, at: now };
    take({ type: 'world', at: now, world });
  };
  const machine = {
    get now() {
      return now;
    },
    get leases() {
      return leases;
    },
    get world() {
      return world;
    },
    get told(): readonly LeaseEffect[] {
      return told;
    },
    take,
    say,
    planOf: (lease: string) => plans.get(lease)!,
    /** It was stepped, and nothing is done yet about what is to be done. */
    onEvent(_event: LeaseEvent | { type: 'time'; at: number }): void {},
    onAnimate(_lease: string, _plan: Resolved, _others: Resolved[]): void {},
    /** Each one in order, before anything is done about it. */
    onEffect(_effect: LeaseEffect): void {},
    /** Animations that were begun and have not ended. */
    pending: () => [...plans.keys()],
    ask(id: string, need: Partial<Need>, about: Partial<LeaseAsk> = {}) {
      take({
        type: 'lease',
        at: now,
        ask: {
          id,
          holder: { kind: 'job', id: `job_${id}` },
          caller: 'me',
          task: null,
          need: someNeed(need),
          expiresAt: null,
          lastsMs: null,
          ...about,
        },
      });
    },
    release: (lease: string) => take({ type: 'release', at: now, lease }),
    /** What was planned for it is done, and the world shows it. */
    load(lease: string) {
      const plan = plans.get(lease)!;
      plans.delete(lease);
      const gone = (resident: Resident) =>
        plan.evictions.some(({ provider, tier }) => provider === resident.provider && tier === resident.tier) ||
        plan.loads.some(({ provider }) => provider === resident.provider);
      const made = plan.loads.map(({ provider, tier, model: name, device, vram, loadMs }): Resident => {
        const { stopMs, priority, pinned, idleMs } = world.providers.find((one) => one.name === provider)!;
        const idleAt = idleMs === null ? null : now + idleMs;
        const costs = { stopMs, reloadMs: loadMs, contextMs: 0, idleAt };
        return { provider, tier, model: name, device, vram, phase: 'warm', leases: [], priority, pinned, ...costs };
      });
      say({ residents: [...world.residents.filter((resident) => !gone(resident)), ...made] });
      take({ type: 'animated', at: now, lease });
    },
    fail(lease: string, provider: string | null, error: WireError | null = null) {
      plans.delete(lease);
      take({ type: 'not_animated', at: now, lease, provider, error });
    },
    /** Passes the time, with a step whenever one is due. */
    wait(ms: number) {
      const end = now + ms;
      for (let due = leasesDue(leases); due !== null && due <= end; due = leasesDue(leases)) {
        now = Math.max(now, due);
        take({ type: 'time', at: now });
      }
      now = end;
    },
    /** What was decided since the last time, in words. */
    words: (): string[] => told.splice(0).flatMap(inWords),
  };
  say({});
  return machine;
}

export type Machine = ReturnType<typeof createMachine>;

function inWords(effect: LeaseEffect): string[] {
  switch (effect.type) {
    case 'animate': {
      const loads = effect.plan.loads.map(({ provider }) => provider).join('+') || 'nothing';
      const evictions = effect.plan.evictions.map(({ provider }) => provider).join('+');
      return [`${effect.lease} loads ${loads}${evictions === '' ? '' : `, evicts ${evictions}`}`];
    }
    case 'leased':
      return [`${effect.lease} has ${[...new Set(effect.plan.assignments.map(({ provider }) => provider))].join('+')}`];
    case 'unleased':
      return [`${effect.lease} ends: ${effect.error.code}`];
    case 'evict':
      return [`evict ${effect.provider}`];
    default:
      return [];
  }
}
