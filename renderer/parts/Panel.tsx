import type { ReactNode } from 'react';
import { useId } from 'react';

/** A titled surface. `flush` leaves the inside without padding, for lists and tables. */
export function Panel({
  title,
  aside,
  children,
  flush = false,
  className = '',
}: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  flush?: boolean;
  className?: string;
}) {
  const id = useId();
  return (
    <section
      aria-labelledby={title ? id : undefined}
      className={`flex min-h-0 min-w-0 flex-col overflow-hidden rounded-lg border bg-surface shadow-card ${className}`}
    >
      {title && (
        <header className="flex h-10 shrink-0 items-center justify-between gap-3 border-b px-3">
          <h2 id={id} className="min-w-0 truncate font-medium text-ink text-sm">
            {title}
          </h2>
          {aside && <div className="flex shrink-0 items-center gap-1.5 text-ink-3 text-xs">{aside}</div>}
        </header>
      )}
      <div className={`min-h-0 flex-1 ${flush ? '' : 'p-3'}`}>{children}</div>
    </section>
  );
}

/** Words and values, one pair a line. */
export function Facts({ children }: { children: ReactNode }) {
  return <dl className="grid grid-cols-[minmax(5.5rem,auto)_minmax(0,1fr)] gap-x-4 gap-y-1.5 text-xs">{children}</dl>;
}

export function Fact({ name, children, mono = false }: { name: string; children: ReactNode; mono?: boolean }) {
  return (
    <>
      <dt className="text-ink-3">{name}</dt>
      <dd className={`selectable min-w-0 break-words text-ink ${mono ? 'break-all font-mono text-2xs leading-4' : ''}`}>{children}</dd>
    </>
  );
}

/** The head of a view: its name, one sentence or number, and what can be done. */
export function ViewHead({ title, children, actions }: { title: string; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="flex min-h-12 shrink-0 flex-wrap items-center justify-between gap-x-4 gap-y-1 px-4 pt-3 pb-2 lg:px-6">
      <div className="flex min-w-0 items-baseline gap-3">
        <h1 className="shrink-0 font-semibold text-ink text-lg tracking-tight">{title}</h1>
        {children && <div className="min-w-0 truncate text-ink-3 text-xs">{children}</div>}
      </div>
      {actions && <div className="flex shrink-0 flex-wrap items-center gap-2">{actions}</div>}
    </div>
  );
}
