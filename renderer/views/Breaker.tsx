import type { BreakerState } from '../../shared/model.ts';
import { useFront, wireOf } from '../core.ts';
import { Button } from '../parts/Button.tsx';
import { ask, toast } from '../ui.ts';

/** Trip and reset of one endpoint's breaker; tripping says first what it takes down. */
export function BreakerActions({ breaker }: { breaker: BreakerState }) {
  const front = useFront();
  const change = async (action: 'trip' | 'reset') => {
    if (action === 'trip') {
      const sure = await ask({
        title: `Trip the breaker of ${breaker.endpoint}?`,
        body: `Calls to ${breaker.routes.join(', ')} are refused until you reset it, or go to their fallback where they have one.`,
        action: 'Trip it',
        tone: 'danger',
      });
      if (!sure) return;
    }
    await front.operate('OS.breakers.set', { endpoint: breaker.endpoint, action }).then(
      (state) => toast('info', `The breaker is ${state.state}`, breaker.endpoint),
      (caught) => toast('bad', 'The breaker was not changed', wireOf(caught).message),
    );
  };
  return breaker.state === 'closed' ? (
    <Button size="sm" onClick={() => change('trip')}>
      Trip breaker
    </Button>
  ) : (
    <Button size="sm" onClick={() => change('reset')}>
      Reset breaker
    </Button>
  );
}
