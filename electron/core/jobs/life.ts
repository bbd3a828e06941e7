/**
 * The life of one accepted call: its intent on record, its turn, its runs, its outcome. What has no job, a built-in route, lives the same
 * life without a turn.
 */
import type { Call } from '../../../shared/contract.ts';
import { catalogue, Refusal, refuse, toWire, type WireError } from '../../../shared/errors.ts';
import type { Attempt, Crossing, Egress, Job, JobEvent, Waits } from '../../../shared/model.ts';
import { signalOf } from '../../../shared/signal.ts';
import type { CompiledRoute, Input } from '../boundaries.ts';
import { type Signer, tooDeep } from '../crossing.ts';
import { Cutoff } from '../cutoff.ts';
import { createDeadlines } from '../deadlines.ts';
import type { Journal } from '../events.ts';
import type { Health } from '../health.ts';
import { eventOf, type Kept, keep, outcomeRow, stateOf } from '../record.ts';
import type { Outcome } from '../runners/runner.ts';
import type { Stats } from '../stats.ts';
import type { NewKey } from '../store/keys.ts';
import { redact } from '../store/redact.ts';
import type { Store } from '../store/store.ts';
import { Underway } from '../underway.ts';
import { claim, letGo, type ModelParts } from './claim.ts';
import type { Keys } from './keys.ts';
import { type Ended, Live } from './live.ts';
import type { Loop } from './loop.ts';
import { createOwed } from './owed.ts';
import { Started, type Surroundings } from './run.ts';
import type { Seal } from './seal.ts';

/** `attached`: the job is that of an earlier call under the same key. */
export type Accepted = (accepted: { job: string; route: string; audit: { seq: number; hash: string }; attached?: true }) => void;

/** A call that crossed its boundaries. */
export interface Crossed {
  input: Input;
  record: Crossing;
  call: Call;
  /** Takes the time; the crossing lasted until now. */
  end(): void;
  /** performance.now() at the last boundary. */
  mark: number;
  signal: AbortSignal | undefined;
  accepted: Accepted | undefined;
  key: NewKey | null;
}

export interface LifeParts {
  /** null only in the benchmark that shows what the record costs. */
  store: Store | null;
  signer: Signer;
  journal: Journal;
  health: Health;
  stats: Stats;
  loop: Loop;
  keys: Keys;
  seal: Seal;
  models: ModelParts;
  /** What is said to the callback URL of a job once it ended. */
  deliver(record: Crossing, url: string): void;
  /** A route as it is served now; null: it is gone. */
  route(name: string): CompiledRoute | null;
  /** A refusal that leaves its own row. */
  refuse(record: Crossing, call: Call): Promise<Crossing>;
  clock(): number;
  newId(prefix: string): string;
}

/** What a job needs to go on after a restart, besides its row. */
export interface SealedCall {
  ask: Omit<Call, 'headers' | 'query' | 'path' | 'exchange'>;
  traceparent: string;
  /** Its answer went straight to whoever called, who is gone: it does not go on. */
  passed?: true;
}

/** A job as it was found at start. */
export interface Found {
  record: Crossing;
  input: Input;
  call: Call;
  starts: number;
  waits: Waits | null;
  /** It ran when the core crashed. */
  suspect: boolean;
  end(): void;
}

export interface Life {
  /** Resolves with the crossing when the call is over. */
  begin(crossed: Crossed): Promise<Crossing>;
  /** Lets jobs found at start go on: oldest first. */
  resume(found: readonly Found[]): void;
  /** Ends a job found at start that cannot go on; its record says why. */
  lost(record: Crossing, about: { text: string | null }): void;
  /** Asks a job to stop; null when no such job lives, else how it ended. */
  cancel(job: string, by: string): Promise<Job> | null;
  /** What a callback brought for a job; resolves once that is on record. null: no job waits for it. */
  arrived(job: string, answer: Outcome): Promise<Job> | null;
  recorded(): Promise<void>;
  publish(record: Crossing): void;
  close(): Promise<void>;
}

