/**
 * Watches every service's health URL. Routes with the same URL share one probe; never more than 16 run at once, spread over the
 * interval by chance. Calls that went through a route count too: they are all there is of a service without a health URL, and a failed
 * one brings the next probe forward.
 *
 * healthy: a 2xx within 2 s. degraded: any other answer, or a slow one. down: no answer (refused, no name, no route, timeout).
 * unknown: never probed, not probed for five intervals, or not probed because sovereign is on.
 * A status that differs from the one known must be seen twice in a row, the second time soon after the first; a probe asked for by hand counts at once.
 */
import { type ErrorCode, toWire, type WireError } from '../../shared/errors.ts';
import type { HealthSample, Health as HealthState, HealthStatus, Route } from '../../shared/model.ts';
import type { Egress, EgressAnswer } from './egress.ts';

export interface Health {
  start(): void;
  /** Probes one route now and answers what is known then. null: no such route, or one that is nowhere to be probed. */
  probe(route: string): Promise<HealthState | null>;
  probeAll(): Promise<HealthState[]>;
  all(): HealthState[];
  of(route: string): HealthState | null;
  /** What a call through the route came to. */
  note(route: string, outcome: { ok: boolean; durationMs: number; error: ErrorCode | null }): void;
  /** Reads routes, the interval and sovereign again: call it after one of them changed. */
  refresh(): void;
  [Symbol.dispose](): void;
}

export interface HealthOptions {
  routes(): Route[];
  egress: Pick<Egress, 'check' | 'request'>;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** 0..1, for the jitter. */
  random(): number;
  intervalMs: number | (() => number);
  history(route: string, since: number): HealthSample[];
  save(route: string, sample: HealthSample): void;
  /** After every probe; `changed` says whether the status is another one. */
  onChange(health: HealthState, changed: boolean): void;
  timeoutMs?: number;
  slowMs?: number;
}

const parallel = 16;
const staleIntervals = 5;
/** Latencies kept for the percentiles: two hours at 30 s. */
const latenciesKept = 240;
const dayMs = 24 * 3_600_000;
/** The second look at a status that differs. */
const confirmMs = 2000;
/** Calls make samples or bring a probe forward, but not more often than this. */
const noteGapMs = 1000;
const bodyBytes = 65_536;

type Verdict = { status: HealthStatus; reason: string; latencyMs: number | null; cause: string | null };

interface Watched {
  name: string;
  route: Route;
  status: HealthStatus;
  reason: string;
  latencyMs: number | null;
  checkedAt: number | null;
  since: number | null;
  lastError: string | null;
  /** null until the first probe reads what is kept: thousands of services should not all read at start. */
  latencies: number[] | null;
  p50Ms: number | null;
  p95Ms: number | null;
  /** Of the last probe, confirmed or not. */
  suspected: HealthStatus | null;
  /** What several services can be down for together: `http://lucidia:8091 connection refused`. */
  cause: string | null;
  incident: string | null;
}

interface Target {
  url: string;
  egress: Route['egress'];
  watched: Watched[];
  dueAt: number;
  lastAt: number;
  /** What `check` said when it was last looked at: sovereign, mostly. */
  blocked: boolean | null;
  underWay: Promise<void> | null;
  /** Somebody waits for the probe under way. */
  asked: boolean;
}

