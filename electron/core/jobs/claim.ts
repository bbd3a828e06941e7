/** The models of one run of a job: asked for before it, let go of after it. */
import type { NeedAsk } from '../../../shared/contract.ts';
import type { Need, Resolved } from '../../../shared/cortex.ts';
import type { Route } from '../../../shared/model.ts';
import type { Bound } from '../cortex/bound.ts';
import { Cutoff } from '../cutoff.ts';
import type { Live } from './live.ts';
import type { Loop } from './loop.ts';

export interface ModelParts {
  /** What a call of this route needs, `ask` being what it says itself; null: none, as nothing is called. */
  need(ask: NeedAsk | null, route: Route): Need | null;
  bound(plan: Resolved): Bound[];
  /** It is over: what was granted for it ends with it. */
  ended(job: string): void;
}

/**
 * Asks for them. Afterwards `live` has them, or `live.denied` says why it gets none, or it waits, and its turn comes with either.
 * What stops it meanwhile is a denial. `told` is called when what it waits for changes.
 */
export function claim(
  live: Live,
  { loop, models, need, caller, told }: { loop: Loop; models: ModelParts; need: Need; caller: string; told(): void },
): void {
  const lease = `${live.id}.${live.starts}`;
  let given = false;
  const deny = (error: NonNullable<Live['denied']>) => {
    live.denied = error;
    goOn(live);
  };
  live.lease = lease;
  loop.lease(
    { id: lease, holder: { kind: 'job', id: live.id }, caller, task: null, need, expiresAt: live.expiresAt, lastsMs: null },
    {
      held(waits) {
        const again = live.waits !== null;
        live.held('waiting', waits);
        if (again) told();
      },
      leased(plan) {
        given = true;
        live.models = models.bound(plan);
        goOn(live);
      },
      unleased(error) {
        live.lease = null;
        if (!given) {
          deny(error);
          return;
        }
        live.denied = error;
        live.takeBack(error);
      },
    },
  );
  if (given || live.denied !== null) return;
  if (live.waits === null) live.held('waiting', { kind: 'gpu', reason: 'it stands in line for models', until: null, position: null });
  const cutoff = new Cutoff();
  cutoff.listen((reason) => {
    if (given || live.denied !== null) return;
    letGo(live, loop);
    deny(reason);
  });
  live.runs(cutoff);
}

/** The run is over, or will not be. */
export function letGo(live: Live, loop: Loop): void {
  const { lease } = live;
  live.lease = null;
  live.denied = null;
  live.models = [];
  if (lease !== null) loop.release(lease);
}

function goOn(live: Live): void {
  if (live.waits !== null) live.began(live.starts);
}
