/** Where a job stands now. Pure. */
import type { GpuWaiter } from '../../../shared/cortex.ts';
import type { Job, Lane, Waits } from '../../../shared/model.ts';

/**
 * Why a job waits, brought up to date by the lanes and the line for models: a line moves without a word about each job in it. The place is
 * null past the part of the line that is told.
 */
export function waitsNow(
  job: Pick<Job, 'id' | 'state' | 'waits'>,
  lanes: readonly Lane[],
  models: readonly GpuWaiter[] = [],
): Waits | null {
  const { waits } = job;
  if (waits?.kind === 'gpu') {
    const waiter = models.find(({ holder }) => holder.kind === 'job' && holder.id === job.id);
    return waiter ? { ...waits, position: waiter.position, until: waiter.eta, reason: waiter.reason } : waits;
  }
  if (waits === null || job.state !== 'queued') return waits;
  const lane = lanes.find((one) => one.queued.includes(job.id));
  if (!lane) return { ...waits, position: null };
  const [first] = lane.running;
  return {
    ...waits,
    position: lane.queued.indexOf(job.id),
    reason: lane.kind === 'lane' && first !== undefined ? `${first} runs in the lane ${lane.name}` : waits.reason,
  };
}

/** What a job is called where there is one line: its words, what it is about, or its route. */
export function titleOf({ text, subject, route }: Pick<Job, 'text' | 'subject' | 'route'>): string | null {
  return text ?? subject ?? route;
}
