import { useVirtualizer } from '@tanstack/react-virtual';
import type { KeyboardEvent, ReactNode } from 'react';
import { memo, useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { usePlainKeys } from '../keys.ts';

export interface Column<Row> {
  id: string;
  label: string;
  /** A grid track: `120px`, `minmax(0,2fr)`. */
  width: string;
  align?: 'right';
  /** The column is left out where the table is narrower than this, px. */
  hideBelow?: number;
  /** The column is left out where the table is at least this wide, px. */
  hideAbove?: number;
  /** The heading is there for screen readers only. */
  quiet?: boolean;
  cell(row: Row): ReactNode;
}

interface Props<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey(row: Row): string;
  /** Rows there are in all; those past `rows` show as still to come. */
  total?: number;
  selected?: string | null;
  onSelect?(row: Row): void;
  /** Called when rows past `rows` come into sight. */
  onNeed?(): void;
  onScroll?(top: number): void;
  empty?: ReactNode;
  rowHeight?: number;
  /** Below this width the table scrolls sideways. */
  minWidth?: number;
  /** The heading is for screen readers only. */
  headless?: boolean;
  /** j and k move too, wherever the focus is. */
  plainKeys?: boolean;
}

/** A table of any length: only what is in sight exists. Up, Down, Home, End, Page keys move; Enter opens. */
export function Table<Row>({
  label,
  columns: all,
  rows,
  rowKey,
  total = rows.length,
  selected = null,
  onSelect,
  onNeed,
  onScroll,
  empty,
  rowHeight = 36,
  minWidth = 0,
  headless = false,
  plainKeys = false,
}: Props<Row>) {
  const scroller = useRef<HTMLDivElement>(null);
  const prefix = useId();
  const [width, setWidth] = useState(Number.POSITIVE_INFINITY);
  const columns = useMemo(
    () =>
      all.filter(
        ({ hideBelow = 0, hideAbove = Number.POSITIVE_INFINITY }) =>
          width >= hideBelow && (width < hideAbove || hideAbove === Number.POSITIVE_INFINITY),
      ),
    [all, width],
  );
  const tracks = columns.map((column) => column.width).join(' ');
  const count = Math.max(total, rows.length);
  const virtual = useVirtualizer({ count, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 8 });
  const showsRows = count > 0 || !empty;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scroller comes and goes with the rows
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    setWidth(element.clientWidth);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, [showsRows]);
  const items = virtual.getVirtualItems();
  const lastSeen = items.at(-1)?.index ?? -1;
  useEffect(() => {
    if (lastSeen >= rows.length && rows.length < count) onNeed?.();
  }, [lastSeen, rows.length, count, onNeed]);

  const at = selected === null ? -1 : rows.findIndex((row) => rowKey(row) === selected);
  const moveTo = (target: number) => {
    if (!onSelect || rows.length === 0) return;
    const index = Math.min(rows.length - 1, Math.max(0, target));
    virtual.scrollToIndex(index);
    onSelect(rows[index]!);
    if (index >= rows.length - 8 && rows.length < count) onNeed?.();
  };
  usePlainKeys(plainKeys ? { j: () => moveTo(at + 1), k: () => moveTo(at - 1) } : {});
  const move = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 400) / rowHeight) - 2);
    const steps: Record<string, number> = {
      ArrowDown: at + 1,
      ArrowUp: at - 1,
      PageDown: at + page,
      PageUp: at - page,
      Home: 0,
      End: rows.length - 1,
    };
    const target = steps[event.key];
    if (target === undefined || !onSelect || event.metaKey || event.ctrlKey || event.altKey) return;
    event.preventDefault();
    moveTo(target);
  };
  const latest = useRef(onSelect);
  latest.current = onSelect;
  const pick = useCallback((row: Row) => latest.current?.(row), []);
  const inSight = items.some((item) => item.index === at);

  if (count === 0 && empty) return <div className="h-full overflow-auto">{empty}</div>;
  return (
    // The ring lies over the rows, which would cover an outline of the grid itself.
    <div className="relative h-full min-h-0 after:pointer-events-none after:absolute after:inset-0 after:z-20 after:rounded-lg after:ring-accent after:ring-inset has-[[role=grid]:focus-visible]:after:ring-2">
      {/* biome-ignore lint/a11y/useSemanticElements: a virtual list cannot be a <table> */}
      <div
        ref={scroller}
        role="grid"
        aria-label={label}
        aria-rowcount={count + 1}
        aria-colcount={columns.length}
        {...(inSight && { 'aria-activedescendant': `${prefix}${at}` })}
        tabIndex={0}
        onKeyDown={move}
        onScroll={(event) => onScroll?.(event.currentTarget.scrollTop)}
        className="relative h-full min-h-0 overflow-auto outline-none"
      >
        <div className="min-w-full" style={{ minWidth: minWidth || undefined }}>
          {/* biome-ignore lint/a11y/useSemanticElements: see above */}
          <div
            role="row"
            tabIndex={-1}
            aria-rowindex={1}
            className={headless ? 'sr-only' : 'sticky top-0 z-10 grid h-8 items-center gap-3 border-b bg-surface px-4 text-2xs text-ink-3'}
            style={{ gridTemplateColumns: tracks }}
          >
            {columns.map((column) => (
              // biome-ignore lint/a11y/useSemanticElements: see above
              <div
                key={column.id}
                role="columnheader"
                tabIndex={-1}
                className={`truncate font-medium ${column.align === 'right' ? 'text-right' : ''}`}
              >
                {column.quiet ? <span className="sr-only">{column.label}</span> : column.label}
              </div>
            ))}
          </div>
          <div role="presentation" className="relative" style={{ height: virtual.getTotalSize() }}>
            {items.map((item) => {
              const row = rows[item.index];
              const key = row === undefined ? null : rowKey(row);
              return (
                <Line
                  key={key ?? `wait ${item.index}`}
                  id={`${prefix}${item.index}`}
                  index={item.index}
                  row={row}
                  columns={columns}
                  tracks={tracks}
                  selected={key !== null && key === selected}
                  pick={onSelect ? pick : null}
                  size={item.size}
                  start={item.start}
                />
              );
            })}
          </div>
        </div>
      </div>
    </div>
  );
}

