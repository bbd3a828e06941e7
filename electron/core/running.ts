/** A call while it runs. */
import type { Ask, Call } from '../../shared/contract.ts';
import type { WireError } from '../../shared/errors.ts';
import type { Crossing, Job, JobState, Route } from '../../shared/model.ts';
import type { Runtime } from './boundaries.ts';

/** A call that runs. What fronts see of it, its job, is made when somebody looks. */
export class Running {
  readonly id: string;
  readonly route: Route;
  readonly stop: (error: WireError) => void;
  state: JobState = 'running';
  progress: number | null = null;
  progressNote: string | null = null;
  cancelRequestedAt: number | null = null;
  /** Of who cancelled it and wants to know what became of it. */
  waiter: PromiseWithResolvers<Job> | null = null;
  readonly #record: Crossing;
  readonly #startedAt: number;
  readonly #text: string | null;

  /** `text` with its secrets redacted. */
  constructor(
    record: Crossing,
    { route, stop, startedAt, text }: { route: Route; stop(error: WireError): void; startedAt: number; text: string | null },
  ) {
    this.id = record.job!;
    this.route = route;
    this.stop = stop;
    this.#record = record;
    this.#startedAt = startedAt;
    this.#text = text;
  }

  get job(): Job {
    const { id, route, door, caller, at, confidence, why, audit, durationMs, error } = this.#record;
    const over = this.state !== 'running';
    return {
      id: this.id,
      crossing: id,
      state: this.state,
      route,
      text: this.#text,
      door,
      caller,
      createdAt: at,
      startedAt: this.#startedAt,
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
      waits: null,
    };
  }
}

/** What a call reaches besides its own words. */
export class CallRuntime implements Runtime {
  readonly #call: Call;
  readonly #record: Crossing;
  readonly #dispatch: (call: Call) => Promise<Crossing>;

  constructor(call: Call, record: Crossing, dispatch: (call: Call) => Promise<Crossing>) {
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

  dispatch(ask: Ask): Promise<Crossing> {
    const { id, traceparent } = this.#record;
    return this.#dispatch({ ...ask, door: this.door, principal: this.principal, parent: id, traceparent });
  }
}
