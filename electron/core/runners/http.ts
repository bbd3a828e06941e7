/** Calls a service over HTTP: tries, breakers, the fallback route. What is said is the protocol's matter (protocol.ts, chat.ts). */
import { setTimeout as wait } from 'node:timers/promises';
import { refuse, toWire, type WireError } from '../../../shared/errors.ts';
import type { Attempt, Route, RouteKind } from '../../../shared/model.ts';
import { type Breakers, breakerOpen, endpointKey } from '../breaker.ts';
import { type Egress, type EgressAnswer, EgressRefusal } from '../egress.ts';
import { chatProtocol } from './chat.ts';
import { credentials } from './credentials.ts';
import { flowHeaders, flowProtocol, type IngestAddress } from './flow.ts';
import { httpProtocol, type Protocol } from './protocol.ts';
import type { Outcome, Run, Runner } from './runner.ts';

export interface HttpRunnerOptions {
  egress: Egress;
  breakers: Breakers;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** The route a `fallback` names; null when there is none. */
  resolveRoute(name: string): Route | null;
  /** The secret in an environment variable, null when it is not set. */
  secret?(name: string): string | null;
  /** For flows that call back; without it there are none. */
  ingestAddress?: IngestAddress;
  /** Resolves after `ms`; rejects when the signal is aborted. */
  sleep?(ms: number, signal: AbortSignal): Promise<unknown>;
}

const protocols: Partial<Record<RouteKind, Protocol>> = {
  http: httpProtocol,
  flow: flowProtocol,
  model: chatProtocol,
};

/** Seed 000: three tries, 1 s and then 2 s between them, and only when no connection came about. */
const pausesMs = [1000, 2000];
const retried = new Set<string>(['upstream_refused', 'upstream_name_unknown', 'upstream_unreachable', 'upstream_timeout']);
const deadlineGraceMs = 50;
/** Chains of fallbacks longer than this are a mistake in the registry. */
const maxFallbacks = 3;

type Tried = { outcome: Outcome /** The endpoint could not be reached, so a fallback may stand in. */; unreached: boolean };

/**
 * Runs routes of the kinds http, flow and model. Every start is an Attempt; its id goes along as `Idempotency-Key`. A request of which
 * a byte may have reached the service is never sent again. When an endpoint cannot be reached or its breaker is open, the route's `fallback` is
 * tried under the same deadline; if that fails too, the error is the first route's, and its hint says what became of the fallback.
 * Codes: breaker_open, registry_invalid (no endpoint, secret not set) and those of Egress.request.
 */