interface LineProps<Row> {
  id: string;
  index: number;
  row: Row | undefined;
  columns: readonly Column<Row>[];
  tracks: string;
  selected: boolean;
  pick: ((row: Row) => void) | null;
  size: number;
  start: number;
}

/** Drawn again only when its own row changes: scrolling costs what comes into sight. */
const Line = memo(function Line<Row>({ id, index, row, columns, tracks, selected, pick, size, start }: LineProps<Row>) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: see above
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid takes the keys
    <div
      id={id}
      role="row"
      tabIndex={-1}
      aria-rowindex={index + 2}
      aria-selected={pick && row !== undefined ? selected : undefined}
      aria-busy={row === undefined || undefined}
      onClick={row !== undefined && pick ? () => pick(row) : undefined}
      className={`absolute inset-x-0 top-0 grid items-center gap-3 border-b px-4 text-sm ${selected ? 'bg-accent-soft' : pick ? 'hover:bg-raised/60' : ''}`}
      style={{ gridTemplateColumns: tracks, height: size, transform: `translateY(${start}px)` }}
    >
      {columns.map((column) => (
        // biome-ignore lint/a11y/useSemanticElements: see above
        <div key={column.id} role="gridcell" tabIndex={-1} className={`min-w-0 truncate ${column.align === 'right' ? 'text-right' : ''}`}>
          {row === undefined ? <span className="inline-block h-2 w-2/3 rounded-full bg-raised" /> : column.cell(row)}
        </div>
      ))}
    </div>
  );
}) as <Row>(props: LineProps<Row>) => ReactNode;
