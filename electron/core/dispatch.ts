/**
 * The seam: shape, resolve, run, record. One call in, one crossing out, whatever door it came through.
 *
 * Finding the route and crossing its boundaries is one synchronous piece. Then the intent is durable before the first byte
 * goes to any service, the runner runs, and the caller has the answer while the outcome is on its way to the disk.
 */
import type { Call } from '../../shared/contract.ts';
import { Refusal, refuse, toWire, type WireError } from '../../shared/errors.ts';
import type { Crossing, Job, Principal, RankedRoute, Resolution, Sovereign } from '../../shared/model.ts';
import { signalOf } from '../../shared/signal.ts';
import { type CompiledRoute, type Input, lacking } from './boundaries.ts';
import type { Breakers } from './breaker.ts';
import { createIds, type Signer, tooDeep, traceIdOf } from './crossing.ts';
import type { Egress } from './egress.ts';
import type { Journal } from './events.ts';
import type { Health } from './health.ts';
import type { Limits } from './limits.ts';
import { eventOf, type Kept, keep, type OutcomeRow, outcomeRow, stateOf } from './record.ts';
import type { Outcome } from './runners/runner.ts';
import { CallRuntime, Running } from './running.ts';
import type { Stats } from './stats.ts';
import { redact } from './store/redact.ts';
import type { Store } from './store/store.ts';
import { findRoute, nearestNames, type Table } from './table.ts';

/** Outcomes kept that could not be recorded, and how long until they are tried again. */
const OWED_MAX = 10_000;
const OWED_RETRY_MS = 1000;

export interface SeamParts {
  table(): Table;
  sovereign(): Sovereign;
  /** null only in the benchmark that shows what the record costs. */
  store: Store | null;
  signer: Signer;
  journal: Journal;
  limits: Limits;
  egress: Egress;
  breakers: Breakers;
  health: Health;
  stats: Stats;
  clock(): number;
  mock: boolean;
}

export type Accepted = (accepted: { job: string; route: string; audit: { seq: number; hash: string } }) => void;

export interface Seam {
  dispatch(call: Call, signal?: AbortSignal, accepted?: Accepted): Promise<Crossing>;
  resolve(ask: { text?: string; route?: string }, principal: Principal): Resolution;
  /** Asks a running job to stop; null when no such job runs here, else how it ended. */
  cancel(job: string, by: string): Promise<Job> | null;
  /** Jobs that run now, oldest first. */
  running(): Job[];
  /** Resolves when every outcome answered so far is on record, or owed to it. */
  recorded(): Promise<void>;
  /** Refuses what comes from now on, cuts what runs off, and waits until all of it is on record. */
  close(): Promise<void>;
}

interface Found {
  route: CompiledRoute | null;
  confidence: number | null;
  why: string;
  error: WireError | null;
  abstained: boolean;
  usedFallback: boolean;
  ranked: RankedRoute[];
}

