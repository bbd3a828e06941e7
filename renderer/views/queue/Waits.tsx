import type { Waits } from '../../../shared/model.ts';
import { formatPlace } from '../../format.ts';
import { Countdown } from '../../parts/Values.tsx';

/** Why a job does not run now: first the number that moves, then the reason. `brief` has the number alone where there is one. */
export function WaitWords({ waits, brief = false }: { waits: Waits; brief?: boolean }) {
  const { reason, until, position, kind } = waits;
  const moving = until !== null || position !== null;
  return (
    <span className="text-xs" title={reason}>
      {until !== null && (
        <span className="text-ink">
          {kind === 'callback' && <span className="text-ink-3">given up </span>}
          <Countdown at={until} />
        </span>
      )}
      {position !== null && (
        <span className="text-ink">
          {until !== null && ', '}
          {formatPlace(position)}
        </span>
      )}
      {!(brief && moving) && (
        <span className="text-ink-3">
          {moving && ' · '}
          {reason}
        </span>
      )}
    </span>
  );
}
