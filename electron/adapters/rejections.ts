/** Requests that were refused before they were calls go on record, but a flood of them cannot fill the disk. */
import type { WireError } from '../../shared/errors.ts';
import type { Door } from '../../shared/model.ts';
import type { Core } from '../core/core.ts';

export interface Rejections extends Disposable {
  record(door: Door, error: WireError, detail: Record<string, unknown>): void;
}

const perSecond = 20;

/** The first 20 a second are recorded one by one, the rest of that second as one row that counts them by code. */
export function createRejections(core: Pick<Core, 'reject'>): Rejections {
  let recorded = 0;
  let rest: { door: Door; error: WireError; counts: Record<string, number> } | null = null;
  let timer: NodeJS.Timeout | null = null;

  const closeSecond = () => {
    timer = null;
    recorded = 0;
    if (rest) core.reject({ door: rest.door, error: rest.error, detail: { summed: rest.counts } });
    rest = null;
  };
  return {
    record(door, error, detail) {
      timer ??= setTimeout(closeSecond, 1000).unref();
      if (recorded++ < perSecond) return core.reject({ door, error, detail });
      rest ??= { door, error, counts: {} };
      rest.counts[error.code] = (rest.counts[error.code] ?? 0) + 1;
    },
    [Symbol.dispose]() {
      if (timer) clearTimeout(timer);
      closeSecond();
    },
  };
}
