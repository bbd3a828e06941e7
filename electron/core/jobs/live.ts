/** A job that has not ended: what it is, and where it stands. */
import type { WireError } from '../../../shared/errors.ts';
import { hasEnded } from '../../../shared/job.ts';
import type { Crossing, Job, JobState, Route, Waits } from '../../../shared/model.ts';
import type { Standing } from '../boundaries.ts';
import type { Bound } from '../cortex/bound.ts';
import type { Cutoff } from '../cutoff.ts';
import type { Outcome } from '../runners/runner.ts';

/** How a job ended that did not run to its end; `shut`: not at all, it goes on at the next start. */
export type Ended = 'done' | 'cancelled' | 'expired' | 'callback_expired' | 'shut';

/** What fronts see of it, its Job, is made when somebody looks. */
export class Live {
  readonly id: string;
  /** As it was when it was last started, or taken. */
  route: Route;
  readonly standing: Standing;
  state: JobState = 'running';
  waits: Waits | null = null;
  starts = 0;
  startedAt: number | null = null;
  ended: Ended | null = null;
  /** What the callback brought. */
  answer: Outcome | null = null;
  progress: number | null = null;
  progressNote: string | null = null;
  cancelRequestedAt: number | null = null;
  /** What its run may use. */
  models: readonly Bound[] = [];
  /** For models, had or waited for; null: none. */
  lease: string | null = null;
  /** Why it gets no models, or has them no more. */
  denied: WireError | null = null;
  /** Its deadline on the clock of the schedule; null: it has none of its own. */
  expiresAt: number | null = null;
  /** Of who cancelled it and wants to know what became of it. */
  waiter: PromiseWithResolvers<Job> | null = null;
  readonly #record: Crossing;
  readonly #text: string | null;
  #cut: WireError | null = null;
  #run: Cutoff | null = null;
  #turn: PromiseWithResolvers<void> | null = null;

  /** `text` with its secrets redacted. */
  constructor(record: Crossing, { route, standing, text }: { route: Route; standing: Standing; text: string | null }) {
    this.id = record.job!;
    this.route = route;
    this.standing = standing;
    this.#record = record;
    this.#text = text;
  }

  /** Its turn has come. */
  began(start: number): void {
    this.state = 'running';
    this.waits = null;
    this.starts = start;
    this.#turn?.resolve();
    this.#turn = null;
  }

  /** It has to wait. */
  held(state: 'queued' | 'waiting', waits: Waits): void {
    this.state = state;
    this.waits = waits;
    this.#turn ??= Promise.withResolvers();
  }

  /** Nothing more will be started. */
  over(how: Ended): void {
    this.ended = how;
    this.#turn?.resolve();
    this.#turn = null;
  }

  /** Resolves when its turn has come, or when it is over. */
  turn(): Promise<void> | undefined {
    return this.#turn?.promise;
  }

  /** Why it was told to stop; null when it was not. */
  get cut(): WireError | null {
    return this.#cut;
  }

  /** What cuts the run that starts now off. */
  runs(cutoff: Cutoff): void {
    this.#run = cutoff;
    if (this.#cut !== null) cutoff.cut(this.#cut);
  }

  /** Cuts off what runs, now and whatever would start later. The first reason counts. */
  stop(error: WireError): void {
    this.#cut ??= error;
    this.#run?.cut(this.#cut);
  }

  /** Cuts off what runs now, and nothing that starts later. */
  takeBack(error: WireError): void {
    this.#run?.cut(error);
  }

  /** Starts that happened: one that waits for its models has not. */
  get ran(): number {
    return this.waits?.kind === 'gpu' ? Math.max(0, this.starts - 1) : this.starts;
  }

  /** The lane it holds or stands in; null: none. */
  get lane(): string | null {
    return this.standing.resources.find(({ kind }) => kind === 'lane')?.name ?? null;
  }

  get job(): Job {
    const { id, route, door, caller, at, confidence, why, audit, durationMs, error } = this.#record;
    const over = hasEnded(this.state);
    return {
      id: this.id,
      crossing: id,
      state: this.state,
      route,
      text: this.#text,
      door,
      caller,
      createdAt: at,
      startedAt: this.startedAt,
      finishedAt: over ? at + durationMs : null,
      durationMs: over ? durationMs : null,
      progress: this.progress,
      progressNote: this.progressNote,
      confidence,
      why,
      errorCode: over ? (error?.code ?? null) : null,
      errorMessage: over ? (error?.message ?? null) : null,
      auditSeq: audit?.seq ?? null,
      cancelRequestedAt: this.cancelRequestedAt,
      waits: this.waits,
      lane: this.lane,
      subject: this.standing.subject,
      starts: this.ran,
    };
  }
}
