/**
 * POST /orchestrate of seed 003: one door for every intent. The mode says which of several runs it; the result is the answer if it is there
 * in time, else the job, which goes on. It is never started again.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { Orchestrated } from '../../../shared/contract.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import { hasEnded } from '../../../shared/job.ts';
import type { Crossing, JobDetail, Route, RouteKind } from '../../../shared/model.ts';
import { traceIdOf } from '../crossing.ts';
import type { Implementation, ParsedOf } from '../operations.ts';
import { stateOf } from '../record.ts';
import type { Run } from '../runners/runner.ts';
import { findRoute, nearestNames, type Table } from '../table.ts';

export interface OrchestrateParts {
  table(): Table;
  /** A job as it is now. */
  job(id: string): JobDetail | null;
  clock(): number;
  /** Resolves after `ms`; rejects when the signal is aborted. */
  sleep?(ms: number, signal: AbortSignal): Promise<unknown>;
}

type Mode = 'flow' | 'mcp' | 'agent';

const kindOf = { flow: 'flow', mcp: 'mcp', agent: 'tool' } as const satisfies Record<Mode, RouteKind>;
const orgOf = { flow: 'FLOW', mcp: 'MCP', agent: 'OS' } as const;
const wordOf = { flow: 'flow', mcp: 'MCP tool', agent: 'tool' } as const;

/** What is left of the operation's own time to answer in, after it has waited. */
const answerMs = 500;

export function orchestrateOperations({
  table,
  job,
  clock,
  sleep = (ms, signal) => wait(ms, undefined, { signal }),
}: OrchestrateParts): Pick<Implementation, 'OS.orchestrate'> {
  async function orchestrate(asked: ParsedOf<'OS.orchestrate'>, run: Run): Promise<Orchestrated> {
    const startedAt = clock();
    const current = table();
    const chosen = choose(current, asked);
    if ('code' in chosen) throw new Refusal(chosen);
    const trace = asked.trace ?? run.traceparent;
    // A call that got the answer of another one is not called back: that one's caller is, if it wanted to be.
    const callbackUrl = asked.callback_url ?? undefined;
    const call = {
      ...chosen,
      params: asked.inputs,
      // A name of the caller's own is handed back, and the trace goes on as it was.
      ...(typeof asked.trace === 'string' && traceIdOf(asked.trace) !== null && { traceparent: asked.trace }),
      ...(asked.idempotency_key && { key: asked.idempotency_key }),
      ...(asked.content && { content: true }),
      ...(callbackUrl !== undefined && { callbackUrl }),
      ...((asked.confirm ?? run.runtime.confirmed) && { confirm: true }),
    };

    const answered = new AbortController();
    const accepted = Promise.withResolvers<{ job: string; attached?: true }>();
    const ending = run.runtime.dispatch(call, { accepted: accepted.resolve, detached: true }).then((crossing) => ({ crossing }));
    const atMost = Math.min(asked.wait_ms ?? current.registry.orchestrator.waitMs, run.deadlineAt - clock() - answerMs);
    const late = sleep(Math.max(0, atMost), AbortSignal.any([run.signal, answered.signal])).then(() => accepted.promise);
    try {
      const first = await Promise.race([ending, late]);
      if ('crossing' in first) return answerOf(first.crossing);
      // It ended while the time ran out: its result is there, and is the answer.
      if (hasEnded(job(first.job)?.state ?? 'running')) return answerOf((await ending).crossing);
      return pending(first);
    } catch (caught) {
      throw run.cutoff.reason === null ? caught : new Refusal(run.cutoff.reason);
    } finally {
      answered.abort();
    }

    function answerOf(crossing: Crossing): Orchestrated {
      const { error } = crossing;
      if (crossing.job === null && error !== null) throw new Refusal(error);
      // The door closed: the job goes on at the next start.
      const state = error?.code === 'shutting_down' ? (job(crossing.job ?? '')?.state ?? 'unknown') : stateOf(crossing);
      return {
        job_id: crossing.job,
        status: state,
        result: crossing.result,
        error,
        will_callback: callbackUrl !== undefined && crossing.replayed === undefined,
        mode: modeOf(current, crossing.route),
        route: crossing.route,
        duration_ms: crossing.durationMs,
        replayed: crossing.replayed !== undefined,
        trace,
        crossing: crossing.id,
      };
    }

    function pending({ job: id, attached = false }: { job: string; attached?: boolean }): Orchestrated {
      const known = job(id);
      return {
        job_id: id,
        status: known?.state ?? 'running',
        result: null,
        error: null,
        will_callback: callbackUrl !== undefined && !attached,
        mode: modeOf(current, known?.route ?? null),
        route: known?.route ?? null,
        duration_ms: clock() - startedAt,
        replayed: attached,
        trace,
        crossing: known?.crossing ?? null,
      };
    }
  }

  return { 'OS.orchestrate': (asked, _by, run) => orchestrate(asked, run) };
}

