import { Filter, ListTree, PanelRight } from 'lucide-react';
import { useCallback, useDeferredValue, useEffect, useMemo, useState } from 'react';
import type { Job, JobState } from '../../shared/model.ts';
import { useFront, useJobs, useLive, wireOf } from '../core.ts';
import { formatCount, formatPercent } from '../format.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { Chips, SearchField } from '../parts/Field.tsx';
import { Panel, ViewHead } from '../parts/Panel.tsx';
import { EmptyState, ErrorState, LoadingState, Progress } from '../parts/States.tsx';
import { doorWord, JobStateMark } from '../parts/Status.tsx';
import { type Column, Table } from '../parts/Table.tsx';
import { Duration, Elapsed, Time, Unknown } from '../parts/Values.tsx';
import { isOpen, type JobFilter } from '../pump.ts';
import { useUi } from '../ui.ts';
import { JobPanel } from './JobPanel.tsx';
import { Signals } from './Signals.tsx';

const states: readonly { value: JobState | null; label: string }[] = [
  { value: null, label: 'All' },
  { value: 'running', label: 'Running' },
  { value: 'succeeded', label: 'Succeeded' },
  { value: 'failed', label: 'Failed' },
  { value: 'cancelled', label: 'Cancelled' },
  { value: 'unknown', label: 'Unknown' },
];

export function Queue() {
  const front = useFront();
  const { q, state, signals } = useUi((ui) => ui.queue);
  const item = useUi((ui) => ui.item);
  const go = useUi((ui) => ui.go);
  const set = useUi((ui) => ui.set);
  const counts = useLive('counts');
  const settledQ = useDeferredValue(q);
  const filter = useMemo<JobFilter>(() => ({ q: settledQ, state, route: null, lane: null }), [settledQ, state]);
  const query = useJobs(filter);
  const feed = query.data;
  const [hovered, setHovered] = useState(false);
  const [scrolled, setScrolled] = useState(false);
  const held = feed?.held.length ?? 0;
  const still = hovered || scrolled;

  useEffect(() => {
    if (held > 0 && !still && !query.isPlaceholderData) front.releaseJobs(filter);
  }, [held, still, front, filter, query.isPlaceholderData]);

  const more = useCallback(() => void front.loadJobs(filter), [front, filter]);
  const change = (next: Partial<{ q: string; state: JobState | null; signals: boolean }>) => set({ queue: { q, state, signals, ...next } });

  return (
    <>
      <ViewHead
        title="Queue"
        actions={
          <>
            <SearchField label="Search jobs" placeholder="Search jobs" value={q} onChange={(next) => change({ q: next })} />
            <IconButton
              label={signals ? 'Hide the live signals' : 'Show the live signals'}
              icon={PanelRight}
              active={signals}
              onClick={() => change({ signals: !signals })}
            />
          </>
        }
      >
        {counts && (
          <span>
            {counts.running > 0 ? `${formatCount(counts.running)} running, ` : ''}
            {formatCount(counts.jobs)} in all
          </span>
        )}
      </ViewHead>
      <div className="flex shrink-0 items-center gap-2 overflow-x-auto px-4 pb-2 lg:px-5">
        <Chips label="State" value={state} options={states} onChange={(next) => change({ state: next })} />
      </div>
      <div className="flex min-h-0 flex-1 gap-3 px-3 pb-3 lg:px-4 lg:pb-4">
        <Panel flush className={`min-w-0 flex-1 ${item ? 'hidden lg:flex' : ''}`}>
          <div
            className="relative h-full"
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
                    document.querySelector('[aria-label="Jobs"]')?.scrollTo({ top: 0 });
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
                total={feed.cursor === null ? feed.rows.length : Math.max(feed.rows.length, feed.total - held)}
                rowKey={(job) => job.id}
                selected={item}
                onSelect={(job) => go('queue', job.id)}
                onNeed={more}
                onScroll={(top) => setScrolled(top > 4)}
                empty={
                  q || state ? (
                    <EmptyState
                      icon={Filter}
                      title="No job fits these filters"
                      action={
                        <Button size="sm" onClick={() => change({ q: '', state: null })}>
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
        </Panel>
        {item && <JobPanel key={item} id={item} onClose={() => go('queue')} />}
        {signals && <Signals className={item ? 'hidden 2xl:flex' : 'hidden md:flex'} />}
      </div>
    </>
  );
}

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
  {
    id: 'text',
    label: 'Request',
    width: 'minmax(0,2fr)',
    cell: (job) => (
      <bdi className="block truncate text-left" title={job.text ?? undefined}>
        {job.text ?? <span className="text-ink-3">no words</span>}
        {isOpen(job) && (job.waits?.reason ?? job.progressNote) && (
          <span className="text-ink-3 text-xs"> · {job.waits?.reason ?? job.progressNote}</span>
        )}
      </bdi>
    ),
  },
  {
    id: 'route',
    label: 'Route',
    width: 'minmax(7.5rem,1fr)',
    hideBelow: 480,
    cell: (job) => <span className="text-ink-2">{job.route ?? <Unknown what="no route" />}</span>,
  },
  {
    id: 'by',
    label: 'Requester',
    width: '9.5rem',
    hideBelow: 860,
    cell: (job) => (
      <span className="text-ink-2 text-xs">
        {job.caller} <span className="text-ink-3">by {doorWord(job.door)}</span>
      </span>
    ),
  },
  {
    id: 'took',
    label: 'Duration',
    width: '5rem',
    align: 'right',
    cell: (job) => <Took job={job} />,
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

function Took({ job }: { job: Job }) {
  if (!isOpen(job))
    return (
      <span className="text-ink-2 text-xs">
        {job.durationMs === null ? <Unknown what="not known" /> : <Duration ms={job.durationMs} />}
      </span>
    );
  if (job.progress !== null)
    return (
      <span className="flex items-center gap-2 text-xs" title={job.progressNote ?? undefined}>
        <Progress value={job.progress} label={`Progress of ${job.text ?? job.route ?? job.id}`} />
        <span className="w-9 shrink-0 text-right text-accent-ink">{formatPercent(job.progress)}</span>
      </span>
    );
  return (
    <span className="text-accent-ink text-xs" title={job.waits?.reason}>
      <Elapsed since={job.startedAt ?? job.createdAt} />
    </span>
  );
}
