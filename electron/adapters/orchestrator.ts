/**
 * Seed 004's stream over WebSocket, which only speaks: QUEUE_UPDATE, STORY_STATUS and AGENT_STATUS as the orchestrator sent them, and
 * {type: 'JOB_UPDATE', job} for its jobs. First comes how everything stands, and again for a reader that was too slow for what happened meanwhile.
 */
import type { DownFrame, Event } from '../../shared/contract.ts';
import { refuse, toWire, type WireError } from '../../shared/errors.ts';
import { hasEnded } from '../../shared/job.ts';
import type { Job, Principal, Snapshot } from '../../shared/model.ts';
import { type Core, storyIn } from '../core/core.ts';
import { createEncoder } from './encode.ts';
import { startWatch } from './serve.ts';
import type { Conversation, Line } from './ws.ts';

const root = '/api/orchestrator/stream';

/**
 * `at` gives what is spoken at a path: at /api/orchestrator/stream everything, below it one job and its story, until it ends. Null where nothing
 * is. A principal without `read` hears of its own jobs and their stories only.
 */
export function createOrchestratorStreams(core: Pick<Core, 'watch' | 'dispatch' | 'reject'>): { at(path: string): Conversation | null } {
  const encode = createEncoder((message: object) => message);
  return {
    at(path) {
      if (path === root) return (line) => speak(core, encode, { line, job: null });
      const job = new RegExp(`^${root}/([\\w-]{1,100})$`).exec(path)?.[1];
      return job === undefined ? null : (line) => speak(core, encode, { line, job });
    },
  };
}

function speak(
  core: Pick<Core, 'watch' | 'dispatch' | 'reject'>,
  encode: (message: object) => string,
  { line, job: only }: { line: Line; job: string | null },
): ReturnType<Conversation> {
  const { principal, congested, close } = line;
  const reads = principal.capabilities.includes('read');
  const whole = reads && only === null;
  let routes = new Set<string>();
  /** The one job is among those that fronts are told of; a job of long ago has to be looked up. */
  let found = false;
  /** What the jobs that may be heard of are about. */
  const subjects = new Map<string, string>();

  const say = (message: object) => line.send(encode(message));
  const turnOut = (error: WireError) => {
    core.reject({ door: 'ws', error, detail: { path: only === null ? root : `${root}/${only}` } });
    close(1008, error.message);
  };
  const mine = ({ id, route, caller }: Job) =>
    route !== null && routes.has(route) && (reads || caller === principal.id) && (only === null || id === only);

  function tellJob(job: Job): void {
    if (!mine(job)) return;
    found = true;
    const over = hasEnded(job.state);
    if (over) subjects.delete(job.id);
    else if (job.subject !== null) subjects.set(job.id, job.subject);
    say({ type: 'JOB_UPDATE', job });
    if (over && only !== null) close(1000, 'The job has ended.');
  }

  function tellMessage(message: unknown): void {
    if (typeof message !== 'object' || message === null) return;
    if (!whole) {
      const story = storyIn(message);
      const { type } = message as { type?: unknown };
      if (type !== 'STORY_STATUS' || story === null || !subjects.values().some((subject) => subject === `story:${story.id.toUpperCase()}`))
        return;
    }
    say(message);
  }

  function tellState({ routes: all, jobs, podium }: Snapshot): void {
    routes = podiumsOf(all);
    found = only === null;
    const heard = jobs.filter((job) => mine(job) && (only !== null || !hasEnded(job.state)));
    // Jobs first: which stories may be heard of depends on them.
    for (const job of heard.toReversed()) tellJob(job);
    for (const { queue, agents, stories } of podium)
      for (const message of [queue, ...Object.values(agents), ...Object.values(stories)]) tellMessage(message);
  }

  function tell(event: Event): void {
    if (event.type === 'job') tellJob(event.job);
    else if (event.type === 'upstream') tellMessage(event.message);
    else if (event.type === 'routes') routes = podiumsOf(event.routes);
  }

  const send = (frame: DownFrame) => {
    if (frame.t === 'events') for (const event of frame.events) tell(event);
    if (frame.t !== 'snapshot') return;
    tellState(frame.snapshot);
    if (!found)
      earlier(core, principal, only!).then(
        (job) => ('code' in job ? turnOut(job) : tellJob(job)),
        (caught) => turnOut(toWire(caught)),
      );
  };
  line.onClose(startWatch(core, 0, { send, congested, failed: (caught) => close(1011, toWire(caught).message) }));
  return () => close(1003, 'This stream takes no messages.');
}

/** A job that has long ended, for whoever may look it up. */
async function earlier(core: Pick<Core, 'dispatch'>, principal: Principal, id: string): Promise<Job | WireError> {
  const { result, error } = await core.dispatch({ route: 'OS.orchestrator.job', params: { job: id }, door: 'ws', principal });
  if (error === null) return (result as { job: Job }).job;
  return error.code === 'forbidden' ? refuse('forbidden', 'This is not one of your own jobs.', { needed: ['read'] }) : error;
}

function podiumsOf(routes: Snapshot['routes']): Set<string> {
  return new Set(routes.filter(({ kind }) => kind === 'podium').map(({ name }) => name));
}
