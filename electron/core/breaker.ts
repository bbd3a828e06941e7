/**
 * One circuit breaker an endpoint (the origin of a URL). Five failures in a row open it; after a cool-down of 10 s exactly one
 * probe is let through; its success closes the breaker, its failure doubles the cool-down, up to 60 s.
 *
 * A breaker never ejects the last endpoint of a route: of a route with a fallback whose endpoints are all open, the one whose
 * cool-down ends first stays admitted. A route with one endpoint has nowhere else to go, so its breaker opens, says when it will
 * try again, and goes on trying for ever.
 *
 * cockatiel was considered: it reads `Date.now()` itself, wraps the call in its own promise and, half-open, parks the other 99 of
 * 100 parallel calls behind the probe where we want them refused at once. The table below is all that is needed.
 */
import { refuse, type WireError } from '../../shared/errors.ts';
import type { BreakerState, Route } from '../../shared/model.ts';

/** `done(null)`: nothing was learned, for a call that was cancelled. Every permit must be handed back, once. */
export type Permit = { ok: true; done(success: boolean | null): void } | { ok: false; retryAfterMs: number };

export interface Breakers {
  permit(endpoint: string): Permit;
  /** Opens it by hand; it stays open until `reset`, also when it is the last of its group. */
  trip(endpoint: string): void;
  /** Closes it by hand and forgets its failures. */
  reset(endpoint: string): void;
  state(endpoint: string): BreakerState;
  /** Breakers of every endpoint the registry names, and of those that are not closed. */
  all(): BreakerState[];
  /** Tells which routes go through which endpoint, and which endpoints stand in for each other. */
  assign(routes: Route[]): void;
}

export interface BreakersOptions {
  /** Milliseconds since the epoch. */
  clock(): number;
  onChange(state: BreakerState): void;
  /** Failures in a row that open a breaker. */
  threshold?: number;
  coolDownMs?: number;
  maxCoolDownMs?: number;
}

interface Breaker {
  endpoint: string;
  state: 'closed' | 'open' | 'half-open';
  forced: boolean;
  failures: number;
  openedAt: number | null;
  retryAt: number | null;
  coolDownMs: number;
  /** Rises with every change by hand, so that a call from before it reports to nobody. */
  epoch: number;
}

/** The key of an endpoint: the origin of its URL, or the text itself when it is none. */
export function endpointKey(url: string): string {
  return URL.parse(url)?.origin ?? url;
}

/** What a call is refused with by a breaker in this state. */
export function breakerOpen({ endpoint, forced }: BreakerState, retryAfterMs: number): WireError {
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return refuse(
    'breaker_open',
    forced ? `The breaker of ${endpoint} was tripped by hand.` : `The breaker of ${endpoint} is open: it failed several times in a row.`,
    {
      hint: forced
        ? 'Reset it when calls may go there again.'
        : `It is tried again in ${seconds} s. Reset the breaker if the service is back.`,
      retryAfterMs,
    },
  );
}

