/** What fronts draw: the state of the whole core, made when somebody looks. */
import { Refusal } from '../../shared/errors.ts';
import type { BootReport, CoreSelf, Job, Lane, Route, RouteSummary, Snapshot } from '../../shared/model.ts';
import type { Journal } from './events.ts';
import type { Loop } from './jobs/loop.ts';
import type { Stats } from './stats.ts';
import type { Store } from './store/store.ts';
import type { Table } from './table.ts';

/** Jobs that have not ended in one snapshot, and names in a lane's line: more than anybody looks at. */
const SHOWN_LIVE = 1000;
const SHOWN_LINE = 200;
/** Ended jobs and signals in one snapshot. */
const SHOWN_NEWEST = 200;
/** Processor time is averaged over at least this. */
const CPU_MS = 1000;

export interface ViewParts {
  about: Pick<CoreSelf, 'version' | 'startedAt' | 'home' | 'demo' | 'mock'>;
  url(): string | null;
  table(): Table;
  journal: Journal;
  store: Store;
  loop: Loop;
  stats: Stats;
  /** Jobs that have not ended, oldest first, at most so many. */
  live(most: number): Job[];
  boot(): BootReport | null;
  /** What the other modules say of themselves. */
  others(): Pick<Snapshot, 'sovereign' | 'registry' | 'health' | 'breakers' | 'gpu' | 'mcp' | 'podium' | 'cortex'>;
}

export interface View {
  self(): CoreSelf;
  summary(route: Route): RouteSummary;
  summaries(): RouteSummary[];
  /** Throws Refusal store_unavailable. */
  counts(): Snapshot['counts'];
  /** The counts, or the last ones known. */
  countsShown(): Snapshot['counts'];
  snapshot(): Snapshot;
  lane(lane: Lane): Lane;
  /** For what goes on while the database cannot be read; a call that asks for it is told so. */
  readOr<T>(otherwise: T, read: () => T): T;
}

export function createView(parts: ViewParts): View {
  const { about, table, journal, store, loop, stats } = parts;
  let cpu = { at: performance.now(), used: process.cpuUsage(), percent: 0 };
  let known = { jobs: 0, audit: 0 };
  let unreadable = false;

  function readOr<T>(otherwise: T, read: () => T): T {
    try {
      const value = read();
      unreadable = false;
      return value;
    } catch (caught) {
      if (!(caught instanceof Refusal)) throw caught;
      if (!unreadable) journal.publish({ type: 'rejected', door: 'core', error: caught.wire }, `❌ OS → OS : ${caught.wire.code}, reading`);
      unreadable = true;
      return otherwise;
    }
  }

  function self(): CoreSelf {
    const now = performance.now();
    if (now - cpu.at >= CPU_MS) {
      const used = process.cpuUsage(cpu.used);
      cpu = { at: now, used: process.cpuUsage(), percent: (used.user + used.system) / 10 / (now - cpu.at) };
    }
    return {
      pid: process.pid,
      ...about,
      cpuPercent: Math.round(cpu.percent * 10) / 10,
      memoryBytes: process.memoryUsage.rss(),
      url: parts.url(),
    };
  }

  const summary = (route: Route): RouteSummary => ({
    ...route,
    ...(stats.of(route.name) ?? { calls: 0, p50Ms: null, p95Ms: null, lastError: null, lastCallAt: null }),
  });
  const summaries = () => table().registry.routes.map(summary);
  const lane = (whole: Lane): Lane => (whole.queued.length > SHOWN_LINE ? { ...whole, queued: whole.queued.slice(0, SHOWN_LINE) } : whole);
  const countsShown = () => {
    known = readOr(known, () => store.read.counts());
    return { ...known, ...loop.counts() };
  };

  return {
    self,
    summary,
    summaries,
    counts: () => ({ ...store.read.counts(), ...loop.counts() }),
    countsShown,
    lane,
    readOr,
    snapshot() {
      const live = parts.live(SHOWN_LIVE);
      const shown = new Set(live.map((job) => job.id));
      const newest = readOr([], () => store.read.jobs({ limit: SHOWN_NEWEST }).jobs);
      const { orgs, rules } = table().registry;
      return {
        ...parts.others(),
        seq: journal.seq,
        self: self(),
        orgs,
        routes: summaries(),
        rules,
        jobs: [...live.reverse(), ...newest.filter((job) => !shown.has(job.id))],
        lanes: loop.lanes().map(lane),
        boot: parts.boot(),
        counts: countsShown(),
        signals: journal.signals(SHOWN_NEWEST),
      };
    },
  };
}
