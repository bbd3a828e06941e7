/** What is known of one job, and what can be done with it. */
import { CircleHelp, Cpu, Hourglass, RefreshCw, RotateCcw, SendHorizontal, Square } from 'lucide-react';
import { useState } from 'react';
import type { Ask } from '../../../shared/contract.ts';
import type { Attempt, Job, JobDetail } from '../../../shared/model.ts';
import { toastError } from '../../actions.ts';
import { useFront, useLive, useOperation, wireOf } from '../../core.ts';
import { formatDuration, formatExact, formatPercent } from '../../format.ts';
import { usePlainKeys } from '../../keys.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock, CopyButton } from '../../parts/CodeBlock.tsx';
import { JsonTree } from '../../parts/JsonTree.tsx';
import { Fact, Facts, Pane, Part } from '../../parts/Panel.tsx';
import { ErrorState, LoadingState } from '../../parts/States.tsx';
import { Badge, doorWord, JobStateMark, jobWord } from '../../parts/Status.tsx';
import { Duration, Elapsed, Time, Unknown } from '../../parts/Values.tsx';
import { isOpen } from '../../pump.ts';
import { textOf } from '../../shape.ts';
import { ask, openGpu, openQueue, toast, useUi } from '../../ui.ts';
import { DeliveryLine } from './DeliveryLine.tsx';
import { KeyInspector } from './KeyInspector.tsx';
import { titleOf } from './line.ts';
import { Timeline } from './Timeline.tsx';
import { WaitWords } from './Waits.tsx';

/** Characters of a request that the title has room for. */
const SHORT = 32;

export function JobPanel({ id, onClose }: { id: string; onClose(): void }) {
  const query = useOperation('OS.jobs.get', { id }, { keep: true });
  const newer = useLive('jobs')?.find((one) => one.id === id);
  // While another job is asked for, the last answer is still there.
  const detail = query.data?.id === id ? query.data : undefined;
  const job: Job | undefined = newer ?? detail;
  const [told, setTold] = useState<string | null>(null);

  return (
    <Pane
      label="Job details"
      closeLabel="Close job"
      onClose={onClose}
      title={
        <>
          {job && (
            <span role="status" className="shrink-0 text-xs">
              <JobStateMark state={job.state} />
            </span>
          )}
          <bdi className="min-w-0 truncate" title={job?.text ?? undefined}>
            {(job && titleOf(job)) ?? 'Job'}
          </bdi>
        </>
      }
      aside={job && isOpen(job) && <Cancel job={job} onTold={setTold} />}
    >
      {query.isError ? (
        <div className="p-4">
          <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} />
        </div>
      ) : !detail || !job ? (
        <LoadingState what="Reading the job" />
      ) : (
        <>
          <div className="space-y-3 p-4">
            {job.text && job.text.length > SHORT && <Words text={job.text} />}
            {told && (
              <p role="status" className="foreign rounded-md bg-raised px-3 py-2 text-xs">
                {told}
              </p>
            )}
            {job.waits && (
              <p className="flex gap-2 rounded-md bg-accent-soft px-3 py-2">
                {job.waits.kind === 'gpu' ? (
                  <Cpu aria-hidden className="mt-0.5 size-3.5 shrink-0 text-accent-ink" />
                ) : (
                  <Hourglass aria-hidden className="mt-0.5 size-3.5 shrink-0 text-accent-ink" />
                )}
                <span className="min-w-0">
                  <WaitWords job={job} />
                  {job.waits.kind === 'gpu' && (
                    <button
                      type="button"
                      className="ml-1.5 whitespace-nowrap text-accent-ink text-xs hover:underline"
                      onClick={() => openGpu('overview')}
                    >
                      Show the line
                    </button>
                  )}
                </span>
              </p>
            )}
            <Again job={job} detail={detail} />
            <JobFacts job={job} />
          </div>
          <Part title="Timeline">
            <Timeline job={job} detail={detail} />
          </Part>
          <Attempts job={job} detail={detail} />
          <Outcome job={job} detail={detail} />
          {detail.key && <KeyInspector use={detail.key} />}
          {detail.deliveries.length > 0 && (
            <Part title="Callbacks">
              <ul className="space-y-1">
                {detail.deliveries.map((delivery) => (
                  <DeliveryLine key={delivery.id} delivery={delivery} />
                ))}
              </ul>
            </Part>
          )}
          <Params detail={detail} />
        </>
      )}
    </Pane>
  );
}

