/** The built-in routes for jobs: what there is, one of them, end it, run it again. */
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Job, JobDetail, Lane, Principal } from '../../../shared/model.ts';
import type { Seam } from '../dispatch.ts';
import type { Implementation } from '../operations.ts';
import type { Run } from '../runners/runner.ts';
import type { Store } from '../store/store.ts';

export interface JobParts {
  seam(): Pick<Seam, 'job' | 'cancel'>;
  read: Pick<Store['read'], 'jobs' | 'job'>;
  /** As it is now. */
  job(id: string): JobDetail | null;
  lanes(): Lane[];
  /** Longest a cancel waits to see what became of the job, milliseconds. */
  cancelWaitMs: number;
}

type Shares = Pick<Implementation, 'OS.jobs' | 'OS.jobs.get' | 'OS.jobs.cancel' | 'OS.jobs.retry' | 'OS.lanes'>;

/** A job is cancelled and run again by its caller, or by a principal with `admin`. */
export function jobOperations(parts: JobParts): Shares {
  const { seam, read } = parts;

  async function cancel(id: string, by: Principal): Promise<{ id: string; state: Job['state']; outcome: string }> {
    const caller = seam().job(id)?.caller;
    if (caller !== undefined) demandOwn(by, caller, { message: `${id} is a job of ${caller}.`, may: 'cancel it' });
    const ending = seam().cancel(id, by.name);
    if (!ending) {
      const job = read.job(id);
      if (!job) throw absent(id);
      throw new Refusal(refuse('conflict', `The job has ended already: ${job.state}.`, { hint: 'There is nothing left to cancel.' }));
    }
    const { promise: waited, resolve: giveUp } = Promise.withResolvers<null>();
    const timer = setTimeout(() => giveUp(null), parts.cancelWaitMs);
    const job = await Promise.race([ending, waited]);
    clearTimeout(timer);
    if (!job)
      return {
        id,
        state: seam().job(id)?.state ?? 'running',
        outcome: `It was asked to stop and has not yet, after ${parts.cancelWaitMs / 1000} s.`,
      };
    const { state } = job;
    return {
      id,
      state,
      outcome: state === 'cancelled' ? 'It was cut off and is cancelled.' : `It ended before the cancel reached it: ${state}.`,
    };
  }

  async function retry(id: string, by: Principal, { runtime }: Run): Promise<{ id: string; job: string }> {
    const job = read.job(id);
    if (!job) throw absent(id);
    if (seam().job(id)) throw new Refusal(refuse('conflict', 'The job has not ended.', { hint: 'Cancel it first, or wait.' }));
    demandOwn(by, job.caller, { message: `${id} was a job of ${job.caller}.`, may: 'run it again' });
    if (JSON.stringify([job.text, job.params]).includes('[redacted]') || isCut(job.params))
      throw new Refusal(
        refuse('conflict', 'What was asked is not on record as it was: secrets were left out, or it was too long.', {
          hint: 'Send it again as it was.',
        }),
      );
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const ask = {
      ...(job.route !== null && { route: job.route }),
      ...(job.text !== null && { text: job.text }),
      params: job.params as Record<string, unknown>,
    };
    runtime.dispatch(ask, { detached: true, accepted: ({ job: next }) => resolve(next) }).then((crossing) => {
      if (crossing.job !== null) resolve(crossing.job);
      else reject(new Refusal(crossing.error ?? refuse('internal', 'It left no job.')));
    }, reject);
    return { id, job: await promise };
  }

  return {
    'OS.jobs'(filter) {
      const page = read.jobs(filter);
      return { ...page, jobs: page.jobs.map((job) => seam().job(job.id) ?? job) };
    },
    'OS.jobs.get'({ id }, by) {
      const job = parts.job(id);
      if (!job || !maySee(by, job)) throw absent(id);
      return job;
    },
    'OS.jobs.cancel': ({ id }, by) => cancel(id, by),
    'OS.jobs.retry': ({ id }, by, run) => retry(id, by, run),
    'OS.lanes': () => ({ lanes: parts.lanes() }),
  };
}

/** Whoever may read sees every job, others their own. */
export const maySee = (by: Principal, { caller }: Job): boolean => by.capabilities.includes('read') || caller === by.id;

function demandOwn(by: Principal, caller: string, { message, may }: { message: string; may: string }): void {
  if (caller === by.id || by.capabilities.includes('admin')) return;
  throw new Refusal(refuse('forbidden', message, { hint: `Its caller may ${may}, or a token with admin.`, needed: ['admin'] }));
}

const absent = (id: string) =>
  new Refusal(refuse('not_found', `There is no job ${id.slice(0, 100)}.`, { hint: 'List them with OS.jobs.' }));

/** The store keeps of long parameters what they began with (audit/chain.ts, cutJson). */
const isCut = (params: unknown) => typeof params === 'object' && params !== null && 'cut' in params && 'head' in params;