export function createBreakers(options: BreakersOptions): Breakers {
  const { clock, onChange, threshold = 5, coolDownMs = 10_000, maxCoolDownMs = 60_000 } = options;
  const breakers = new Map<string, Breaker>();
  let routesOf = new Map<string, string[]>();
  /** The groups of two endpoints or more that an endpoint belongs to. */
  let groupsOf = new Map<string, string[][]>();

  function breakerOf(endpoint: string): Breaker {
    let found = breakers.get(endpoint);
    if (found === undefined) {
      found = { endpoint, state: 'closed', forced: false, failures: 0, openedAt: null, retryAt: null, coolDownMs, epoch: 0 };
      breakers.set(endpoint, found);
    }
    return found;
  }

  function shown({ endpoint, state, forced, failures, openedAt, retryAt }: Breaker): BreakerState {
    return { endpoint, state, forced, failures, openedAt, retryAt, routes: routesOf.get(endpoint) ?? [] };
  }

  function open(breaker: Breaker): void {
    const now = clock();
    breaker.state = 'open';
    breaker.openedAt ??= now;
    breaker.retryAt = now + breaker.coolDownMs;
    onChange(shown(breaker));
  }

  function close(breaker: Breaker): void {
    Object.assign(breaker, { state: 'closed', forced: false, failures: 0, openedAt: null, retryAt: null, coolDownMs });
    onChange(shown(breaker));
  }

  /** All of a group open, and this one the first to be tried again: to refuse it would leave the route with nothing. */
  function isLast(breaker: Breaker): boolean {
    return (groupsOf.get(breaker.endpoint) ?? []).some((group) => {
      const members = group.map(breakerOf);
      if (members.some((member) => member.state !== 'open')) return false;
      const [first] = members.filter((member) => !member.forced).sort((a, b) => a.retryAt! - b.retryAt!);
      return first === breaker;
    });
  }

  function finished(breaker: Breaker, epoch: number, probe: boolean, success: boolean | null) {
    if (breaker.epoch !== epoch) return;
    if (probe) {
      if (success === true) return close(breaker);
      if (success === false) {
        breaker.failures += 1;
        breaker.coolDownMs = Math.min(maxCoolDownMs, breaker.coolDownMs * 2);
        return open(breaker);
      }
      // The probe told nothing: open again, but the next call may probe at once.
      breaker.state = 'open';
      breaker.retryAt = clock();
      return onChange(shown(breaker));
    }
    if (success === null) return;
    if (success) {
      // A success while open comes from the last endpoint of a group, or from a call that began before: either way it answers.
      if (breaker.state === 'open') close(breaker);
      else if (breaker.state === 'closed') breaker.failures = 0;
      return;
    }
    breaker.failures += 1;
    if (breaker.state === 'closed' && breaker.failures >= threshold) open(breaker);
  }

  function once(done: (success: boolean | null) => void): (success: boolean | null) => void {
    let called = false;
    return (success) => {
      if (called) return;
      called = true;
      done(success);
    };
  }

  return {
    permit(endpoint) {
      const breaker = breakerOf(endpoint);
      const { epoch } = breaker;
      if (breaker.state === 'closed') return { ok: true, done: once((success) => finished(breaker, epoch, false, success)) };
      const now = clock();
      if (breaker.forced) return { ok: false, retryAfterMs: maxCoolDownMs };
      if (breaker.state === 'open' && now >= breaker.retryAt!) {
        breaker.state = 'half-open';
        onChange(shown(breaker));
        return { ok: true, done: once((success) => finished(breaker, epoch, true, success)) };
      }
      if (breaker.state === 'open' && isLast(breaker))
        return { ok: true, done: once((success) => finished(breaker, epoch, false, success)) };
      return { ok: false, retryAfterMs: breaker.state === 'half-open' ? 1000 : breaker.retryAt! - now };
    },

    trip(endpoint) {
      const breaker = breakerOf(endpoint);
      breaker.epoch += 1;
      breaker.state = 'open';
      breaker.forced = true;
      breaker.openedAt = clock();
      breaker.retryAt = null;
      onChange(shown(breaker));
    },

    reset(endpoint) {
      const breaker = breakerOf(endpoint);
      breaker.epoch += 1;
      close(breaker);
    },

    state: (endpoint) => shown(breakerOf(endpoint)),

    all: () => [...breakers.values()].map(shown).sort((a, b) => (a.endpoint < b.endpoint ? -1 : 1)),

    assign(routes) {
      routesOf = new Map();
      groupsOf = new Map();
      const endpoints = new Map<string, string>();
      for (const { name, endpoint } of routes) {
        if (endpoint === null) continue;
        const key = endpointKey(endpoint);
        endpoints.set(name, key);
        const names = routesOf.get(key);
        if (names === undefined) routesOf.set(key, [name]);
        else names.push(name);
      }
      for (const { name, fallback } of routes) {
        const own = endpoints.get(name);
        const other = fallback === null ? undefined : endpoints.get(fallback);
        if (own === undefined || other === undefined || own === other) continue;
        const group = [own, other];
        for (const member of group) groupsOf.set(member, [...(groupsOf.get(member) ?? []), group]);
      }
      for (const [endpoint, breaker] of breakers) if (!routesOf.has(endpoint) && breaker.state === 'closed') breakers.delete(endpoint);
      for (const endpoint of routesOf.keys()) breakerOf(endpoint);
    },
  };
}
