import { HeartPulse, RefreshCw } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { BreakerState, Health as HealthState, HealthStatus, RouteSummary } from '../../shared/model.ts';
import { useFront, useLive, useOperation, wireOf } from '../core.ts';
import { formatCount } from '../format.ts';
import { Button } from '../parts/Button.tsx';
import { Chips, SearchField } from '../parts/Field.tsx';
import { DemoBadge } from '../parts/Model.tsx';
import { ViewHead } from '../parts/Panel.tsx';
import { Sparkline } from '../parts/Sparkline.tsx';
import { EmptyState, LoadingView } from '../parts/States.tsx';
import { Badge, HealthDot, healthTone } from '../parts/Status.tsx';
import { Duration, Time, useNow } from '../parts/Values.tsx';
import { toast, useUi } from '../ui.ts';
import { BreakerActions } from './Breaker.tsx';

const HOURS = 3;
const SEGMENTS = 36;
const order: HealthStatus[] = ['down', 'degraded', 'unknown', 'healthy'];

interface Filter {
  q: string;
  status: HealthStatus | null;
}

/** Every service with a health URL, and those whose calls tell: what was found, how fast, and how the last hours were. One root cause is one incident. */
export function Health() {
  const front = useFront();
  const health = useLive('health');
  const routes = useLive('routes');
  const breakers = useLive('breakers') ?? [];
  const filter: Filter = { q: '', status: null, ...(useUi((ui) => ui.filters.health) as Partial<Filter> | undefined) };
  const setFilter = useUi((ui) => ui.setFilter);
  const change = (next: Partial<Filter>) => setFilter('health', { ...filter, ...next });
  const [probing, setProbing] = useState(false);

  const byName = useMemo(() => new Map((routes ?? []).map((route) => [route.name, route])), [routes]);
  const probed = useMemo(
    () => (health ?? []).filter((entry) => byName.get(entry.route)?.health || (byName.has(entry.route) && entry.status !== 'unknown')),
    [health, byName],
  );
  const counts = useMemo(
    () => Object.fromEntries(order.map((status) => [status, probed.filter((entry) => entry.status === status).length])),
    [probed],
  );
  const incidents = useMemo(() => incidentsOf(probed), [probed]);
  const shown = useMemo(
    () =>
      probed
        .filter(
          (entry) =>
            (filter.status === null || entry.status === filter.status) && entry.route.toLowerCase().includes(filter.q.trim().toLowerCase()),
        )
        .sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status) || (a.route < b.route ? -1 : 1)),
    [probed, filter.q, filter.status],
  );
  const trouble = breakers.filter((breaker) => breaker.state !== 'closed');

  if (!health || !routes) return <LoadingView title="Health" what="Loading health" />;
  const probeAll = async () => {
    setProbing(true);
    await front.operate('OS.health', { probe: true }).catch((caught: unknown) => toast('bad', 'The probe failed', wireOf(caught).message));
    setProbing(false);
  };

  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead
        title="Health"
        actions={
          <Button size="sm" icon={RefreshCw} busy={probing} onClick={probeAll}>
            Probe all now
          </Button>
        }
      >
        {probed.length === 0 ? 'No service has a health URL' : `${counts.healthy} of ${probed.length} services are healthy`}
      </ViewHead>
      <div className="min-h-0 flex-1 space-y-5 overflow-auto border-t px-4 py-4 lg:px-6">
        {incidents.map((incident) => (
          <section
            key={incident.cause}
            aria-label={`Incident: ${incident.cause}`}
            className="flex items-start gap-3 rounded-lg bg-bad-soft p-3"
          >
            <HeartPulse aria-hidden className="mt-0.5 size-4 shrink-0 text-bad-ink" />
            <div className="min-w-0 flex-1 text-sm">
              <p className="foreign font-medium text-bad-ink">{incident.cause}</p>
              <p className="text-ink-2 text-xs">
                {incident.routes.length} services are behind it: {incident.routes.join(', ')}
                {incident.since !== null && (
                  <>
                    {'. Since '}
                    <Time at={incident.since} />
                  </>
                )}
              </p>
            </div>
          </section>
        ))}

        {trouble.length > 0 && (
          <section aria-label="Breakers" className="rounded-lg bg-surface shadow-card hairline">
            <h2 className="border-b px-3 py-2.5 font-medium text-sm">Breakers</h2>
            <ul className="divide-y">
              {trouble.map((breaker) => (
                <BreakerRow key={breaker.endpoint} breaker={breaker} />
              ))}
            </ul>
          </section>
        )}

        {probed.length === 0 ? (
          <EmptyState icon={HeartPulse} title="Nothing to watch yet">
            Give a service a health URL in the registry and it is probed from then on.
          </EmptyState>
        ) : (
          <>
            <div className="flex flex-wrap items-center gap-3">
              <SearchField label="Search services" placeholder="Service…" value={filter.q} onChange={(q) => change({ q })} />
              <Chips
                label="Status"
                value={filter.status}
                onChange={(status) => change({ status })}
                options={[
                  { value: null, label: <>All {formatCount(probed.length)}</> },
                  ...order
                    .filter((status) => counts[status]! > 0 || filter.status === status)
                    .map((status) => ({
                      value: status,
                      label: (
                        <span className="inline-flex items-center gap-1.5 capitalize">
                          <HealthDot status={status} />
                          {status} {counts[status]}
                        </span>
                      ),
                    })),
                ]}
              />
            </div>
            {shown.length === 0 ? (
              <EmptyState
                icon={HeartPulse}
                title="No service fits"
                action={<Button onClick={() => change({ q: '', status: null })}>Show all</Button>}
              />
            ) : (
              <ul aria-label="Services" className="grid gap-3 [grid-template-columns:repeat(auto-fill,minmax(17.5rem,1fr))]">
                {shown.map((entry) => (
                  <Card
                    key={entry.route}
                    health={entry}
                    route={byName.get(entry.route)!}
                    breaker={breakers.find((breaker) => breaker.routes.includes(entry.route)) ?? null}
                  />
                ))}
              </ul>
            )}
          </>
        )}
      </div>
    </div>
  );
}

