import { Cpu } from 'lucide-react';
import { useEffect, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import type { GpuDevice } from '../../shared/model.ts';
import { useLive } from '../core.ts';
import { formatBytes, formatPercent } from '../format.ts';
import { Panel, ViewHead } from '../parts/Panel.tsx';
import { EmptyState, LoadingView } from '../parts/States.tsx';
import { Badge, StatusDot } from '../parts/Status.tsx';
import { Bytes, Time, Unknown } from '../parts/Values.tsx';

const KEPT = 900;

type Sample = { at: number; utilization: number | null; memory: number | null };

/** Devices and memory as the probes find them; where there is none it says so, and says what was asked. */
export function Gpu() {
  const gpu = useLive('gpu');
  const [history, setHistory] = useState<Record<string, Sample[]>>({});
  useEffect(() => {
    const at = gpu?.probedAt;
    if (!gpu || at == null) return;
    setHistory((before) => {
      const next = { ...before };
      for (const device of gpu.devices) {
        const samples = next[device.id] ?? [];
        if (samples.at(-1)?.at === at) continue;
        const { memoryUsedBytes: used, memoryTotalBytes: total } = device;
        next[device.id] = [
          ...samples.slice(1 - KEPT),
          {
            at,
            utilization: device.utilization === null ? null : device.utilization * 100,
            memory: used === null || !total ? null : (used / total) * 100,
          },
        ];
      }
      return next;
    });
  }, [gpu]);

  if (!gpu) return <LoadingView title="GPU" what="Asking the GPU" />;
  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead title="GPU">
        {gpu.devices.length === 0 ? 'No GPU was found' : gpu.devices.length === 1 ? '1 device' : `${gpu.devices.length} devices`}
        {gpu.probedAt !== null && (
          <>
            {' · probed '}
            <Time at={gpu.probedAt} />
          </>
        )}
      </ViewHead>
      <div className="min-h-0 flex-1 space-y-4 overflow-auto border-t px-4 py-4 lg:px-6">
        {gpu.devices.length === 0 && (
          <div className="mx-auto h-60 max-w-3xl">
            <EmptyState
              icon={Cpu}
              title={gpu.probedAt === null ? 'The first probe is on its way' : 'This machine has no GPU that can be read'}
            >
              Services still work; what runs on a GPU elsewhere is not seen from here.
            </EmptyState>
          </div>
        )}
        {gpu.devices.map((device) => (
          <Device key={device.id} device={device} samples={history[device.id] ?? []} />
        ))}
        <Panel title="Probes" className={`max-w-3xl ${gpu.devices.length === 0 ? 'mx-auto' : ''}`} flush>
          <ul className="divide-y">
            {gpu.probes.map((probe) => (
              <li key={probe.name} className="flex items-center gap-3 px-3 py-2 text-xs">
                <StatusDot tone={probe.found ? 'ok' : 'quiet'} label={probe.found ? 'found' : 'not found'} />
                <span className="w-32 shrink-0 font-medium">{probe.name}</span>
                <span className="foreign min-w-0 text-ink-3">{probe.detail}</span>
              </li>
            ))}
          </ul>
        </Panel>
      </div>
    </div>
  );
}

