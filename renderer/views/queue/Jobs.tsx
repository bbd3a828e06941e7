import { Filter, ListTree, PanelRight } from 'lucide-react';
import { useCallback, useDeferredValue, useEffect, useMemo, useState } from 'react';
import { jobStates } from '../../../shared/job.ts';
import type { Job, JobState } from '../../../shared/model.ts';
import { useFront, useJobs, useLive, useStateCounts, wireOf } from '../../core.ts';
import { formatCount, formatPercent } from '../../format.ts';
import { Button, IconButton } from '../../parts/Button.tsx';
import { Chips, PickChip, SearchField } from '../../parts/Field.tsx';
import { EmptyState, ErrorState, LoadingState, Progress } from '../../parts/States.tsx';
import { doorWord, JobStateMark, jobWord } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Duration, Elapsed, Time, Unknown } from '../../parts/Values.tsx';
import { isOpen, type JobFilter, lengthOf } from '../../pump.ts';
import { openQueue, useUi } from '../../ui.ts';
import { JobPanel } from './JobPanel.tsx';
import { Signals } from './Signals.tsx';
import { WaitWords } from './Waits.tsx';

/** Every job there is, newest first; nothing moves while the pointer is over the list or it is scrolled. */
export function Jobs({ open }: { open: string | null }) {
  const front = useFront();
  const { q, state, route, lane, signals } = useUi((ui) => ui.queue);
  const change = useUi((ui) => ui.setQueue);
  const go = useUi((ui) => ui.go);
  const settledQ = useDeferredValue(q);
  const filter = useMemo<JobFilter>(() => ({ q: settledQ, state, route, lane }), [settledQ, state, route, lane]);
  const query = useJobs(filter);
  const feed = query.data;
  const [hovered, setHovered] = useState(false);
  const [scrolled, setScrolled] = useState(false);
  const held = feed?.held.length ?? 0;
  const still = hovered || scrolled;

  useEffect(() => {
    if (held > 0 && !still && !query.isPlaceholderData) front.releaseJobs(filter);
  }, [held, still, front, filter, query.isPlaceholderData]);

  const cursor = feed?.cursor;
  // A page may be empty and not the last: with each cursor there is more to ask for.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const more = useCallback(() => void front.loadJobs(filter), [front, filter, cursor]);
  const filtered = q.trim() !== '' || state !== null || route !== null || lane !== null;

  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 flex-col ${open ? 'hidden lg:flex' : 'flex'}`}>
        <div className="shrink-0 border-b">
          {/* Where they have no room they fade out and scroll. */}
          <div
            onWheel={(event) => event.currentTarget.scrollBy({ left: event.deltaY })}
            className="flex items-center gap-3 overflow-x-auto py-2 pr-6 pl-4 [mask-image:linear-gradient(to_right,black_calc(100%-1.5rem),transparent)] [scrollbar-width:none]"
          >
            <Filters filter={filter} />
          </div>
        </div>
        <div
          className="relative min-h-0 flex-1"
          role="presentation"
          onPointerEnter={() => setHovered(true)}
          onPointerLeave={() => setHovered(false)}
        >
          {held > 0 && still && (
            <div className="pointer-events-none absolute inset-x-0 top-10 z-20 flex justify-center">
              <Button
                tone="primary"
                size="sm"
                className="pointer-events-auto animate-in rounded-full! shadow-pop"
                onClick={() => {
                  front.releaseJobs(filter);
                  document.querySelector('[aria-label="Jobs"][role=grid]')?.scrollTo({ top: 0 });
                }}
              >
                {formatCount(held)} new
              </Button>
            </div>
          )}
          {query.isError ? (
            <div className="p-4">
              <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} />
            </div>
          ) : !feed ? (
            <LoadingState what="Reading the queue" />
          ) : (
            <Table
              label="Jobs"
              columns={columns}
              rows={feed.rows}
              total={lengthOf(feed)}
              rowKey={(job) => job.id}
              selected={open}
              onSelect={(job) => openQueue('jobs', job.id)}
              onNeed={more}
              onScroll={(top) => setScrolled(top > 4)}
              plainKeys
              empty={
                filtered ? (
                  <EmptyState
                    icon={Filter}
                    title="No job fits these filters"
                    action={
                      <Button size="sm" onClick={() => change({ q: '', state: null, route: null, lane: null })}>
                        Show all jobs
                      </Button>
                    }
                  />
                ) : (
                  <EmptyState
                    icon={ListTree}
                    title="The queue is empty"
                    action={
                      <Button size="sm" onClick={() => go('dispatch')}>
                        Dispatch something
                      </Button>
                    }
                  >
                    Every dispatch becomes a job, whichever door it came through, and stays here with its record.
                  </EmptyState>
                )
              }
            />
          )}
        </div>
      </div>
      {open && <JobPanel key={open} id={open} onClose={() => openQueue('jobs')} />}
      {signals && <Signals className={open ? 'hidden 2xl:flex' : 'hidden lg:flex'} />}
    </div>
  );
}

/** What stands beside the tabs while the jobs are shown. */
export function JobsTools({ open }: { open: boolean }) {
  const { q, signals } = useUi((ui) => ui.queue);
  const change = useUi((ui) => ui.setQueue);
  return (
    <>
      <SearchField label="Search jobs" placeholder="Words, route, job id" value={q} onChange={(next) => change({ q: next })} />
      {/* Where there is no room for them there is nothing to switch. */}
      <span className={open ? 'hidden 2xl:inline' : 'hidden lg:inline'}>
        <IconButton
          label={signals ? 'Hide the live signals' : 'Show the live signals'}
          icon={PanelRight}
          active={signals}
          onClick={() => change({ signals: !signals })}
        />
      </span>
    </>
  );
}

function Filters({ filter }: { filter: JobFilter }) {
  const change = useUi((ui) => ui.setQueue);
  const counts = useStateCounts(filter);
  const routes = useLive('routes');
  const live = useLive('lanes');
  const named = useMemo(() => (routes ?? []).filter((one) => one.kind !== 'operation').map((one) => one.name), [routes]);
  const lanes = useMemo(() => {
    const known = new Set((routes ?? []).flatMap((one) => (one.lane === null ? [] : [one.lane])));
    for (const lane of live ?? []) if (lane.kind === 'lane') known.add(lane.name);
    return [...known].sort();
  }, [routes, live]);
  return (
    <>
      <Chips<JobState | null>
        label="State"
        value={filter.state}
        options={[{ value: null, label: 'All' }, ...jobStates.map((value) => ({ value, label: jobWord(value), count: counts?.[value] }))]}
        onChange={(state) => change({ state })}
      />
      <PickChip label="Route" value={filter.route} options={named} onChange={(route) => change({ route })} />
      {(lanes.length > 0 || filter.lane !== null) && (
        <PickChip label="Lane" value={filter.lane} options={lanes} onChange={(lane) => change({ lane })} />
      )}
    </>
  );
}

/** Where the list is narrower than this, what happens now stands beside the words. */
const NARROW = 760;

const columns: readonly Column<Job>[] = [
  {
    id: 'mark',
    label: 'State',
    width: '14px',
    quiet: true,
    hideAbove: 620,
    cell: (job) => <JobStateMark state={job.state} words={false} />,
  },
  { id: 'state', label: 'State', width: '6.5rem', hideBelow: 620, cell: (job) => <JobStateMark state={job.state} /> },
  { id: 'text', label: 'Request', width: 'minmax(0,2fr)', hideBelow: NARROW, cell: (job) => <Words job={job} /> },
  {
    id: 'text now',
    label: 'Request',
    width: 'minmax(0,2fr)',
    hideAbove: NARROW,
    cell: (job) => (
      <span className="flex min-w-0 items-baseline gap-2">
        <Words job={job} />
        {isOpen(job) && (
          <span className="min-w-0 shrink-0 text-ink-3 text-xs">
            <WaitWords job={job} brief />
          </span>
        )}
      </span>
    ),
  },
  { id: 'now', label: 'Now', width: 'minmax(0,1.6fr)', hideBelow: NARROW, cell: (job) => <Now job={job} /> },
  {
    id: 'route',
    label: 'Route',
    width: 'minmax(6.5rem,0.8fr)',
    hideBelow: 480,
    cell: (job) => <span className="text-ink-2">{job.route ?? <Unknown what="no route" />}</span>,
  },
  {
    id: 'lane',
    label: 'Lane',
    width: '6rem',
    hideBelow: 1160,
    cell: (job) => <span className="text-ink-2 text-xs">{job.lane ?? <Unknown what="in no lane" />}</span>,
  },
  {
    id: 'by',
    label: 'Requester',
    width: '8.5rem',
    hideBelow: 940,
    cell: (job) => (
      <span className="text-ink-2 text-xs">
        {job.caller} <span className="text-ink-3">by {doorWord(job.door)}</span>
      </span>
    ),
  },
  { id: 'took', label: 'Duration', width: '4.5rem', align: 'right', hideBelow: NARROW, cell: (job) => <Took job={job} /> },
  {
    id: 'took now',
    label: 'Duration',
    width: '5rem',
    align: 'right',
    hideAbove: NARROW,
    cell: (job) => (job.state === 'running' && job.progress !== null ? <Measured job={job} brief /> : <Took job={job} />),
  },
  {
    id: 'age',
    label: 'Age',
    width: '4.75rem',
    align: 'right',
    cell: (job) => (
      <span className="text-ink-3 text-xs">
        <Time at={job.createdAt} />
      </span>
    ),
  },
];

function Words({ job }: { job: Job }) {
  return (
    <bdi className="block min-w-0 truncate text-left" title={job.text ?? undefined}>
      {job.text ?? <span className="text-ink-2">{job.subject ?? <span className="text-ink-3">by name</span>}</span>}
    </bdi>
  );
}

/** Why it waits and until when, how far it is, or what went wrong. */
function Now({ job }: { job: Job }) {
  if (job.waits) return <WaitWords job={job} />;
  if (isOpen(job)) {
    if (job.cancelRequestedAt !== null) return <span className="text-warn-ink text-xs">Cancel was asked for</span>;
    if (job.progress !== null) return <Measured job={job} />;
    return <span className="text-ink-3 text-xs">{job.progressNote}</span>;
  }
  return (
    <span className={`text-xs ${job.state === 'failed' ? 'text-bad-ink' : 'text-ink-3'}`} title={job.errorMessage ?? undefined}>
      {job.state === 'succeeded' ? null : (job.errorMessage ?? job.errorCode)}
    </span>
  );
}

function Measured({ job, brief = false }: { job: Job; brief?: boolean }) {
  return (
    <span className="flex min-w-0 items-center gap-2 text-xs" title={job.progressNote ?? undefined}>
      <span className="w-14 min-w-6 shrink">
        <Progress value={job.progress ?? 0} label={`Progress of ${job.text ?? job.route ?? job.id}`} />
      </span>
      <span className="w-8 shrink-0 text-right text-accent-ink">{formatPercent(job.progress ?? 0)}</span>
      {!brief && <span className="min-w-0 truncate text-ink-3">{job.progressNote}</span>}
    </span>
  );
}

function Took({ job }: { job: Job }) {
  if (isOpen(job))
    return (
      <span className={`text-xs ${job.state === 'running' ? 'text-accent-ink' : 'text-ink-2'}`}>
        <Elapsed since={job.state === 'running' ? (job.startedAt ?? job.createdAt) : job.createdAt} />
      </span>
    );
  return (
    <span className="text-ink-2 text-xs">{job.durationMs === null ? <Unknown what="not known" /> : <Duration ms={job.durationMs} />}</span>
  );
}