function BreakerRow({ breaker }: { breaker: BreakerState }) {
  const now = useNow();
  const left = breaker.retryAt === null ? null : Math.max(0, Math.ceil((breaker.retryAt - now) / 1000));
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-3 py-2 text-xs">
      <Badge tone={breaker.state === 'open' ? 'bad' : 'warn'}>{breaker.state}</Badge>
      <code className="min-w-0 truncate font-mono">{breaker.endpoint}</code>
      <span className="min-w-0 flex-1 truncate text-ink-3">
        takes down {breaker.routes.join(', ') || 'nothing'}
        {breaker.forced && ', tripped by hand'}
        {!breaker.forced &&
          breaker.state === 'open' &&
          left !== null &&
          (left > 0 ? `, tries again in ${left} s` : ', tries again with the next call')}
      </span>
      <BreakerActions breaker={breaker} />
    </li>
  );
}

function Card({ health, route, breaker }: { health: HealthState; route: RouteSummary; breaker: BreakerState | null }) {
  const go = useUi((ui) => ui.go);
  const history = useOperation('OS.health.history', { route: health.route, hours: HOURS }, { keep: true, staleMs: 60_000 });
  const samples = useMemo(() => {
    const stored = history.data?.samples ?? [];
    const last = stored.at(-1)?.at ?? 0;
    return health.checkedAt !== null && health.checkedAt > last
      ? [...stored, { at: health.checkedAt, status: health.status, latencyMs: health.latencyMs }]
      : stored;
  }, [history.data, health]);
  return (
    <li className="min-w-0">
      <button
        type="button"
        onClick={() => go('routes', health.route)}
        aria-label={`${health.route}: ${health.status}, ${health.reason}`}
        className="flex w-full flex-col gap-2 rounded-lg bg-surface p-3 text-left shadow-card transition-colors hairline hover:bg-raised/50"
      >
        <span className="flex w-full items-center gap-2">
          <HealthDot status={health.status} />
          <span className="min-w-0 flex-1 truncate font-medium text-sm">
            <span className="text-ink-3">{route.org}.</span>
            {route.service}
          </span>
          {route.demo && <DemoBadge />}
          {breaker && breaker.state !== 'closed' && <Badge tone={breaker.state === 'open' ? 'bad' : 'warn'}>breaker {breaker.state}</Badge>}
          <span className="shrink-0 text-ink-2 text-xs">
            <Duration ms={health.latencyMs} />
          </span>
        </span>
        <span className="foreign line-clamp-1 w-full text-ink-3 text-xs">{health.reason}</span>
        <span className="flex w-full items-end gap-3">
          <Strip samples={samples} label={`${health.route}: the last ${HOURS} hours`} />
          <Sparkline
            values={samples.slice(-60).map((sample) => sample.latencyMs)}
            label={`${health.route}: latency`}
            width={72}
            height={18}
          />
        </span>
        <span className="flex w-full justify-between text-2xs text-ink-3">
          <span>
            {health.since === null ? (
              'not probed yet'
            ) : (
              <>
                for <Since at={health.since} />
              </>
            )}
          </span>
          <span>
            p95 <Duration ms={health.p95Ms} />
          </span>
        </span>
      </button>
    </li>
  );
}

