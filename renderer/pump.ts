/** The event pump's reducer: what a front knows of the core, as a pure function of one snapshot and the events after it. */

import type { Event } from '../shared/contract.ts';
import type { CortexState, GpuSample } from '../shared/cortex.ts';
import { assertNever } from '../shared/errors.ts';
import type {
  BootReport,
  BreakerState,
  CoreSelf,
  Crossing,
  GpuState,
  Health,
  Job,
  Lane,
  McpServer,
  Org,
  PodiumState,
  RegistryState,
  RouteSummary,
  Rule,
  Snapshot,
  Sovereign,
} from '../shared/model.ts';

export interface Live {
  seq: number;
  self: CoreSelf;
  /** The last minutes of this process, oldest first, one per `self` event. */
  selfHistory: { at: number; cpuPercent: number; memoryBytes: number }[];
  sovereign: Sovereign;
  registry: RegistryState;
  orgs: Org[];
  routes: RouteSummary[];
  rules: Rule[];
  health: Health[];
  breakers: BreakerState[];
  gpu: GpuState;
  /** Jobs that have not ended and the newest of the others, newest first. */
  jobs: Job[];
  /** Only those with something in them. */
  lanes: Lane[];
  mcp: McpServer[];
  podium: PodiumState[];
  cortex: CortexState;
  /** Readings of the devices since this window connected, oldest first; older ones are asked for. */
  gpuSamples: GpuSample[];
  /** The newest messages of the orchestrators behind podium, newest first. */
  upstream: { seq: number; at: number; route: string; message: unknown }[];
  boot: BootReport | null;
  counts: Snapshot['counts'];
  /** The newest signals, oldest first. */
  signals: { seq: number; at: number; signal: string }[];
  /** The newest crossings, newest first. */
  crossings: Crossing[];
  /** Text streamed so far, by job. */
  chunks: Record<string, string>;
}

const KEEP = {
  signals: 1000,
  jobs: 300,
  crossings: 100,
  upstream: 100,
  selfHistory: 120,
  gpuSamples: 900,
  chunkJobs: 24,
  chunkLength: 400_000,
};

export function liveFrom(snapshot: Snapshot, before: Live | null): Live {
  const { jobs, ...rest } = snapshot;
  return {
    ...rest,
    selfHistory: before?.selfHistory ?? [],
    gpuSamples: before?.gpuSamples ?? [],
    jobs: keepJobs([...jobs].sort(newestFirst)),
    upstream: before?.upstream ?? [],
    crossings: before?.crossings ?? [],
    chunks: before?.chunks ?? {},
  };
}