export function createLife(parts: LifeParts): Life {
  const { store, signer, journal, health, stats, loop, keys, seal, models, clock } = parts;
  const runs = new Underway<Started>();
  const deadlines = createDeadlines(runs, (run) => run.expire());
  const about: Surroundings = {
    clock,
    newId: parts.newId,
    progress: noteProgress,
    chunk: (job, text) => journal.publish({ type: 'chunk', job, text }),
  };
  let active = 0;
  let newest: Promise<void> = Promise.resolve();
  let idle: PromiseWithResolvers<void> | null = null;
  let closing = false;
  const owed = createOwed(store);

  function settled(): void {
    active--;
    if (active === 0) idle?.resolve();
  }

  // --- beginning -----------------------------------------------------------------------------------------------------

  async function accept(crossed: Crossed): Promise<Crossing> {
    const { input, record, call, end } = crossed;
    const { route } = input;
    const kept = route.audited && store ? keep(record, input.params) : null;
    let live: Live | null = null;
    if (route.tracked) {
      record.job = parts.newId('job_');
      live = enliven(crossed, kept ? kept.text : record.text);
      const refused = loop.submit(live, submission(crossed, live));
      if (refused !== null) {
        record.job = null;
        record.error = refuse('limited', refused.reason, { hint: 'Call again later.', retryAfterMs: refused.retryAfterMs });
        end();
        return parts.refuse(record, call);
      }
    }
    const unheed = live && heed(crossed.signal, live);
    // What comes while the door closes is not started any more.
    if (live && closing) stopForClose(live);
    if (live?.state === 'running') claimModels(crossed, live);
    const onRecord = live?.ran ?? 0;
    // Audit before execute: whatever happens next, there is a trace that it was meant to happen.
    if (kept && store) {
      try {
        const { seq, hash } = await store.begin({
          at: record.at,
          crossing: record.id,
          job: record.job,
          caller: record.caller,
          door: record.door,
          route: route.spec.name,
          detail: kept.intent,
          jobRow:
            live === null
              ? null
              : { text: kept.text, params: kept.params, confidence: record.confidence, why: kept.why, more: more(crossed, live) },
        });
        record.audit = { hash, seq };
      } catch (caught) {
        stamp(crossed, 'audit', 'refused');
        unheed?.();
        if (live) drop(live);
        record.job = null;
        record.error = toWire(caught);
        end();
        return parts.refuse(record, call);
      }
    }
    if (route.audited) stamp(crossed, 'audit', 'passed');
    if (live) {
      if (journal.kept || live.waits !== null) announce(live);
      if (record.audit) crossed.accepted?.({ job: live.id, route: route.spec.name, audit: record.audit });
    }
    const outcome = await (live ? carry(crossed, live, onRecord) : run(crossed, null));
    unheed?.();
    return finish(crossed, { kept, live, outcome });
  }

  function enliven({ input, record, call: { deadlineMs } }: Pick<Crossed, 'input' | 'record' | 'call'>, text: string | null): Live {
    const standing = input.route.standing({ params: input.params, text: record.text });
    const live = new Live(record, { route: input.route.spec, standing, text });
    if (deadlineMs !== undefined) live.expiresAt = fromNow(record.at + deadlineMs, deadlineMs);
    return live;
  }

  function submission({ input }: Pick<Crossed, 'input'>, { standing: { resources }, expiresAt, starts }: Live) {
    return { resources, retry: input.route.spec.retry, expiresAt, starts };
  }

  /** A time since the epoch on the clock of the schedule. It is `most` away at most: a clock that was set back must not hold anything up. */
  const fromNow = (at: number, most: number) => loop.now() + Math.max(0, Math.min(most, at - clock()));

  /** What the row of a job has besides that of one that simply runs; null for that one. */
  function more({ input, record, call, key }: Crossed, live: Live) {
    const { spec } = input.route;
    const outlives = live.state !== 'running' || spec.idempotent || spec.retry !== null || spec.answer === 'callback';
    const { action, subject } = live.standing;
    const plain = !action && key === null && call.callbackUrl === undefined && live.lane === null && live.state === 'running';
    const passed = call.exchange !== undefined;
    if (plain && (passed || !outlives || (spec.retry === null && spec.answer === 'response' && isWhole(call, input)))) return null;
    const { headers: _headers, query: _query, path: _path, exchange: _exchange, ...ask } = call;
    const sealed: SealedCall = { ask: { ...ask, params: input.params }, traceparent: record.traceparent, ...(passed && { passed }) };
    return {
      state: live.state as 'running' | 'queued' | 'waiting',
      waits: live.waits,
      lane: live.lane,
      subject,
      action,
      call: outlives ? seal.seal(JSON.stringify(sealed)) : null,
      key,
      callbackUrl: call.callbackUrl === undefined ? null : seal.seal(call.callbackUrl),
    };
  }

  /** The intent could not be recorded: nothing was started, nothing will be. */
  function drop(live: Live): void {
    letGo(live, loop);
    if (live.starts > 0) loop.finished(live, { ok: false, again: false, retryAfterMs: null });
    else loop.cancel(live);
  }

  // --- running -------------------------------------------------------------------------------------------------------

  /** Until the returned function is called, a caller that leaves cancels. */
  function heed(signal: AbortSignal | undefined, live: Live): () => void {
    const onCallerGone = () => ask(live, cancelledBy(signal?.reason));
    if (signal?.aborted) onCallerGone();
    else signal?.addEventListener('abort', onCallerGone, { once: true });
    return () => signal?.removeEventListener('abort', onCallerGone);
  }

  /** From the first turn to the last outcome; `onRecord` starts are durable. null: it stays as it is until the next start. */
  async function carry(crossed: Crossed, live: Live, onRecord: number): Promise<Outcome | null> {
    for (let recorded = onRecord; ; ) {
      await live.turn();
      if (live.ended !== null) {
        letGo(live, loop);
        return afterAll(live, crossed.call);
      }
      if (live.starts !== recorded) {
        // It stood in line or waited, and the registry may be another one now: nothing is called that is not in it.
        const route = parts.route(live.route.name);
        if (route === null) {
          loop.finished(live, { ok: false, again: false, retryAfterMs: null });
          return { ok: false, error: routeGone(live.route.name) };
        }
        crossed.input.route = route;
        live.route = route.spec;
        if (live.lease === null && live.denied === null) {
          claimModels(crossed, live);
          if (live.waits !== null) {
            await noteWait(crossed, live, 'waiting');
            continue;
          }
        }
      }
      if (live.starts !== recorded && live.denied === null) {
        // A start that is not on record must not happen: it could not be told from one that did.
        const unrecorded = await store?.start(live.id, clock(), live.starts).then(
          () => null,
          (caught: unknown) => toWire(caught),
        );
        if (unrecorded) {
          letGo(live, loop);
          loop.finished(live, { ok: false, again: false, retryAfterMs: null });
          return { ok: false, error: unrecorded };
        }
        recorded = live.starts;
        announce(live);
      }
      const denied = live.denied;
      const outcome: Outcome = denied === null ? await run(crossed, live) : { ok: false, error: denied };
      const sent = denied !== null ? 'nothing' : live.denied === null ? 'unknown' : 'something';
      letGo(live, loop);
      if (closing && live.cut?.code === 'shutting_down' && !outcome.ok && resumable(crossed)) {
        await note(live, {
          state: 'queued',
          attempts: crossed.record.attempts,
          why: 'waiting',
          detail: 'Dispatcher shut down; it runs again at the next start.',
        });
        return null;
      }
      // A flow that is quick calls back before it has answered.
      if (outcome.ok && outcome.handed && live.answer === null) {
        loop.handed(live, fromNow(outcome.handed.until, crossed.input.route.spec.timeoutMs));
        await noteWait(crossed, live, 'waiting');
        continue;
      }
      // What a callback brought is the end, however the call itself went: whoever sent it waits until that is on record.
      const last = live.answer ?? outcome;
      const again = live.answer === null && !last.ok && live.cut === null && canPass(crossed, last.error, sent);
      loop.finished(live, { ok: last.ok, again, retryAfterMs: last.ok ? null : (last.error.retryAfterMs ?? null) });
      if (live.ended !== null) return last;
      await noteWait(crossed, live, 'retried');
    }
  }

  /** Before a run of what needs models; whoever comes with a grant has them. */
  function claimModels({ call, record }: Crossed, live: Live): void {
    const { route } = live;
    if (route.need === null || call.grant !== undefined || live.cut !== null) return;
    const need = models.need(call.need ?? null, route);
    if (need === null) return;
    // Who calls says what is needed, and the route how far it may go.
    const within = { ...need, sensitive: need.sensitive || route.need.sensitive, egress: nearer(need.egress, route.need.egress) };
    claim(live, { loop, models, need: within, caller: record.caller, told: () => announce(live) });
  }

  const noteWait = (crossed: Crossed, live: Live, why: JobEvent['kind']) =>
    live.waits === null
      ? Promise.resolve()
      : note(live, { state: live.state as 'queued' | 'waiting', attempts: crossed.record.attempts, why, detail: live.waits.reason });

  async function note(
    live: Live,
    about: { state: 'queued' | 'waiting'; attempts: Attempt[]; why: JobEvent['kind']; detail: string },
  ): Promise<void> {
    announce(live);
    await store
      ?.wait(live.id, { at: clock(), waits: live.waits, ...about })
      .catch((caught: unknown) => complain(toWire(caught), `job=${live.id}`));
  }

  /** How a job ended that stood in line or waited. */
  function afterAll({ id, ended, cut, answer, waits }: Live, { exchange }: Call): Outcome | null {
    switch (ended as Ended) {
      case 'done':
        return answer;
      case 'cancelled':
        return { ok: false, error: cut ?? refuse('cancelled', 'It was cancelled.') };
      case 'expired':
        return {
          ok: false,
          error: refuse('wait_expired', `${id} was not started within its deadline: ${waits?.reason ?? 'it stood in line'}`, {
            hint: 'Give it more time, or look at what runs before it.',
          }),
        };
      case 'callback_expired':
        return {
          ok: false,
          error: refuse('upstream_timeout', 'The callback that should have brought the result did not come in time.', {
            hint: 'Look at the flow; POST /callbacks/ingest is where its result belongs.',
          }),
        };
      case 'shut':
        return exchange === undefined ? null : { ok: false, error: gone() };
      default:
        throw new Error(`ended ${ended}`);
    }
  }

  async function run(crossed: Crossed, live: Live | null): Promise<Outcome> {
    const { input, call } = crossed;
    const { spec } = input.route;
    const cutoff = new Cutoff();
    const expiresAt = live === null ? null : live.expiresAt;
    const left = expiresAt === null ? (call.deadlineMs ?? Number.POSITIVE_INFINITY) : expiresAt - loop.now();
    const allowed = Math.max(1, Math.min(spec.timeoutMs, left));
    const onCallerGone = () => cutoff.cut(refuse('cancelled', 'The caller cancelled.'));
    if (live) {
      live.startedAt ??= clock();
      live.runs(cutoff);
    } else if (crossed.signal?.aborted) onCallerGone();
    else crossed.signal?.addEventListener('abort', onCallerGone, { once: true });
    input.runtime.cutoff = cutoff;
    const started = new Started(crossed, { live, cutoff, allowedMs: allowed, about });
    runs.add(started);
    deadlines.watch(started.dueAt);
    let outcome: Outcome;
    try {
      if (cutoff.reason !== null) throw new Refusal(cutoff.reason);
      outcome = await input.route.run(started);
    } catch (caught) {
      if (!(caught instanceof Refusal)) reportBug(caught);
      outcome = { ok: false, error: toWire(caught) };
    }
    runs.delete(started);
    if (!live) crossed.signal?.removeEventListener('abort', onCallerGone);
    // What cut the run off is the reason, not what the socket said when it was destroyed.
    const reason = cutoff.reason ?? live?.cut ?? null;
    if (reason !== null && !outcome.ok) outcome = { ok: false, error: reason };
    if (outcome.ok && tooDeep(outcome.result))
      outcome = { ok: false, error: refuse('upstream_failed', `${spec.name} answered with JSON nested too deep to record.`) };
    return outcome;
  }

  // --- ending --------------------------------------------------------------------------------------------------------

  async function finish(
    crossed: Crossed,
    { kept, live, outcome }: { kept: Kept | null; live: Live | null; outcome: Outcome | null },
  ): Promise<Crossing> {
    const { input, record, call, end } = crossed;
    const { spec } = input.route;
    stamp(crossed, 'execute', outcome?.ok ? 'passed' : 'refused');
    if (outcome?.ok) {
      record.ok = true;
      record.result = outcome.result ?? null;
      if (outcome.directives) record.directives = outcome.directives;
    } else record.error = outcome === null ? notNow() : outcome.error;
    end();
    if (live && outcome !== null) {
      stats.note(spec.name, { at: record.at, durationMs: record.durationMs, error: record.error?.code ?? null });
      // A caller in more of a hurry than the service says nothing of its health; neither does one that cancelled or stood in line.
      const { code = null } = record.error ?? {};
      const hurried = code === 'upstream_timeout' && call.deadlineMs !== undefined && call.deadlineMs < spec.timeoutMs;
      if (!hurried && !saysNothing.has(code ?? '')) health.note(spec.name, { ok: record.ok, durationMs: record.durationMs, error: code });
    }
    await signer.sign(record);
    // The job goes on at the next start: what is on record of it stays as it is.
    if (outcome === null) return record;
    if (!kept || !store) {
      conclude(record, live);
      return record;
    }
    // The answer leaves while its outcome is on the way to the disk: a crash in between leaves the job unknown, which is true.
    // Whoever reads the record waits for it (`recorded`); so do watchers and `close`.
    const row = outcomeRow(record, kept);
    active++;
    newest = store.finish(row).then(
      () => {
        conclude(record, live);
        settled();
      },
      (caught: unknown) => {
        const error = toWire(caught);
        if (!(caught instanceof Refusal)) reportBug(caught);
        owed.owe(row);
        complain(error, `outcome_owed, crossing=${record.id}`);
        conclude(record, live);
        settled();
      },
    );
    // In the same turn, so that one commit has both.
    if (call.callbackUrl !== undefined && live) parts.deliver(record, call.callbackUrl);
    return record;
  }

  /** The call is over, and on record or owed to it. */
  function conclude(record: Crossing, live: Live | null): void {
    if (live) {
      live.state = stateOf(record);
      live.waits = null;
      if (journal.kept) journal.publish({ type: 'job', job: live.job });
      live.waiter?.resolve(live.job);
      parts.models.ended(live.id);
    }
    publish(record);
  }

  function publish(record: Crossing): void {
    // Reads are how fronts look at the state; telling every front of every look would tell nobody anything.
    if (record.ok && record.job === null && record.audit === null && store) return;
    journal.publish({ type: 'crossing', crossing: journal.kept ? eventOf(record) : record }, signalOf(record));
  }

  function complain(error: WireError, words: string): void {
    journal.publish({ type: 'rejected', door: 'core', error }, `❌ OS → OS : ${words}, error=${error.code}`);
  }

  // --- what happens to it meanwhile ------------------------------------------------------------------------------------

  function announce(live: Live): void {
    const { org, service } = live.route;
    const { waits } = live;
    const words = waits === null ? null : `⏸️ OS → ${org} : ${live.state}, service=${service}, job=${live.id}, for=${waits.kind}`;
    journal.publish({ type: 'job', job: live.job }, words);
  }

  function noteProgress(live: Live, progress: number | null, words: string | null): void {
    live.progress = progress;
    live.progressNote = words;
    store?.progress(live.id, progress, words);
    const { org, service } = live.route;
    const done = progress === null ? '' : `, done=${Math.round(progress * 100)}%`;
    const said = words === null ? '' : `, note=${words.slice(0, 80)}`;
    journal.publish({ type: 'job', job: live.job }, `⏳ OS → ${org} : progress, service=${service}${done}${said}`);
  }

  function ask(live: Live, error: WireError): void {
    if (live.cancelRequestedAt === null && error.code === 'cancelled') {
      live.cancelRequestedAt = clock();
      store?.cancelRequested(live.id, live.cancelRequestedAt);
      const { org, service } = live.route;
      journal.publish({ type: 'job', job: live.job }, `✋ OS → ${org} : cancel_requested, service=${service}, job=${live.id}`);
    }
    live.stop(error);
    loop.cancel(live);
  }

  function stopForClose(live: Live): void {
    if (live.state === 'running') live.stop(shutDown());
    // A step of what was just cut off is cancelled already.
    else if (live.ended === null) live.over('shut');
  }

  // --- after a restart -------------------------------------------------------------------------------------------------

  function resume(found: readonly Found[]): void {
    const lives = found.map((one) => {
      const live = enliven(one, one.record.text);
      live.starts = one.starts;
      // Until the schedule has said what becomes of it.
      live.held(
        one.waits?.kind === 'callback' ? 'waiting' : 'queued',
        one.waits ?? { kind: 'lane', reason: 'It was restored.', until: null, position: null },
      );
      return live;
    });
    loop.restore(
      found.map((one, i) => ({
        live: lives[i]!,
        job: submission(one, lives[i]!),
        waits: one.waits && { ...one.waits, until: one.waits.until === null ? null : fromNow(one.waits.until, longestWait(one)) },
        suspect: one.suspect,
      })),
    );
    found.forEach((one, i) => {
      const crossed: Crossed = { ...one, mark: performance.now(), signal: undefined, accepted: undefined, key: null };
      const kept = keep(one.record, one.input.params);
      active++;
      const over = carry(crossed, lives[i]!, one.starts).then((outcome) => finish(crossed, { kept, live: lives[i]!, outcome }));
      const key = keys.of(one.call, one.input.route.spec.name);
      if (key !== null) keys.reserve(one.call.principal.id, key, { job: lives[i]!.id, crossing: over, recorded: over.then(() => newest) });
      over.catch(reportBug).finally(settled);
    });
  }

  function lost(record: Crossing, { text }: { text: string | null }): void {
    const kept = { text, why: record.why, params: null, intent: '', clean: false };
    active++;
    newest = signer
      .sign(record)
      .then(() => store?.finish(outcomeRow(record, kept)))
      .catch((caught: unknown) => complain(toWire(caught), `lost, job=${record.job}`))
      .then(() => publish(record))
      .finally(settled);
  }

  return {
    lost,
    begin(crossed) {
      active++;
      const over = accept(crossed);
      if (crossed.key !== null)
        keys.reserve(crossed.call.principal.id, crossed.key, {
          job: crossed.record.job!,
          crossing: over,
          recorded: over.then(() => newest),
        });
      return over.finally(settled);
    },
    resume,
    cancel(job, by) {
      const live = loop.live(job);
      if (live === null) return null;
      live.waiter ??= Promise.withResolvers();
      ask(live, refuse('cancelled', `Cancelled by ${by}.`, { hint: 'The service may have done part of it.' }));
      return live.waiter.promise;
    },
    arrived(job, answer) {
      const live = loop.live(job);
      const expected = live?.route.answer === 'callback' && (live.state === 'running' || live.waits?.kind === 'callback');
      if (live === null || !expected || live.answer !== null || live.cut !== null) return null;
      live.answer = answer;
      live.waiter ??= Promise.withResolvers();
      // A flow may call back before it answers the call, and wait for us to take it before it does.
      if (live.state === 'running') live.stop(refuse('cancelled', 'Its callback came while it was called.'));
      loop.schedule({ type: 'arrived', at: loop.now(), job });
      return live.waiter.promise;
    },
    recorded: () => newest,
    publish,
    async close() {
      closing = true;
      owed.close();
      for (const live of loop.all()) stopForClose(live);
      // Streams under a grant are no jobs, and may be as long.
      for (const run of runs) if (run.runtime.grant !== null) run.cutoff.cut(shutDown());
      if (active > 0) {
        idle ??= Promise.withResolvers();
        await idle.promise;
      }
      await owed.pay();
      deadlines[Symbol.dispose]();
    },
  };

  function stamp(crossed: Crossed, boundary: string, outcome: 'passed' | 'refused'): void {
    const now = performance.now();
    crossed.record.boundaries.push({ boundary, ms: Math.round((now - crossed.mark) * 1000) / 1000, outcome });
    crossed.mark = now;
  }
}

