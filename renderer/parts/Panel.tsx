import { X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useId } from 'react';
import { IconButton } from './Button.tsx';

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

/** What is open beside a list: its name, what can be done with it, and a body that scrolls. Where the window is narrow it takes the list's place. */
export function Pane({
  label,
  title,
  aside,
  onClose,
  closeLabel,
  children,
}: {
  /** Accessible name of the body. */
  label: string;
  title: ReactNode;
  aside?: ReactNode;
  onClose(): void;
  closeLabel: string;
  children: ReactNode;
}) {
  return (
    <div className="flex min-h-0 w-full min-w-0 flex-col border-l lg:w-[26rem] lg:shrink-0 xl:w-[30rem]">
      <header className="flex h-11 shrink-0 items-center justify-between gap-3 border-b pr-2 pl-4">
        <h2 className="flex min-w-0 items-center gap-2 font-medium text-sm">{title}</h2>
        <div className="flex shrink-0 items-center gap-1.5 text-ink-3 text-xs">
          {aside}
          <IconButton label={closeLabel} icon={X} keys="esc" onClick={onClose} />
        </div>
      </header>
      <Scroll label={label} className="divide-y">
        {children}
      </Scroll>
    </div>
  );
}

/** A place that scrolls, also by keyboard. */
export function Scroll({ label, className = '', children }: { label: string; className?: string; children: ReactNode }) {
  return (
    <section
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      className={`min-h-0 flex-1 overflow-auto focus-visible:-outline-offset-2 ${className}`}
    >
      {children}
    </section>
  );
}

/** One part of what is open, under a small heading. */
export function Part({ title, aside, children }: { title: ReactNode; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="p-4">
      <div className="mb-2 flex min-h-4 items-center justify-between gap-3">
        <h3 className="font-medium text-2xs text-ink-3">{title}</h3>
        {aside}
      </div>
      {children}
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
