/** A job's life in order: what the record says of it, put together. Pure. */
import type { Attempt, Delivery, Job, JobDetail, JobEvent } from '../../../shared/model.ts';
import type { Tone } from '../../parts/tone.ts';

export interface Moment {
  at: number;
  /** When it was over; null for what has no length, or is not over. */
  until: number | null;
  tone: Tone;
  title: string;
  detail: string | null;
  /** It is what happens now. */
  live: boolean;
  of:
    | { kind: 'accepted' }
    | { kind: 'event'; event: JobEvent['kind'] }
    | { kind: 'attempt'; attempt: Attempt }
    | { kind: 'ended' }
    | { kind: 'delivery'; delivery: Delivery };
}

/** Where things happened in the same millisecond. */
const order = { accepted: 0, event: 1, attempt: 2, ended: 3, delivery: 4 };

/** Oldest first. `job` may be newer than `detail`, which is asked for when it changes. */
export function momentsOf(job: Job, detail: JobDetail): Moment[] {
  const attempts = detail.record?.attempts.length ? detail.record.attempts : detail.attempts;
  return [
    moment(job.createdAt, 'quiet', 'Accepted', { kind: 'accepted' }),
    ...eventMoments(job, detail.events),
    ...attempts.map((attempt, index) => ({
      ...moment(
        attempt.startedAt,
        attempt.error === null ? 'accent' : attempt.error === 'cancelled' ? 'quiet' : 'bad',
        attemptTitle(job, attempt, index),
        { kind: 'attempt', attempt },
      ),
      until: attempt.startedAt + attempt.durationMs,
    })),
    ...(job.finishedAt === null
      ? []
      : [moment(job.finishedAt, endTones[job.state] ?? 'quiet', endWords[job.state] ?? job.state, { kind: 'ended' })]),
    ...detail.deliveries.map((delivery) => ({
      ...moment(delivery.createdAt, deliveryTones[delivery.state], deliveryWords[delivery.state], { kind: 'delivery', delivery }),
      until: delivery.state === 'pending' ? null : lastOf(delivery),
      live: delivery.state === 'pending',
    })),
  ].sort((a, b) => a.at - b.at || order[a.of.kind] - order[b.of.kind]);
}

const endTones: Partial<Record<Job['state'], Tone>> = { succeeded: 'ok', failed: 'bad', unknown: 'warn' };
const endWords: Partial<Record<Job['state'], string>> = {
  succeeded: 'Succeeded',
  failed: 'Failed',
  cancelled: 'Cancelled',
  unknown: 'Nobody knows whether it happened',
};
const deliveryTones: Record<Delivery['state'], Tone> = { pending: 'accent', delivered: 'ok', dead: 'bad' };
const deliveryWords: Record<Delivery['state'], string> = {
  pending: 'Callback on its way',
  delivered: 'Callback delivered',
  dead: 'Callback given up',
};

function moment(at: number, tone: Tone, title: string, of: Moment['of']): Moment {
  return { at, until: null, tone, title, detail: null, live: false, of };
}

function attemptTitle(job: Job, attempt: Attempt, index: number): string {
  return `Attempt ${index + 1}${attempt.route === job.route ? '' : ` at ${attempt.route}`}`;
}

function lastOf(delivery: Delivery): number | null {
  const last = delivery.attempts.at(-1);
  return last ? last.at + last.durationMs : null;
}

function eventMoments(job: Job, events: readonly JobEvent[]): Moment[] {
  const sorted = [...events].sort((a, b) => a.at - b.at);
  const moments: Moment[] = [];
  let starts = 0;
  sorted.forEach((event, index) => {
    const next = sorted.slice(index + 1).find((one) => one.kind !== 'progress' && one.kind !== 'replayed');
    switch (event.kind) {
      case 'queued':
      case 'waiting':
      case 'retried': {
        const until = next?.at ?? job.finishedAt;
        const live = until === null && job.waits !== null;
        moments.push({
          ...moment(event.at, live ? 'accent' : 'quiet', standing(event.kind, live ? job.waits : null), {
            kind: 'event',
            event: event.kind,
          }),
          detail: live ? job.waits!.reason : event.detail,
          until,
          live,
        });
        break;
      }
      case 'started':
        starts += 1;
        moments.push(
          moment(event.at, 'accent', starts === 1 ? 'Started' : `Started again, ${starts} times now`, { kind: 'event', event: event.kind }),
        );
        break;
      case 'progress': {
        // One line for all that was reported in a row.
        const last = moments.at(-1);
        const told = { detail: event.detail, until: event.at };
        if (last?.of.kind === 'event' && last.of.event === 'progress') Object.assign(last, told);
        else moments.push({ ...moment(event.at, 'quiet', 'Progress', { kind: 'event', event: event.kind }), ...told });
        break;
      }
      case 'ended':
        break;
      default:
        moments.push({
          ...moment(event.at, event.kind === 'callback' ? 'accent' : 'warn', eventWords[event.kind], { kind: 'event', event: event.kind }),
          detail: event.detail,
        });
    }
  });
  if (job.cancelRequestedAt !== null && !events.some((event) => event.kind === 'cancel_requested'))
    moments.push(moment(job.cancelRequestedAt, 'warn', eventWords.cancel_requested, { kind: 'event', event: 'cancel_requested' }));
  return moments;
}

const eventWords: Record<Exclude<JobEvent['kind'], Standing | 'started' | 'progress' | 'ended'>, string> = {
  cancel_requested: 'Cancel was asked for',
  restored: 'Found after a restart',
  replayed: 'Another call came under its key',
  callback: 'Callback came in',
};

/** What a wait is called while nothing more is known of it. */
export function waitTitle({ waits }: Pick<Job, 'waits'>): string {
  return waits?.kind === 'gpu' ? 'Stands in line for the GPU' : 'Waits';
}

/** Events that last until the next one. */
type Standing = 'queued' | 'waiting' | 'retried';

/** `waits`: it does so now. */
function standing(kind: Standing, waits: Job['waits']): string {
  const live = waits !== null;
  if (waits?.kind === 'gpu') return waitTitle({ waits });
  switch (kind) {
    case 'queued':
      return live ? 'Stands in line' : 'Stood in line';
    case 'waiting':
      return live ? 'Waits' : 'Waited';
    case 'retried':
      return live ? 'Waits to start again' : 'Waited to start again';
  }
}
