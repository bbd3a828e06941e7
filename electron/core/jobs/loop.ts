/** Performs what the schedule decides: holds its state, one timer, and the jobs it speaks of. */
import type { GpuWaiter, Lease, Need, Resolved, World } from '../../../shared/cortex.ts';
import { assertNever, type WireError } from '../../../shared/errors.ts';
import type { Lane, Waits } from '../../../shared/model.ts';
import { Register } from '../underway.ts';
import type { LeaseAsk } from './leases.ts';
import type { Live } from './live.ts';
import {
  admission,
  counts,
  createSchedule,
  type Effect,
  lanesOf,
  leases,
  modelWaits,
  peek,
  type ScheduleEvent,
  type Settings,
  type State,
  type Submitted,
  step,
  waitsOf,
} from './schedule.ts';

/** Timers of the platform end at 2^31 - 1 ms; a tick that comes too early does no harm. */
const SLEEP_MOST_MS = 3_600_000;

export interface LoopParts {
  random(): number;
  deliveries: { send(delivery: string): void; dead(delivery: string): void; again(delivery: string, at: number): void };
  /** Lanes whose places or line changed, gathered over a turn. */
  onLanes(lanes: Lane[]): void;
  models: Models;
  /** Leases or their line changed, gathered over a turn. */
  onLeases(): void;
}

/** Who performs what is decided about models. */
export interface Models {
  /** Each is answered once, by `animated` or `notAnimated`, also when its lease is not wanted any more: others may wait for the same load. */
  animate(lease: string, plan: Resolved): void;
  /** It is idle, and its time is up. */
  evict(provider: string, tier: string): void;
  used(provider: string, about: { priority: number }): void;
}

/** Who asked for a lease. It may be told before `lease` returns. */
export interface LeaseHolder {
  /** It stands in line, or what it needs is loading. Told when that changes, near the head of the line. */
  held(waits: Waits, plan: Resolved): void;
  /** Its models are warm and it may use them until it is released. */
  leased(plan: Resolved): void;
  /** It gets none, or what it had was taken back. It hears nothing more. */
  unleased(error: WireError): void;
}

export interface Refused {
  retryAfterMs: number;
  reason: string;
}

export interface Loop extends Disposable {
  /** Milliseconds since the epoch on a clock that only goes forward while the process lives. */
  now(): number;
  /** How many calls each bounded service takes at one time. */
  capacities(services: ReadonlyMap<string, number>): void;
  configure(settings: Settings): void;
  /** Counts one call; what stands against it, or null. */
  admit(principal: string, about: { action: boolean; subject: string | null }): Refused | null;
  admission(principal: string): ReturnType<typeof admission>;
  /** `live` has begun or is held when this returns null. */
  submit(live: Live, job: Omit<Submitted, 'id'>): Refused | null;
  restore(jobs: readonly { live: Live; job: Omit<Submitted, 'id'>; waits: Waits | null; suspect: boolean }[]): void;
  /** A run ended; afterwards `live` is over, held, or has begun again. */
  finished(live: Live, end: { ok: boolean; again: boolean; retryAfterMs: number | null }): void;
  handed(live: Live, until: number): void;
  cancel(live: Live): void;
  /** For what others tell the schedule: callbacks that came, deliveries, what was admitted before this start. */
  schedule(event: ScheduleEvent): void;
  live(job: string): Live | null;
  all(): Live[];
  /** `running`: those that have not ended; `queued` of them stand in line or wait. */
  counts(): { running: number; queued: number };
  lanes(): Lane[];
  /** As it is now: positions move without anybody being told. */
  waits(job: string): Waits | null;
  lease(ask: LeaseAsk, holder: LeaseHolder): void;
  /** It is not wanted any more; its holder hears nothing more. */
  release(lease: string): void;
  world(world: World): void;
  animated(lease: string): void;
  /** `provider`: whose fault it was; null: what was planned does not fit the world any more. Of a lease that was given, too: a pulse failed. */
  notAnimated(lease: string, about: { provider: string | null; error: WireError | null }): void;
  /** Nothing happens while somebody uses it. */
  unload(provider: string): void;
  leases(): { leases: Lease[]; queue: GpuWaiter[] };
  /** What a lease for this would get now. Nothing is decided. */
  peek(need: Need): Resolved;
}