/** `live` after `events`. Slices nothing happened to keep their identity; events already seen change nothing. */
export function applyEvents(live: Live, events: readonly Event[]): Live {
  const fresh = events.filter((event) => event.seq > live.seq);
  if (fresh.length === 0) return live;
  const next: Live = { ...live, seq: fresh.at(-1)!.seq };
  const jobs = new Map<string, Job>();
  const health = new Map<string, Health>();
  const breakers = new Map<string, BreakerState>();
  const routes = new Map<string, RouteSummary>();
  const lanes = new Map<string, Lane>();
  const podium = new Map<string, PodiumState>();
  const upstream: Live['upstream'] = [];
  const crossings: Crossing[] = [];
  const samples: GpuSample[] = [];
  const signals: Live['signals'] = [];
  // Jobs that changed after the core last counted.
  const uncounted = new Map<string, Job>();
  let counted = live.jobs;

  for (const event of fresh) {
    if (event.signal !== null) signals.push({ seq: event.seq, at: event.at, signal: event.signal });
    switch (event.type) {
      case 'crossing':
        crossings.unshift(event.crossing);
        break;
      case 'job':
        jobs.set(event.job.id, event.job);
        uncounted.set(event.job.id, event.job);
        break;
      case 'chunk':
        if (next.chunks === live.chunks) next.chunks = { ...live.chunks };
        next.chunks[event.job] = ((next.chunks[event.job] ?? '') + event.text).slice(-KEEP.chunkLength);
        break;
      case 'health':
        health.set(event.health.route, event.health);
        break;
      case 'breaker':
        breakers.set(event.breaker.endpoint, event.breaker);
        break;
      case 'registry':
        next.registry = event.registry;
        break;
      case 'routes':
        next.orgs = event.orgs;
        next.routes = event.routes;
        next.rules = event.rules;
        routes.clear();
        break;
      case 'route':
        routes.set(event.route.name, event.route);
        break;
      case 'sovereign':
        next.sovereign = event.sovereign;
        break;
      case 'gpu':
        next.gpu = event.gpu;
        break;
      case 'cortex':
        next.cortex = event.cortex;
        break;
      case 'gpu_samples':
        samples.push(...event.samples);
        break;
      case 'self':
        next.self = event.self;
        next.counts = event.counts;
        counted = merge(live.jobs, jobs, (job) => job.id).sort(newestFirst);
        uncounted.clear();
        next.selfHistory = [
          ...next.selfHistory,
          { at: event.at, cpuPercent: event.self.cpuPercent, memoryBytes: event.self.memoryBytes },
        ].slice(-KEEP.selfHistory);
        break;
      case 'lanes':
        for (const lane of event.lanes) lanes.set(laneKey(lane), lane);
        break;
      case 'mcp':
        next.mcp = event.servers;
        break;
      case 'podium':
        podium.set(event.podium.route, event.podium);
        break;
      case 'upstream':
        upstream.unshift({ seq: event.seq, at: event.at, route: event.route, message: event.message });
        break;
      case 'delivery':
      case 'rejected':
        break;
      default:
        assertNever(event);
    }
  }

  if (signals.length > 0) next.signals = [...live.signals, ...signals].slice(-KEEP.signals);
  if (samples.length > 0) next.gpuSamples = keepSamples([...live.gpuSamples, ...samples], next.gpu.devices.length);
  if (crossings.length > 0) next.crossings = [...crossings, ...live.crossings].slice(0, KEEP.crossings);
  if (jobs.size > 0) {
    next.counts = countJobs(next.counts, counted, uncounted);
    next.jobs = keepJobs(merge(live.jobs, jobs, (job) => job.id).sort(newestFirst));
  }
  if (lanes.size > 0) next.lanes = merge(live.lanes, lanes, laneKey).filter((lane) => lane.running.length > 0 || lane.queued.length > 0);
  if (podium.size > 0) next.podium = merge(live.podium, podium, (one) => one.route);
  if (upstream.length > 0) next.upstream = [...upstream, ...live.upstream].slice(0, KEEP.upstream);
  if (health.size > 0) next.health = merge(live.health, health, (one) => one.route);
  if (routes.size > 0) next.routes = merge(next.routes, routes, (one) => one.name);
  if (breakers.size > 0) next.breakers = merge(live.breakers, breakers, (one) => one.endpoint);
  const streamed = Object.keys(next.chunks);
  if (streamed.length > KEEP.chunkJobs) next.chunks = Object.fromEntries(Object.entries(next.chunks).slice(-KEEP.chunkJobs));
  return next;
}

/** The counts between two `self` events: what begins and ends is counted at once, the next `self` event has the last word. */
function countJobs(counts: Live['counts'], before: readonly Job[], changed: ReadonlyMap<string, Job>): Live['counts'] {
  const known = new Map(before.map((job) => [job.id, job]));
  const newest = before[0]?.createdAt ?? 0;
  let { running, queued, jobs, audit } = counts;
  for (const job of changed.values()) {
    const old = known.get(job.id);
    // Older than all that are kept: it was counted when it began.
    const begun = !old && job.createdAt >= newest;
    const ended = !isOpen(job) && (old ? isOpen(old) : true);
    if (begun) jobs++;
    if (begun && isOpen(job)) running++;
    if (!begun && ended) running--;
    queued += Number(isWaiting(job)) - Number(old !== undefined && isWaiting(old));
    // One row when it begins, one when it ends.
    audit += Number(begun) + Number(ended);
  }
  return { running: Math.max(0, running), queued: Math.max(0, queued), jobs, audit };
}

/** It has not ended. */
export function isOpen(job: Pick<Job, 'state'>): boolean {
  return job.state === 'running' || isWaiting(job);
}

/** It has not ended, and does not run now. */
export function isWaiting(job: Pick<Job, 'state'>): boolean {
  return job.state === 'queued' || job.state === 'waiting';
}

export function laneKey(lane: Lane): string {
  return `${lane.kind} ${lane.name}`;
}

/** The newest, and whatever is open however old it is. */
function keepJobs(sorted: Job[]): Job[] {
  return sorted.length <= KEEP.jobs ? sorted : sorted.filter((job, index) => index < KEEP.jobs || isOpen(job));
}

