/** One job's life: accepted, what it crossed, each attempt, what it said on the way, how it ended. */

import { CircleHelp, RotateCcw, SendHorizontal, Square, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { useState } from 'react';
import type { Ask } from '../../shared/contract.ts';
import type { Job, JobDetail } from '../../shared/model.ts';
import { signalOf } from '../../shared/signal.ts';
import { toastError } from '../actions.ts';
import { useChunks, useFront, useLive, useOperation, wireOf } from '../core.ts';
import { formatClock, formatDuration, formatExact, formatMs, formatPercent } from '../format.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { CodeBlock, CopyButton } from '../parts/CodeBlock.tsx';
import { JsonTree } from '../parts/JsonTree.tsx';
import { Fact, Facts, Panel } from '../parts/Panel.tsx';
import { ErrorState, LoadingState, Progress, Sweep } from '../parts/States.tsx';
import { Badge, doorWord, JobStateMark, jobWord, type Tone } from '../parts/Status.tsx';
import { Duration, Elapsed, Time, Unknown } from '../parts/Values.tsx';
import { isOpen } from '../pump.ts';
import { textOf } from '../shape.ts';
import { toast, useUi } from '../ui.ts';
import { Waterfall } from './CrossingPanel.tsx';

export function JobPanel({ id, onClose }: { id: string; onClose(): void }) {
  const front = useFront();
  const go = useUi((ui) => ui.go);
  const set = useUi((ui) => ui.set);
  const query = useOperation('OS.jobs.get', { id }, { keep: true });
  const newer = useLive('jobs')?.find((one) => one.id === id);
  const [cancelling, setCancelling] = useState(false);
  const [told, setTold] = useState<string | null>(null);
  const detail = query.data;
  const job: Job | undefined = newer ?? detail;

  const cancel = () => {
    setCancelling(true);
    void front
      .operate('OS.jobs.cancel', { id })
      .then(
        ({ outcome }) => {
          setTold(outcome);
          toast('info', 'Cancelled', outcome);
        },
        (caught) => toastError('It was not cancelled', caught),
      )
      .finally(() => setCancelling(false));
  };
  const again = () => {
    if (!detail) return;
    const params =
      detail.params && typeof detail.params === 'object' && Object.keys(detail.params).length > 0
        ? (detail.params as Record<string, unknown>)
        : null;
    const ask: Ask = { ...(detail.text && { text: detail.text }), ...(detail.route && { route: detail.route }), ...(params && { params }) };
    set({ run: front.dispatch(ask) });
    go('dispatch');
  };

  return (
    <Panel
      flush
      className="w-full min-w-0 lg:w-[26rem] lg:shrink-0 xl:w-[30rem]"
      title={
        <span className="flex min-w-0 items-center gap-2">
          {job && (
            <span role="status" className="shrink-0 text-xs">
              <JobStateMark state={job.state} />
            </span>
          )}
          <bdi className="min-w-0 truncate" title={job?.text ?? undefined}>
            {job?.text ?? job?.route ?? 'Job'}
          </bdi>
        </span>
      }
      aside={
        <>
          {job && isOpen(job) && (
            <Button size="sm" icon={Square} busy={cancelling} onClick={cancel}>
              Cancel job
            </Button>
          )}
          <IconButton label="Close job" icon={X} keys="esc" onClick={onClose} />
        </>
      }
    >
      {query.isError ? (
        <div className="p-4">
          <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} />
        </div>
      ) : !detail || !job ? (
        <LoadingState what="Reading the job" />
      ) : (
        <section
          aria-label="Job details"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
          tabIndex={0}
          className="h-full divide-y overflow-auto"
        >
          <div className="space-y-3 p-4">
            {job.text && <Words text={job.text} />}
            <div className="flex flex-wrap gap-1.5">
              <Button size="sm" icon={RotateCcw} onClick={again}>
                Run again
              </Button>
              <Button size="sm" icon={SendHorizontal} onClick={() => go('dispatch', id)}>
                Open in Dispatch
              </Button>
            </div>
            <Facts>
              <Fact name="Route">{job.route ?? <Unknown what="no route" />}</Fact>
              <Fact name="Why">
                <span className="foreign">{job.why}</span>
                {job.confidence !== null && <span className="text-ink-2"> · {formatPercent(job.confidence)} sure</span>}
              </Fact>
              <Fact name="Requester">
                {job.caller} by {doorWord(job.door)}
              </Fact>
              <Fact name="Accepted">
                <Time at={job.createdAt} /> <span className="text-ink-3">{formatExact(job.createdAt)}</span>
              </Fact>
              <Fact name="Duration">
                {isOpen(job) ? <Elapsed since={job.startedAt ?? job.createdAt} /> : <Duration ms={job.durationMs} />}
              </Fact>
              <Fact name="Job" mono>
                <span className="flex items-center gap-1">
                  {job.id}
                  <span className="-my-1.5">
                    <CopyButton text={job.id} label="Copy job id" />
                  </span>
                </span>
              </Fact>
            </Facts>
          </div>
          <div className="p-4">
            <h3 className="mb-3 font-medium text-2xs text-ink-3">Timeline</h3>
            <Timeline job={job} detail={detail} told={told} />
          </div>
          <Record detail={detail} job={job} />
        </section>
      )}
    </Panel>
  );
}