export function createHttpRunner(options: HttpRunnerOptions): Runner {
  const { egress, breakers, clock, resolveRoute, secret = () => null, sleep = (ms, signal) => wait(ms, undefined, { signal }) } = options;
  const { ingestAddress = () => refuse('registry_invalid', 'No callback can come in here.') } = options;
  const prepared = new WeakMap<Route, { key: string; protocol: Protocol }>();

  function prepare(route: Route): { key: string; protocol: Protocol } | WireError {
    const known = prepared.get(route);
    if (known !== undefined) return known;
    const protocol = protocols[route.kind];
    if (route.endpoint === null || protocol === undefined) {
      return refuse('registry_invalid', `${route.name} has no endpoint that can be called over HTTP.`, {
        hint: 'Give it an endpoint in the registry.',
      });
    }
    const made = { key: endpointKey(route.endpoint), protocol };
    prepared.set(route, made);
    return made;
  }

  function headersOf(route: Route, run: Run, attempt: string, own: string[]): string[] | WireError {
    const headers = [...own, 'traceparent', run.traceparent, 'idempotency-key', attempt, 'user-agent', 'dispatcher'];
    if (route.kind === 'flow') {
      const told = flowHeaders(route, run, ingestAddress);
      if (!Array.isArray(told)) return told;
      headers.push(...told);
    }
    const shown = credentials(route.name, { auth: route.auth, secret });
    return Array.isArray(shown) ? [...headers, ...shown] : shown;
  }

  async function tryOnce(route: Route, run: Run, ready: { key: string; protocol: Protocol }): Promise<Tried & { again: boolean }> {
    const id = run.newAttemptId();
    const exchange = ready.protocol(route, run);
    const headers = headersOf(route, run, id, exchange.headers);
    if (!Array.isArray(headers)) return { outcome: { ok: false, error: headers }, unreached: false, again: false };
    const blocked = egress.check(exchange.url, route.egress);
    if (blocked !== null) return { outcome: { ok: false, error: blocked }, unreached: false, again: false };
    // Nothing between here and its done() may throw: a permit that is not handed back keeps a half-open breaker shut.
    const permit = breakers.permit(ready.key);
    if (!permit.ok)
      return { outcome: { ok: false, error: breakerOpen(breakers.state(ready.key), permit.retryAfterMs) }, unreached: true, again: false };
    const startedAt = clock();
    // In the order of canonical JSON.
    const attempt: Attempt = { durationMs: 0, endpoint: route.endpoint, error: null, id, route: route.name, startedAt, status: null };
    run.attempts.push(attempt);
    let answer: EgressAnswer;
    try {
      answer = await egress.request({
        url: exchange.url,
        method: exchange.method,
        headers,
        body: exchange.body,
        egress: route.egress,
        cutoff: run.cutoff,
        // The run is cut off first, and that knows the words for it; this is the net below.
        timeoutMs: run.deadlineAt - startedAt + deadlineGraceMs,
        maxBytes: route.maxResponseBytes,
        onChunk: exchange.onChunk,
      });
    } catch (caught) {
      const error = toWire(caught);
      const sent = !(caught instanceof EgressRefusal) || caught.sent;
      attempt.durationMs = clock() - startedAt;
      attempt.error = error.code;
      attempt.status = error.status ?? null;
      permit.done(verdict(error, (run.cutoff.reason !== null || clock() >= run.deadlineAt) && clock() - startedAt < route.timeoutMs / 2));
      if (sent) leave(route, run, exchange);
      if (error.code === 'internal') throw caught;
      const unreached = !sent && retried.has(error.code);
      return { outcome: { ok: false, error }, unreached, again: unreached };
    }
    permit.done(answer.status < 500);
    leave(route, run, exchange);
    const outcome = exchange.read(answer);
    attempt.durationMs = clock() - startedAt;
    attempt.status = answer.status;
    if (!outcome.ok) attempt.error = outcome.error.code;
    return { outcome, unreached: false, again: false };
  }

  async function tryRoute(route: Route, run: Run): Promise<Tried> {
    const ready = prepare(route);
    if ('code' in ready) return { outcome: { ok: false, error: ready }, unreached: true };
    let tried = await tryOnce(route, run, ready);
    for (const pause of pausesMs) {
      // No time left for another try: the answer is why the last one failed, now rather than at the deadline.
      if (!tried.again || clock() + pause >= run.deadlineAt) return tried;
      try {
        await sleep(pause, run.signal);
      } catch {
        return { outcome: { ok: false, error: run.cutoff.reason ?? refuse('cancelled', 'The call was cancelled.') }, unreached: false };
      }
      const next = await tryOnce(route, run, ready);
      // The breaker opened meanwhile: what made it open says more than that it is.
      if (!next.outcome.ok && next.outcome.error.code === 'breaker_open') return tried;
      tried = next;
    }
    return tried;
  }

  return async (run) => {
    const first = await tryRoute(run.route, run);
    if (!first.unreached || run.route.fallback === null || first.outcome.ok) return first.outcome;
    const told: string[] = [];
    const seen = new Set([run.route.name]);
    let name: string | null = run.route.fallback;
    while (name !== null && !seen.has(name) && seen.size <= maxFallbacks && run.cutoff.reason === null && clock() < run.deadlineAt) {
      seen.add(name);
      const route = resolveRoute(name);
      if (route === null) {
        told.push(`${name}, its fallback, does not exist`);
        break;
      }
      const next = await tryRoute(route, run);
      if (next.outcome.ok) return next.outcome;
      if (next.outcome.error.code === 'cancelled') return next.outcome;
      told.push(`${name}, its fallback: ${next.outcome.error.message}`);
      name = next.unreached ? route.fallback : null;
    }
    const { error } = first.outcome;
    return { ok: false, error: { ...error, hint: [error.hint, ...told].filter((part) => part !== null).join(' Also tried ') || null } };
  };
}

/** What a failure says about the endpoint: false that it is ill, null nothing. `hurried`: its caller left it less than half its own time. */
export function verdict({ code }: WireError, hurried: boolean): boolean | null {
  if (hurried && code === 'upstream_timeout') return null;
  return code.startsWith('upstream_') && code !== 'upstream_too_large' ? false : code === 'upstream_too_large' ? true : null;
}

function leave(route: Route, run: Run, { url, body }: { url: string; body: string | null }): void {
  if (route.egress === 'local') return;
  const { host, pathname, search } = new URL(url);
  run.left.push({ bytes: (body === null ? 0 : Buffer.byteLength(body)) + pathname.length + search.length, egress: route.egress, host });
}
