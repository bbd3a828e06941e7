/** What ends a run before its time: the caller, the deadline, sovereign, the end of the core. */
import type { WireError } from '../../shared/errors.ts';

/** An AbortController made only for those who ask for its signal: with a listener it costs as much as sending a request. */
export class Cutoff {
  #reason: WireError | null = null;
  #abort: AbortController | null = null;
  #listener: ((reason: WireError) => void) | null = null;

  /** Why it was cut off; null when it was not. */
  get reason(): WireError | null {
    return this.#reason;
  }

  /** Aborted with the reason. */
  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#reason !== null) this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  /** Tells `listener`, and nobody else who listened this way, once it is cut off; null: nobody. Those who are more use the signal. */
  listen(listener: ((reason: WireError) => void) | null): void {
    this.#listener = listener;
  }

  /** The first reason counts. */
  cut(reason: WireError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#listener?.(reason);
    this.#abort?.abort(reason);
  }
}
