import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';

/** What a signal was aborted with; `cancelled` where that is no failure of the catalogue. */
export function reasonOf(signal: AbortSignal): WireError {
  const reason: unknown = signal.reason;
  if (reason instanceof Refusal) return reason.wire;
  if (typeof reason === 'object' && reason !== null && 'code' in reason && 'message' in reason && typeof reason.code === 'string')
    return reason as WireError;
  return refuse('cancelled', 'The call was cancelled.');
}

/** Waits for `work` as long as the signal lets it, which goes on all the same. Rejects with a Refusal of what the signal was aborted with. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((done, failed) => {
    const onAbort = () => failed(new Refusal(reasonOf(signal)));
    work.then(done, failed).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
