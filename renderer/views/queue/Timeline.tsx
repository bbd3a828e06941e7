import type { ReactNode } from 'react';
import type { Delivery, Job, JobDetail } from '../../../shared/model.ts';
import { signalOf } from '../../../shared/signal.ts';
import { useChunks } from '../../core.ts';
import { formatClock, formatDuration, formatExact, formatMs } from '../../format.ts';
import { Progress, Sweep } from '../../parts/States.tsx';
import { Badge } from '../../parts/Status.tsx';
import type { Tone } from '../../parts/tone.ts';
import { Countdown, Elapsed } from '../../parts/Values.tsx';
import { isOpen } from '../../pump.ts';
import { openQueue, useUi } from '../../ui.ts';
import { Waterfall } from '../CrossingPanel.tsx';
import { type Moment, momentsOf, waitTitle } from './timeline.ts';
import { WaitWords } from './Waits.tsx';

/** Everything that happened to a job, oldest first, with the exact time of each on hover. */
export function Timeline({ job, detail }: { job: Job; detail: JobDetail }) {
  const streamed = useChunks(job.id);
  const moments = momentsOf(job, detail);
  const told = moments.some((moment) => moment.live && moment.of.kind === 'event');
  return (
    <ol className="relative space-y-3.5 before:absolute before:top-2 before:bottom-2 before:left-[3.5px] before:w-px before:bg-line-strong">
      {moments.map((moment, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: moments have no other name, and only the last ones come and go
        <Line key={index} at={moment.at} tone={moment.tone} title={moment.title} live={moment.live} aside={<Length moment={moment} />}>
          <Inside moment={moment} job={job} detail={detail} />
        </Line>
      ))}
      {streamed && (
        <Line tone="quiet" title="Streamed">
          <p className="foreign line-clamp-6 whitespace-pre-wrap">{streamed.slice(-1200)}</p>
        </Line>
      )}
      {isOpen(job) && !told && (
        <Line
          tone="accent"
          live
          title={job.state === 'running' ? (job.progressNote ?? (streamed ? 'It is answering' : 'Waiting for the answer')) : waitTitle(job)}
          aside={<Elapsed since={job.startedAt ?? job.createdAt} />}
        >
          {job.waits ? (
            <WaitWords job={job} />
          ) : (
            <div className="pt-1.5">
              {job.progress === null ? <Sweep wide /> : <Progress value={job.progress} label="Progress of the job" />}
            </div>
          )}
        </Line>
      )}
    </ol>
  );
}

function Length({ moment: { at, until, of } }: { moment: Moment }) {
  if (of.kind === 'attempt')
    return (
      <>
        {of.attempt.error ? (
          <Badge tone={of.attempt.error === 'cancelled' ? 'quiet' : 'bad'}>{of.attempt.error}</Badge>
        ) : (
          of.attempt.status !== null && <Badge tone="ok">{of.attempt.status}</Badge>
        )}
        <span>{formatDuration(of.attempt.durationMs)}</span>
      </>
    );
  if (until !== null && until > at) return <span>{formatDuration(until - at)}</span>;
  return null;
}

function Inside({ moment, job, detail }: { moment: Moment; job: Job; detail: JobDetail }) {
  const go = useUi((ui) => ui.go);
  const { of } = moment;
  switch (of.kind) {
    case 'accepted':
      return (
        <>
          {job.auditSeq !== null && (
            <button type="button" className="text-accent-ink hover:underline" onClick={() => go('audit', String(job.auditSeq))}>
              Audit #{job.auditSeq}
            </button>
          )}
          <Boundaries detail={detail} />
        </>
      );
    case 'event':
      if (moment.live && job.waits) return <WaitWords job={job} />;
      return moment.detail && <span className="foreign">{moment.detail}</span>;
    case 'attempt':
      return (
        <span className="selectable block break-all font-mono text-2xs leading-4">{of.attempt.endpoint ?? 'inside this machine'}</span>
      );
    case 'delivery':
      return <Tries delivery={of.delivery} />;
    case 'ended':
      return (
        <>
          {job.errorMessage && <span className="foreign block">{job.errorMessage}</span>}
          {detail.record && <span className="foreign block text-ink-3">{signalOf(detail.record)}</span>}
        </>
      );
  }
}

function Boundaries({ detail: { record } }: { detail: JobDetail }) {
  if (!record || record.boundaries.length === 0) return null;
  const before = record.boundaries.filter((step) => step.boundary !== 'execute');
  return (
    <div className="space-y-1 pt-1">
      <p>
        {before.length} boundaries crossed in {formatMs(before.reduce((sum, step) => sum + step.ms, 0))}
      </p>
      <Waterfall steps={record.boundaries} total={record.durationMs} error={record.error?.code ?? null} />
    </div>
  );
}

function Tries({ delivery }: { delivery: Delivery }) {
  return (
    <>
      <button
        type="button"
        className="block max-w-full truncate font-mono text-2xs text-accent-ink leading-4 hover:underline"
        onClick={() => openQueue('callbacks', delivery.id)}
      >
        {delivery.url}
      </button>
      {delivery.attempts.map((attempt, index) => (
        <span key={attempt.at} className="flex gap-2" title={formatExact(attempt.at)}>
          <span className="text-ink-3">{formatClock(attempt.at)}</span>
          Try {index + 1}: {attempt.status ?? attempt.error ?? 'no answer'}
        </span>
      ))}
      {delivery.nextAt !== null && (
        <span>
          Next try <Countdown at={delivery.nextAt} />
        </span>
      )}
    </>
  );
}

const marks: Record<Tone, string> = { ok: 'bg-ok', warn: 'bg-warn', bad: 'bg-bad', accent: 'bg-accent', quiet: 'bg-control' };

function Line({
  at,
  tone,
  title,
  aside,
  live = false,
  children,
}: {
  at?: number;
  tone: Tone;
  title: string;
  aside?: ReactNode;
  live?: boolean;
  children?: ReactNode;
}) {
  return (
    <li className="relative pl-5 text-xs">
      <span
        aria-hidden
        className={`absolute top-1 left-0 size-2 rounded-full ring-3 ring-surface ${marks[tone]} ${live ? 'animate-breathe' : ''}`}
      />
      <div className="flex items-baseline justify-between gap-3">
        <span className="foreign min-w-0 font-medium text-ink">{title}</span>
        <span className="flex shrink-0 items-center gap-2 text-ink-3">
          {aside}
          {at !== undefined && (
            <time dateTime={new Date(at).toISOString()} title={formatExact(at)}>
              {formatClock(at)}
            </time>
          )}
        </span>
      </div>
      {children && <div className="mt-0.5 text-ink-2">{children}</div>}
    </li>
  );
}
