import { type Circle, CircleCheck, CircleDashed, CircleDot, CircleHelp, CirclePause, CircleSlash, CircleX } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Door, Egress, HealthStatus, JobState } from '../../shared/model.ts';
import type { Tone } from './tone.ts';

const badges: Record<Tone, string> = {
  ok: 'bg-ok-soft text-ok-ink',
  warn: 'bg-warn-soft text-warn-ink',
  bad: 'bg-bad-soft text-bad-ink',
  accent: 'bg-accent-soft text-accent-ink',
  quiet: 'bg-raised text-ink-2',
};

/** A short word with a colour. The word says it; the colour only helps. */
export function Badge({ tone = 'quiet', children, title }: { tone?: Tone; children: ReactNode; title?: string }) {
  return (
    <span
      title={title}
      className={`inline-flex h-5 max-w-full shrink-0 items-center gap-1 truncate rounded-sm px-1.5 font-medium text-2xs ${badges[tone]}`}
    >
      {children}
    </span>
  );
}

const dots: Record<Tone, string> = { ok: 'bg-ok', warn: 'bg-warn', bad: 'bg-bad', accent: 'bg-accent', quiet: 'bg-control' };

/** A dot; `label` is its accessible name where no words stand beside it. `live` breathes. */
export function StatusDot({ tone, label, live = false }: { tone: Tone; label?: string; live?: boolean }) {
  return (
    <span
      {...(label ? { role: 'img', 'aria-label': label, title: label } : { 'aria-hidden': true })}
      className={`inline-block size-2 shrink-0 rounded-full ${dots[tone]} ${live ? 'animate-breathe' : ''} ${
        tone === 'quiet' ? 'ring-1 ring-control ring-inset' : ''
      }`}
    />
  );
}

export const healthTone: Record<HealthStatus, Tone> = { healthy: 'ok', degraded: 'warn', down: 'bad', unknown: 'quiet' };

export function HealthDot({ status, words = false }: { status: HealthStatus; words?: boolean }) {
  if (!words) return <StatusDot tone={healthTone[status]} label={status} />;
  return (
    <span className="inline-flex items-center gap-1.5 capitalize">
      <StatusDot tone={healthTone[status]} />
      {status}
    </span>
  );
}

const jobs: Record<JobState, { tone: Tone; word: string; icon: typeof Circle; className: string }> = {
  queued: { tone: 'quiet', word: 'Queued', icon: CircleDashed, className: 'text-ink-2' },
  waiting: { tone: 'quiet', word: 'Waiting', icon: CirclePause, className: 'text-ink-2' },
  running: { tone: 'accent', word: 'Running', icon: CircleDot, className: 'text-accent-ink' },
  succeeded: { tone: 'ok', word: 'Succeeded', icon: CircleCheck, className: 'text-ok-ink' },
  failed: { tone: 'bad', word: 'Failed', icon: CircleX, className: 'text-bad-ink' },
  cancelled: { tone: 'quiet', word: 'Cancelled', icon: CircleSlash, className: 'text-ink-3' },
  unknown: { tone: 'warn', word: 'Unknown', icon: CircleHelp, className: 'text-warn-ink' },
};

export function jobWord(state: JobState): string {
  return jobs[state].word;
}

/** A job's state as icon and word; the word may be left to the accessible name. */
export function JobStateMark({ state, words = true }: { state: JobState; words?: boolean }) {
  const { word, icon: Icon, className } = jobs[state];
  return (
    <span className={`${words ? 'inline-flex' : 'flex'} items-center gap-1.5 align-middle ${className}`}>
      <Icon aria-hidden className={`size-3.5 shrink-0 ${state === 'running' ? 'animate-breathe' : ''}`} strokeWidth={2} />
      <span className={words ? 'truncate' : 'sr-only'}>{word}</span>
    </span>
  );
}

const doors: Record<Door, string> = {
  app: 'the app',
  ws: 'WebSocket',
  http: 'HTTP',
  cli: 'the command line',
  webhook: 'a webhook',
  library: 'the library',
  openai: 'the OpenAI door',
  core: 'the core',
};

/** The door a call came through, in words. */
export function doorWord(door: Door): string {
  return doors[door];
}

const egresses: Record<Egress, { tone: Tone; title: string }> = {
  local: { tone: 'ok', title: 'Stays on this machine' },
  lan: { tone: 'warn', title: 'Leaves this machine for the local network' },
  remote: { tone: 'accent', title: 'Leaves for the internet; refused while sovereign is on' },
};

export function EgressBadge({ egress }: { egress: Egress }) {
  return (
    <Badge tone={egresses[egress].tone} title={egresses[egress].title}>
      {egress}
    </Badge>
  );
}
