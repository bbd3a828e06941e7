import { Rows3 } from 'lucide-react';
import type { Job, Lane } from '../../../shared/model.ts';
import { useLive } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { Scroll } from '../../parts/Panel.tsx';
import { EmptyState, LoadingState, Progress } from '../../parts/States.tsx';
import { Badge, JobStateMark } from '../../parts/Status.tsx';
import { Elapsed } from '../../parts/Values.tsx';
import { laneKey } from '../../pump.ts';
import { openQueue } from '../../ui.ts';
import { titleOf } from './line.ts';
import { Podium } from './Podium.tsx';

const SHOWN = 12;
/** The core tells so much of a line, and no more. */
const TOLD = 200;

/** Who runs and who stands in line, and what the orchestrator behind podium tells of its own. */
export function Lanes() {
  const lanes = useLive('lanes');
  const jobs = useLive('jobs');
  if (!lanes || !jobs) return <LoadingState what="Reading the lanes" />;
  const byId = new Map(jobs.map((job) => [job.id, job]));
  return (
    <div className="grid min-h-0 flex-1 grid-rows-2 lg:grid-cols-2 lg:grid-rows-1">
      <Scroll label="Lanes" className="@container">
        {lanes.length === 0 ? (
          <EmptyState icon={Rows3} title="Nothing runs or stands in a lane">
            Jobs of a route with a lane run one after the other; jobs of a route with a bound, so many at a time. While some do, they are
            here.
          </EmptyState>
        ) : (
          <div className="divide-y">
            {lanes.map((lane) => (
              <LaneLine key={laneKey(lane)} lane={lane} jobs={byId} />
            ))}
          </div>
        )}
      </Scroll>
      <Scroll label="Orchestrator" className="border-t lg:border-t-0 lg:border-l">
        <Podium />
      </Scroll>
    </div>
  );
}

function LaneLine({ lane, jobs }: { lane: Lane; jobs: ReadonlyMap<string, Job> }) {
  const left = lane.queued.length - SHOWN;
  return (
    <section aria-label={`Lane ${lane.name}`} className="p-4">
      <header className="mb-2 flex items-center gap-2">
        <h2 className="min-w-0 truncate font-medium text-sm">{lane.name}</h2>
        <Badge title={lane.kind === 'lane' ? 'A lane: one after the other' : 'A service with a bound on its calls at one time'}>
          {lane.capacity === 1 ? 'one at a time' : `${formatCount(lane.capacity)} at a time`}
        </Badge>
        <span className="ml-auto shrink-0 text-ink-3 text-xs">
          {formatCount(lane.running.length)} running,{' '}
          {lane.queued.length === 0
            ? 'nobody in line'
            : `${formatCount(lane.queued.length)}${lane.queued.length >= TOLD ? ' or more' : ''} in line`}
        </span>
      </header>
      <ul>
        {lane.running.map((id) => (
          <Member key={id} id={id} job={jobs.get(id)} place={null} />
        ))}
      </ul>
      {lane.queued.length > 0 && (
        <ol className="mt-1 border-t border-dashed pt-1">
          {lane.queued.slice(0, SHOWN).map((id, index) => (
            <Member key={id} id={id} job={jobs.get(id)} place={index + 1} />
          ))}
          {left > 0 && <li className="px-1.5 py-1 text-ink-3 text-xs">and {formatCount(left)} more behind them</li>}
        </ol>
      )}
    </section>
  );
}

function Member({ id, job, place }: { id: string; job: Job | undefined; place: number | null }) {
  return (
    <li>
      <button
        type="button"
        onClick={() => openQueue('jobs', id)}
        className="-mx-1.5 flex h-8 w-[calc(100%+12px)] items-center gap-2 rounded-md px-1.5 text-left text-xs hover:bg-raised"
      >
        <span className="flex w-5 shrink-0 justify-center text-ink-3">
          {place === null ? <JobStateMark state="running" words={false} /> : place}
        </span>
        <bdi className="min-w-0 flex-1 truncate text-sm">{(job && titleOf(job)) ?? id}</bdi>
        {job && place === null && job.progress !== null && (
          <span className="hidden w-20 shrink-0 @md:block" title={job.progressNote ?? undefined}>
            <Progress value={job.progress} label={`Progress of ${job.text ?? id}`} />
          </span>
        )}
        <span className="hidden w-28 shrink-0 truncate text-ink-3 @lg:inline">{job?.progressNote ?? job?.caller}</span>
        <span className="w-14 shrink-0 text-right text-ink-3">
          {job && <Elapsed since={place === null ? (job.startedAt ?? job.createdAt) : job.createdAt} />}
        </span>
      </button>
    </li>
  );
}
