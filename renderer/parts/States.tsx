import type { LucideIcon } from 'lucide-react';
import { CircleAlert, CircleSlash } from 'lucide-react';
import type { ReactNode } from 'react';
import { Children, useEffect, useState } from 'react';
import type { WireError } from '../../shared/errors.ts';
import { catalogue } from '../../shared/errors.ts';
import { formatBytes } from '../format.ts';
import { Button } from './Button.tsx';
import { ViewHead } from './Panel.tsx';

/** Nothing here yet, why, and what to do about it. */
export function EmptyState({
  icon: Icon,
  title,
  children,
  action,
}: {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className="flex h-full min-h-40 flex-col items-center justify-center gap-3 p-8 text-center">
      <div className="flex size-10 items-center justify-center rounded-lg bg-raised text-ink-3">
        <Icon aria-hidden className="size-5" strokeWidth={1.5} />
      </div>
      <div className="max-w-sm space-y-1">
        <p className="font-medium text-ink text-sm">{title}</p>
        {children && <div className="text-balance text-ink-3 text-xs">{children}</div>}
      </div>
      {action}
    </div>
  );
}

/** A failure in the catalogue's words: title, what happened, what to do. */
export function ErrorState({
  error,
  retry,
  children,
  compact = false,
}: {
  error: WireError;
  retry?: () => void;
  children?: ReactNode;
  compact?: boolean;
}) {
  // Somebody asked for it: that is no failure.
  const wanted = error.code === 'cancelled';
  const Icon = wanted ? CircleSlash : CircleAlert;
  return (
    <div role="alert" className={`flex gap-3 rounded-lg text-ink ${wanted ? 'bg-raised' : 'bg-bad-soft'} ${compact ? 'p-3' : 'p-4'}`}>
      <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${wanted ? 'text-ink-3' : 'text-bad-ink'}`} strokeWidth={2} />
      <div className="min-w-0 flex-1 space-y-2">
        <div className="flex flex-wrap items-baseline gap-x-2">
          <p className={`font-semibold text-sm ${wanted ? 'text-ink' : 'text-bad-ink'}`}>{catalogue[error.code].title}</p>
          <code className="font-mono text-2xs text-ink-2">{error.code}</code>
        </div>
        <p className="foreign text-sm">{error.message}</p>
        {error.hint && <p className="foreign text-ink-2 text-sm">{error.hint}</p>}
        {error.issues && error.issues.length > 0 && (
          <ul className="space-y-0.5 text-xs">
            {error.issues.slice(0, 20).map((issue) => (
              <li key={`${issue.path} ${issue.message}`} className="flex gap-2">
                <code className="shrink-0 font-mono text-bad-ink">{issue.path || '(whole input)'}</code>
                <span className="foreign">{issue.message}</span>
              </li>
            ))}
          </ul>
        )}
        {error.vram && <Holders vram={error.vram} />}
        {error.needed && error.needed.length > 0 && <p className="text-ink-2 text-xs">Needed: {error.needed.join(', ')}</p>}
        {(Children.toArray(children).length > 0 || retry) && (
          <div className="flex flex-wrap gap-2 pt-1">
            {children}
            {retry && (
              <Button size="sm" onClick={retry}>
                Try again
              </Button>
            )}
          </div>
        )}
      </div>
    </div>
  );
}

/** Who has the memory that is missing. */
export function Holders({ vram }: { vram: NonNullable<WireError['vram']> }) {
  return (
    <div className="space-y-1 text-xs">
      <p className="text-ink-2">
        {vram.need === null ? 'How much it needs is not known' : `It needs ${formatBytes(vram.need)}`},{' '}
        {vram.free === null ? 'how much is free is not known.' : `${formatBytes(vram.free)} are free.`}
      </p>
      {vram.holders.length > 0 && (
        <ul aria-label="Who holds the memory" className="max-w-md divide-y rounded-md bg-surface/60 hairline">
          {vram.holders.map((holder) => (
            <li key={holder.name} className="flex items-baseline gap-2 px-2 py-1">
              <bdi className="min-w-0 flex-1 truncate">{holder.name}</bdi>
              <span className="whitespace-nowrap">{holder.bytes === null ? 'not known' : formatBytes(holder.bytes)}</span>
              <span className="w-16 text-2xs text-ink-2">{holder.bytes === null ? '' : holder.source}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** Shows nothing for the first moment, then a moving bar, then says that it is slow. */
export function LoadingState({ what }: { what: string }) {
  const [phase, setPhase] = useState<'instant' | 'waiting' | 'slow'>('instant');
  useEffect(() => {
    const timers = [setTimeout(() => setPhase('waiting'), 120), setTimeout(() => setPhase('slow'), 4000)];
    return () => timers.forEach(clearTimeout);
  }, []);
  return (
    <div role="status" className="flex h-full min-h-40 flex-col items-center justify-center gap-3 p-8 text-ink-3 text-xs">
      {phase !== 'instant' && (
        <>
          <Sweep />
          <span>{phase === 'slow' ? `${what} is taking longer than usual. Still waiting.` : `${what}…`}</span>
        </>
      )}
    </div>
  );
}

/** A whole view that is not there yet, under its title. */
export function LoadingView({ title, what }: { title: string; what: string }) {
  return (
    <>
      <ViewHead title={title} />
      <LoadingState what={what} />
    </>
  );
}

/** Progress nobody can measure. */
export function Sweep({ wide = false }: { wide?: boolean }) {
  return (
    <span aria-hidden className={`block h-0.5 overflow-hidden rounded-full bg-line ${wide ? 'w-full' : 'w-32'}`}>
      <span className="block h-full w-1/3 animate-sweep rounded-full bg-accent" />
    </span>
  );
}

/** Progress somebody measured: 0..1. */
export function Progress({ value, label }: { value: number; label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    <span
      role="progressbar"
      aria-label={label}
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      className="block h-1 w-full overflow-hidden rounded-full bg-line"
    >
      <span className="block h-full rounded-full bg-accent transition-[width] duration-200" style={{ width: `${percent}%` }} />
    </span>
  );
}