export function createSeam(parts: SeamParts): Seam {
  const { store, signer, journal, limits, egress, breakers, health, stats, clock } = parts;
  const ids = createIds(clock);
  const running = new Map<string, Running>();
  let active = 0;
  let newest: Promise<void> = Promise.resolve();
  let idle: PromiseWithResolvers<void> | null = null;
  let closing = false;
  /** `at` is monotonic: a clock set back must not end the recording. */
  const limitedRows = { at: Number.NEGATIVE_INFINITY, held: 0 };
  let owed: OutcomeRow[] = [];
  let paying: Promise<void> | null = null;

  // --- resolve -------------------------------------------------------------------------------------------------------

  function find(table: Table, { route: name, text, ask }: { route?: string; text?: string; ask?: boolean }): Found {
    if (name !== undefined) {
      const route = findRoute(table, name);
      if (route) return found(route, 1, `named ${route.spec.name}`);
      const choices = nearestNames(table, name).map((near) => ({ route: near, confidence: null, reason: 'similar name' }));
      return missing(
        refuse('route_unknown', `There is no route ${name.slice(0, 200)}.`, {
          hint: `Nearest: ${choices.map((near) => near.route).join(', ')}.`,
          choices,
        }),
      );
    }
    const named = table.routes.get(text!);
    if (named) return found(named, 1, `named ${named.spec.name}`);
    const { ranked, abstained } = table.operator.classify(text!);
    const best = ranked[0];
    const target = best && !abstained ? table.routes.get(best.route) : undefined;
    if (target) return { ...found(target, best!.confidence, best!.reason), ranked };
    const choices = ranked.slice(0, 3);
    const fallback = ask ? null : fallbackOf(table);
    if (fallback)
      return {
        ...found(fallback, 0, `no route is sure enough, so the fallback ${fallback.spec.name}`),
        abstained: true,
        usedFallback: true,
        ranked,
      };
    const error = refuse('route_uncertain', 'It is not clear which route is meant.', {
      hint:
        choices.length > 0
          ? `Name one, e.g. ${choices.map((choice) => choice.route).join(', ')}, or say it in other words.`
          : 'Name a route, or give routes examples in the registry.',
      choices,
    });
    return { ...missing(error), abstained: true, ranked };
  }

  const found = (route: CompiledRoute, confidence: number, why: string): Found => ({
    route,
    confidence,
    why,
    error: null,
    abstained: false,
    usedFallback: false,
    ranked: [],
  });
  const missing = (error: WireError): Found => ({
    route: null,
    confidence: null,
    why: error.message,
    error,
    abstained: false,
    usedFallback: false,
    ranked: [],
  });

  function fallbackOf({ registry, routes }: Table): CompiledRoute | null {
    if (registry.fallbackOrg === null) return null;
    const org = registry.orgs.find(({ code }) => code === registry.fallbackOrg);
    return org?.defaultService ? (routes.get(`${org.code}.${org.defaultService}`) ?? null) : null;
  }

  function resolve(ask: { text?: string; route?: string }, principal: Principal): Resolution {
    const table = parts.table();
    const decision = find(table, ask);
    const explained = ask.text === undefined ? { rules: [], ranked: decision.ranked } : table.operator.explain(ask.text);
    const spec = decision.route?.spec ?? null;
    const endpoint = spec?.endpoint ?? null;
    const blocked = endpoint === null || parts.mock ? null : egress.check(endpoint, spec!.egress);
    const breaker = endpoint === null ? null : breakers.state(new URL(endpoint).origin);
    const needs = decision.route?.needs ?? null;
    const denied = needs === null || principal.capabilities.includes(needs) ? null : lacking(principal, decision.route!);
    // Built-in routes do not count.
    const look = spec?.kind === 'operation' ? null : limits.look(principal.id);
    const waits =
      look && look.retryAfterMs > 0 ? refuse('limited', 'The limit is used up for now.', { retryAfterMs: look.retryAfterMs }) : null;
    const open =
      breaker?.state === 'open' && spec!.fallback === null
        ? refuse('breaker_open', `The breaker of ${breaker.endpoint} is open.`, {
            ...(breaker.retryAt !== null && { retryAfterMs: Math.max(0, breaker.retryAt - clock()) }),
          })
        : null;
    return {
      route: spec?.name ?? null,
      confidence: decision.confidence,
      why: decision.why,
      abstained: decision.abstained,
      usedFallback: decision.usedFallback,
      ranked: explained.ranked.slice(0, 10),
      rules: explained.rules,
      breaker,
      health: spec === null ? null : (health.of(spec.name)?.status ?? null),
      limits: look,
      egress:
        spec === null
          ? null
          : {
              egress: spec.egress,
              host: endpoint === null ? null : new URL(endpoint).host,
              allowed: blocked === null,
              reason: blocked?.message ?? (endpoint === null ? inProcess[spec.egress] : reasonOf[spec.egress]),
            },
      refusal: decision.error ?? denied ?? waits ?? blocked ?? open,
      expectedMs: spec === null ? null : (stats.of(spec.name)?.p50Ms ?? null),
    };
  }

  // --- dispatch ------------------------------------------------------------------------------------------------------

  function dispatch(call: Call, signal?: AbortSignal, accepted?: Accepted): Promise<Crossing> {
    active++;
    return cross(call, signal, accepted).then(settled, (bug) => {
      settled(null);
      throw bug;
    });
  }

  function settled<Ended>(ended: Ended): Ended {
    active--;
    if (active === 0) idle?.resolve();
    return ended;
  }

  async function cross(call: Call, signal: AbortSignal | undefined, accepted: Accepted | undefined): Promise<Crossing> {
    const started = performance.now();
    const { principal, door } = call;
    const traceId = traceIdOf(call.traceparent) ?? ids.hex(16);
    // In the order of canonical JSON, so that the engine can write it; the signature comes last, when it is signed.
    const record = {
      at: clock(),
      attempts: [],
      audit: null,
      boundaries: [],
      caller: principal.id,
      confidence: null,
      door,
      durationMs: 0,
      error: null,
      id: ids.next('x_'),
      job: null,
      left: [],
      mock: parts.mock,
      ok: false,
      parent: call.parent ?? null,
      result: null,
      route: null,
      text: call.text ?? null,
      traceparent: `00-${traceId}-${ids.hex(8)}-01`,
      why: '',
    } as unknown as Crossing;
    const end = () => {
      record.durationMs = round(performance.now() - started);
    };
    const refuseWith = (error: WireError) => {
      record.error = error;
      end();
      return finishRefused(record, call);
    };

    if (closing) return refuseWith(refuse('shutting_down', 'Dispatcher is shutting down.', { hint: 'Call again once it is back.' }));
    if (call.route === undefined && (call.text === undefined || call.text === ''))
      return refuseWith(
        refuse('input_invalid', 'There is neither a query nor a route.', {
          hint: 'Send {"query": "..."} or {"route": "ORG.service"}.',
          issues: [{ path: 'query', message: 'required' }],
        }),
      );

    const table = parts.table();
    const decision = find(table, call);
    record.why = decision.why;
    record.confidence = decision.confidence;
    if (!decision.route) return refuseWith(decision.error!);
    const { route } = decision;
    record.route = route.spec.name;
    const input: Input = {
      params: call.params ?? {},
      query: call.query ?? {},
      path: call.path ?? '',
      headers: call.headers ?? {},
      config: { fallbackOrg: table.registry.fallbackOrg, limits: table.registry.limits, sovereign: parts.sovereign() },
      route,
      runtime: new CallRuntime(call, record, (child) => dispatch(child, signal)),
    };
    let mark = started;
    for (const boundary of route.chain) {
      const verdict = boundary.cross(input);
      const now = performance.now();
      const outcome = verdict === null ? 'passed' : 'refused' in verdict ? 'refused' : 'rewrote';
      record.boundaries.push({ boundary: boundary.name, ms: round(now - mark), outcome });
      mark = now;
      if (verdict === null) continue;
      if ('refused' in verdict) return refuseWith(verdict.refused);
      input.params = verdict.rewrote.params;
    }
    return execute({ input, record, call, end, mark, signal, accepted });
  }

  async function execute({
    input,
    record,
    call,
    end,
    mark,
    signal,
    accepted,
  }: {
    input: Input;
    record: Crossing;
    call: Call;
    end(): void;
    mark: number;
    signal: AbortSignal | undefined;
    accepted: Accepted | undefined;
  }): Promise<Crossing> {
    const { route } = input;
    const name = route.spec.name;
    const stamp = (boundary: string, outcome: 'passed' | 'refused') => {
      const now = performance.now();
      record.boundaries.push({ boundary, ms: round(now - mark), outcome });
      mark = now;
    };
    if (route.tracked) record.job = ids.next('job_');

    // Audit before execute: whatever happens next, there is a trace that it was meant to happen.
    const kept = route.audited && store ? keep(record, input.params) : null;
    if (kept && store) {
      try {
        const { seq, hash } = await store.begin({
          at: record.at,
          crossing: record.id,
          job: record.job,
          caller: record.caller,
          door: record.door,
          route: name,
          detail: kept.intent,
          jobRow:
            record.job === null
              ? null
              : {
                  text: kept.text,
                  params: kept.params,
                  confidence: record.confidence,
                  why: kept.why,
                },
        });
        record.audit = { hash, seq };
      } catch (caught) {
        stamp('audit', 'refused');
        record.job = null;
        record.error = toWire(caught);
        end();
        return finishRefused(record, call);
      }
    }
    if (route.audited) stamp('audit', 'passed');

    const abort = new AbortController();
    let cut: WireError | null = null;
    const stop = (error: WireError) => {
      cut ??= error;
      abort.abort(error);
    };
    const allowed = Math.min(route.spec.timeoutMs, call.deadlineMs ?? route.spec.timeoutMs);
    const deadline = setTimeout(
      () =>
        stop(
          refuse('upstream_timeout', `${name} did not answer within ${allowed} ms.`, {
            hint: 'Raise its timeout in the registry, or look at its health.',
          }),
        ),
      allowed,
    );
    const onCallerGone = () => stop(refuse('cancelled', 'The caller cancelled.'));
    if (signal?.aborted) onCallerGone();
    else signal?.addEventListener('abort', onCallerGone, { once: true });
    // What waited for its audit entry while the door closed is not started any more.
    if (closing) stop(shutDown());

    const tracked =
      record.job === null
        ? null
        : new Running(record, { route: route.spec, stop, startedAt: clock(), text: kept ? kept.text : record.text });
    if (tracked) {
      running.set(tracked.id, tracked);
      if (journal.kept) journal.publish({ type: 'job', job: tracked.job });
      if (record.audit) accepted?.({ job: tracked.id, route: name, audit: record.audit });
    }

    let outcome: Outcome;
    try {
      if (cut !== null) throw new Refusal(cut);
      outcome = await route.run({
        route: route.spec,
        text: record.text,
        params: input.params,
        signal: abort.signal,
        deadlineAt: record.at + allowed,
        traceparent: record.traceparent,
        principal: call.principal,
        door: call.door,
        runtime: input.runtime,
        attempts: record.attempts,
        left: record.left,
        newAttemptId: () => ids.next('att_'),
        progress: (progress, note) => tracked && noteProgress(tracked, progress, note),
        chunk: (text) => record.job !== null && journal.publish({ type: 'chunk', job: record.job, text }),
      });
    } catch (caught) {
      if (!isRefusal(caught)) reportBug(caught);
      outcome = { ok: false, error: toWire(caught) };
    }
    clearTimeout(deadline);
    signal?.removeEventListener('abort', onCallerGone);
    // What cut the run off is the reason, not what the socket said when it was destroyed.
    if (cut !== null && !outcome.ok) outcome = { ok: false, error: cut };
    if (outcome.ok && tooDeep(outcome.result))
      outcome = { ok: false, error: refuse('upstream_failed', `${name} answered with JSON nested too deep to record.`) };

    stamp('execute', outcome.ok ? 'passed' : 'refused');
    record.ok = outcome.ok;
    if (outcome.ok) {
      record.result = outcome.result ?? null;
      if (outcome.directives) record.directives = outcome.directives;
    } else record.error = outcome.error;
    end();
    if (route.tracked) {
      stats.note(name, { at: record.at, durationMs: record.durationMs, error: record.error?.code ?? null });
      // A caller in more of a hurry than the service says nothing of its health.
      if (allowed === route.spec.timeoutMs || record.error?.code !== 'upstream_timeout')
        health.note(name, { ok: record.ok, durationMs: record.durationMs, error: record.error?.code ?? null });
    }
    return finish(record, { kept, tracked });
  }

  async function finish(record: Crossing, { kept, tracked }: { kept: Kept | null; tracked: Running | null }): Promise<Crossing> {
    await signer.sign(record);
    if (!kept || !store) {
      conclude(record, tracked);
      return record;
    }
    // The answer leaves while its outcome is on the way to the disk: a crash in between leaves the job unknown, which is true.
    // Whoever reads the record waits for it (`recorded`); so do watchers and `close`.
    const row = outcomeRow(record, kept);
    active++;
    newest = store.finish(row).then(
      () => settled(conclude(record, tracked)),
      (caught: unknown) => {
        const error = toWire(caught);
        if (!isRefusal(caught)) reportBug(caught);
        owe(row);
        journal.publish(
          { type: 'rejected', door: record.door, error },
          `❌ OS → OS : outcome_owed, crossing=${record.id}, error=${error.code}`,
        );
        settled(conclude(record, tracked));
      },
    );
    return record;
  }

  /** Keeps an outcome that could not be recorded and records it once that can be done. What is still owed at the end is `unknown` at the next start. */
  function owe(outcome: OutcomeRow): void {
    if (owed.length >= OWED_MAX) return;
    owed.push(outcome);
    if (owed.length === 1) setTimeout(pay, OWED_RETRY_MS).unref();
  }

  function pay(): Promise<void> {
    paying ??= tryOwed().finally(() => {
      paying = null;
    });
    return paying;
  }

  async function tryOwed(): Promise<void> {
    const tried = owed.slice();
    const paid = await Promise.allSettled(tried.map((outcome) => store!.finish(outcome)));
    owed = owed.filter((outcome) => paid[tried.indexOf(outcome)]?.status !== 'fulfilled');
    if (owed.length > 0 && !closing) setTimeout(pay, OWED_RETRY_MS).unref();
  }

  async function finishRefused(record: Crossing, call: Call): Promise<Crossing> {
    const error = record.error!;
    const detail = () => redact({ text: record.text, params: call.params ?? {}, error, parent: record.parent });
    if (store && error.code !== 'store_unavailable' && error.code !== 'shutting_down') {
      // A flood of limited calls must not become a flood of rows: one a second, saying how many it stands for.
      const held = error.code === 'limited' && performance.now() - limitedRows.at < 1000;
      if (held) limitedRows.held++;
      else {
        const text = error.code === 'limited' ? redact({ error, unrecorded: limitedRows.held }) : detail();
        if (error.code === 'limited') Object.assign(limitedRows, { at: performance.now(), held: 0 });
        try {
          record.audit = await store.append({
            at: record.at,
            kind: 'rejected',
            caller: record.caller,
            door: record.door,
            route: record.route,
            outcome: error.code,
            detail: text,
          });
        } catch (caught) {
          // Nothing was sent; the refusal stands, and says with a null audit that it is not on record.
          if (!isRefusal(caught)) reportBug(caught);
        }
      }
    }
    await signer.sign(record);
    publishCrossing(record);
    return record;
  }

  function noteProgress(tracked: Running, progress: number | null, note: string | null): void {
    tracked.progress = progress;
    tracked.progressNote = note;
    store?.progress(tracked.id, progress, note);
    const { org, service } = tracked.route;
    const done = progress === null ? '' : `, done=${Math.round(progress * 100)}%`;
    const words = note === null ? '' : `, note=${note.slice(0, 80)}`;
    journal.publish({ type: 'job', job: tracked.job }, `⏳ OS → ${org} : progress, service=${service}${done}${words}`);
  }

  function abort(tracked: Running, error: WireError): void {
    if (tracked.cancelRequestedAt === null && error.code === 'cancelled') {
      tracked.cancelRequestedAt = clock();
      store?.cancelRequested(tracked.id, tracked.cancelRequestedAt);
      const { org, service } = tracked.route;
      journal.publish({ type: 'job', job: tracked.job }, `✋ OS → ${org} : cancel_requested, service=${service}, job=${tracked.id}`);
    }
    tracked.stop(error);
  }

  /** The call is over, and on record or owed to it. */
  function conclude(record: Crossing, tracked: Running | null): void {
    if (tracked) {
      running.delete(tracked.id);
      tracked.state = stateOf(record);
      if (journal.kept) journal.publish({ type: 'job', job: tracked.job });
      tracked.waiter?.resolve(tracked.job);
    }
    publishCrossing(record);
  }

  function publishCrossing(record: Crossing): void {
    // Reads are how fronts look at the state; telling every front of every look would tell nobody anything.
    if (record.ok && record.job === null && record.audit === null && store) return;
    journal.publish({ type: 'crossing', crossing: journal.kept ? eventOf(record) : record }, signalOf(record));
  }

  return {
    dispatch,
    resolve,
    cancel(job, by) {
      const entry = running.get(job);
      if (!entry) return null;
      entry.waiter ??= Promise.withResolvers();
      abort(entry, refuse('cancelled', `Cancelled by ${by}.`, { hint: 'The service may have done part of it.' }));
      return entry.waiter.promise;
    },
    running: () => [...running.values()].map((entry) => entry.job),
    recorded: () => newest,
    async close() {
      closing = true;
      for (const entry of running.values()) abort(entry, shutDown());
      if (active > 0) {
        idle ??= Promise.withResolvers();
        await idle.promise;
      }
      if (owed.length > 0) await pay();
    },
  };
}

const inProcess = {
  local: 'runs in this process',
  lan: 'runs in this process; each address it calls is judged then',
  remote: 'runs in this process; each address it calls is judged then, and sovereign lets only local and lan ones through',
} as const;
const reasonOf = { local: 'stays on this machine', lan: 'stays in the local network', remote: 'leaves the local network' } as const;

const shutDown = () =>
  refuse('shutting_down', 'Dispatcher shut down while this ran.', { hint: 'Look at the service before calling again.' });

const round = (ms: number) => Math.round(ms * 1000) / 1000;

const isRefusal = (caught: unknown): caught is Refusal => caught instanceof Error && caught.name === 'Refusal';

/** The one place where a thrown exception, a bug, is written down. */
function reportBug(caught: unknown): void {
  process.stderr.write(
    `${JSON.stringify({ level: 'error', time: Date.now(), msg: 'bug', stack: caught instanceof Error ? caught.stack : String(caught) })}\n`,
  );
}
