/** Outcomes that could not be recorded, kept until they can be. What is still owed at the end is `unknown` at the next start. */
import type { OutcomeRow } from '../record.ts';
import type { Store } from '../store/store.ts';

/** Outcomes kept, and how long until they are tried again. */
const OWED_MAX = 10_000;
const RETRY_MS = 1000;

export interface Owed {
  owe(outcome: OutcomeRow): void;
  /** Tries them all once more. */
  pay(): Promise<void>;
  /** Tries no more by itself. */
  close(): void;
}

export function createOwed(store: Pick<Store, 'finish'> | null): Owed {
  let owed: OutcomeRow[] = [];
  let paying: Promise<void> | null = null;
  let closed = false;

  const later = () => {
    if (!closed) setTimeout(pay, RETRY_MS).unref();
  };

  function pay(): Promise<void> {
    paying ??= tryAll().finally(() => {
      paying = null;
    });
    return paying;
  }

  async function tryAll(): Promise<void> {
    if (store === null || owed.length === 0) return;
    const tried = owed.slice();
    const paid = await Promise.allSettled(tried.map((outcome) => store.finish(outcome)));
    const still = tried.filter((_, i) => paid[i]!.status === 'rejected');
    owed = [...still, ...owed.slice(tried.length)];
    if (owed.length > 0) later();
  }

  return {
    owe(outcome) {
      if (owed.length >= OWED_MAX) return;
      owed.push(outcome);
      if (owed.length === 1) later();
    },
    pay,
    close() {
      closed = true;
    },
  };
}
