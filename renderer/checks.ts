/** When an edited text is checked: its problems soon after a change, the costly comparison once typing pauses or on demand. */

export interface Checked<Found> {
  text: string;
  /** Whether `found` has the comparison too. */
  compared: boolean;
  found: Found;
}

export interface ChecksOptions<Found> {
  /** Asks; `compare` wants the comparison as well. Never called while an earlier question is open. */
  check(text: string, compare: boolean): Promise<Found>;
  /** An answer about the newest text. */
  onChecked(checked: Checked<Found>): void;
  onFailed(caught: unknown): void;
  /** Milliseconds after the last change. */
  soonMs?: number;
  pauseMs?: number;
}

export interface Checks<Found> extends Disposable {
  /** The text is this now. */
  changed(text: string): void;
  /** The newest text with its comparison, asked for without waiting for a pause. Rejects with what `check` threw. */
  compare(): Promise<Checked<Found>>;
}

/** Checks of one text that changes. One question at a time; an answer about a text that has changed since is dropped. */
export function createChecks<Found>(options: ChecksOptions<Found>): Checks<Found> {
  const { check, onChecked, onFailed, soonMs = 150, pauseMs = 1000 } = options;
  let newest = '';
  let last: Checked<Found> | null = null;
  let due: 'problems' | 'comparison' | null = null;
  let asking = false;
  let disposed = false;
  let waiting: PromiseWithResolvers<Checked<Found>> | null = null;
  let soon: ReturnType<typeof setTimeout> | undefined;
  let pause: ReturnType<typeof setTimeout> | undefined;
  const stopTimers = () => {
    clearTimeout(soon);
    clearTimeout(pause);
  };

  function want(what: 'problems' | 'comparison'): void {
    if (due !== 'comparison') due = what;
    if (!asking) void ask();
  }

  async function ask(): Promise<void> {
    asking = true;
    while (due !== null && !disposed) {
      const text = newest;
      const compared = due === 'comparison';
      due = null;
      try {
        const found = await check(text, compared);
        if (disposed) break;
        if (text === newest) {
          last = { text, compared, found };
          onChecked(last);
          if (compared) answer((promise) => promise.resolve(last!));
        }
      } catch (caught) {
        if (disposed) break;
        if (waiting) answer((promise) => promise.reject(caught));
        else if (text === newest) onFailed(caught);
      }
      // Somebody waits for the comparison, and the text was another meanwhile.
      if (waiting) due = 'comparison';
    }
    asking = false;
  }

  function answer(how: (promise: PromiseWithResolvers<Checked<Found>>) => void): void {
    if (waiting) how(waiting);
    waiting = null;
  }

  return {
    changed(text) {
      newest = text;
      stopTimers();
      soon = setTimeout(() => want('problems'), soonMs);
      pause = setTimeout(() => want('comparison'), pauseMs);
    },
    compare() {
      if (last?.compared && last.text === newest) return Promise.resolve(last);
      stopTimers();
      waiting ??= Promise.withResolvers();
      const { promise } = waiting;
      want('comparison');
      return promise;
    },
    [Symbol.dispose]() {
      disposed = true;
      stopTimers();
    },
  };
}
