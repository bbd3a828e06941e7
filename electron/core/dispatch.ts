/**
 * The seam: shape, resolve, run, record. One call in, one crossing out, whatever door it came through.
 *
 * Finding the route and crossing its boundaries is one synchronous piece, so that a call is judged as a whole. What passes lives its life
 * (jobs/life.ts); what does not leaves a row that says why.
 */
import type { Ask, Call } from '../../shared/contract.ts';
import { Refusal, refuse, type WireError } from '../../shared/errors.ts';
import type { Crossing, Job, KeyUse, Principal, Resolution, Sovereign } from '../../shared/model.ts';
import { type CompiledRoute, type Input, lacking, type Runtime } from './boundaries.ts';
import { type Breakers, endpointKey } from './breaker.ts';
import type { Sidecar } from './cortex/sidecar.ts';
import { createIds, type Signer, traceIdOf } from './crossing.ts';
import type { Cutoff } from './cutoff.ts';
import { chose, type Decision, decide } from './decide.ts';
import type { Egress } from './egress.ts';
import type { Journal } from './events.ts';
import type { Health } from './health.ts';
import { help, wantsHelp } from './help.ts';
import { isRebuildable } from './jobs/boot.ts';
import type { ModelParts } from './jobs/claim.ts';
import { createKeys, type Look } from './jobs/keys.ts';
import {
  type Accepted,
  type Crossed,
  createLife,
  type Found,
  gone,
  type Life,
  reportBug,
  routeGone,
  type SealedCall,
} from './jobs/life.ts';
import type { Live } from './jobs/live.ts';
import type { Loop } from './jobs/loop.ts';
import type { Seal } from './jobs/seal.ts';
import type { Stats } from './stats.ts';
import type { HeldKey } from './store/keys.ts';
import { redact } from './store/redact.ts';
import type { Store } from './store/store.ts';
import type { FoundJob } from './store/tended.ts';
import { findRoute, type Table } from './table.ts';

export interface SeamParts {
  table(): Table;
  sovereign(): Sovereign;
  /** null only in the benchmark that shows what the record costs. */
  store: Store | null;
  signer: Signer;
  seal: Seal;
  journal: Journal;
  loop: Loop;
  egress: Egress;
  breakers: Breakers;
  health: Health;
  stats: Stats;
  models: ModelParts;
  /** null: none is configured, or it is not warm. */
  sidecar(): Sidecar | null;
  /** What stands against a callback URL, and what brings a result there. */
  callbacks: { check(url: string): WireError | null; begin(record: Crossing, url: string): void };
  /** Whoever has this id now; null: nobody. */
  principal(id: string): Principal | null;
  clock(): number;
  mock: boolean;
}

export interface Seam extends Pick<Life, 'arrived' | 'cancel' | 'recorded' | 'close'> {
  dispatch(call: Call, signal?: AbortSignal, accepted?: Accepted): Promise<Crossing>;
  resolve(ask: { text?: string; route?: string }, principal: Principal): Resolution;
  /** Jobs that have not ended, oldest first; of more than `most` those that run and the newest. */
  live(most: number): Job[];
  job(id: string): Job | null;
  /**
   * Lets jobs found at start go on. Those that cannot (their route is gone, their words cannot be read, the call they were a step of is in `cutOff`)
   * end and say so; answers which.
   */
  resume(found: readonly FoundJob[], cutOff: ReadonlySet<string>): string[];
}

/** A call that has a record, and no route yet. */
interface Begun {
  call: Call;
  signal: AbortSignal | undefined;
  accepted: Accepted | undefined;
  record: Crossing;
  /** performance.now() when it came. */
  started: number;
  end(): void;
  refuseWith(error: WireError): Promise<Crossing>;
}