function Since({ at }: { at: number }) {
  const now = useNow();
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  return <>{seconds < 60 ? `${seconds} s` : seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`}</>;
}

const fills = { ok: 'bg-ok', warn: 'bg-warn', bad: 'bg-bad', accent: 'bg-accent', quiet: 'bg-line' } as const;

/** The last hours as a strip: each piece the worst that was found in its few minutes; nothing known is empty. */
function Strip({ samples, label }: { samples: readonly { at: number; status: HealthStatus }[]; label: string }) {
  const now = Math.floor(useNow() / 10_000) * 10_000;
  const span = (HOURS * 3_600_000) / SEGMENTS;
  const pieces = useMemo(() => {
    const worst: (HealthStatus | null)[] = Array(SEGMENTS).fill(null);
    for (const { at, status } of samples) {
      const index = SEGMENTS - 1 - Math.floor((now - at) / span);
      const slot = Math.min(SEGMENTS - 1, index);
      if (slot < 0) continue;
      const before = worst[slot];
      if (before == null || order.indexOf(status) < order.indexOf(before)) worst[slot] = status;
    }
    return worst;
  }, [samples, now, span]);
  return (
    <span role="img" aria-label={label} className="flex h-4 min-w-0 flex-1 items-stretch gap-px">
      {pieces.map((status, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the place in time is the identity
        <span key={index} className={`min-w-0 flex-1 rounded-[1px] ${status === null ? 'bg-raised' : fills[healthTone[status]]}`} />
      ))}
    </span>
  );
}

/** Services that fail together for one reason are one incident; alone, a service speaks for itself. */
function incidentsOf(health: readonly HealthState[]): { cause: string; routes: string[]; since: number | null }[] {
  const groups = new Map<string, HealthState[]>();
  for (const entry of health) {
    if (entry.incident === null || entry.status === 'healthy') continue;
    groups.set(entry.incident, [...(groups.get(entry.incident) ?? []), entry]);
  }
  return [...groups]
    .filter(([, members]) => members.length > 1)
    .map(([cause, members]) => ({
      cause,
      routes: members.map((member) => member.route),
      since: Math.min(...members.map((member) => member.since ?? Number.POSITIVE_INFINITY)),
    }))
    .map((incident) => ({ ...incident, since: Number.isFinite(incident.since) ? incident.since : null }));
}
