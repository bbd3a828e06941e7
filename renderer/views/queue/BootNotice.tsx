import { History, X } from 'lucide-react';
import { useState } from 'react';
import type { BootReport } from '../../../shared/model.ts';
import { useLive } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { IconButton } from '../../parts/Button.tsx';
import { Time } from '../../parts/Values.tsx';
import { openQueue, useUi } from '../../ui.ts';

const SHOWN = 6;
/** With more than these the list of jobs is the better place to look. */
const SHOWN_MOST = 200;

/** What the core found when it started and what it did about it, until somebody has read it. */
export function BootNotice() {
  const boot = useLive('boot');
  const seen = useUi((ui) => ui.queue.bootSeen);
  const setQueue = useUi((ui) => ui.setQueue);
  if (!boot || boot.at === seen) return null;
  const found = findings(boot);
  const told = [
    ...found.map(({ brief: [one, several], jobs }) => `${formatCount(jobs.length)} ${jobs.length === 1 ? one : several}`),
    ...(boot.deliveries === 0 ? [] : [`${formatCount(boot.deliveries)} ${boot.deliveries === 1 ? 'callback goes on' : 'callbacks go on'}`]),
  ];
  if (told.length === 0 && !boot.crashed) return null;
  return (
    <section
      aria-label="After the restart"
      className="flex shrink-0 items-start gap-3 border-t bg-warn-soft py-1 pr-2 pl-4 text-xs lg:pl-6"
    >
      <History aria-hidden className="mt-1.5 size-4 shrink-0 text-warn-ink" strokeWidth={1.75} />
      {/* Where there is little room the jobs are one press away. */}
      <details open={innerHeight > 760} className="group min-w-0 flex-1 py-1">
        <summary className="list-none rounded-sm py-0.5">
          <strong className="font-medium text-warn-ink">
            {boot.crashed ? 'The core before this one ended without saying goodbye.' : 'The core was started again.'}
          </strong>{' '}
          <span className="text-ink-2">
            <Time at={boot.at} />: {told.length === 0 ? 'nothing was left undone' : told.join(', ')}.
          </span>
          {found.length > 0 && <span className="ml-2 text-accent-ink group-open:hidden">Show the jobs</span>}
        </summary>
        <dl className="mt-1 grid grid-cols-[max-content_minmax(0,1fr)] gap-x-4 gap-y-1">
          {found.map(({ words, jobs }) => (
            <Finding key={words} words={words} jobs={jobs} />
          ))}
        </dl>
      </details>
      <IconButton label="Dismiss the report" icon={X} onClick={() => setQueue({ bootSeen: boot.at })} />
    </section>
  );
}

function Finding({ words, jobs }: { words: string; jobs: readonly string[] }) {
  const [all, setAll] = useState(false);
  const shown = jobs.slice(0, all ? SHOWN_MOST : SHOWN);
  return (
    <>
      <dt className="text-ink-2 leading-6">{words}</dt>
      <dd className="flex max-h-24 min-w-0 flex-wrap gap-x-3 overflow-auto">
        {shown.map((job) => (
          <button
            key={job}
            type="button"
            className="font-mono text-2xs text-accent-ink leading-6 hover:underline"
            onClick={() => openQueue('jobs', job)}
          >
            {job}
          </button>
        ))}
        {all && jobs.length > shown.length && <span className="text-ink-2">and {formatCount(jobs.length - shown.length)} more</span>}
        {!all && jobs.length > shown.length && (
          <button type="button" className="text-accent-ink leading-6 hover:underline" onClick={() => setAll(true)}>
            {formatCount(jobs.length - shown.length)} more
          </button>
        )}
      </dd>
    </>
  );
}

interface Found {
  /** What became of them, in a sentence with their number. */
  brief: [one: string, several: string];
  words: string;
  jobs: string[];
}

function findings({ restored, again, unknown, dead, lost }: BootReport): Found[] {
  const all: Found[] = [
    { brief: ['waits again', 'wait again'], words: 'Wait again, where they stood', jobs: restored },
    { brief: ['runs again', 'run again'], words: 'Were cut off and run again', jobs: again },
    { brief: ['may have happened', 'may have happened'], words: 'Were cut off and may have happened', jobs: unknown },
    { brief: ['is given up', 'are given up'], words: 'Given up after three crashes', jobs: dead },
    {
      brief: ['cannot go on', 'cannot go on'],
      words: 'Cannot go on: the route is gone, or the grid they belonged to was cut off',
      jobs: lost,
    },
  ];
  return all.filter(({ jobs }) => jobs.length > 0);
}