export function createSeam(parts: SeamParts): Seam {
  const { store, signer, seal, journal, loop, egress, breakers, health, stats, clock } = parts;
  const ids = createIds(clock);
  const keys = createKeys({ find: (caller, key): HeldKey | null => store?.read.key(caller, key) ?? null });
  const life = createLife({
    ...{ store, signer, seal, journal, loop, keys, health, stats, clock, models: parts.models },
    newId: ids.next,
    deliver: parts.callbacks.begin,
    route: (name) => findRoute(parts.table(), name),
    refuse: finishRefused,
  });
  const refusing = new Set<Promise<unknown>>();
  let closing = false;
  /** `at` is monotonic: a clock set back must not end the recording. */
  const limitedRows = { at: Number.NEGATIVE_INFINITY, held: 0 };

  function resolve(ask: { text?: string; route?: string }, principal: Principal): Resolution {
    const table = parts.table();
    const decision = decide(table, ask);
    const explained = ask.text === undefined ? { rules: [], ranked: decision.ranked } : table.operator.explain(ask.text);
    const spec = decision.route?.spec ?? null;
    const endpoint = spec?.endpoint ?? null;
    const blocked = endpoint === null || parts.mock ? null : egress.check(endpoint, spec!.egress);
    const breaker = endpoint === null ? null : breakers.state(endpointKey(endpoint));
    const needs = decision.route?.needs ?? null;
    const denied = needs === null || principal.capabilities.includes(needs) ? null : lacking(principal, decision.route!);
    // Built-in routes do not count.
    const look = spec?.kind === 'operation' ? null : loop.admission(principal.countsAs ?? principal.id);
    const waits =
      look && look.retryAfterMs > 0 ? refuse('limited', 'The limit is used up for now.', { retryAfterMs: look.retryAfterMs }) : null;
    const open =
      breaker?.state === 'open' && spec!.fallback === null
        ? refuse('breaker_open', `The breaker of ${breaker.endpoint} is open.`, {
            ...(breaker.retryAt !== null && { retryAfterMs: Math.max(0, breaker.retryAt - clock()) }),
          })
        : null;
    const plan = !spec?.need || parts.mock ? null : loop.peek(spec.need);
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
      refusal: decision.error ?? denied ?? waits ?? blocked ?? open ?? plan?.error ?? null,
      plan,
      expectedMs: spec === null ? null : (stats.of(spec.name)?.p50Ms ?? null),
    };
  }

  // --- dispatch ------------------------------------------------------------------------------------------------------

  function newRecord(call: Call, more: { at: number; id: string; traceparent: string }): Crossing {
    // In the order of canonical JSON, so that the engine can write it; the signature comes last, when it is signed.
    return {
      at: more.at,
      attempts: [],
      audit: null,
      boundaries: [],
      caller: call.principal.id,
      confidence: null,
      door: call.door,
      durationMs: 0,
      error: null,
      id: more.id,
      job: null,
      left: [],
      mock: parts.mock,
      ok: false,
      parent: call.parent ?? null,
      result: null,
      route: null,
      text: call.text ?? null,
      traceparent: more.traceparent,
      why: '',
    } as unknown as Crossing;
  }

  function inputOf(call: Call, record: Crossing, { table, route }: { table: Table; route: CompiledRoute }): Input {
    return {
      params: call.params ?? {},
      query: call.query ?? {},
      path: call.path ?? '',
      headers: call.headers ?? {},
      config: { fallbackOrg: table.registry.fallbackOrg, limits: table.registry.limits, sovereign: parts.sovereign() },
      route,
      runtime: new CallRuntime(call, record, dispatch),
      repeats: false,
    };
  }

  function dispatch(call: Call, signal?: AbortSignal, accepted?: Accepted): Promise<Crossing> {
    const started = performance.now();
    const traceId = traceIdOf(call.traceparent) ?? ids.hex(16);
    const record = newRecord(call, { at: clock(), id: ids.next('x_'), traceparent: `00-${traceId}-${ids.hex(8)}-01` });
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

    const begun = { call, signal, accepted, record, started, end, refuseWith };
    const table = parts.table();
    const decision = decide(table, call);
    const sidecar = parts.sidecar();
    return sidecar !== null && wantsHelp(decision, call)
      ? helped(begun, { table, decision, sidecar })
      : cross(begun, { table, decision, params: null });
  }

  /** Before the call crosses anything the sidecar has a look at it; the registry may be another one then. */
  async function helped(
    begun: Begun,
    { table, decision, sidecar }: { table: Table; decision: Decision; sidecar: Sidecar },
  ): Promise<Crossing> {
    const { call, record, signal = new AbortController().signal } = begun;
    const { chosen, params, step } = await help(call, { undecided: decision, table, sidecar, signal });
    record.boundaries.push(step);
    const now = parts.table();
    const route = chosen === null ? null : findRoute(now, chosen.route);
    const again = now === table ? decision : decide(now, call);
    return cross(begun, {
      table: now,
      decision: route === null ? again : chose(route, chosen!.confidence, chosen!.why),
      params,
    });
  }

  /** From the decision to the life of the call, in one piece. `params` stand in for those of the call. */
  function cross(
    begun: Begun,
    { table, decision, params }: { table: Table; decision: Decision; params: Record<string, unknown> | null },
  ): Promise<Crossing> {
    const { call, signal, accepted, record, started, end, refuseWith } = begun;
    record.why = decision.why;
    record.confidence = decision.confidence;
    if (!decision.route) return refuseWith(decision.error!);
    const { route } = decision;
    record.route = route.spec.name;
    if (call.need !== undefined && route.spec.need === null)
      return refuseWith(
        refuse('input_invalid', `${route.spec.name} takes no model from the cortex.`, {
          hint: 'Leave need out, or call OS.model.',
          issues: [{ path: 'need', message: 'not for this route' }],
        }),
      );
    const input = inputOf(call, record, { table, route });
    if (params !== null) input.params = params;
    let look: Look | null = null;
    if (route.tracked) {
      try {
        look = keys.look(call, route.spec.name);
      } catch (caught) {
        if (!(caught instanceof Refusal)) throw caught;
        return refuseWith(caught.wire);
      }
      input.repeats = look !== null && look.is !== 'new';
    }
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
    if (call.key === undefined && call.content === undefined && call.callbackUrl === undefined)
      return life.begin({ input, record, call, end, mark, signal, accepted, key: null });

    if (!route.tracked)
      return refuseWith(
        refuse('input_invalid', `${route.spec.name} is built in: it takes no idempotency key and calls nobody back.`, {
          hint: 'Leave them out.',
        }),
      );
    const unfit = call.callbackUrl === undefined ? null : parts.callbacks.check(call.callbackUrl);
    if (unfit !== null) return refuseWith(unfit);
    record.boundaries.push({
      boundary: 'replay',
      ms: round(performance.now() - mark),
      outcome: look === null || look.is === 'new' ? 'passed' : 'refused',
    });
    if (look === null || look.is === 'new') return life.begin({ input, record, call, end, mark, signal, accepted, key: look?.key ?? null });
    return replay(look, { record, call, end, accepted, signal });
  }

  /** Answers with what the first call under this key has, or says why it cannot be had. Nothing runs. */
  async function replay(
    look: Exclude<Look, { is: 'new' }>,
    { record, call, end, accepted, signal }: Pick<Crossed, 'record' | 'call' | 'end' | 'accepted' | 'signal'>,
  ): Promise<Crossing> {
    const used = (outcome: KeyUse['uses'][number]['outcome'], differed: string[]) =>
      store?.noteKeyUse(look.job, { at: record.at, crossing: record.id, outcome, differed });
    if (look.is === 'refused') {
      used('mismatch', look.differed);
      record.error = look.error;
      end();
      return finishRefused(record, call);
    }
    const how = look.is === 'running' ? 'attached' : 'replayed';
    const noteReplay = () => recordRow(record, { kind: 'replayed', outcome: how, detail: redact({ key: look.key.key, job: look.job }) });
    let first: Crossing | null;
    if (look.is === 'running') {
      used(how, []);
      await noteReplay();
      if (record.audit) accepted?.({ job: look.job, route: record.route!, audit: record.audit, attached: true });
      const ended = await endOf(look, { call, record, signal });
      if ('code' in ended) {
        Object.assign(record, { error: ended, job: look.job });
        end();
        await signer.sign(record);
        life.publish(record);
        return record;
      }
      first = ended;
    } else first = look.crossing ?? store?.read.job(look.job)?.record ?? null;
    if (first === null) {
      record.error = refuse('unknown_outcome', `What ${look.job} answered is not on record any more.`, { hint: 'Send it with a new key.' });
      end();
      return finishRefused(record, call);
    }
    Object.assign(record, {
      ok: first.ok,
      result: first.result,
      error: first.error,
      job: look.job,
      replayed: { job: look.job, crossing: first.id, how },
    });
    if (first.directives) record.directives = first.directives;
    end();
    if (how === 'replayed') {
      used(how, []);
      await noteReplay();
    }
    await signer.sign(record);
    life.publish(record);
    return record;
  }

  /** How the call that another one attached to ended; or why that one does not wait for it any longer, which changes nothing for the first. */
  async function endOf(
    { job, crossing }: Look & { is: 'running' },
    { call: { deadlineMs }, record, signal }: Pick<Crossed, 'call' | 'record' | 'signal'>,
  ): Promise<Crossing | WireError> {
    const { promise: leaving, resolve: leave } = Promise.withResolvers<WireError>();
    const hint = `${job} goes on; cancel it by its id if it should not.`;
    const onCallerGone = () => leave(refuse('cancelled', 'The caller cancelled.', { hint }));
    const late = () => leave(refuse('wait_expired', `${job}, the first under this key, did not end within ${deadlineMs} ms.`, { hint }));
    const timer = deadlineMs === undefined ? undefined : setTimeout(late, Math.max(0, deadlineMs - (clock() - record.at)));
    if (signal?.aborted) onCallerGone();
    else signal?.addEventListener('abort', onCallerGone, { once: true });
    const ended = await Promise.race([crossing, leaving]);
    clearTimeout(timer);
    signal?.removeEventListener('abort', onCallerGone);
    return ended;
  }

  /** One row for a call that did not run. One that cannot be written leaves `audit` null: it is not on record, and says so. */
  async function recordRow(
    record: Crossing,
    { kind, outcome, detail }: { kind: 'rejected' | 'replayed'; outcome: string; detail: string },
  ): Promise<void> {
    try {
      record.audit =
        (await store?.append({ at: record.at, kind, caller: record.caller, door: record.door, route: record.route, outcome, detail })) ??
        null;
    } catch (caught) {
      if (!(caught instanceof Refusal)) reportBug(caught);
    }
  }

  function finishRefused(record: Crossing, call: Call): Promise<Crossing> {
    const refused = recordRefusal(record, call);
    refusing.add(refused);
    const done = () => refusing.delete(refused);
    refused.then(done, done);
    return refused;
  }

  async function recordRefusal(record: Crossing, call: Call): Promise<Crossing> {
    const error = record.error!;
    if (error.code !== 'store_unavailable' && error.code !== 'shutting_down') {
      // A flood of limited calls must not become a flood of rows: one a second, saying how many it stands for.
      const held = error.code === 'limited' && performance.now() - limitedRows.at < 1000;
      if (held) limitedRows.held++;
      else {
        const detail =
          error.code === 'limited'
            ? redact({ error, unrecorded: limitedRows.held })
            : redact({ text: record.text, params: call.params ?? {}, error, parent: record.parent });
        if (error.code === 'limited') Object.assign(limitedRows, { at: performance.now(), held: 0 });
        await recordRow(record, { kind: 'rejected', outcome: error.code, detail });
      }
    }
    await signer.sign(record);
    life.publish(record);
    return record;
  }

  // --- after a restart -------------------------------------------------------------------------------------------------

  function resume(found: readonly FoundJob[], cutOff: ReadonlySet<string>): string[] {
    const ready: Found[] = [];
    const lost: string[] = [];
    for (const job of found) {
      const one = restored(job, cutOff);
      if ('input' in one) ready.push(one);
      else {
        life.lost(one, { text: job.text });
        lost.push(job.id);
      }
    }
    life.resume(ready);
    return lost;
  }

  /** The call of a job whose record has all of it; null when it has not. */
  function rebuilt({ id, call, route, door, caller }: FoundJob): SealedCall | null {
    const job = call === null ? (store?.read.job(id) ?? null) : null;
    const principal = parts.principal(caller);
    if (route === null || principal === null || !isRebuildable(job)) return null;
    const ask = { route, params: job.params, door, principal, ...(job.text !== null && { text: job.text }) };
    return { ask, traceparent: `00-${ids.hex(16)}-${ids.hex(8)}-01` };
  }

  /** The call as it was, or its crossing with the reason why it cannot go on. */
  function restored(job: FoundJob, cutOff: ReadonlySet<string>): Found | Crossing {
    const text = job.call === null ? null : seal.open(job.call);
    const kept = text === null ? rebuilt(job) : (JSON.parse(text) as SealedCall);
    const call: Call = kept?.ask ?? { door: job.door, principal: { id: job.caller, name: job.caller, capabilities: [] } };
    const record = newRecord(call, {
      at: job.createdAt,
      id: job.crossing,
      traceparent: kept?.traceparent ?? `00-${ids.hex(16)}-${ids.hex(8)}-01`,
    });
    const table = parts.table();
    const route = job.route === null ? null : findRoute(table, job.route);
    Object.assign(record, {
      attempts: job.attempts,
      confidence: job.confidence,
      job: job.id,
      route: job.route,
      text: job.text,
      why: job.why,
    });
    const end = () => {
      record.durationMs = Math.max(0, clock() - record.at);
    };
    if (kept === null || route === null) {
      record.error =
        route === null
          ? routeGone(job.route)
          : refuse(
              'internal',
              'The words of this job cannot be read any more: who sent it is gone, or the key beside the database is another one.',
            );
      end();
      return record;
    }
    if (kept.passed) {
      record.error = gone();
      end();
      return record;
    }
    if (call.parent !== undefined && cutOff.has(call.parent)) {
      record.error = refuse('cancelled', 'What it was a step of was cut off.', { hint: 'Run that again.' });
      end();
      return record;
    }
    const input = inputOf(call, record, { table, route });
    return { record, input, call, starts: job.starts, waits: job.waits, suspect: job.crashes > 0, end };
  }

  /** With its place in the line as it is now. */
  const jobOf = (live: Live): Job => (live.waits === null ? live.job : { ...live.job, waits: loop.waits(live.id) ?? live.waits });

  return {
    dispatch,
    resolve,
    resume,
    arrived: life.arrived,
    cancel: life.cancel,
    recorded: life.recorded,
    live(most) {
      const all = loop.all();
      const shown = all.length <= most ? all : all.filter((live, i) => live.state === 'running' || i >= all.length - most).slice(-most);
      return shown.map(jobOf);
    },
    job(id) {
      const live = loop.live(id);
      return live && jobOf(live);
    },
    async close() {
      closing = true;
      await life.close();
      await Promise.allSettled(refusing);
    },
  };
}

