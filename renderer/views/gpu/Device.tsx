/** One device: what its memory is taken by, and how it has been. */
import { TriangleAlert } from 'lucide-react';
import { useId, useMemo, useState } from 'react';
import type { CortexState, DeviceBudget, GpuSample, ModelState } from '../../../shared/cortex.ts';
import type { GpuDevice } from '../../../shared/model.ts';
import { formatBytes, formatPercent } from '../../format.ts';
import { DemoBadge, Memory, PhaseMark, Source } from '../../parts/Model.tsx';
import { Panel } from '../../parts/Panel.tsx';
import { Badge } from '../../parts/Status.tsx';
import { Eta, Unknown, useNow } from '../../parts/Values.tsx';
import { leaseWords } from '../../plan.ts';
import { openGpu } from '../../ui.ts';
import { Name, useHeld } from '../Plan.tsx';
import { Chart } from './Chart.tsx';
import { type Bar, barOf, huesOf, type Segment } from './memory.ts';
import { seriesOf } from './series.ts';

const POINTS = 360;

export function Device({
  device,
  probed,
  cortex,
  samples,
  hours,
}: {
  device: DeviceBudget;
  /** What the probe says of it besides. */
  probed: GpuDevice | null;
  cortex: CortexState;
  samples: readonly GpuSample[];
  hours: number;
}) {
  const bar = useMemo(() => barOf(device), [device]);
  const hues = useMemo(() => huesOf(device.models.map(({ provider }) => provider)), [device]);
  const alerts = cortex.alerts.filter((alert) => alert.device === device.id);
  return (
    <Panel
      title={
        <span className="flex min-w-0 items-center gap-2">
          <bdi className="min-w-0 truncate" title={device.id}>
            {device.name}
          </bdi>
          {device.demo && <DemoBadge />}
        </span>
      }
      aside={
        <>
          {alerts.map((alert) => (
            <Badge key={alert.what} tone={alert.level === 'critical' ? 'bad' : 'warn'} title={alert.message}>
              <TriangleAlert aria-hidden className="size-3" />
              {alert.what}
            </Badge>
          ))}
          <span className="hidden text-2xs sm:inline">{probed ? `read by ${probed.source}` : device.id}</span>
        </>
      }
    >
      <div className="space-y-3">
        {bar ? <MemoryBar device={device} bar={bar} hues={hues} /> : <NoBar device={device} />}
        <InMemory device={device} bar={bar} hues={hues} cortex={cortex} probed={probed} />
        <Charts device={device} samples={samples} hours={hours} />
      </div>
    </Panel>
  );
}

const fills = ['bg-series-1', 'bg-series-2', 'bg-series-3', 'bg-series-4', 'bg-series-5', 'bg-series-6'];

function fillOf(segment: Pick<Segment, 'kind' | 'provider' | 'source'>, hues: ReadonlyMap<string, number>): string {
  switch (segment.kind) {
    case 'model':
      return `${fills[hues.get(segment.provider!) ?? 0]!} ${segment.source === 'estimated' ? 'hatched text-surface' : ''}`;
    case 'others':
      return 'bg-control';
    case 'reserved':
      return 'bg-raised hatched text-ink-2';
    case 'free':
      return 'bg-raised';
  }
}

const words: Record<Segment['kind'], string> = { model: '', others: 'Other programs', reserved: 'Reserved', free: 'Free' };

function nameOf(segment: Segment): string {
  return segment.kind === 'model' ? `${segment.provider} ${segment.tier}` : words[segment.kind];
}

