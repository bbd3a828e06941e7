/** Runs several routes as one: steps with dependencies, side by side where they can, each a crossing of its own. */
import { refuse, type WireError } from '../../../shared/errors.ts';
import type { Grid, GridStep } from '../../../shared/model.ts';
import { fill, lookUp, referencesIn, type Scope } from '../registry/references.ts';
import { beginAttempt } from './attempt.ts';
import type { Outcome, Run, Runner } from './runner.ts';

/** What became of one step. `skipped`: it was not started, and why; then it has neither a result nor an error. */
export interface StepReport {
  ok: boolean;
  result?: unknown;
  error?: WireError;
  skipped?: string;
  /** Its own crossing and job; null when it was not started. */
  crossing: string | null;
  job: string | null;
  durationMs: number;
}

/**
 * Runs routes of kind grid. Succeeds with `{steps}`, a StepReport by name, and for `any` the name of the first success as `winner`. A
 * reference to a parameter that was not sent is `input_invalid` before anything starts; one to a part of a result that is not there fails
 * its step. When the grid fails, `issues` of its error has every step that did not succeed, and its code is that of the first failure.
 * Cancel and deadline reach every step.
 */
export function createGridRunner({ clock }: { clock(): number }): Runner {
  return async (run) => {
    const grid = run.route.grid!;
    const missing = missingParameters(grid, run);
    if (missing !== null) return { ok: false, error: missing };
    const attempt = beginAttempt(run, { endpoint: null, at: clock() });
    const played = await play(grid, run);
    const outcome = judge(grid, run, played);
    attempt.durationMs = clock() - attempt.startedAt;
    attempt.error = outcome.ok ? null : outcome.error.code;
    return outcome;
  };
}

interface Played {
  reports: Map<string, StepReport>;
  /** In the order they happened. */
  failures: { step: string; error: WireError }[];
  winner: string | null;
}

async function play({ steps, policy }: Grid, run: Run): Promise<Played> {
  const played: Played = { reports: new Map(), failures: [], winner: null };
  const results = new Map<string, unknown>();
  const scope: Scope = { params: run.params, text: run.text, results };
  const rest = new AbortController();
  const signal = AbortSignal.any([run.signal, rest.signal]);
  /** Why nothing more is started. */
  let settled: string | null = null;

  const settle = (why: string) => {
    settled ??= why;
    rest.abort(refuse('cancelled', why));
  };

  async function start(step: GridStep): Promise<StepReport> {
    const without = step.after.find((name) => played.reports.get(name)?.ok !== true);
    const skipped =
      settled ?? (signal.aborted ? 'The grid was cut off.' : without === undefined ? null : `The step ${without} did not succeed.`);
    if (skipped !== null) return { ok: false, skipped, crossing: null, job: null, durationMs: 0 };
    const params = fill(step.params, scope);
    if (!params.ok) {
      const path = `steps.${step.name}.params`;
      const message = `The step ${step.name} reads ${params.missing.written}, and there is nothing there.`;
      const hint = `Look at what the step ${params.missing.step} answers.`;
      const error = refuse('input_invalid', message, { hint, issues: [{ path, message: `${params.missing.written} is not there` }] });
      return { ok: false, error, crossing: null, job: null, durationMs: 0 };
    }
    const crossing = await run.runtime.dispatch(
      { route: step.route, params: params.value as Record<string, unknown>, ...(run.runtime.confirmed && { confirm: true }) },
      { signal },
    );
    run.left.push(...crossing.left);
    const { id, job, durationMs } = crossing;
    return crossing.error === null
      ? { ok: true, result: crossing.result, crossing: id, job, durationMs }
      : { ok: false, error: crossing.error, crossing: id, job, durationMs };
  }

  const begun = new Map<string, Promise<void>>();
  const byName = new Map(steps.map((step) => [step.name, step]));
  const take = (step: GridStep): Promise<void> => {
    const known = begun.get(step.name);
    if (known) return known;
    const over = Promise.all(step.after.map((name) => take(byName.get(name)!)))
      .then(() => start(step))
      .then((report) => {
        played.reports.set(step.name, report);
        if (report.ok) {
          results.set(step.name, report.result);
          played.winner ??= step.name;
          if (policy === 'any') settle(`The step ${step.name} had succeeded.`);
        } else if (report.error) {
          played.failures.push({ step: step.name, error: report.error });
          if (policy === 'all') settle(`The step ${step.name} had failed.`);
        }
        run.progress(
          played.reports.size / steps.length,
          `${step.name}: ${report.ok ? 'done' : (report.skipped ?? report.error?.message ?? '')}`,
        );
      });
    begun.set(step.name, over);
    return over;
  };
  await Promise.all(steps.map(take));
  return played;
}

function judge({ policy, steps }: Grid, run: Run, { reports, failures, winner }: Played): Outcome {
  const { reason } = run.cutoff;
  const succeeded = steps.filter(({ name }) => reports.get(name)!.ok).length;
  // Whatever succeeded until the deadline is the best there is; what somebody cancelled is cancelled.
  const enough = policy === 'all' ? succeeded === steps.length : succeeded > 0;
  if (enough && (reason === null || (policy === 'best' && reason.code === 'upstream_timeout'))) {
    const byName = Object.fromEntries(steps.map(({ name }) => [name, reports.get(name)!]));
    return { ok: true, result: policy === 'any' ? { winner, steps: byName } : { steps: byName } };
  }
  if (reason !== null) return { ok: false, error: reason };
  const issues = steps.flatMap(({ name }) => {
    const { error, skipped } = reports.get(name)!;
    return error
      ? [{ path: `steps.${name}`, message: error.message }]
      : skipped
        ? [{ path: `steps.${name}`, message: `not started: ${skipped}` }]
        : [];
  });
  const { step, error } = failures[0]!;
  const message =
    policy === 'all'
      ? `The step ${step} of ${run.route.name} failed: ${error.message}`
      : `No step of ${run.route.name} succeeded; ${step}: ${error.message}`;
  return { ok: false, error: { ...error, message, issues } };
}

/** The refusal of a call that lacks what the steps read of it; found before anything starts. */
function missingParameters({ steps }: Grid, { route, params, text }: Run): WireError | null {
  const scope: Scope = { params, text, results: new Map() };
  const issues = steps.flatMap((step) =>
    referencesIn(step.params)
      .filter((reference) => reference.root !== 'steps' && lookUp(reference, scope) === undefined)
      .map(({ written, root, keys }) => ({ path: [root, ...keys].join('.'), message: `the step ${step.name} reads ${written}` })),
  );
  const first = issues[0];
  if (!first) return null;
  return refuse('input_invalid', `${route.name} needs ${first.path}: ${first.message}.`, { hint: 'Send it as a parameter.', issues });
}
