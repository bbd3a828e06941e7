/** Where one is inside Queue: `#queue/lanes` is a tab, `#queue/callbacks/msg_1` what is open in one, `#queue/job_1` a job. Pure. */

export const queueTabs = ['jobs', 'lanes', 'callbacks', 'mcp', 'memory'] as const;
export type QueueTab = (typeof queueTabs)[number];

/** What the tabs are called, and other words people look for them by. */
export const queueTabWords: Record<QueueTab, { label: string; also: string }> = {
  jobs: { label: 'Jobs', also: 'running waiting failed history' },
  lanes: { label: 'Lanes', also: 'stories podium orchestrator agents concurrency line' },
  callbacks: { label: 'Callbacks', also: 'webhooks deliveries signature redeliver' },
  mcp: { label: 'MCP', also: 'model context protocol servers tools approve' },
  memory: { label: 'Memory', also: 'remember kept texts notes' },
};

export function placeOf(item: string | null, remembered: QueueTab): { tab: QueueTab; open: string | null } {
  if (item === null) return { tab: remembered, open: null };
  const slash = item.indexOf('/');
  const tab = queueTabs.find((one) => one === (slash < 0 ? item : item.slice(0, slash)));
  if (!tab) return { tab: 'jobs', open: item };
  return { tab, open: slash < 0 ? null : item.slice(slash + 1) };
}

export function itemOf(tab: QueueTab, open: string | null = null): string {
  if (open === null) return tab;
  return tab === 'jobs' ? open : `${tab}/${open}`;
}
