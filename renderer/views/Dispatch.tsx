import { ArrowLeft, CircleHelp, ListTree, SendHorizontal, Square } from 'lucide-react';
import { useCallback, useMemo, useState } from 'react';
import type { Ask } from '../../shared/contract.ts';
import type { WireError } from '../../shared/errors.ts';
import type { Crossing, Job } from '../../shared/model.ts';
import { toastError } from '../actions.ts';
import { type Run, useChunks, useFront, useJobs, useLive, useOperation, useRun, wireOf } from '../core.ts';
import { formatPercent } from '../format.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { SearchField } from '../parts/Field.tsx';
import { Fact, Facts, Panel } from '../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingState, Progress, Sweep } from '../parts/States.tsx';
import { JobStateMark } from '../parts/Status.tsx';
import { Table } from '../parts/Table.tsx';
import { Elapsed, Time } from '../parts/Values.tsx';
import { withNames } from '../plan.ts';
import { isOpen, type JobFilter, lengthOf } from '../pump.ts';
import { toast, useUi } from '../ui.ts';
import { Answer, Prose } from './Answer.tsx';
import { BreakerActions } from './Breaker.tsx';
import { Composer } from './Composer.tsx';
import { CrossingPanel } from './CrossingPanel.tsx';
import { useHeld } from './Plan.tsx';
import { WaitWords } from './queue/Waits.tsx';

export function Dispatch() {
  const front = useFront();
  const runId = useUi((ui) => ui.run);
  const item = useUi((ui) => ui.item);
  const set = useUi((ui) => ui.set);
  const go = useUi((ui) => ui.go);
  const run = useRun(runId);
  const jobs = useLive('jobs');
  const [q, setQ] = useState('');
  const earlier = useMemo(
    () => [...new Set(jobs?.flatMap((job) => (job.text && (job.door === 'app' || job.door === 'ws') ? [job.text] : [])))].slice(0, 50),
    [jobs],
  );

  const dispatch = (ask: Ask) => {
    set({ draft: '', run: front.dispatch(ask) });
    go('dispatch');
  };
  const close = () => {
    set({ run: null });
    go('dispatch');
  };
  const open = item !== null || run !== null;
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-3 p-3 lg:p-4">
      <h1 className="sr-only">Dispatch</h1>
      <Composer onDispatch={dispatch} onLeave={close} earlier={earlier} />
      <div className="flex min-h-0 flex-1 gap-3">
        <div className={open ? 'hidden min-h-0 w-72 shrink-0 flex-col 2xl:flex' : 'flex min-h-0 min-w-0 flex-1 flex-col'}>
          <Past q={q} onSearch={setQ} narrow={open} selected={item ?? run?.accepted?.job ?? null} />
        </div>
        {item !== null ? (
          <Recorded key={item} job={item} onRun={dispatch} onClose={close} />
        ) : (
          run && <Running key={run.id} run={run} onRun={dispatch} onClose={close} />
        )}
      </div>
    </div>
  );
}

// --- what is on screen: a run of this window, or a job from the record ------------------------------------------------

interface Shown {
  ask: Ask;
  title: string;
  job: Job | null;
  jobId: string | null;
  crossing: Crossing | null;
  fault: WireError | null;
  since: number;
  accepted: Run['accepted'];
}

function Running({ run, onRun, onClose }: { run: Run; onRun(ask: Ask): void; onClose(): void }) {
  const front = useFront();
  const jobId = run.accepted?.job ?? run.crossing?.job ?? null;
  const job = useLive('jobs')?.find((one) => one.id === jobId) ?? null;
  return (
    <Stage
      shown={{
        ask: run.ask,
        title: run.ask.text ?? run.ask.route ?? '',
        job,
        jobId,
        crossing: run.crossing,
        fault: run.fault,
        since: run.sentAt,
        accepted: run.accepted,
      }}
      onRun={onRun}
      onClose={onClose}
      cancelling={run.cancelRequested}
      onCancel={() => front.cancel(run.id)}
    />
  );
}