/** What was asked for; long ones open on demand. */
function Words({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const long = text.length > 280 || text.split('\n').length > 4;
  return (
    <div>
      <p dir="auto" className={`foreign whitespace-pre-wrap text-base ${long && !all ? 'line-clamp-4' : ''}`}>
        {text}
      </p>
      {long && (
        <button type="button" aria-expanded={all} className="text-accent-ink text-xs hover:underline" onClick={() => setAll(!all)}>
          {all ? 'Show less' : `Show all ${text.length.toLocaleString('en-US')} characters`}
        </button>
      )}
    </div>
  );
}

function Timeline({ job, detail, told }: { job: Job; detail: JobDetail; told: string | null }) {
  const go = useUi((ui) => ui.go);
  const { record } = detail;
  const streamed = useChunks(job.id);
  const attempts = record?.attempts.length ? record.attempts : detail.attempts;
  const crossed = record?.boundaries ?? [];
  const ended: Tone = job.state === 'succeeded' ? 'ok' : job.state === 'failed' ? 'bad' : job.state === 'unknown' ? 'warn' : 'quiet';
  return (
    <ol className="relative space-y-4 before:absolute before:top-2 before:bottom-2 before:left-[3.5px] before:w-px before:bg-line-strong">
      <Moment at={job.createdAt} tone="quiet" title="Accepted">
        {job.auditSeq !== null && (
          <button type="button" className="text-accent-ink hover:underline" onClick={() => go('audit', String(job.auditSeq))}>
            Audit #{job.auditSeq}
          </button>
        )}
      </Moment>
      {crossed.length > 0 && (
        <Moment
          tone={crossed.some((step) => step.outcome === 'refused' && step.boundary !== 'execute') ? 'bad' : 'quiet'}
          title={`${crossed.length} boundaries crossed in ${formatMs(crossed.reduce((sum, step) => sum + (step.boundary === 'execute' ? 0 : step.ms), 0))}`}
        >
          <div className="pt-1 pr-1">
            <Waterfall steps={crossed} total={record!.durationMs} />
          </div>
        </Moment>
      )}
      {attempts.map((attempt, index) => (
        <Moment
          key={attempt.id}
          at={attempt.startedAt}
          tone={attempt.error ? 'bad' : 'accent'}
          title={`Attempt ${index + 1}${attempt.route === job.route ? '' : ` at fallback ${attempt.route}`}`}
          aside={
            <>
              {attempt.error ? (
                <Badge tone="bad">{attempt.error}</Badge>
              ) : (
                attempt.status !== null && <Badge tone="ok">{attempt.status}</Badge>
              )}
              <span>{formatDuration(attempt.durationMs)}</span>
            </>
          }
        >
          <span className="selectable block break-all font-mono text-2xs leading-4">{attempt.endpoint ?? 'inside this machine'}</span>
        </Moment>
      ))}
      {isOpen(job) && (
        <Moment
          tone="accent"
          live
          title={job.waits?.reason ?? job.progressNote ?? (streamed ? 'It is answering' : 'Waiting for the answer')}
          aside={<Elapsed since={job.startedAt ?? job.createdAt} />}
        >
          <div className="pt-1.5">
            {job.progress === null ? <Sweep wide /> : <Progress value={job.progress} label="Progress of the job" />}
          </div>
        </Moment>
      )}
      {streamed && (
        <Moment tone="quiet" title="Streamed">
          <p className="foreign line-clamp-6 whitespace-pre-wrap">{streamed.slice(-1200)}</p>
        </Moment>
      )}
      {job.cancelRequestedAt !== null && (
        <Moment at={job.cancelRequestedAt} tone="warn" title="Cancel was asked for">
          {told}
        </Moment>
      )}
      {!isOpen(job) && (
        <Moment
          at={job.finishedAt}
          tone={ended}
          title={jobWord(job.state)}
          aside={job.durationMs === null ? null : <span>{formatDuration(job.durationMs)}</span>}
        >
          {job.errorMessage && <span className="foreign">{job.errorMessage}</span>}
          {record && <span className="foreign block text-ink-3">{signalOf(record)}</span>}
        </Moment>
      )}
    </ol>
  );
}

const marks: Record<Tone, string> = { ok: 'bg-ok', warn: 'bg-warn', bad: 'bg-bad', accent: 'bg-accent', quiet: 'bg-control' };

function Moment({
  at,
  tone,
  title,
  aside,
  live = false,
  children,
}: {
  at?: number | null;
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
          {at != null && (
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

function Record({ detail, job }: { detail: JobDetail; job: Job }) {
  const { record, params } = detail;
  const error = record?.error ?? null;
  const text = record ? textOf(record.result) : null;
  const hasParams = params !== null && typeof params === 'object' && Object.keys(params).length > 0;
  return (
    <>
      {error && (
        <div className="p-4">
          <ErrorState error={error} compact />
        </div>
      )}
      {job.state === 'unknown' && !error && (
        <div className="flex gap-3 p-4 text-sm">
          <CircleHelp aria-hidden className="mt-0.5 size-4 shrink-0 text-warn-ink" />
          <p className="foreign text-ink-2">
            {job.errorMessage ??
              'Dispatcher stopped while it ran, so nobody knows whether it happened. Look at the service before running it again.'}
          </p>
        </div>
      )}
      {hasParams && (
        <div className="p-4">
          <h3 className="mb-2 font-medium text-2xs text-ink-3">Params</h3>
          <JsonTree value={params} label="Params" />
        </div>
      )}
      {record?.ok && (
        <div className="space-y-2 p-4">
          <h3 className="font-medium text-2xs text-ink-3">Result</h3>
          {text !== null ? (
            <CodeBlock text={text.slice(0, 20_000)} label="Result as text" />
          ) : (
            <JsonTree value={record.result} label="Result" open={2} />
          )}
        </div>
      )}
    </>
  );
}
