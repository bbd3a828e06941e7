/** One start of a call, as its runner gets it. */
import { refuse } from '../../../shared/errors.ts';
import type { Cutoff } from '../cutoff.ts';
import type { Due } from '../deadlines.ts';
import type { Run } from '../runners/runner.ts';
import type { Placed } from '../underway.ts';
import type { Crossed } from './life.ts';
import type { Live } from './live.ts';

/** What a start needs of the life it belongs to. */
export interface Surroundings {
  clock(): number;
  newId(prefix: string): string;
  progress(live: Live, progress: number | null, note: string | null): void;
  chunk(job: string, text: string): void;
}

/** A class, because one is made for every call: its functions are made once, and its signal only for who asks for it. */
export class Started implements Run, Placed, Due {
  place = 0;
  dueAt: number;
  readonly route: Run['route'];
  readonly text: Run['text'];
  readonly params: Run['params'];
  readonly cutoff: Cutoff;
  readonly deadlineAt: number;
  readonly traceparent: string;
  readonly principal: Run['principal'];
  readonly door: Run['door'];
  readonly runtime: Run['runtime'];
  readonly job: string | null;
  readonly start: number;
  readonly models: Run['models'];
  readonly attempts: Run['attempts'];
  readonly left: Run['left'];
  readonly #live: Live | null;
  readonly #allowedMs: number;
  readonly #about: Surroundings;

  constructor(
    { input, record, call }: Crossed,
    { live, cutoff, allowedMs, about }: { live: Live | null; cutoff: Cutoff; allowedMs: number; about: Surroundings },
  ) {
    this.dueAt = performance.now() + allowedMs;
    this.route = input.route.spec;
    this.text = record.text;
    this.params = input.params;
    this.cutoff = cutoff;
    this.deadlineAt = about.clock() + allowedMs;
    this.traceparent = record.traceparent;
    this.principal = call.principal;
    this.door = call.door;
    this.runtime = input.runtime;
    this.job = record.job;
    this.start = live?.starts ?? 1;
    this.models = live?.models ?? [];
    this.attempts = record.attempts;
    this.left = record.left;
    this.#live = live;
    this.#allowedMs = allowedMs;
    this.#about = about;
  }

  get signal(): AbortSignal {
    return this.cutoff.signal;
  }

  /** Its time is up; the runner ends it. */
  expire(): void {
    this.dueAt = Number.POSITIVE_INFINITY;
    this.cutoff.cut(
      refuse('upstream_timeout', `${this.route.name} did not answer within ${this.#allowedMs} ms.`, {
        hint: 'Raise its timeout in the registry, or look at its health.',
      }),
    );
  }

  newAttemptId(): string {
    return this.#about.newId('att_');
  }

  progress(progress: number | null, note: string | null): void {
    if (this.#live) this.#about.progress(this.#live, progress, note);
  }

  chunk(text: string): void {
    if (this.job !== null) this.#about.chunk(this.job, text);
  }
}