function Cancel({ job, onTold }: { job: Job; onTold(outcome: string): void }) {
  const front = useFront();
  const [cancelling, setCancelling] = useState(false);
  const cancel = () => {
    setCancelling(true);
    void front
      .operate('OS.jobs.cancel', { id: job.id })
      .then(
        ({ state, outcome }) => {
          onTold(outcome);
          toast('info', state === 'cancelled' ? 'Cancelled' : `It was not cancelled: ${jobWord(state).toLowerCase()}`, outcome);
        },
        (caught) => toastError('It was not cancelled', caught),
      )
      .finally(() => setCancelling(false));
  };
  usePlainKeys({
    // A key is pressed by mistake more easily than a button.
    x: () =>
      void ask({
        title: 'Cancel this job?',
        body:
          job.state === 'running'
            ? 'What runs is cut off. What the service has done until then stays done.'
            : 'It leaves the line and is not started.',
        action: 'Cancel job',
        keep: job.state === 'running' ? 'Let it run' : 'Keep it',
        tone: 'danger',
      }).then((yes) => yes && cancel()),
  });
  return (
    <Button size="sm" icon={Square} keys="x" busy={cancelling} onClick={cancel}>
      Cancel job
    </Button>
  );
}

/** What can be done with a job that is over: the same request as a new job, or a look at it in Dispatch. */
function Again({ job, detail }: { job: Job; detail: JobDetail }) {
  const front = useFront();
  const go = useUi((ui) => ui.go);
  const set = useUi((ui) => ui.set);
  const [busy, setBusy] = useState(false);
  const [retried, setRetried] = useState<string | null>(null);
  const retry = async () => {
    if (
      job.state === 'unknown' &&
      !(await ask({
        title: 'Retry a job that may have happened?',
        body: 'It was cut off between the request and the answer. If the service did it, it does it a second time.',
        action: 'Retry anyway',
        tone: 'danger',
      }))
    )
      return;
    setBusy(true);
    await front.operate('OS.jobs.retry', { id: job.id }).then(
      ({ job: made }) => setRetried(made),
      (caught) => toastError('It was not retried', caught),
    );
    setBusy(false);
  };
  const runAgain = () => {
    const params = paramsOf(detail);
    const again: Ask = {
      ...(detail.text && { text: detail.text }),
      ...(detail.route && { route: detail.route }),
      ...(params && { params }),
    };
    set({ run: front.dispatch(again) });
    go('dispatch');
  };
  return (
    <div className="space-y-2">
      <div className="flex flex-wrap gap-1.5">
        {!isOpen(job) && (
          <Button
            size="sm"
            tone={job.state === 'succeeded' ? 'plain' : 'primary'}
            icon={RefreshCw}
            busy={busy}
            onClick={() => void retry()}
          >
            Retry
          </Button>
        )}
        <Button size="sm" icon={RotateCcw} onClick={runAgain}>
          Run again
        </Button>
        <Button size="sm" icon={SendHorizontal} onClick={() => go('dispatch', job.id)}>
          Open in Dispatch
        </Button>
      </div>
      {retried && <Retried id={retried} />}
    </div>
  );
}

/** What becomes of the job that a retry made. */
function Retried({ id }: { id: string }) {
  const job = useLive('jobs')?.find((one) => one.id === id);
  return (
    <p role="status" className="flex items-center gap-2 rounded-md bg-raised px-3 py-2 text-xs">
      {job && <JobStateMark state={job.state} />}
      <span className="foreign min-w-0 flex-1 truncate" title={job?.errorMessage ?? undefined}>
        {job?.waits ? <WaitWords job={job} /> : (job?.errorMessage ?? 'as a new job')}
      </span>
      <button type="button" className="shrink-0 text-accent-ink hover:underline" onClick={() => openQueue('jobs', id)}>
        Open the new job
      </button>
    </p>
  );
}

