/** Who stands in line for models, and who has them. */
import { Hourglass } from 'lucide-react';
import type { CortexState, GpuWaiter, Lease, Need } from '../../../shared/cortex.ts';
import { formatCount, formatPlace } from '../../format.ts';
import { Panel } from '../../parts/Panel.tsx';
import { Badge } from '../../parts/Status.tsx';
import { Countdown, Elapsed, Eta, Time } from '../../parts/Values.tsx';
import { holderWords, leaseWords, listed, withNames } from '../../plan.ts';
import { openGpu, openQueue } from '../../ui.ts';
import { Name, useHeld } from '../Plan.tsx';

const SHOWN = 40;

export function Line({ cortex }: { cortex: CortexState }) {
  const { queue, unlisted } = cortex;
  const all = queue.length + unlisted.queue;
  return (
    <Panel title="Line for the GPU" flush aside={<span>{all === 0 ? 'nobody waits' : `${formatCount(all)} waiting`}</span>}>
      {queue.length === 0 ? (
        <p className="px-3 py-4 text-ink-3 text-xs">Whoever needs a model that is not in memory, and has to wait for it, stands here.</p>
      ) : (
        <ol aria-label="Line for the GPU" className="divide-y">
          {[...queue]
            .sort((a, b) => a.position - b.position)
            .slice(0, SHOWN)
            .map((waiter) => (
              <Waiter key={waiter.id} waiter={waiter} />
            ))}
          {all > SHOWN && (
            <li className="px-3 py-2 text-ink-3 text-xs">and {formatCount(all - Math.min(SHOWN, queue.length))} more behind them</li>
          )}
        </ol>
      )}
    </Panel>
  );
}

export function Waiter({ waiter }: { waiter: GpuWaiter }) {
  const held = useHeld();
  const { need, position, eta, reason, since, waitsFor } = waiter;
  const before = waitsFor.flatMap((id) => leaseWords(id, held) ?? []).filter((name) => !withNames(reason, held).includes(name));
  return (
    <li className="flex gap-2.5 px-3 py-2 text-xs">
      <span
        aria-hidden
        className={`flex size-5 shrink-0 items-center justify-center rounded-full text-2xs ${position === 0 ? 'bg-accent-soft text-accent-ink' : 'bg-raised text-ink-2'}`}
      >
        {position + 1}
      </span>
      <div className="min-w-0 flex-1 space-y-0.5">
        <p className="flex items-baseline justify-between gap-3">
          <span className="sr-only">{formatPlace(position)}: </span>
          <bdi className="min-w-0 truncate font-medium" title={needWords(need)}>
            {needWords(need)}
          </bdi>
          <span className="shrink-0 text-ink">{eta === null ? <span className="text-ink-3">time not known</span> : <Eta at={eta} />}</span>
        </p>
        <p className="foreign text-ink-2">{withNames(reason, held)}</p>
        <p className="flex flex-wrap items-center gap-x-2 text-2xs text-ink-3">
          <Holder holder={waiter.holder} caller={waiter.caller} task={waiter.task} />
          <span>
            in line for <Elapsed since={since} />
          </span>
          <span title={contextTitle}>
            priority {need.priority}, {need.context}
          </span>
          {need.sensitive && <Badge title="Never for remote providers">sensitive</Badge>}
          {before.length > 0 && <bdi className="truncate">behind {listed(before)}</bdi>}
        </p>
      </div>
    </li>
  );
}

const contextTitle = 'The higher, the more is evicted for it; speech counts ten times, interactive five, background two';

/** A need in a line. */
export function needWords({ capabilities, model, tier }: Pick<Need, 'capabilities' | 'model' | 'tier'>): string {
  return [model ?? capabilities.join(' + '), tier].filter(Boolean).join(', ');
}

/** Who it is for; a job leads to the queue, a grant to the grants. */
export function Holder({ holder, caller, task }: Pick<Lease, 'holder' | 'caller' | 'task'>) {
  const held = useHeld();
  const words = holderWords({ holder, caller, task }, held);
  // A grant that waits for its turn is not made yet.
  if (holder.kind === 'load' || (holder.kind === 'grant' && !held.grants.some((one) => one.id === holder.id)))
    return (
      <bdi className="min-w-0 truncate" title={words}>
        {words}
      </bdi>
    );
  return (
    <span className="inline-flex min-w-0 max-w-full gap-1">
      <button
        type="button"
        title={words}
        className="min-w-0 truncate text-accent-ink hover:underline"
        onClick={() => (holder.kind === 'job' ? openQueue('jobs', holder.id) : openGpu('grants', holder.id))}
      >
        <bdi>{words}</bdi>
      </button>
      <span className="shrink-0">
        by <bdi>{caller}</bdi>
      </span>
    </span>
  );
}

export function Leases({ cortex: { leases, unlisted, models } }: { cortex: CortexState }) {
  const all = leases.length + unlisted.leases;
  const demo = new Set(models.flatMap((model) => (model.demo ? [model.provider] : [])));
  return (
    <Panel title="In use" flush aside={<span>{all === 0 ? 'no leases' : `${formatCount(all)} ${all === 1 ? 'lease' : 'leases'}`}</span>}>
      {leases.length === 0 ? (
        <p className="px-3 py-4 text-ink-3 text-xs">Nobody uses a model now. What a job or a grant uses is not evicted.</p>
      ) : (
        <ul aria-label="Leases" className="divide-y">
          {leases.slice(0, SHOWN).map((lease) => (
            <li key={lease.id} className="space-y-0.5 px-3 py-2 text-xs" title={lease.id}>
              <p className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
                {lease.models.map((one) => (
                  <Name key={`${one.provider} ${one.tier}`} provider={one.provider} tier={one.tier} demo={demo.has(one.provider)} />
                ))}
                <span className="ml-auto shrink-0">
                  {lease.state === 'animating' ? (
                    <span className="inline-flex items-center gap-1 text-accent-ink">
                      <Hourglass aria-hidden className="size-3" />
                      loading
                    </span>
                  ) : lease.until === null ? (
                    <span className="text-ink-3">no end set</span>
                  ) : (
                    <span title="At the latest">
                      ends <Countdown at={lease.until} />
                    </span>
                  )}
                </span>
              </p>
              <p className="flex flex-wrap items-center gap-x-2 text-2xs text-ink-3">
                <Holder holder={lease.holder} caller={lease.caller} task={lease.task} />
                <span>priority {lease.priority}</span>
                <span>
                  since <Time at={lease.since} />
                </span>
              </p>
            </li>
          ))}
          {all > SHOWN && <li className="px-3 py-2 text-ink-3 text-xs">and {formatCount(all - Math.min(SHOWN, leases.length))} more</li>}
        </ul>
      )}
    </Panel>
  );
}
