/** What a start does with the jobs that the core before it left. */
import type { BootReport, JobDetail } from '../../../shared/model.ts';
import type { Store } from '../store/store.ts';
import type { FoundJob } from '../store/tended.ts';
import type { Table } from '../table.ts';
import { findRoute } from '../table.ts';

/** Crashes under which a job ran before it is given up. */
const CRASHES_MOST = 3;

/**
 * Jobs in line and waiting ones go on. One that was cut off between send and answer runs again only where calling twice does no more than
 * calling once; else nobody knows what became of it. One that ran at three crashes may have caused them. All of it is durable on return.
 * `cutOff`: the crossings of those that ran.
 */
export async function takeStock({
  store,
  table,
  at,
}: {
  store: Store;
  table: Table;
  at: number;
}): Promise<{ report: BootReport; jobs: FoundJob[]; cutOff: ReadonlySet<string> }> {
  const report: BootReport = { at, crashed: store.found.crashed, restored: [], again: [], unknown: [], dead: [], lost: [], deliveries: 0 };
  const settle: { id: string; as: 'unknown' | 'again' | 'dead' }[] = [];
  const jobs: FoundJob[] = [];
  const cutOff = new Set<string>();
  for (const job of store.found.jobs) {
    if (job.state !== 'running') {
      report.restored.push(job.id);
      jobs.push(job);
      continue;
    }
    cutOff.add(job.crossing);
    const route = job.route === null ? null : findRoute(table, job.route);
    const again = route?.spec.idempotent === true && (job.call !== null || isRebuildable(store.read.job(job.id)));
    const as = job.crashes >= CRASHES_MOST ? 'dead' : again ? 'again' : 'unknown';
    settle.push({ id: job.id, as });
    report[as].push(job.id);
    if (as === 'again') jobs.push({ ...job, state: 'queued', waits: null });
  }
  if (settle.length > 0) await store.settleFound(settle, at);
  return { report, jobs, cutOff };
}

/** What is on record of a job is all that was asked: nothing was left out as a secret or cut. */
export function isRebuildable(job: JobDetail | null): job is JobDetail & { params: Record<string, unknown> } {
  if (job === null || typeof job.params !== 'object' || job.params === null || 'cut' in job.params) return false;
  return !JSON.stringify([job.text, job.params]).includes('[redacted]');
}
