import type { ReactNode } from 'react';
import { useLive } from '../core.ts';
import { formatCount } from '../format.ts';
import { ViewHead } from '../parts/Panel.tsx';
import { type Tab, Tabs } from '../parts/Tabs.tsx';
import { placeOf, type QueueTab, queueTabWords } from '../place.ts';
import { openQueue, useUi } from '../ui.ts';
import { BootNotice } from './queue/BootNotice.tsx';
import { Callbacks } from './queue/Callbacks.tsx';
import { Jobs, JobsTools } from './queue/Jobs.tsx';
import { Lanes } from './queue/Lanes.tsx';
import { Mcp } from './queue/Mcp.tsx';
import { Memory } from './queue/Memory.tsx';

/** Everything that was accepted and what it waits for, what is told to others about it, and what it may use. */
export function Queue() {
  const item = useUi((ui) => ui.item);
  const remembered = useUi((ui) => ui.queue.tab);
  const counts = useLive('counts');
  const lanes = useLive('lanes');
  const mcp = useLive('mcp');
  const { tab, open } = placeOf(item, remembered);
  const unapproved = mcp?.filter((server) => !server.approved || server.tools.some((tool) => tool.approval !== 'approved')).length ?? 0;
  const tabs: (Omit<Tab<QueueTab>, 'label' | 'content'> & { content(): ReactNode })[] = [
    { id: 'jobs', content: () => <Jobs open={open} /> },
    {
      id: 'lanes',
      ...(lanes && lanes.length > 0 && { count: { value: lanes.length, label: 'in use', tone: 'quiet' } }),
      content: () => <Lanes />,
    },
    { id: 'callbacks', content: () => <Callbacks open={open} /> },
    {
      id: 'mcp',
      ...(unapproved > 0 && { count: { value: unapproved, label: 'to approve', tone: 'warn' } }),
      content: () => <Mcp open={open} />,
    },
    { id: 'memory', content: () => <Memory open={open} /> },
  ];
  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead title="Queue">
        {counts && (
          <span>
            {counts.running - counts.queued > 0 && `${formatCount(counts.running - counts.queued)} running, `}
            {counts.queued > 0 && `${formatCount(counts.queued)} waiting, `}
            {formatCount(counts.jobs)} in all
          </span>
        )}
      </ViewHead>
      <BootNotice />
      <div className="flex min-h-0 flex-1 flex-col border-t bg-surface">
        <Tabs
          label="Queue"
          tabs={tabs.map(({ content, ...one }) => ({ ...one, label: queueTabWords[one.id].label, content: one.id === tab && content() }))}
          value={tab}
          onChange={(next: QueueTab) => openQueue(next)}
          aside={tab === 'jobs' && <JobsTools open={open !== null} />}
        />
      </div>
    </div>
  );
}
