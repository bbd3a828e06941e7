/** The devices, what stands against them, and who waits. */
import { Cpu, Siren, TriangleAlert } from 'lucide-react';
import { useEffect, useMemo } from 'react';
import type { CortexState, GpuAlert } from '../../../shared/cortex.ts';
import type { GpuState } from '../../../shared/model.ts';
import { useLive, useOperation, wireOf } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { Chips } from '../../parts/Field.tsx';
import { DemoBadge, PhaseMark } from '../../parts/Model.tsx';
import { Panel, Scroll } from '../../parts/Panel.tsx';
import { EmptyState, ErrorState } from '../../parts/States.tsx';
import { Badge } from '../../parts/Status.tsx';
import { Time } from '../../parts/Values.tsx';
import { openGpu, useUi } from '../../ui.ts';
import { Device } from './Device.tsx';
import { Leases, Line } from './Line.tsx';
import { groupModels } from './models.ts';
import { Probes } from './Servers.tsx';
import { mergeSamples } from './series.ts';

const POOL_SHOWN = 12;

const ranges = [
  { value: '0.25', label: '15 min' },
  { value: '1', label: '1 h' },
  { value: '6', label: '6 h' },
  { value: '24', label: '24 h' },
] as const;
type Range = (typeof ranges)[number]['value'];

export function Overview({ cortex, gpu }: { cortex: CortexState; gpu: GpuState }) {
  return (
    <Scroll label="Overview" className="@container">
      <div className="grid items-start gap-4 p-4 @3xl:grid-cols-[minmax(0,1fr)_minmax(17rem,22rem)] lg:px-6">
        <div className="min-w-0 space-y-4">
          <Alerts alerts={cortex.alerts} cortex={cortex} />
          {cortex.devices.length === 0 ? <NoDevice gpu={gpu} models={cortex.models.length} /> : <Devices cortex={cortex} gpu={gpu} />}
        </div>
        <div className="min-w-0 space-y-4">
          <Line cortex={cortex} />
          <Leases cortex={cortex} />
          <Pools cortex={cortex} />
        </div>
      </div>
    </Scroll>
  );
}

function Devices({ cortex, gpu }: { cortex: CortexState; gpu: GpuState }) {
  const kept = useUi((ui) => ui.filters.gpuHours) as Range | undefined;
  const setFilter = useUi((ui) => ui.setFilter);
  const range = ranges.some(({ value }) => value === kept) ? kept! : '0.25';
  const query = useOperation('OS.gpu.history', { hours: Number(range) }, { keep: true, staleMs: 60_000 });
  const live = useLive('gpuSamples');
  const history = query.data?.samples;
  const samples = useMemo(() => mergeSamples(history ?? [], live ?? []), [history, live]);

  // What came since is kept only so long: before there is a hole, it is asked for again.
  const { refetch } = query;
  const hole =
    history !== undefined && history.length > 0 && live !== undefined && live.length > 0 && live[0]!.at > history.at(-1)!.at + 30_000;
  useEffect(() => {
    if (hole) void refetch();
  }, [hole, refetch]);

  return (
    <section aria-label="Devices" className="@container space-y-4">
      {cortex.devices.map((device) => (
        <Device
          key={device.id}
          device={device}
          probed={gpu.devices.find((one) => one.id === device.id) ?? null}
          cortex={cortex}
          samples={samples}
          hours={Number(range)}
        />
      ))}
      {query.isError && <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} compact />}
      <div className="flex items-center justify-end gap-2">
        <span className="text-2xs text-ink-3">Charts show the last</span>
        <Chips<Range> label="Charts show the last" value={range} options={ranges} onChange={(next) => setFilter('gpuHours', next)} />
      </div>
    </section>
  );
}