function MemoryBar({ device, bar, hues }: { device: DeviceBudget; bar: Bar; hues: ReadonlyMap<string, number> }) {
  const taken = bar.total - bar.segments.at(-1)!.size;
  const told = bar.segments
    .filter(({ bytes }) => bytes > 0)
    .map((one) => `${nameOf(one)} ${formatBytes(one.bytes)}${one.source ? ` ${one.source}` : ''}`)
    .join(', ');
  return (
    <div className="space-y-1.5">
      <div className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-0.5">
        <p className="flex items-baseline gap-1.5">
          <span className="font-semibold text-lg tracking-tight">{formatBytes(device.used?.bytes ?? taken)}</span>
          <span className="text-ink-2 text-xs">of {formatBytes(bar.total)} in use</span>
          {device.used && <Source source={device.used.source} />}
        </p>
        <p className="flex items-baseline gap-1.5 text-ink-2 text-xs">
          {device.freeBytes === null ? (
            <Unknown what="free: not known" />
          ) : (
            <span className="text-ink">{formatBytes(device.freeBytes)}</span>
          )}
          free for models
        </p>
      </div>
      <div
        role="img"
        aria-label={`Memory of ${device.name}: ${formatBytes(bar.total)} in all; ${told}`}
        className="flex h-7 gap-px overflow-hidden rounded-md bg-line hairline"
      >
        {bar.segments
          .filter(({ size }) => size > 0)
          .map((segment) => (
            <span
              key={segment.key}
              data-kind={segment.kind}
              title={`${nameOf(segment)}: ${formatBytes(segment.bytes)}${segment.source ? `, ${segment.source}` : ''}`}
              className={`h-full min-w-0 transition-[flex-grow] duration-300 ${fillOf(segment, hues)}`}
              style={{ flex: `${segment.size / bar.total} 1 0` }}
            />
          ))}
      </div>
      {bar.overBytes > 0 && (
        <p className="text-2xs text-warn-ink">
          The figures say {formatBytes(bar.overBytes)} more than there is: some of them are too high.
        </p>
      )}
    </div>
  );
}

function NoBar({ device }: { device: DeviceBudget }) {
  return (
    <p className="text-ink-2 text-xs">
      How much memory it has is not known, so nothing is planned on it.{' '}
      {device.used && (
        <>
          In use: <Memory figure={device.used} />
        </>
      )}
    </p>
  );
}

/** The same as the bar, in words: each model with its state, who has it and when it goes. */
function InMemory({
  device,
  bar,
  hues,
  cortex,
  probed,
}: {
  device: DeviceBudget;
  bar: Bar | null;
  hues: ReadonlyMap<string, number>;
  cortex: CortexState;
  probed: GpuDevice | null;
}) {
  const rest = bar?.segments.filter(({ kind, bytes }) => kind !== 'model' && (kind !== 'reserved' || bytes > 0)) ?? [];
  const [programs, setPrograms] = useState(false);
  const list = useId();
  const known = probed?.processes ?? [];
  return (
    <ul aria-label={`Memory of ${device.name}, by who has it`} className="divide-y border-y text-xs">
      {device.models.map(({ provider, tier, vram }) => {
        const state = cortex.models.find((one) => one.provider === provider && one.tier === tier);
        return (
          <li key={`${provider} ${tier}`}>
            <button
              type="button"
              onClick={() => openGpu('models', provider)}
              className="flex min-h-8 w-full items-center gap-3 px-1 py-1 text-left hover:bg-raised/60"
            >
              <Swatch className={fillOf({ kind: 'model', provider, source: vram?.source ?? null }, hues)} />
              <span className="flex min-w-0 flex-1 flex-wrap items-center gap-x-3 gap-y-0.5">
                <span className="min-w-0 flex-[1_1_11rem]">
                  <Name provider={provider} tier={tier} demo={state?.demo ?? false} />
                </span>
                <span className="flex min-w-0 flex-[1_1_15rem] items-center gap-3">
                  <span className="w-20 shrink-0">{state && <PhaseMark phase={state.phase} />}</span>
                  <span className="min-w-0 truncate text-ink-3">{state && <Holding state={state} />}</span>
                </span>
              </span>
              <span className="shrink-0 text-right">
                <Memory figure={vram} what="size not known" />
              </span>
            </button>
          </li>
        );
      })}
      {rest.map((segment) => (
        <li key={segment.key} className="flex min-h-8 flex-wrap items-center gap-x-3 px-1 py-1">
          <Swatch className={fillOf(segment, hues)} />
          <span className="min-w-32 flex-1 text-ink-2">
            {words[segment.kind]}
            {segment.kind === 'reserved' && <span className="text-ink-3"> for the sidecar</span>}
            {segment.kind === 'others' && known.length > 0 && (
              <button
                type="button"
                aria-expanded={programs}
                aria-controls={list}
                className="ml-2 rounded-sm px-1 text-accent-ink hover:underline"
                onClick={() => setPrograms(!programs)}
              >
                {programs ? 'Hide' : `${known.length} ${known.length === 1 ? 'program' : 'programs'}`}
              </button>
            )}
          </span>
          <span className="shrink-0 text-right">
            {segment.source ? (
              <Memory figure={{ bytes: segment.bytes, source: segment.source }} />
            ) : (
              // Where the source would be, there is none: it is what is left, or set.
              <span className="pr-[calc(3.35rem+0.375rem)]">{formatBytes(segment.bytes)}</span>
            )}
          </span>
          {segment.kind === 'others' && programs && (
            <ul id={list} aria-label="Programs on this device" className="w-full space-y-0.5 py-1 pl-5 text-2xs text-ink-2">
              {known.map((process) => (
                <li key={process.pid} className="flex gap-3">
                  <span className="w-14 shrink-0 text-right text-ink-3">{process.pid}</span>
                  <span className="foreign min-w-0 flex-1 truncate">{process.name}</span>
                  <span>{process.memoryUsedBytes === null ? <Unknown what="not known" /> : formatBytes(process.memoryUsedBytes)}</span>
                </li>
              ))}
            </ul>
          )}
        </li>
      ))}
    </ul>
  );
}