/**
 * What an intent is: a route, or words for the operator. `auto` takes a route by its name or by that of its service, whose kind then is the
 * mode; where several orgs have that service, seed 003's heuristics choose. Codes: route_unknown with the nearest names, route_uncertain.
 */
export function choose(
  table: Table,
  { intent, mode }: { intent: string; mode: 'auto' | Mode },
): { route: string } | { text: string } | WireError {
  const named = findRoute(table, mode === 'auto' ? intent : `${orgOf[mode]}.${intent}`) ?? findRoute(table, intent);
  if (named && named.spec.kind !== 'operation' && (mode === 'auto' || named.spec.kind === kindOf[mode])) return { route: named.spec.name };

  const wanted = intent.toLowerCase();
  const offered = table.registry.routes.filter(
    ({ kind, service }) => service.toLowerCase() === wanted && (mode === 'auto' || kind === kindOf[mode]),
  );
  const guessed = offered.length > 1 ? offered.filter(({ kind }) => kind === kindOf[guess(wanted)]) : [];
  const [only, ...others] = guessed.length > 0 ? guessed : offered;
  if (only && others.length === 0) return { route: only.name };
  if (only) return several(intent, [only, ...others]);
  return mode === 'auto' && !looksLikeName(intent) ? { text: intent } : unknown(table, intent, mode);
}

/** Seed 003. */
function guess(intent: string): Mode {
  if (/\.(?:peek|read)$/.test(intent) || intent.startsWith('memory.')) return 'agent';
  if (/^(?:gmail|digest|workflow|fs)\./.test(intent)) return 'flow';
  return intent.startsWith('ssh.') ? 'agent' : 'flow';
}

/** `gmail.triage` rather than `sort my mail`: guessing what such a name means would run something else. */
const looksLikeName = (intent: string) => /^[\w-]+(?:[.:/][\w-]+)+$/.test(intent);

const modeOf = (table: Table, name: string | null): Mode | null => {
  const kind = name === null ? undefined : table.routes.get(name)?.spec.kind;
  return kind === 'flow' || kind === 'mcp' ? kind : kind === 'tool' ? 'agent' : null;
};

function several(intent: string, routes: Route[]): WireError {
  const choices = routes.map(({ name, kind }) => ({ route: name, confidence: null, reason: `a service ${intent} of kind ${kind}` }));
  return refuse('route_uncertain', `${choices.length} orgs have a service ${intent.slice(0, 100)}.`, {
    hint: `Name one: ${choices
      .map(({ route }) => route)
      .slice(0, 5)
      .join(', ')}.`,
    choices,
  });
}

function unknown(table: Table, intent: string, mode: 'auto' | Mode): WireError {
  const specs = [...table.routes.values()].flatMap(({ spec }) =>
    (mode === 'auto' ? spec.kind !== 'operation' : spec.kind === kindOf[mode]) ? [spec] : [],
  );
  // Most intents are the name of a service; whoever writes the org as well is compared with that.
  const whole = table.registry.orgs.some(({ code }) => intent.toLowerCase().startsWith(`${code.toLowerCase()}.`));
  const names = new Map(specs.map(({ name, service }) => [(whole ? name : service).toLowerCase(), name]));
  const choices = nearestNames({ ...table, names }, intent).map((route) => ({ route, confidence: null, reason: 'similar name' }));
  return refuse('route_unknown', `There is no ${mode === 'auto' ? 'route' : wordOf[mode]} ${intent.slice(0, 200)}.`, {
    hint:
      choices.length > 0
        ? `Nearest: ${choices.map(({ route }) => route).join(', ')}.`
        : `The registry has no ${mode === 'auto' ? 'route' : wordOf[mode]} at all.`,
    choices,
  });
}