/** A pause before a retry, or the time that a callback has. */
const longestWait = ({ waits, input }: Found): number => {
  const { retry, timeoutMs } = input.route.spec;
  return waits?.kind === 'callback' ? timeoutMs : (retry?.maxMs ?? 0);
};

/** What ends a job whose route was taken out of the registry before its turn came. */
export const routeGone = (name: string | null) =>
  refuse('route_unknown', `Its route ${name} is gone from the registry.`, { hint: 'Put it back and run the job again.' });

/** Longer words may be cut in the record. */
const WHOLE_MOST = 1000;

/** Its job's record says all there is to say of it, so that it needs no sealed copy to run again (boot.ts, isRebuildable). */
function isWhole(call: Call, { params }: Input): boolean {
  const { parent, traceparent, deadlineMs, confirm, ask, need, grant } = call;
  if (parent ?? traceparent ?? deadlineMs ?? confirm ?? ask ?? need ?? grant) return false;
  const said = JSON.stringify([call.text ?? null, params]);
  return said.length < WHOLE_MOST && redact([call.text ?? null, params]) === said;
}

const distances: readonly Egress[] = ['local', 'lan', 'remote'];
const nearer = (a: Egress, b: Egress): Egress => (distances.indexOf(a) < distances.indexOf(b) ? a : b);

