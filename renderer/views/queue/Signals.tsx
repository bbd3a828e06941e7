/** The live stream: one line for everything that happens. It follows until somebody reads back or pauses it. */
import {
  Ban,
  BookOpen,
  CircleX,
  Hand,
  Hourglass,
  Lock,
  LockOpen,
  type LucideIcon,
  OctagonX,
  Pause,
  Play,
  Radio,
  Receipt,
  Target,
  Zap,
} from 'lucide-react';
import { useLayoutEffect, useRef, useState } from 'react';
import { useLive } from '../../core.ts';
import { formatClock, formatCount, formatExact } from '../../format.ts';
import { Button, IconButton } from '../../parts/Button.tsx';
import { EmptyState } from '../../parts/States.tsx';
import { StatusDot } from '../../parts/Status.tsx';
import type { Tone } from '../../parts/tone.ts';
import type { Live } from '../../pump.ts';

const SHOWN = 300;

export function Signals({ className = '' }: { className?: string }) {
  const live = useLive('signals') ?? [];
  const [frozen, setFrozen] = useState<Live['signals'] | null>(null);
  const scroller = useRef<HTMLElement>(null);
  const shown = (frozen ?? live).slice(-SHOWN);
  const last = frozen?.at(-1);
  const missed = last ? live.length - 1 - live.findIndex((one) => one.seq === last.seq && one.at === last.at) : frozen ? live.length : 0;
  const newest = shown.at(-1);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the end moves when the newest line changes
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element && !frozen) element.scrollTop = element.scrollHeight;
  }, [newest, frozen]);

  return (
    <aside aria-label="Live signals" className={`w-72 shrink-0 flex-col border-l ${className}`}>
      <header className="flex h-11 shrink-0 items-center justify-between gap-3 border-b pr-2 pl-3">
        <h2 className="font-medium text-sm">Signals</h2>
        <span className="flex items-center gap-1.5 text-2xs text-ink-3">
          {frozen ? 'Paused' : 'Following'}
          <IconButton label={frozen ? 'Follow' : 'Pause'} icon={frozen ? Play : Pause} onClick={() => setFrozen(frozen ? null : live)} />
        </span>
      </header>
      <div className="relative min-h-0 flex-1">
        {shown.length === 0 ? (
          <EmptyState icon={Radio} title="Nothing happened yet">
            Dispatches, probes, breakers and switches each leave a line here.
          </EmptyState>
        ) : (
          <section
            ref={scroller}
            role="log"
            aria-live="off"
            aria-label="Signals"
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
            tabIndex={0}
            onScroll={(event) => {
              const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
              const away = scrollHeight - clientHeight - scrollTop > 40;
              if (away && !frozen) setFrozen(live);
            }}
            className="h-full overflow-auto py-1"
          >
            <ol>
              {shown.map((one) => (
                <li key={`${one.seq} ${one.at} ${one.signal}`} className="flex gap-2 px-3 py-1 text-xs leading-4 hover:bg-raised/60">
                  <time
                    dateTime={new Date(one.at).toISOString()}
                    title={formatExact(one.at)}
                    className="shrink-0 text-2xs text-ink-3 leading-4"
                  >
                    {formatClock(one.at)}
                  </time>
                  <Line signal={one.signal} />
                </li>
              ))}
            </ol>
          </section>
        )}
        {frozen && missed > 0 && (
          <div className="pointer-events-none absolute inset-x-0 bottom-3 flex justify-center">
            <Button tone="primary" size="sm" className="pointer-events-auto rounded-full! shadow-pop" onClick={() => setFrozen(null)}>
              {formatCount(missed)} more
            </Button>
          </div>
        )}
      </div>
    </aside>
  );
}

const icons: Record<string, { icon: LucideIcon; className: string }> = {
  '🎯': { icon: Target, className: 'text-accent-ink' },
  '❌': { icon: CircleX, className: 'text-bad-ink' },
  '🚫': { icon: Ban, className: 'text-bad-ink' },
  '⚡': { icon: Zap, className: 'text-warn-ink' },
  '🔒': { icon: Lock, className: 'text-ok-ink' },
  '🔓': { icon: LockOpen, className: 'text-warn-ink' },
  '📖': { icon: BookOpen, className: 'text-ink-3' },
  '⏳': { icon: Hourglass, className: 'text-ink-3' },
  '✋': { icon: Hand, className: 'text-warn-ink' },
  '⛔': { icon: OctagonX, className: 'text-bad-ink' },
  '🧾': { icon: Receipt, className: 'text-ink-3' },
};
const dots: Record<string, Tone> = { '🟢': 'ok', '🟡': 'warn', '🔴': 'bad', '⚪': 'quiet' };

/** A signal with its first sign drawn in the app's own hand; the words stay as they came. */
function Line({ signal }: { signal: string }) {
  const space = signal.indexOf(' ');
  const sign = signal.slice(0, space);
  const icon = icons[sign];
  const dot = dots[sign];
  if (space <= 0) return <span className="foreign min-w-0 text-ink-2">{signal}</span>;
  return (
    <>
      <span className="flex h-4 w-3 shrink-0 items-center justify-center">
        <span className="sr-only">{sign} </span>
        {icon ? (
          <icon.icon aria-hidden className={`size-3 ${icon.className}`} />
        ) : dot ? (
          <StatusDot tone={dot} />
        ) : (
          <span aria-hidden className="text-2xs">
            {sign}
          </span>
        )}
      </span>
      <span className="foreign min-w-0 text-ink-2">{signal.slice(space + 1)}</span>
    </>
  );
}
