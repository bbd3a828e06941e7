import { useSyncExternalStore } from 'react';
import { formatAge, formatBytes, formatCountdown, formatDuration, formatElapsed, formatEta, formatExact } from '../format.ts';

const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | null = null;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    if (document.hidden) return;
    now = Date.now();
    for (const one of listeners) one();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0 && timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };
}

/** The time, moving once a second for everything on screen together. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** How long ago, with the exact time on hover. */
export function Time({ at }: { at: number | null }) {
  const current = useNow();
  if (at === null) return <Unknown what="never" />;
  return (
    <time dateTime={new Date(at).toISOString()} title={formatExact(at)} className="whitespace-nowrap">
      {formatAge(at, Math.max(at, current))}
    </time>
  );
}

/** Time since `since`, counting. */
export function Elapsed({ since }: { since: number }) {
  const current = useNow();
  return <span className="whitespace-nowrap">{formatElapsed(current - since)}</span>;
}

/** Time until `at`, counting down, with the exact one on hover. */
export function Countdown({ at }: { at: number }) {
  const current = useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={formatExact(at)} className="whitespace-nowrap">
      {formatCountdown(at, current)}
    </time>
  );
}

/** When something should be there, counting down and promising nothing, with the exact time on hover. */
export function Eta({ at }: { at: number }) {
  const current = useNow();
  return (
    <time dateTime={new Date(at).toISOString()} title={formatExact(at)} className="whitespace-nowrap">
      {formatEta(at, current)}
    </time>
  );
}

export function Duration({ ms }: { ms: number | null }) {
  return ms === null ? <Unknown what="not known" /> : <span className="whitespace-nowrap">{formatDuration(ms)}</span>;
}

export function Bytes({ value }: { value: number | null }) {
  return value === null ? (
    <Unknown what="not known" />
  ) : (
    <span className="whitespace-nowrap" title={`${value.toLocaleString('en-US')} bytes`}>
      {formatBytes(value)}
    </span>
  );
}

/** Nothing is known, which is not zero. */
export function Unknown({ what }: { what: string }) {
  return (
    <span className="text-ink-3" title={what}>
      <span aria-hidden>–</span>
      <span className="sr-only">{what}</span>
    </span>
  );
}