function Alerts({ alerts, cortex }: { alerts: readonly GpuAlert[]; cortex: CortexState }) {
  if (alerts.length === 0) return null;
  const names = new Map(cortex.devices.map((device) => [device.id, device]));
  return (
    <ul aria-label="Alerts" className="space-y-2">
      {[...alerts]
        .sort((a, b) => Number(b.level === 'critical') - Number(a.level === 'critical') || a.since - b.since)
        .map((alert) => {
          const critical = alert.level === 'critical';
          const Icon = critical ? Siren : TriangleAlert;
          return (
            <li
              key={`${alert.device} ${alert.what}`}
              className={`flex flex-wrap items-center gap-x-3 gap-y-0.5 rounded-lg px-3 py-2 text-sm ${critical ? 'bg-bad-soft' : 'bg-warn-soft'}`}
            >
              <Icon aria-hidden className={`size-4 shrink-0 ${critical ? 'text-bad-ink' : 'text-warn-ink'}`} />
              <span className={`font-medium ${critical ? 'text-bad-ink' : 'text-warn-ink'}`}>
                {critical ? 'Critical' : 'Warning'}: {alert.what}
              </span>
              <span className="foreign min-w-0 text-ink">{alert.message}</span>
              <span className="ml-auto flex min-w-0 items-center gap-2 text-ink-2 text-xs">
                <bdi className="min-w-0 truncate">{names.get(alert.device)?.name ?? alert.device}</bdi>
                {names.get(alert.device)?.demo && <DemoBadge />}
                <span className="whitespace-nowrap">
                  since <Time at={alert.since} />
                </span>
              </span>
            </li>
          );
        })}
    </ul>
  );
}

function NoDevice({ gpu, models }: { gpu: GpuState; models: number }) {
  return (
    <>
      <Panel>
        <EmptyState icon={Cpu} title={gpu.probedAt === null ? 'The first probe is on its way' : 'This machine has no GPU that can be read'}>
          {models === 0
            ? 'Services still work. Models on other machines can be declared as providers, and are chosen by what they can do.'
            : 'Models still work; where their memory is, and how much of it is left, is not seen from here, so nothing is budgeted.'}
        </EmptyState>
      </Panel>
      <Probes gpu={gpu} />
    </>
  );
}

function Pools({ cortex }: { cortex: CortexState }) {
  const { pools, sidecar, models } = cortex;
  const groups = useMemo(() => new Map(groupModels(models).map((group) => [group.name, group])), [models]);
  if (pools.length === 0 && sidecar === null) return null;
  return (
    <Panel title="Pools and sidecar" flush>
      <ul aria-label="Pools" className="divide-y">
        {pools.map((pool) => (
          <li key={pool.name} className="space-y-1 px-3 py-2 text-xs">
            <p className="flex items-center gap-2">
              <bdi className="font-medium text-sm">{pool.name}</bdi>
              {pool.providers.length > 0 && pool.providers.every((name) => groups.get(name)?.demo) && <DemoBadge />}
              <code className="min-w-0 truncate font-mono text-2xs text-ink-3">{pool.endpoint}</code>
              <span className="ml-auto shrink-0 text-ink-3">
                {pool.waiting === 0 ? 'nobody waits' : `${formatCount(pool.waiting)} waiting`}
              </span>
            </p>
            <p className="flex flex-wrap gap-1">
              {pool.providers.slice(0, POOL_SHOWN).map((name) => {
                const shown = groups.get(name)?.shown;
                const warm = shown?.phase === 'warm';
                return (
                  <button key={name} type="button" className="min-h-6 max-w-full" onClick={() => openGpu('models', name)}>
                    <Badge tone={warm ? 'ok' : 'quiet'} title={warm ? shown.model : 'Not warm'}>
                      <bdi className="truncate">{name}</bdi>
                      {warm && ` ${shown.tier} warm`}
                    </Badge>
                  </button>
                );
              })}
              {pool.providers.length > POOL_SHOWN && (
                <span className="text-ink-3 leading-6">and {formatCount(pool.providers.length - POOL_SHOWN)} more</span>
              )}
              {pool.providers.length === 0 && <span className="text-ink-3">no provider is at this address</span>}
            </p>
          </li>
        ))}
        {sidecar && (
          <li className="flex flex-wrap items-center gap-x-2 gap-y-0.5 px-3 py-2 text-xs">
            <span className="font-medium text-sm">Sidecar</span>
            <bdi className="min-w-0 truncate text-ink-2">{sidecar.provider}</bdi>
            {groups.get(sidecar.provider)?.demo && <DemoBadge />}
            <span className="ml-auto">
              <PhaseMark phase={sidecar.state} />
            </span>
            <span className="w-full text-2xs text-ink-3">
              Small and always there: turns words into parameters; while it is not in memory its place is kept free.
            </span>
          </li>
        )}
      </ul>
    </Panel>
  );
}