export function createHealth(options: HealthOptions): Health {
  const { routes, egress, clock, random, history, save, onChange, timeoutMs = 5000, slowMs = 2000 } = options;
  const intervalMs = () => (typeof options.intervalMs === 'function' ? options.intervalMs() : options.intervalMs);
  let known: Route[] | null = null;
  let watched = new Map<string, Watched>();
  let targets = new Map<string, Target>();
  const causes = new Map<string, Set<Watched>>();
  let timer: NodeJS.Timeout | null = null;
  /** When the timer goes off, by the clock. */
  let armedFor = 0;
  let started = false;
  let disposed = false;
  let running = 0;
  const waiting: (() => void)[] = [];

  /** Follows the registry: new services come in, gone ones leave, those that stayed keep what is known of them. */
  function follow(): void {
    const now = routes();
    if (now === known) return;
    known = now;
    const before = { watched, targets };
    watched = new Map();
    targets = new Map();
    for (const route of now) {
      if (route.endpoint === null && route.health === null) continue;
      if (route.kind === 'tool' || route.kind === 'operation') continue;
      const old = before.watched.get(route.name);
      const same =
        old !== undefined &&
        old.route.health === route.health &&
        old.route.endpoint === route.endpoint &&
        old.route.egress === route.egress;
      const entry = same ? old : fresh(route);
      entry.route = route;
      watched.set(route.name, entry);
      if (route.health === null) continue;
      const key = `${route.egress} ${route.health}`;
      let target = targets.get(key);
      if (target === undefined) {
        const was = before.targets.get(key);
        target = was ?? {
          url: route.health,
          egress: route.egress,
          watched: [],
          dueAt: clock() + random() * Math.min(intervalMs(), 2000 + now.length * 5),
          lastAt: 0,
          blocked: null,
          underWay: null,
          asked: false,
        };
        target.watched = [];
        targets.set(key, target);
      }
      target.watched.push(entry);
    }
    for (const [name, old] of before.watched) if (watched.get(name) !== old) leaveCause(old);
    // A probe under way of what is gone finds nobody to tell.
    for (const [key, old] of before.targets) if (targets.get(key) !== old) old.watched = [];
  }

  function fresh(route: Route): Watched {
    const reason = route.health === null ? 'no health URL, and no call yet' : 'not probed yet';
    return {
      ...{ name: route.name, route, status: 'unknown', reason, latencyMs: null, checkedAt: null, since: null, lastError: null },
      ...{ latencies: null, p50Ms: null, p95Ms: null, suspected: null, cause: null, incident: null },
    };
  }

  function measure(entry: Watched, latencyMs: number): void {
    entry.latencies ??= history(entry.name, clock() - dayMs)
      .map((sample) => sample.latencyMs)
      .filter((latency) => latency !== null)
      .slice(1 - latenciesKept);
    entry.latencies.push(latencyMs);
    if (entry.latencies.length > latenciesKept) entry.latencies.shift();
    const sorted = entry.latencies.toSorted((a, b) => a - b);
    entry.p50Ms = sorted[Math.floor(0.5 * (sorted.length - 1))]!;
    entry.p95Ms = sorted[Math.ceil(0.95 * (sorted.length - 1))]!;
  }

  function shown(entry: Watched): HealthState {
    const { name, status, reason, latencyMs, checkedAt, since, p50Ms, p95Ms, lastError, incident } = entry;
    const health = { route: name, status, reason, latencyMs, checkedAt, since, p50Ms, p95Ms, lastError, incident };
    if (checkedAt === null || status === 'unknown' || clock() - checkedAt <= staleIntervals * intervalMs()) return health;
    return {
      ...health,
      status: 'unknown',
      reason: `last looked at ${Math.round((clock() - checkedAt) / 1000)} s ago: ${reason}`,
      latencyMs: null,
    };
  }

  // --- probing -------------------------------------------------------------------------------------------------------

  async function look(target: Target): Promise<Verdict> {
    const blocked = egress.check(target.url, target.egress);
    target.blocked = blocked !== null;
    if (blocked !== null)
      return {
        status: 'unknown',
        reason: blocked.code === 'sovereign_refused' ? 'not probed: sovereign' : `not probed: ${blocked.message}`,
        latencyMs: null,
        cause: null,
      };
    const began = performance.now();
    try {
      const answer = await egress.request({
        url: target.url,
        method: 'GET',
        headers: ['accept', 'application/json, */*', 'user-agent', 'dispatcher-health'],
        body: null,
        egress: target.egress,
        timeoutMs,
        maxBytes: bodyBytes,
      });
      return judge(answer, performance.now() - began);
    } catch (caught) {
      return excuse(toWire(caught), target.url, performance.now() - began);
    }
  }

  function judge(answer: EgressAnswer, took: number): Verdict {
    const latencyMs = Math.round(took * 10) / 10;
    const span = duration(took);
    const { status } = answer;
    const said = parse(answer);
    if (status < 200 || status > 299) {
      const words =
        say(said) ?? (status >= 300 && status < 400 ? `redirects to ${answer.headers.location?.slice(0, 200) ?? 'nowhere'}` : null);
      return { status: 'degraded', reason: words === null ? `${status} in ${span}` : `${status}: ${words}`, latencyMs, cause: null };
    }
    if (admitsTrouble(said))
      return { status: 'degraded', reason: `${status}: ${say(said) ?? 'says it is not well'}`, latencyMs, cause: null };
    if (took > slowMs) return { status: 'degraded', reason: `slow: ${status} in ${span}`, latencyMs, cause: null };
    return { status: 'healthy', reason: `${status} in ${span}`, latencyMs, cause: null };
  }

  function excuse(error: WireError, url: string, took: number): Verdict {
    const { origin, hostname } = new URL(url);
    const down = (reason: string, place: string): Verdict => ({
      status: 'down',
      reason,
      latencyMs: null,
      cause: `${place.replace(/^https?:\/\//, '')}: ${reason}`,
    });
    switch (error.code) {
      case 'upstream_refused':
        return down('connection refused', origin);
      case 'upstream_name_unknown':
        return down('name does not resolve', hostname);
      case 'upstream_unreachable':
        return down('unreachable', hostname);
      case 'upstream_timeout':
        return down(`no answer in ${duration(took)}`, origin);
      case 'upstream_failed':
        return down('closed the connection without an answer', origin);
      case 'upstream_too_large':
        return {
          status: 'degraded',
          reason: `answers more than ${bodyBytes / 1024} KiB`,
          latencyMs: Math.round(took * 10) / 10,
          cause: null,
        };
      default:
        return {
          status: 'unknown',
          reason: error.code === 'sovereign_refused' ? 'not probed: sovereign' : `not probed: ${error.message}`,
          latencyMs: null,
          cause: null,
        };
    }
  }

  /** One probe of a target, or the one under way. `asked`: by hand, so that what it finds counts at once. */
  function probeTarget(target: Target, asked: boolean): Promise<void> {
    target.asked ||= asked;
    target.underWay ??= (async () => {
      if (running >= parallel) await new Promise<void>((go) => waiting.push(go));
      running += 1;
      try {
        if (disposed) return;
        const verdict = await look(target);
        const now = clock();
        target.lastAt = now;
        target.dueAt = now + intervalMs() * (0.9 + 0.2 * random());
        for (const entry of target.watched)
          if (apply(entry, verdict, target.asked)) target.dueAt = Math.min(target.dueAt, now + Math.min(confirmMs, intervalMs()));
      } finally {
        running -= 1;
        waiting.shift()?.();
        target.underWay = null;
        target.asked = false;
      }
    })();
    return target.underWay;
  }

  /** Takes a verdict in. Answers whether it must be confirmed by another. */
  function apply(entry: Watched, verdict: Verdict, asked: boolean): boolean {
    if (disposed) return false;
    const now = clock();
    const sample = { at: now, status: verdict.status, latencyMs: verdict.latencyMs };
    entry.checkedAt = now;
    if (verdict.latencyMs !== null) measure(entry, verdict.latencyMs);
    if (verdict.status !== 'unknown') save(entry.name, sample);
    if (verdict.status === 'down' || verdict.status === 'degraded') entry.lastError = verdict.reason;
    const sure =
      asked ||
      verdict.status === entry.status ||
      verdict.status === 'unknown' ||
      entry.status === 'unknown' ||
      entry.suspected === verdict.status;
    entry.suspected = verdict.status;
    if (!sure) {
      // Not believed yet: what it is stays, why it is doubted shows.
      entry.reason = `${entry.reason.replace(/ \(now: .*\)$/, '')} (now: ${verdict.reason})`;
      onChange(shown(entry), false);
      return true;
    }
    const changed = entry.status !== verdict.status;
    if (changed) entry.since = now;
    Object.assign(entry, { status: verdict.status, reason: verdict.reason, latencyMs: verdict.latencyMs });
    joinCause(entry, verdict.cause);
    onChange(shown(entry), changed);
    return false;
  }

  // --- incidents: one dead machine is one incident, not one for each of its services ------------------------------------

  function joinCause(entry: Watched, cause: string | null): void {
    if (entry.cause === cause) return;
    leaveCause(entry);
    if (cause === null) return;
    entry.cause = cause;
    const together = causes.get(cause) ?? new Set();
    causes.set(cause, together);
    together.add(entry);
    if (together.size < 2) return;
    for (const other of together) {
      if (other.incident !== null) continue;
      other.incident = cause;
      if (other !== entry) onChange(shown(other), false);
    }
  }

  function leaveCause(entry: Watched): void {
    const together = entry.cause === null ? undefined : causes.get(entry.cause);
    together?.delete(entry);
    if (together?.size === 0) causes.delete(entry.cause!);
    entry.cause = null;
    entry.incident = null;
    if (together?.size !== 1) return;
    const [last] = together;
    last!.incident = null;
    if (!disposed && watched.get(last!.name) === last) onChange(shown(last!), false);
  }

  // --- the clockwork: one timer, set for whatever is due next -------------------------------------------------------------

  function arm(): void {
    if (!started || disposed) return;
    let next = Number.POSITIVE_INFINITY;
    for (const target of targets.values()) if (target.underWay === null) next = Math.min(next, target.dueAt);
    if (next === Number.POSITIVE_INFINITY) return;
    const now = clock();
    // Several due within a quarter second go together, so that thousands of services do not mean thousands of wake-ups.
    const at = Math.min(now + 60_000, Math.max(now, next) + 250);
    // A timer that is set is never put off: calls that bring probes forward, one after the other, would keep them all from coming.
    if (timer !== null && armedFor <= at) return;
    if (timer !== null) clearTimeout(timer);
    armedFor = at;
    timer = setTimeout(tick, at - now).unref();
  }

  function tick(): void {
    timer = null;
    follow();
    const now = clock();
    const due = [...targets.values()].filter((target) => target.underWay === null && target.dueAt <= now);
    for (const target of due) void probeTarget(target, false).then(arm);
    arm();
  }

  function targetOf(entry: Watched): Target | undefined {
    return entry.route.health === null ? undefined : targets.get(`${entry.route.egress} ${entry.route.health}`);
  }

  return {
    start() {
      started = true;
      follow();
      arm();
    },

    async probe(name) {
      follow();
      const entry = watched.get(name);
      if (entry === undefined) return null;
      const target = targetOf(entry);
      if (target !== undefined) await probeTarget(target, true);
      arm();
      return shown(entry);
    },

    async probeAll() {
      follow();
      await Promise.all(Array.from(targets.values(), (target) => probeTarget(target, true)));
      arm();
      return Array.from(watched.values(), shown);
    },

    all() {
      follow();
      return Array.from(watched.values(), shown);
    },

    of(name) {
      follow();
      const entry = watched.get(name);
      return entry === undefined ? null : shown(entry);
    },

    note(name, { ok, durationMs, error }) {
      follow();
      const entry = watched.get(name);
      if (entry === undefined) return;
      const target = targetOf(entry);
      const unreached =
        error === 'upstream_refused' ||
        error === 'upstream_name_unknown' ||
        error === 'upstream_unreachable' ||
        error === 'upstream_timeout';
      if (target !== undefined) {
        const doubtful = ok ? entry.status === 'down' : unreached && entry.status !== 'down';
        if (!doubtful || clock() - target.lastAt < noteGapMs) return;
        if (target.dueAt <= clock()) return;
        target.dueAt = clock();
        return arm();
      }
      // A route that is well and busy says nothing new with every call: one a second is kept.
      if (ok && entry.status === 'healthy' && entry.checkedAt !== null && clock() - entry.checkedAt < noteGapMs) return;
      if (ok)
        apply(
          entry,
          { status: 'healthy', reason: `last call answered in ${duration(durationMs)}`, latencyMs: durationMs, cause: null },
          true,
        );
      else if (unreached) apply(entry, excuse({ code: error, message: '', hint: null }, entry.route.endpoint!, durationMs), true);
      else if (error === 'upstream_failed')
        apply(entry, { status: 'degraded', reason: 'last call failed', latencyMs: durationMs, cause: null }, true);
    },

    refresh() {
      follow();
      const now = clock();
      for (const target of targets.values()) {
        // Sovereign changed: it is looked at again soon, which then says that it is not probed, or how it is.
        const turned = target.blocked !== null && target.blocked !== (egress.check(target.url, target.egress) !== null);
        target.dueAt = Math.min(target.dueAt, turned ? now : now + intervalMs());
      }
      arm();
    },

    [Symbol.dispose]() {
      disposed = true;
      if (timer !== null) clearTimeout(timer);
      for (const go of waiting.splice(0)) go();
    },
  };
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0).replace(/\.0$/, '')} s`;
}

function parse({ headers, body }: EgressAnswer): unknown {
  if (!(headers['content-type'] ?? '').includes('json')) return null;
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch {
    return null;
  }
}

/** A 2xx whose JSON says otherwise. */
function admitsTrouble(said: unknown): boolean {
  if (typeof said !== 'object' || said === null) return false;
  const { status, ok, healthy } = said as Record<string, unknown>;
  return (
    ok === false ||
    healthy === false ||
    (typeof status === 'string' && /^(degraded|unhealthy|down|fail(ing|ed)?|error|critical)$/i.test(status))
  );
}

function say(said: unknown): string | null {
  if (typeof said !== 'object' || said === null) return null;
  const { message, reason, detail, error, status } = said as Record<string, unknown>;
  const words = [message, reason, detail, error, status].find((value) => typeof value === 'string' && value !== '') as string | undefined;
  return words === undefined ? null : words.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').slice(0, 200);
}
