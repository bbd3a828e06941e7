/** Where words would go, and on what conditions, before they go there. */
import { Activity, ArrowRight, Clock, Gauge, Globe, House, Network, ShieldX, Zap, ZapOff } from 'lucide-react';
import type { ReactNode } from 'react';
import { useState } from 'react';
import type { Resolution } from '../../shared/model.ts';
import { formatDuration, formatPercent } from '../format.ts';
import { StatusDot } from '../parts/Status.tsx';
import { PlanDetails, PlanSentence } from './Plan.tsx';

export function Decision({ resolution, onPick }: { resolution: Resolution; onPick(route: string): void }) {
  const { route, confidence, why, abstained, usedFallback, ranked, refusal, plan } = resolution;
  const [details, setDetails] = useState(false);
  // The sentence of the plan says it then, with more to it.
  const refusedByPlan = plan?.outcome === 'refusal' && plan.error?.code === refusal?.code;
  if (abstained)
    return (
      <div className="flex min-w-0 flex-wrap items-center gap-2">
        <span className="text-warn-ink">Not sure which route is meant.</span>
        {ranked.slice(0, 3).map((one) => (
          <button
            key={one.route}
            type="button"
            title={one.reason}
            aria-label={`Dispatch to ${one.route}`}
            onClick={() => onPick(one.route)}
            className="inline-flex h-6 items-center gap-1.5 rounded-md bg-raised px-2 font-medium hover:bg-accent-soft hover:text-accent-ink"
          >
            {one.route}
            <span className="font-normal text-ink-2">{formatPercent(one.confidence)}</span>
          </button>
        ))}
        {usedFallback && route && (
          <button type="button" onClick={() => onPick(route)} className="h-6 rounded-md px-2 text-ink-2 hover:bg-raised hover:text-ink">
            or the fallback {route}
          </button>
        )}
      </div>
    );
  return (
    <div className="flex w-full min-w-0 flex-wrap items-center gap-x-4 gap-y-1">
      <span className="flex min-w-0 items-center gap-2">
        <ArrowRight aria-hidden className="size-3.5 shrink-0 text-accent-ink" />
        <span className="shrink-0 font-semibold text-accent-ink text-sm" data-testid="resolved-route">
          {route ?? 'Nowhere'}
        </span>
        {confidence !== null && <Confidence value={confidence} />}
        <span className="min-w-0 truncate text-ink-2" title={why}>
          {why}
        </span>
      </span>
      <span className="ml-auto flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1 text-ink-2">
        {refusal && !refusedByPlan ? (
          <span className="flex items-center gap-1.5 text-bad-ink" title={refusal.hint ?? undefined}>
            <ShieldX aria-hidden className="size-3.5" />
            {refusal.message}
          </span>
        ) : (
          <Conditions resolution={resolution} />
        )}
      </span>
      {plan && (
        <div className="w-full min-w-0">
          <PlanSentence plan={plan}>
            <button
              type="button"
              aria-expanded={details}
              className="rounded-sm px-1 text-accent-ink hover:underline"
              onClick={() => setDetails(!details)}
            >
              {details ? 'Hide the plan' : 'Show the plan'}
            </button>
          </PlanSentence>
          {details && (
            <section
              aria-label="Plan"
              // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
              tabIndex={0}
              className="mt-2 max-h-72 overflow-auto rounded-md bg-canvas p-3 hairline"
            >
              <PlanDetails plan={plan} />
            </section>
          )}
        </div>
      )}
    </div>
  );
}

/** How sure, as a number and a short bar. */
export function Confidence({ value }: { value: number }) {
  return (
    <span className="flex shrink-0 items-center gap-1.5" title="How sure the operator is">
      <span aria-hidden className="h-1 w-8 overflow-hidden rounded-full bg-line">
        <span
          className={`block h-full rounded-full ${value >= 0.8 ? 'bg-ok' : value >= 0.5 ? 'bg-warn' : 'bg-bad'}`}
          style={{ width: `${value * 100}%` }}
        />
      </span>
      <span className="text-ink">{formatPercent(value)}</span>
    </span>
  );
}

const egressIcons = { local: House, lan: Network, remote: Globe };

function Conditions({ resolution }: { resolution: Resolution }) {
  const { egress, health, breaker, limits, expectedMs, plan } = resolution;
  // What leaves then, and where to, is in the plan.
  const away = plan?.assignments.some((one) => one.egress !== 'local') ?? false;
  return (
    <>
      {!away && <Reach egress={egress} />}
      {health && health !== 'healthy' && (
        <span className="flex items-center gap-1.5">
          <StatusDot tone={health === 'down' ? 'bad' : health === 'degraded' ? 'warn' : 'quiet'} />
          {health}
        </span>
      )}
      {health === 'healthy' && (
        <Condition icon={Activity} title="The last probe was good.">
          healthy
        </Condition>
      )}
      {breaker && breaker.state !== 'closed' && (
        <Condition icon={breaker.state === 'open' ? ZapOff : Zap} title={`Breaker of ${breaker.endpoint}`}>
          <span className="text-bad-ink">breaker {breaker.state}</span>
        </Condition>
      )}
      {limits && limits.remaining < limits.burst / 2 && (
        <Condition icon={Gauge} title={`${limits.perSecond} a second, bursts of ${limits.burst}`}>
          {limits.remaining} calls left
        </Condition>
      )}
      {expectedMs !== null && (
        <Condition icon={Clock} title="Median of its last calls">
          about {formatDuration(expectedMs)}
        </Condition>
      )}
    </>
  );
}

function Reach({ egress }: Pick<Resolution, 'egress'>) {
  if (!egress)
    return (
      <Condition icon={House} title="It is built in.">
        stays here
      </Condition>
    );
  return (
    <Condition icon={egressIcons[egress.egress]} title={egress.reason}>
      {egress.egress === 'local' ? 'stays here' : `leaves for ${egress.host ?? (egress.egress === 'lan' ? 'the network' : 'the internet')}`}
    </Condition>
  );
}

function Condition({ icon: Icon, title, children }: { icon: typeof House; title: string; children: ReactNode }) {
  return (
    <span className="flex items-center gap-1.5 whitespace-nowrap" title={title}>
      <Icon aria-hidden className="size-3.5 text-ink-3" strokeWidth={1.75} />
      {children}
    </span>
  );
}