function Recorded({ job: id, onRun, onClose }: { job: string; onRun(ask: Ask): void; onClose(): void }) {
  const front = useFront();
  const query = useOperation('OS.jobs.get', { id });
  const newer = useLive('jobs')?.find((one) => one.id === id);
  const [cancelling, setCancelling] = useState(false);
  const detail = query.data;
  if (query.isError)
    return (
      <div className="min-w-0 flex-1">
        <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()}>
          <Button size="sm" onClick={onClose}>
            Back
          </Button>
        </ErrorState>
      </div>
    );
  if (!detail)
    return (
      <div className="min-w-0 flex-1">
        <LoadingState what="Reading the record" />
      </div>
    );
  const job = newer ?? detail;
  const params =
    detail.params && typeof detail.params === 'object' && Object.keys(detail.params).length > 0
      ? (detail.params as Record<string, unknown>)
      : null;
  const ask: Ask = {
    ...(detail.text ? { text: detail.text, ask: true } : { ...(detail.route && { route: detail.route }) }),
    ...(params && { params }),
  };
  return (
    <Stage
      shown={{
        ask,
        title: detail.text ?? detail.route ?? detail.id,
        job,
        jobId: detail.id,
        crossing: detail.record,
        fault:
          isOpen(job) || detail.record || !job.errorCode
            ? null
            : { code: job.errorCode, message: job.errorMessage ?? 'It failed.', hint: null },
        since: detail.createdAt,
        accepted: null,
      }}
      onRun={onRun}
      onClose={onClose}
      cancelling={cancelling}
      onCancel={() => {
        setCancelling(true);
        void front
          .operate('OS.jobs.cancel', { id })
          .then(
            ({ outcome }) => toast('info', 'Cancelled', outcome),
            (caught) => toastError('It was not cancelled', caught),
          )
          .finally(() => setCancelling(false));
      }}
    />
  );
}

function Stage({
  shown,
  onRun,
  onClose,
  onCancel,
  cancelling,
}: {
  shown: Shown;
  onRun(ask: Ask): void;
  onClose(): void;
  onCancel(): void;
  cancelling: boolean;
}) {
  const go = useUi((ui) => ui.go);
  const { ask, title, job, jobId, crossing, fault } = shown;
  const error = crossing?.error ?? fault;
  const running = crossing === null && fault === null && (job === null || isOpen(job));
  const state: Job['state'] = running
    ? (job?.state ?? 'running')
    : job && !isOpen(job)
      ? job.state
      : error
        ? error.code === 'cancelled'
          ? 'cancelled'
          : 'failed'
        : 'succeeded';
  return (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col gap-3 lg:flex-row" aria-busy={running}>
      <Panel
        flush
        className="min-w-0 flex-1"
        title={
          <span className="flex min-w-0 items-center gap-2">
            <span className="shrink-0 text-xs" role="status">
              {error?.code === 'route_uncertain' || error?.code === 'confirm_required' ? (
                <span className="flex items-center gap-1.5 text-warn-ink">
                  <CircleHelp aria-hidden className="size-3.5" strokeWidth={2} />
                  {error.code === 'route_uncertain' ? 'Which route?' : 'Are you sure?'}
                </span>
              ) : (
                <JobStateMark state={state} />
              )}
            </span>
            <bdi className="min-w-0 truncate" title={title}>
              {title}
            </bdi>
          </span>
        }
        aside={
          <>
            {running && (
              <Button size="sm" icon={Square} busy={cancelling} onClick={onCancel}>
                Cancel job
              </Button>
            )}
            {jobId && <IconButton label="Open in the queue" icon={ListTree} onClick={() => go('queue', jobId)} />}
            <IconButton label="Back to history" icon={ArrowLeft} onClick={onClose} />
          </>
        }
      >
        <div className="flex h-full min-h-0 flex-col">
          {running ? (
            <InProgress shown={shown} />
          ) : error ? (
            <div className="min-h-0 flex-1 space-y-3 overflow-auto p-4">
              {error.code === 'route_uncertain' ? (
                <Question error={error} ask={ask} onRun={onRun} />
              ) : (
                <Failure error={error} route={crossing?.route ?? job?.route ?? null} ask={ask} onRun={onRun} />
              )}
            </div>
          ) : crossing ? (
            <Answer result={crossing.result} />
          ) : (
            <EmptyState icon={ListTree} title="No record is kept of this answer">
              The job itself is in the queue.
            </EmptyState>
          )}
        </div>
      </Panel>
      {crossing ? (
        <CrossingPanel crossing={crossing} ask={ask} onRun={onRun} className="max-h-64 shrink-0 lg:max-h-none lg:w-80 xl:w-88" />
      ) : (
        running && (
          <Panel title="Crossing" className="hidden w-80 shrink-0 lg:flex xl:w-88">
            <Facts>
              <Fact name="Route">{shown.accepted?.route ?? job?.route ?? '…'}</Fact>
              <Fact name="Why">{job?.why ?? '…'}</Fact>
              <Fact name="Audit">
                {shown.accepted ? `#${shown.accepted.audit.seq}, durable before the call` : job?.auditSeq ? `#${job.auditSeq}` : '…'}
              </Fact>
              <Fact name="Job" mono>
                {jobId ?? '…'}
              </Fact>
            </Facts>
          </Panel>
        )
      )}
    </div>
  );
}