function JobFacts({ job }: { job: Job }) {
  return (
    <Facts>
      <Fact name="Route">{job.route ?? <Unknown what="no route" />}</Fact>
      <Fact name="Why">
        <span className="foreign">{job.why}</span>
        {job.confidence !== null && <span className="text-ink-2"> · {formatPercent(job.confidence)} sure</span>}
      </Fact>
      <Fact name="Requester">
        {job.caller} by {doorWord(job.door)}
      </Fact>
      {job.lane && (
        <Fact name="Lane">
          <button type="button" className="text-accent-ink hover:underline" onClick={() => openQueue('lanes')}>
            {job.lane}
          </button>
        </Fact>
      )}
      {job.subject && <Fact name="About">{job.subject}</Fact>}
      <Fact name="Accepted">
        <Time at={job.createdAt} /> <span className="text-ink-3">{formatExact(job.createdAt)}</span>
      </Fact>
      <Fact name="Duration">{isOpen(job) ? <Elapsed since={job.createdAt} /> : <Duration ms={job.durationMs} />}</Fact>
      {job.starts > 1 && <Fact name="Started">{job.starts} times</Fact>}
      <Fact name="Job" mono>
        <span className="flex items-center gap-1">
          {job.id}
          <span className="-my-1.5">
            <CopyButton text={job.id} label="Copy job id" />
          </span>
        </span>
      </Fact>
    </Facts>
  );
}

/** What was asked for, where the title cannot hold it; long ones open on demand. */
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

function Attempts({ job, detail }: { job: Job; detail: JobDetail }) {
  const attempts = detail.record?.attempts.length ? detail.record.attempts : detail.attempts;
  if (attempts.length === 0) return null;
  return (
    <Part title={attempts.length === 1 ? 'Attempt' : `${attempts.length} attempts`}>
      <table aria-label="Attempts" className="w-full table-fixed text-left text-xs">
        <thead className="text-2xs text-ink-3">
          <tr>
            <th className="w-6 py-1 font-medium">#</th>
            <th className="w-28 font-medium">Answer</th>
            <th className="font-medium">Where</th>
            <th className="w-16 text-right font-medium">Took</th>
          </tr>
        </thead>
        <tbody className="divide-y border-t">
          {attempts.map((attempt, index) => (
            <tr key={attempt.id} title={`${attempt.id}, ${formatExact(attempt.startedAt)}`}>
              <td className="py-1.5 align-top text-ink-3">{index + 1}</td>
              <td className="py-1.5 pr-2 align-top">
                <Answer attempt={attempt} />
              </td>
              <td className="selectable break-all py-1.5 pr-2 align-top font-mono text-2xs text-ink-2 leading-4">
                {attempt.route !== job.route && <span className="block font-sans text-warn-ink">{attempt.route}</span>}
                {attempt.endpoint ?? 'inside this machine'}
              </td>
              <td className="py-1.5 text-right align-top text-ink-2">{formatDuration(attempt.durationMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Part>
  );
}

function Answer({ attempt }: { attempt: Attempt }) {
  if (attempt.error)
    return (
      <Badge tone="bad" title={attempt.error}>
        <span className="truncate">{attempt.error}</span>
      </Badge>
    );
  if (attempt.status !== null) return <Badge tone={attempt.status < 400 ? 'ok' : 'bad'}>{attempt.status}</Badge>;
  return <Unknown what="no status" />;
}

function Outcome({ job, detail }: { job: Job; detail: JobDetail }) {
  const { record } = detail;
  const error = record?.error ?? detail.error;
  const result = record?.ok ? record.result : detail.result;
  const text = textOf(result);
  if (error)
    return (
      <div className="p-4">
        <ErrorState error={error} compact />
      </div>
    );
  if (job.state === 'unknown')
    return (
      <div className="flex gap-3 p-4 text-sm">
        <CircleHelp aria-hidden className="mt-0.5 size-4 shrink-0 text-warn-ink" />
        <p className="foreign text-ink-2">
          {job.errorMessage ??
            'Dispatcher stopped while it ran, so nobody knows whether it happened. Look at the service before running it again.'}
        </p>
      </div>
    );
  if (job.state !== 'succeeded') return null;
  return (
    <Part title="Result">
      {text !== null ? (
        <CodeBlock text={text.slice(0, 20_000)} label="Result as text" />
      ) : result === null ? (
        <p className="text-ink-3 text-xs">{jobWord(job.state)} with nothing to tell.</p>
      ) : (
        <JsonTree value={result} label="Result" open={2} />
      )}
    </Part>
  );
}

function Params({ detail }: { detail: JobDetail }) {
  const params = paramsOf(detail);
  if (!params) return null;
  return (
    <Part title="Params">
      <JsonTree value={params} label="Params" />
    </Part>
  );
}

function paramsOf({ params }: JobDetail): Record<string, unknown> | null {
  return params !== null && typeof params === 'object' && Object.keys(params).length > 0 ? (params as Record<string, unknown>) : null;
}
