/** Requests that were refused before they were calls: wrong host, no token, not JSON. */
import type { WireError } from '../../shared/errors.ts';
import type { Door } from '../../shared/model.ts';
import type { Journal } from './events.ts';
import { redact } from './store/redact.ts';
import type { Store } from './store/store.ts';

const ROWS_A_SECOND = 20;

export type Reject = (rejected: { door: Door; error: WireError; detail: Record<string, unknown> }) => void;

/** A flood of refused requests must fill neither the disk nor the journal: beyond 20 a second, the next row says how many it stands for. */
export function createRejections({ store, journal, clock }: { store: Store; journal: Journal; clock(): number }): Reject {
  /** `at` is monotonic: a clock set back must not end the recording. */
  const second = { at: Number.NEGATIVE_INFINITY, rows: 0 };
  let held = 0;
  return ({ door, error, detail }) => {
    const turn = performance.now();
    if (turn - second.at >= 1000) Object.assign(second, { at: turn, rows: 0 });
    if (++second.rows > ROWS_A_SECOND) {
      held++;
      return;
    }
    const unrecorded = held;
    held = 0;
    journal.publish({ type: 'rejected', door, error }, `⛔ OS → OS : rejected, door=${door}, error=${error.code}`);
    store
      .append({
        at: clock(),
        kind: 'rejected',
        caller: 'unknown',
        door,
        route: null,
        outcome: error.code,
        detail: redact({ error, ...detail, ...(unrecorded > 0 && { unrecorded }) }),
      })
      .catch(() => {
        // The store says by itself that it is unavailable, to every call that needs it; this request was refused anyway.
        held++;
      });
  };
}
