/** What a runner is: one function that executes a route of its kind. It decides nothing about who may call or whether. */
import type { WireError } from '../../../shared/errors.ts';
import type { Attempt, Crossing, Departure, Door, Principal, Route } from '../../../shared/model.ts';
import type { Runtime } from '../boundaries.ts';
import type { Bound } from '../cortex/bound.ts';
import type { Cutoff } from '../cutoff.ts';

/** One execution. Times are milliseconds since the epoch. */
export interface Run {
  route: Route;
  text: string | null;
  params: Record<string, unknown>;
  /** Aborted when the caller cancels or the deadline passes; its reason is the WireError to end with. */
  readonly signal: AbortSignal;
  /** What aborts the signal, for a runner that can do without one: a signal is made when it is first asked for. */
  cutoff: Cutoff;
  deadlineAt: number;
  traceparent: string;
  principal: Principal;
  door: Door;
  runtime: Runtime;
  /** null for what leaves no job. */
  job: string | null;
  /** How often the job was started, this time included. */
  start: number;
  /** The models it may use, for a route that needs some; empty for every other. */
  models: readonly Bound[];
  /** The runner pushes one for each start. */
  attempts: Attempt[];
  /** The runner pushes what it sent off this machine. */
  left: Departure[];
  newAttemptId(): string;
  /** `progress` is 0..1. */
  progress(progress: number | null, note: string | null): void;
  /** A piece of the answer, as it comes. */
  chunk(text: string): void;
}

/** `handed`: the work was handed over; a callback ends the job, `until` at the latest. */
export type Outcome =
  | { ok: true; result: unknown; directives?: Crossing['directives']; handed?: { until: number } }
  | { ok: false; error: WireError };

/** Resolves with a failure as a value; it rejects only for bugs. */
export type Runner = (run: Run) => Promise<Outcome>;
