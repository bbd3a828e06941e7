import { ChevronRight } from 'lucide-react';
import { useState } from 'react';

const STEP = 100;

/** Any JSON value as a tree that opens; the first levels are open. Everything in it is text. */
export function JsonTree({ value, label, open = 2 }: { value: unknown; label: string; open?: number }) {
  return (
    <section aria-label={label} className="selectable font-mono text-xs leading-5">
      <Node name={null} value={value} open={open} />
    </section>
  );
}

function Node({ name, value, open }: { name: string | null; value: unknown; open: number }) {
  const [shown, setShown] = useState(open > 0);
  const [limit, setLimit] = useState(STEP);
  const key = name !== null && <span className="text-ink-2">{name}: </span>;
  if (typeof value !== 'object' || value === null) {
    return (
      <div className="pl-4">
        {key}
        <Leaf value={value} />
      </div>
    );
  }
  const list = Array.isArray(value);
  const entries = list ? value.map((item, index) => [String(index), item] as const) : Object.entries(value);
  const summary = list
    ? `${entries.length} ${entries.length === 1 ? 'item' : 'items'}`
    : `${entries.length} ${entries.length === 1 ? 'key' : 'keys'}`;
  if (entries.length === 0) {
    return (
      <div className="pl-4">
        {key}
        <span className="text-ink-3">{list ? '[ ]' : '{ }'}</span>
      </div>
    );
  }
  return (
    <div>
      <button
        type="button"
        aria-expanded={shown}
        onClick={() => setShown(!shown)}
        className="-ml-0.5 flex w-full items-center gap-0.5 rounded-sm text-left hover:bg-raised"
      >
        <ChevronRight
          aria-hidden
          className={`size-3.5 shrink-0 text-ink-3 transition-transform duration-100 ${shown ? 'rotate-90' : ''}`}
        />
        <span className="min-w-0 truncate">
          {key}
          <span className="text-ink-3">{summary}</span>
        </span>
      </button>
      {shown && (
        <div className="ml-[5px] border-l pl-2.5">
          {entries.slice(0, limit).map(([child, item]) => (
            <Node key={child} name={child} value={item} open={open - 1} />
          ))}
          {entries.length > limit && (
            <button type="button" className="pl-4 text-accent-ink hover:underline" onClick={() => setLimit(limit + STEP * 5)}>
              {entries.length - limit} more
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Leaf({ value }: { value: unknown }) {
  if (typeof value === 'string') return <span className="foreign whitespace-pre-wrap text-ok-ink">"{value}"</span>;
  if (typeof value === 'number') return <span className="text-accent-ink">{String(value)}</span>;
  if (typeof value === 'boolean') return <span className="text-warn-ink">{String(value)}</span>;
  return <span className="text-ink-3">{String(value)}</span>;
}