/** Who keeps it in memory, or when it goes. */
export function Holding({ state }: { state: ModelState }) {
  const held = useHeld();
  const holders = state.leases.map((id) => leaseWords(id, held) ?? id);
  if (holders.length > 0)
    return (
      <bdi title={holders.join(', ')}>
        {holders[0]}
        {holders.length > 1 && ` and ${holders.length - 1} more`}
      </bdi>
    );
  if (state.pinned) return <>stays</>;
  if (state.idleAt !== null)
    return (
      <span title="Nobody uses it; it is unloaded then">
        goes <Eta at={state.idleAt} />
      </span>
    );
  return state.detail === null ? null : <span title={state.detail}>{state.detail}</span>;
}

function Swatch({ className }: { className: string }) {
  return <span aria-hidden className={`size-2.5 shrink-0 rounded-[3px] hairline ${className}`} />;
}

function Charts({ device, samples, hours }: { device: DeviceBudget; samples: readonly GpuSample[]; hours: number }) {
  // The window moves on with the readings, and by itself where none come.
  const beat = Math.floor(useNow() / 5000) * 5000;
  const newest = samples.at(-1)?.at ?? 0;
  const to = Math.max(beat, newest);
  const from = to - hours * 3_600_000;
  const series = useMemo(() => seriesOf(samples, { device: device.id, from, to, points: POINTS }), [samples, device.id, from, to]);
  const common = { at: series.at, window: [from, to] as const, sync: `gpu ${device.id}` };
  const total = device.total?.bytes ?? null;
  return (
    <div className="grid grid-cols-2 gap-x-5 gap-y-3 @2xl:grid-cols-4">
      <Chart {...common} name="Memory" values={series.values.usedBytes} range={[0, total]} words={formatBytes} />
      <Chart {...common} name="Utilisation" values={series.values.utilization} range={[0, 1]} words={formatPercent} />
      <Chart {...common} name="Temperature" values={series.values.temperatureC} range={[20, 100]} words={degrees} />
      <Chart {...common} name="Power" values={series.values.powerW} range={[0, null]} words={watts} />
    </div>
  );
}

function degrees(value: number): string {
  return `${Math.round(value)} °C`;
}

function watts(value: number): string {
  return `${Math.round(value)} W`;
}