function Device({ device, samples }: { device: GpuDevice; samples: Sample[] }) {
  const { memoryTotalBytes: total, memoryUsedBytes: used } = device;
  const known = device.processes.filter((process) => process.memoryUsedBytes !== null);
  const attributed = known.reduce((sum, process) => sum + process.memoryUsedBytes!, 0);
  const rest = used === null ? null : Math.max(0, used - attributed);
  return (
    <Panel
      title={device.name}
      aside={
        <>
          <Badge>{device.vendor}</Badge>
          <span title="Where the figures come from">measured, {device.source}</span>
        </>
      }
    >
      <div className="space-y-4">
        <div className="grid grid-cols-2 gap-4 sm:grid-cols-4">
          <Figure name="Memory">
            {used === null || total === null ? <Unknown what="not known" /> : `${formatBytes(used)} of ${formatBytes(total)}`}
          </Figure>
          <Figure name="Utilisation">
            {device.utilization === null ? <Unknown what="not known" /> : formatPercent(device.utilization)}
          </Figure>
          <Figure name="Temperature">{device.temperatureC === null ? <Unknown what="not known" /> : `${device.temperatureC} °C`}</Figure>
          <Figure name="Power">{device.powerW === null ? <Unknown what="not known" /> : `${Math.round(device.powerW)} W`}</Figure>
        </div>
        {used !== null && total !== null && total > 0 && (
          <div className="space-y-1.5">
            <div
              role="img"
              aria-label={`${formatBytes(used)} of ${formatBytes(total)} in use`}
              className="flex h-5 overflow-hidden rounded-md bg-raised"
            >
              {known.map((process) => (
                <span
                  key={process.pid}
                  title={`${process.name}: ${formatBytes(process.memoryUsedBytes!)}`}
                  className="border-surface border-r bg-accent"
                  style={{ width: `${(process.memoryUsedBytes! / total) * 100}%` }}
                />
              ))}
              {rest !== null && rest > 0 && (
                <span title={`Not attributed: ${formatBytes(rest)}`} className="bg-control" style={{ width: `${(rest / total) * 100}%` }} />
              )}
            </div>
            <div className="flex flex-wrap gap-x-4 gap-y-1 text-2xs text-ink-3">
              <Legend className="bg-accent">
                Programs <Bytes value={attributed} />
              </Legend>
              <Legend className="bg-control">
                Not attributed <Bytes value={rest} />
              </Legend>
              <Legend className="bg-raised hairline">
                Free <Bytes value={total - used} />
              </Legend>
            </div>
          </div>
        )}
        {samples.length > 1 && <Chart samples={samples} label={`${device.name}: utilisation and memory`} />}
        {device.processes.length > 0 && (
          <ul aria-label="Programs on this device" className="divide-y rounded-md hairline">
            {device.processes.map((process) => (
              <li key={process.pid} className="flex gap-3 px-3 py-1.5 text-xs">
                <span className="w-16 shrink-0 text-right text-ink-3">{process.pid}</span>
                <span className="foreign min-w-0 flex-1 truncate">{process.name}</span>
                <Bytes value={process.memoryUsedBytes} />
              </li>
            ))}
          </ul>
        )}
      </div>
    </Panel>
  );
}

function Figure({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div className="min-w-0">
      <div className="text-2xs text-ink-3">{name}</div>
      <div className="truncate font-medium text-base">{children}</div>
    </div>
  );
}

function Legend({ className, children }: { className: string; children: React.ReactNode }) {
  return (
    <span className="inline-flex items-center gap-1.5">
      <span aria-hidden className={`size-2 rounded-[2px] ${className}`} />
      {children}
    </span>
  );
}

/** Utilisation and memory in percent since this window opened. */
function Chart({ samples, label }: { samples: Sample[]; label: string }) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useMemo<uPlot.AlignedData>(
    () => [samples.map(({ at }) => at / 1000), samples.map(({ utilization }) => utilization), samples.map(({ memory }) => memory)],
    [samples],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: made once; data comes in below
  useEffect(() => {
    const element = host.current!;
    const colour = (name: string) => getComputedStyle(element).getPropertyValue(name);
    const axis: uPlot.Axis = {
      stroke: colour('--color-ink-3'),
      grid: { stroke: colour('--color-line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
    };
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height: 140,
        legend: { show: false },
        cursor: { y: false },
        scales: { y: { range: [0, 100] } },
        axes: [axis, { ...axis, size: 40, values: (_, ticks) => ticks.map((tick) => `${tick} %`) }],
        series: [
          {},
          { label: 'Utilisation', stroke: colour('--color-accent'), width: 1.5 },
          { label: 'Memory', stroke: colour('--color-ok'), width: 1.5 },
        ],
      },
      data,
      element,
    );
    const observer = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: 140 }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [data]);
  return (
    <div className="space-y-1">
      <div ref={host} role="img" aria-label={label} className="h-[140px] w-full" />
      <div className="flex gap-4 text-2xs text-ink-3">
        <Legend className="bg-accent">Utilisation</Legend>
        <Legend className="bg-ok">Memory</Legend>
      </div>
    </div>
  );
}
