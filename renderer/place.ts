/**
 * Where one is inside a view. Queue: `#queue/lanes` is a tab, `#queue/callbacks/msg_1` what is open in one, `#queue/job_1` a job.
 * GPU: `#gpu/models` is a tab, `#gpu/models/vision` what is open in one. Pure.
 */

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

export const gpuTabs = ['overview', 'models', 'grants', 'capabilities', 'servers'] as const;
export type GpuTab = (typeof gpuTabs)[number];

export const gpuTabWords: Record<GpuTab, { label: string; also: string }> = {
  overview: { label: 'Overview', also: 'devices memory line waiting leases alerts temperature power' },
  models: { label: 'Models', also: 'providers tiers load evict unload vram' },
  grants: { label: 'Grants', also: 'keys api openai leases revoke' },
  capabilities: { label: 'Capabilities', also: 'index text-generation vision groups' },
  servers: { label: 'Servers', also: 'discover pools sidecar invalid compose quadlet probes' },
};

export function gpuPlaceOf(item: string | null, remembered: GpuTab): { tab: GpuTab; open: string | null } {
  const slash = item?.indexOf('/') ?? -1;
  const name = slash < 0 ? item : item!.slice(0, slash);
  const tab = gpuTabs.find((one) => one === name);
  return tab ? { tab, open: slash < 0 ? null : item!.slice(slash + 1) } : { tab: item === null ? remembered : 'overview', open: null };
}