/** Failures that say nothing of a service's health. */
const saysNothing: ReadonlySet<string> = new Set(['cancelled', 'wait_expired', 'no_capability', 'vram_exhausted']);

/** It may be started again although it was cut off. */
const resumable = ({ input, call }: Crossed): boolean => input.route.spec.idempotent && call.exchange === undefined;

/** Failures before a byte reached the service; what it did with any other is known only where twice is no more than once. */
const NOTHING_SENT: ReadonlySet<string> = new Set(['upstream_refused', 'upstream_name_unknown', 'upstream_unreachable', 'breaker_open']);

/** `sent`: what reached the service, where more than the error is known of that. */
function canPass({ input, call }: Crossed, { code }: WireError, sent: 'nothing' | 'unknown' | 'something'): boolean {
  const { retry, idempotent } = input.route.spec;
  if (retry === null) return false;
  if (sent === 'nothing') return catalogue[code].retry;
  if (sent === 'unknown' && NOTHING_SENT.has(code)) return true;
  return idempotent && call.exchange === undefined && catalogue[code].retry;
}

const shutDown = () =>
  refuse('shutting_down', 'Dispatcher shut down while this ran.', { hint: 'Look at the service before calling again.' });

/** Of a call whose answer would have gone straight to whoever made it. */
export const gone = () =>
  refuse('shutting_down', 'Dispatcher shut down before this ran, and nothing was sent.', { hint: 'Call again once it is back.' });

const notNow = () =>
  refuse('shutting_down', 'Dispatcher shut down before this ran; it goes on at the next start.', { hint: 'Look at its job then.' });

/** Who made the call may have been cancelled, and then knows by whom. */
const cancelledBy = (reason: unknown): WireError =>
  (reason as WireError | undefined)?.code === 'cancelled' ? (reason as WireError) : refuse('cancelled', 'The caller cancelled.');

/** The one place where a thrown exception, a bug, is written down. */
export function reportBug(caught: unknown): void {
  process.stderr.write(
    `${JSON.stringify({ level: 'error', time: Date.now(), msg: 'bug', stack: caught instanceof Error ? caught.stack : String(caught) })}\n`,
  );
}
