/** Waiting, and work with a deadline: every timer of the cortex, so that its end is the end of them all. */
import { setTimeout as wait } from 'node:timers/promises';
import { Refusal, refuse, toWire, type WireError } from '../../../shared/errors.ts';

export interface Spans extends Disposable {
  /** Aborted when the cortex ends; its reason is a Refusal. */
  readonly ending: AbortSignal;
  /** Resolves after `ms`; rejects with the Refusal of `ending`. */
  pause(ms: number): Promise<void>;
  /** What `work` answers. Its signal is aborted with `late` after `ms`, or when the cortex ends. */
  within<T>(ms: number, late: WireError, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

export function createSpans(): Spans {
  const end = new AbortController();
  return {
    ending: end.signal,
    async pause(ms) {
      try {
        await wait(ms, undefined, { signal: end.signal, ref: false });
      } catch {
        throw end.signal.reason;
      }
    },
    async within(ms, late, work) {
      end.signal.throwIfAborted();
      const stop = new AbortController();
      const cut = Promise.withResolvers<never>();
      const abort = (reason: unknown) => {
        stop.abort(reason);
        cut.reject(reason);
      };
      const onEnd = () => abort(end.signal.reason);
      end.signal.addEventListener('abort', onEnd, { once: true });
      const timer = setTimeout(() => abort(new Refusal(late)), Math.min(ms, 2 ** 31 - 1)).unref();
      // Whoever does not listen to its signal is not waited for.
      const working = work(stop.signal);
      working.catch(() => undefined);
      try {
        return await Promise.race([working, cut.promise]);
      } finally {
        clearTimeout(timer);
        end.signal.removeEventListener('abort', onEnd);
      }
    },
    [Symbol.dispose]: () => end.abort(new Refusal(refuse('shutting_down', 'Dispatcher shuts down.'))),
  };
}

/** null when it worked; what it was refused with when it did not. Anything but a Refusal is a bug, and thrown. */
export async function refusalOf(work: Promise<unknown>): Promise<WireError | null> {
  try {
    await work;
    return null;
  } catch (caught) {
    if (!(caught instanceof Refusal)) throw caught;
    return toWire(caught);
  }
}