function InProgress({ shown }: { shown: Shown }) {
  const { job, jobId, since, accepted } = shown;
  const text = useChunks(jobId);
  const route = accepted?.route ?? job?.route ?? null;
  return (
    <>
      <div className="shrink-0 space-y-2 border-b px-4 py-3 text-xs">
        <div className="flex items-baseline justify-between gap-3 text-ink-2">
          <span className="foreign min-w-0 truncate">
            {job?.waits ? (
              <WaitWords job={job} />
            ) : (
              (job?.progressNote ?? (text ? `${route} is answering` : route ? `Waiting for ${route}` : 'Finding the route'))
            )}
          </span>
          <span className="shrink-0">
            {job?.progress != null && <span className="mr-2 font-medium text-ink">{formatPercent(job.progress)}</span>}
            <Elapsed since={since} />
          </span>
        </div>
        {job?.progress != null ? (
          <Progress value={job.progress} label="Progress of the job" />
        ) : (
          // Nothing moves while it waits.
          !job?.waits && <Sweep wide />
        )}
      </div>
      {text && <Prose text={text} live />}
    </>
  );
}

function Failure({ error, route, ask, onRun }: { error: WireError; route: string | null; ask: Ask; onRun(ask: Ask): void }) {
  const [open, setOpen] = useState(false);
  const held = useHeld();
  const breakers = useLive('breakers');
  const breaker = error.code === 'breaker_open' ? breakers?.find((one) => route !== null && one.routes.includes(route)) : undefined;
  return (
    <>
      <ErrorState error={{ ...error, message: withNames(error.message, held) }}>
        {error.choices?.map((choice) => (
          <Button key={choice.route} size="sm" title={choice.reason} onClick={() => onRun({ ...ask, route: choice.route })}>
            {choice.route}
          </Button>
        ))}
        {breaker && breaker.state !== 'closed' && <BreakerActions breaker={breaker} />}
        {error.code === 'confirm_required' && (
          <Button size="sm" tone="danger" onClick={() => onRun({ ...ask, confirm: true })}>
            Confirm and run
          </Button>
        )}
      </ErrorState>
      <button type="button" aria-expanded={open} className="text-ink-3 text-xs hover:text-ink" onClick={() => setOpen(!open)}>
        {open ? 'Hide what was asked for' : 'Show what was asked for'}
      </button>
      {open && (
        <pre className="foreign selectable whitespace-pre-wrap rounded-md bg-raised p-3 font-mono text-xs leading-5">
          {JSON.stringify(ask, null, 2)}
        </pre>
      )}
    </>
  );
}

/** The operator abstained: the person decides, and may teach it with the same press. */
function Question({ error, ask, onRun }: { error: WireError; ask: Ask; onRun(ask: Ask): void }) {
  const front = useFront();
  const [remember, setRemember] = useState(true);
  const choose = (route: string) => {
    if (remember && ask.text)
      void front.operate('OS.teach', { text: ask.text.slice(0, 2000), route }).then(
        () => toast('ok', 'Learned', `Words like these go to ${route} from now on.`),
        (caught) => toastError('It was not remembered', caught),
      );
    const { ask: _again, ...rest } = ask;
    onRun({ ...rest, route });
  };
  return (
    <section aria-label="Which route is meant?" className="space-y-4 rounded-lg bg-warn-soft p-4">
      <div className="flex gap-3">
        <CircleHelp aria-hidden className="mt-0.5 size-4 shrink-0 text-warn-ink" />
        <div className="min-w-0 space-y-0.5">
          <h3 className="font-semibold text-sm text-warn-ink">Which route is meant?</h3>
          <p className="foreign text-ink-2 text-sm">{error.message} Nothing was sent yet.</p>
        </div>
      </div>
      <ul className="space-y-1.5">
        {(error.choices ?? []).slice(0, 3).map((choice) => (
          <li key={choice.route}>
            <button
              type="button"
              aria-label={`Dispatch to ${choice.route}`}
              onClick={() => choose(choice.route)}
              className="flex w-full items-center gap-3 rounded-md bg-surface px-3 py-2 text-left shadow-card transition-colors hairline hover:bg-accent-soft"
            >
              <span className="min-w-0 flex-1">
                <span className="block font-medium text-sm">{choice.route}</span>
                <span className="foreign block truncate text-ink-2 text-xs">{choice.reason}</span>
              </span>
              {choice.confidence !== null && <span className="shrink-0 text-ink-2 text-xs">{formatPercent(choice.confidence)}</span>}
              <SendHorizontal aria-hidden className="size-3.5 shrink-0 text-accent-ink" />
            </button>
          </li>
        ))}
      </ul>
      {ask.text && (
        <label className="flex w-fit items-center gap-2 text-ink-2 text-xs">
          <input
            type="checkbox"
            checked={remember}
            onChange={(event) => setRemember(event.target.checked)}
            className="size-3.5 accent-accent"
          />
          Remember my choice
        </label>
      )}
    </section>
  );
}