/** So many of each device: the readings of all come in turn. */
function keepSamples(samples: GpuSample[], devices: number): GpuSample[] {
  return samples.slice(-KEEP.gpuSamples * Math.max(1, devices));
}

function newestFirst(a: Job, b: Job): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1);
}

function merge<T>(old: readonly T[], changed: ReadonlyMap<string, T>, key: (item: T) => string): T[] {
  const left = new Map(changed);
  const merged = old.map((item) => {
    const newer = left.get(key(item));
    left.delete(key(item));
    return newer ?? item;
  });
  return left.size > 0 ? [...merged, ...left.values()] : merged;
}

// --- a long list of jobs that does not move under the pointer --------------------------------------------------------

export interface JobFilter {
  q: string;
  /** null: every state. */
  state: Job['state'] | null;
  route: string | null;
  lane: string | null;
}

export interface JobFeed {
  rows: Job[];
  /** New jobs not shown yet, newest first. */
  held: Job[];
  total: number;
  cursor: string | null;
}

/** Rows a list has room for: those that are there and those to come. A total may be too small, so there is always room for one more. */
export function lengthOf({ rows, held, total, cursor }: JobFeed): number {
  return cursor === null ? rows.length : Math.max(rows.length + 1, total - held.length);
}

export const emptyFeed: JobFeed = { rows: [], held: [], total: 0, cursor: null };

/** The feed with the next page of `OS.jobs` at its end; rows that came as events meanwhile are not repeated. */
export function appendPage(feed: JobFeed, page: { jobs: Job[]; cursor: string | null; total: number }): JobFeed {
  const last = feed.rows.at(-1);
  // Pages go back in time, so only rows about as old as the last one can be there already.
  const known = new Set<string>();
  for (const job of feed.held) known.add(job.id);
  for (let at = feed.rows.length - 1; last && at >= 0 && feed.rows[at]!.createdAt <= (page.jobs[0]?.createdAt ?? 0); at--)
    known.add(feed.rows[at]!.id);
  return {
    rows: [...feed.rows, ...page.jobs.filter((job) => !known.has(job.id))],
    held: feed.held,
    total: page.total,
    cursor: page.cursor,
  };
}

/** Known rows change in place; new jobs that fit the filter are held until `release`. A hundred thousand rows cost a copy. */
export function updateFeed(feed: JobFeed, changed: readonly Job[], filter: JobFilter): JobFeed {
  let { rows, held } = feed;
  const added: Job[] = [];
  const newest = feed.rows[0]?.createdAt ?? 0;
  for (const job of changed) {
    const inHeld = held.findIndex((one) => one.id === job.id);
    const inRows = inHeld >= 0 ? -1 : findRow(rows, job);
    if (inHeld >= 0) held = held.with(inHeld, job);
    else if (inRows >= 0) {
      if (rows === feed.rows) rows = rows.slice();
      rows[inRows] = job;
    } else if (job.createdAt >= newest && fits(job, filter)) added.push(job);
  }
  if (rows === feed.rows && held === feed.held && added.length === 0) return feed;
  return { rows, held: [...added.sort(newestFirst), ...held], total: feed.total + added.length, cursor: feed.cursor };
}

/** Where a job stands in rows that are sorted newest first; -1 when it is not there. */
function findRow(rows: readonly Job[], job: Job): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle]!.createdAt > job.createdAt) low = middle + 1;
    else high = middle;
  }
  for (let at = low; at < rows.length && rows[at]!.createdAt === job.createdAt; at++) if (rows[at]!.id === job.id) return at;
  return -1;
}

/** Shows what was held and drops what no longer fits the filter. */
export function releaseFeed(feed: JobFeed, filter: JobFilter): JobFeed {
  const rows = feed.held.length > 0 ? [...feed.held, ...feed.rows] : feed.rows;
  // The search is the server's: only what a job can change is looked at again.
  const kept = filter.state === null ? rows : rows.filter((job) => job.state === filter.state);
  if (feed.held.length === 0 && kept.length === rows.length) return feed;
  return { rows: kept, held: [], total: Math.max(kept.length, feed.total - (rows.length - kept.length)), cursor: feed.cursor };
}

function fits(job: Job, filter: JobFilter): boolean {
  if (filter.state !== null && job.state !== filter.state) return false;
  if (filter.route !== null && job.route !== filter.route) return false;
  if (filter.lane !== null && job.lane !== filter.lane) return false;
  const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${job.text ?? ''} ${job.route ?? ''} ${job.id}`.toLowerCase();
  return words.every((word) => text.includes(word));
}