/** What a call reaches besides its own words. */
class CallRuntime implements Runtime {
  /** Of the run that is under way: what it calls is cut off with it. */
  cutoff: Cutoff | null = null;
  readonly #call: Call;
  readonly #record: Crossing;
  readonly #dispatch: Seam['dispatch'];

  constructor(call: Call, record: Crossing, dispatch: Seam['dispatch']) {
    this.#call = call;
    this.#record = record;
    this.#dispatch = dispatch;
  }

  get principal() {
    return this.#call.principal;
  }
  get door() {
    return this.#call.door;
  }
  get text() {
    return this.#call.text ?? null;
  }
  get confirmed() {
    return this.#call.confirm === true;
  }
  get exchange() {
    return this.#call.exchange ?? null;
  }
  get grant() {
    return this.#call.grant ?? null;
  }

  dispatch(
    ask: Ask,
    { accepted, detached, signal = this.cutoff?.signal }: { accepted?: Accepted; detached?: true; signal?: AbortSignal } = {},
  ): Promise<Crossing> {
    const { id, traceparent } = this.#record;
    const call = { traceparent, ...ask, door: this.door, principal: this.principal, parent: id };
    return this.#dispatch(call, detached ? undefined : signal, accepted);
  }
}

const inProcess = {
  local: 'runs in this process',
  lan: 'runs in this process; each address it calls is judged then',
  remote: 'runs in this process; each address it calls is judged then, and sovereign lets only local and lan ones through',
} as const;
const reasonOf = { local: 'stays on this machine', lan: 'stays in the local network', remote: 'leaves the local network' } as const;

const round = (ms: number) => Math.round(ms * 1000) / 1000;
