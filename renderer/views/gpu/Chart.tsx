/** One line over time. What it says now, or at the pointer, stands beside its name. */
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import uPlot from 'uplot';
import { formatClock } from '../../format.ts';
import { Unknown } from '../../parts/Values.tsx';
import { useUi } from '../../ui.ts';

const HEIGHT = 84;

export function Chart({
  name,
  at,
  values,
  window: [from, to],
  range: [low, high],
  words,
  sync,
}: {
  name: string;
  /** Seconds since the epoch. */
  at: readonly number[];
  values: readonly (number | null)[];
  /** Milliseconds since the epoch. */
  window: readonly [number, number];
  /** Of the values; null: as they come. */
  range: readonly [number, number | null];
  words(value: number): string;
  /** Charts of one device point at the same time. */
  sync: string;
}) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const scheme = useScheme();
  const id = useId();
  const bounds = useRef({ from, to, low, high });
  bounds.current = { from, to, low, high };
  const data = useMemo<uPlot.AlignedData>(() => [[...at], [...values]], [at, values]);
  const latest = useRef(data);
  latest.current = data;
  const known = values.filter((value) => value !== null);
  const now = values.at(-1) ?? null;
  const shown = pointed === null ? now : (values[pointed] ?? null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: made once for each scheme; data comes in below
  useEffect(() => {
    const element = host.current!;
    const line = colourOf(element, '--color-accent');
    const axis: uPlot.Axis = {
      stroke: colourOf(element, '--color-ink-3'),
      grid: { show: false },
      ticks: { show: false },
      font: '10px system-ui',
      gap: 2,
      size: 16,
      space: 48,
      values: (self, ticks) => ticks.map((tick) => (isInside(self, tick) ? formatClock(tick * 1000).slice(0, 5) : '')),
    };
    const made = new uPlot(
      {
        width: Math.max(1, element.clientWidth),
        height: HEIGHT,
        padding: [4, 0, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 5, fill: line, stroke: line }, drag: { x: false }, sync: { key: sync } },
        scales: {
          x: { time: true, range: () => [bounds.current.from / 1000, bounds.current.to / 1000] },
          y: {
            range: (_, __, most) => [bounds.current.low, bounds.current.high ?? Math.max(bounds.current.low + 1, (most ?? 0) * 1.15)],
          },
        },
        axes: [
          axis,
          {
            show: true,
            size: 0,
            ticks: { show: false },
            values: () => [],
            splits: edges,
            grid: { stroke: colourOf(element, '--color-line'), width: 1 },
          },
        ],
        series: [
          {},
          { label: name, stroke: line, width: 1.25, fill: `color-mix(in oklch, ${line} 12%, transparent)`, points: { show: false } },
        ],
        hooks: { setCursor: [(self) => setPointed(self.cursor.idx ?? null)] },
      },
      latest.current,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: Math.max(1, element.clientWidth), height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [scheme, sync]);
  useEffect(() => plot.current?.setData(data), [data]);

  return (
    <figure aria-labelledby={id} className="min-w-0">
      <figcaption id={id} className="flex items-baseline justify-between gap-2 text-2xs text-ink-3">
        <span>{name}</span>
        <span className="truncate font-medium text-ink text-sm">
          {shown === null ? <Unknown what="not known" /> : words(shown)}
          {pointed !== null && at[pointed] !== undefined && (
            <span className="ml-1.5 font-normal text-2xs text-ink-3">{formatClock(at[pointed] * 1000)}</span>
          )}
        </span>
      </figcaption>
      <div
        ref={host}
        role="img"
        aria-label={
          known.length === 0
            ? `${name}: nothing was read in this time`
            : `${name}: now ${now === null ? 'not known' : words(now)}, highest ${words(Math.max(...known))}, lowest ${words(Math.min(...known))}`
        }
        className={`relative h-21 w-full ${known.length === 0 ? 'opacity-60' : ''}`}
      />
    </figure>
  );
}

/** There is room for its words; half of them would be cut off at an edge. */
function isInside(self: uPlot, tick: number): boolean {
  const x = self.valToPos(tick, 'x');
  return x > 14 && x < self.bbox.width / devicePixelRatio - 14;
}

/** The floor, the middle and the ceiling. */
function edges(self: uPlot): number[] {
  const { min, max } = self.scales.y!;
  return [min ?? 0, ((min ?? 0) + (max ?? 1)) / 2, max ?? 1];
}

/** A token as the canvas understands it. */
function colourOf(element: HTMLElement, token: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${token})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Changes when the colours do. */
function useScheme(): string {
  const theme = useUi((ui) => ui.theme);
  const [dark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  useEffect(() => {
    const query = matchMedia('(prefers-color-scheme: dark)');
    const follow = () => setDark(query.matches);
    query.addEventListener('change', follow);
    return () => query.removeEventListener('change', follow);
  }, []);
  return `${theme} ${dark}`;
}