export function createLoop({ random, deliveries, onLanes, models, onLeases }: LoopParts): Loop {
  const startedAt = Date.now() - performance.now();
  const now = () => Math.floor(startedAt + performance.now());
  const lives = new Register<Live>();
  const holders = new Map<string, LeaseHolder>();
  let state: State = createSchedule();
  let refused: Refused | null = null;
  let timer: NodeJS.Timeout | null = null;
  let changed: Set<string> | null = null;
  let told = false;

  const pending: ScheduleEvent[] = [];
  let performing = false;

  /** What an effect asks of the schedule comes after the effects before it. */
  function apply(event: ScheduleEvent): void {
    pending.push(event);
    if (performing) return;
    performing = true;
    for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
      const stepped = step(state, next);
      if (stepped.state.leases !== state.leases) noteLeases();
      state = stepped.state;
      for (const effect of stepped.effects) perform(effect);
    }
    performing = false;
  }

  function perform(effect: Effect): void {
    switch (effect.type) {
      case 'start':
        lives.get(effect.job)?.began(effect.start);
        return;
      case 'wait':
        lives.get(effect.job)?.held(effect.state, effect.waits);
        return;
      case 'stop':
        // Whoever asked for it cut the run off with the reason (Live.stop).
        return;
      case 'end': {
        const live = lives.get(effect.job);
        lives.delete(effect.job);
        live?.over(effect.how);
        return;
      }
      case 'refuse':
        refused = { retryAfterMs: effect.retryAfterMs, reason: effect.reason };
        return;
      case 'send':
        deliveries.send(effect.delivery);
        return;
      case 'dead':
        deliveries.dead(effect.delivery);
        return;
      case 'retry_delivery':
        deliveries.again(effect.delivery, effect.at);
        return;
      case 'lanes':
        noteLanes(effect.keys);
        return;
      case 'animate':
        models.animate(effect.lease, effect.plan);
        return;
      case 'hold':
        holders.get(effect.lease)?.held(effect.waits, effect.plan);
        return;
      case 'leased':
        holders.get(effect.lease)?.leased(effect.plan);
        return;
      case 'unleased': {
        const holder = holders.get(effect.lease);
        holders.delete(effect.lease);
        holder?.unleased(effect.error);
        return;
      }
      case 'evict':
        models.evict(effect.provider, effect.tier);
        return;
      case 'used':
        models.used(effect.provider, { priority: effect.priority });
        return;
      case 'wake':
        wake(effect.at);
        return;
      default:
        assertNever(effect);
    }
  }

  function noteLeases(): void {
    if (told) return;
    told = true;
    setImmediate(() => {
      told = false;
      onLeases();
    });
  }

  function wake(at: number | null): void {
    if (timer !== null) clearTimeout(timer);
    timer = at === null ? null : setTimeout(tick, Math.min(SLEEP_MOST_MS, Math.max(0, at - now()))).unref();
    function tick() {
      timer = null;
      apply({ type: 'tick', at: now() });
    }
  }

  function noteLanes(keys: readonly string[]): void {
    if (changed === null) {
      changed = new Set();
      setImmediate(() => {
        const told = changed!;
        changed = null;
        onLanes([...told].flatMap((key) => lanesOf(state, [key])[0] ?? empty(key)));
      });
    }
    for (const key of keys) changed.add(key);
  }

  function answer(event: ScheduleEvent): Refused | null {
    refused = null;
    apply(event);
    return refused;
  }

  /** What nobody runs or stands in any more: who showed it has to hear that. */
  const empty = (key: string): Lane => {
    const [prefix, name] = [key.slice(0, key.indexOf(':')), key.slice(key.indexOf(':') + 1)];
    return { name, kind: prefix === 'lane' ? 'lane' : 'concurrency', capacity: 0, running: [], queued: [] };
  };

  return {
    now,
    capacities: (services) => apply({ type: 'capacities', at: now(), services }),
    configure: (settings) => apply({ type: 'configure', ...settings }),
    admit(principal, { action, subject }) {
      return answer({ type: 'admit', at: now(), principal, action, subject });
    },
    admission: (principal) => admission(state, principal, now()),
    submit(live, job) {
      lives.set(live.id, live);
      const refusal = answer({ type: 'submit', at: now(), job: { ...job, id: live.id } });
      if (refusal !== null) lives.delete(live.id);
      return refusal;
    },
    restore(jobs) {
      for (const { live } of jobs) lives.set(live.id, live);
      apply({ type: 'restore', at: now(), jobs: jobs.map(({ live, job, waits, suspect }) => ({ ...job, id: live.id, waits, suspect })) });
    },
    finished: (live, end) => apply({ type: 'finished', at: now(), job: live.id, random: end.again ? random() : 0, ...end }),
    handed: (live, until) => apply({ type: 'handed', at: now(), job: live.id, until }),
    cancel: (live) => apply({ type: 'cancel', at: now(), job: live.id }),
    schedule: apply,
    live: (job) => lives.get(job) ?? null,
    all: () => lives.values(),
    counts() {
      const { running, queued, waiting } = counts(state);
      return { running: running + queued + waiting, queued: queued + waiting };
    },
    lanes: () => lanesOf(state),
    waits(job) {
      const lease = lives.get(job)?.lease ?? null;
      return waitsOf(state, job) ?? (lease === null ? null : modelWaits(state, lease));
    },
    lease(ask, holder) {
      holders.set(ask.id, holder);
      apply({ type: 'lease', at: now(), ask });
    },
    release(lease) {
      holders.delete(lease);
      apply({ type: 'release', at: now(), lease });
    },
    world: (world) => apply({ type: 'world', at: now(), world }),
    animated: (lease) => apply({ type: 'animated', at: now(), lease }),
    notAnimated: (lease, about) => apply({ type: 'not_animated', at: now(), lease, ...about }),
    unload: (provider) => apply({ type: 'unload', at: now(), provider }),
    leases: () => leases(state),
    peek: (need) => peek(state, need, now()),
    [Symbol.dispose]() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
