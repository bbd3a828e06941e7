import type { Job } from '../../../shared/model.ts';
import { useLive } from '../../core.ts';
import { formatPlace } from '../../format.ts';
import { Countdown, Eta } from '../../parts/Values.tsx';
import { withNames } from '../../plan.ts';
import { useHeld } from '../Plan.tsx';
import { waitsNow } from './line.ts';

/** Why a job does not run now: first the number that moves, then the reason. `brief` has the number alone where there is one. */
export function WaitWords({ job, brief = false }: { job: Job; brief?: boolean }) {
  const held = useHeld();
  const waits = waitsNow(job, useLive('lanes') ?? [], useLive('cortex')?.queue);
  if (waits === null) return null;
  const { until, position, kind } = waits;
  const reason = withNames(waits.reason, held);
  const moving = until !== null || position !== null;
  return (
    <span className="text-xs" title={reason}>
      {until !== null && (
        <span className="text-ink">
          {kind === 'callback' && <span className="text-ink-3">given up </span>}
          {kind === 'gpu' && !brief && <span className="text-ink-3">models ready </span>}
          {kind === 'gpu' ? <Eta at={until} /> : <Countdown at={until} />}
        </span>
      )}
      {position !== null && !(brief && kind === 'gpu' && until !== null) && (
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