// --- history ----------------------------------------------------------------------------------------------------------

function Past({ q, onSearch, narrow, selected }: { q: string; onSearch(q: string): void; narrow: boolean; selected: string | null }) {
  const front = useFront();
  const go = useUi((ui) => ui.go);
  const set = useUi((ui) => ui.set);
  const routes = useLive('routes');
  const filter = useMemo<JobFilter>(() => ({ q, state: null, route: null, lane: null }), [q]);
  const query = useJobs(filter);
  const feed = query.data;
  const rows = useMemo(() => (feed ? [...feed.held, ...feed.rows] : []), [feed]);
  const cursor = feed?.cursor;
  // A page may be empty and not the last: with each cursor there is more to ask for.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const more = useCallback(() => void front.loadJobs(filter), [front, filter, cursor]);
  const examples = useMemo(() => (routes ?? []).flatMap((route) => route.examples.slice(0, 1)).slice(0, 4), [routes]);
  const columns = useMemo(
    () => [
      { id: 'state', label: 'State', width: '14px', quiet: true, cell: (job: Job) => <JobStateMark state={job.state} words={false} /> },
      {
        id: 'text',
        label: 'Dispatched',
        width: 'minmax(0,1fr)',
        cell: (job: Job) => (
          <span className="block min-w-0 text-left">
            <bdi className="block truncate text-left">{job.text ?? job.route ?? job.id}</bdi>
            {narrow && (
              <span className="flex justify-between gap-2 text-2xs text-ink-3">
                <span className="truncate">{job.route}</span>
                <Time at={job.createdAt} />
              </span>
            )}
          </span>
        ),
      },
      ...(narrow
        ? []
        : [
            { id: 'route', label: 'Route', width: 'minmax(0,12rem)', cell: (job: Job) => <span className="text-ink-2">{job.route}</span> },
            {
              id: 'at',
              label: 'When',
              width: '5.5rem',
              align: 'right' as const,
              cell: (job: Job) => (
                <span className="text-ink-3 text-xs">
                  <Time at={job.createdAt} />
                </span>
              ),
            },
          ]),
    ],
    [narrow],
  );
  return (
    <Panel
      title="History"
      flush
      className="min-h-0 flex-1"
      aside={narrow ? undefined : <SearchField label="Search history" placeholder="Search history" value={q} onChange={onSearch} />}
    >
      {query.isError ? (
        <div className="p-4">
          <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} />
        </div>
      ) : !feed ? (
        <LoadingState what="Reading the history" />
      ) : (
        <Table
          label="History"
          columns={columns}
          rows={rows}
          total={lengthOf(feed) + feed.held.length}
          rowKey={(job) => job.id}
          rowHeight={narrow ? 48 : 36}
          headless={narrow}
          selected={selected}
          onSelect={(job) => go('dispatch', job.id)}
          onNeed={more}
          empty={
            q ? (
              <EmptyState icon={SendHorizontal} title="Nothing in the history has these words" />
            ) : (
              <EmptyState
                icon={SendHorizontal}
                title="Nothing was dispatched yet"
                action={
                  examples.length > 0 && (
                    <div className="flex max-w-xl flex-wrap justify-center gap-2">
                      {examples.map((example) => (
                        <Button key={example} size="sm" onClick={() => set({ draft: example })}>
                          {example}
                        </Button>
                      ))}
                    </div>
                  )
                }
              >
                Say what should happen. Before anything is sent you see where it would go and why.
              </EmptyState>
            )
          }
        />
      )}
    </Panel>
  );
}
