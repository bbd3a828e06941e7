/** The built-in routes of seed 004: the one way to the orchestrator for a command center, and what it is told. */
import { type OrchestratorAnswer, operations } from '../../../shared/contract.ts';
import { Refusal, refuse, toWire } from '../../../shared/errors.ts';
import type { Crossing, Job, JobDetail, OrchestratorSettings, Route } from '../../../shared/model.ts';
import { maySee } from '../jobs/operations.ts';
import type { Implementation } from '../operations.ts';
import type { Podium } from '../runners/podium.ts';
import { readOrder } from './order.ts';

export interface OrchestratorParts {
  podium: Pick<Podium, 'states' | 'status'>;
  settings(): OrchestratorSettings;
  /** Those of kind podium, in the order of the registry. */
  routes(): Route[];
  /** One job as it is now; null when there is none. */
  job(id: string): JobDetail | null;
  /** The newest jobs of a route. */
  jobs(route: string): Job[];
  /** Where the HTTP door listens, `http://127.0.0.1:8000`; null when it does not. */
  url(): string | null;
}

type Shares = Pick<Implementation, 'OS.orchestrator.dispatch' | 'OS.orchestrator.status' | 'OS.orchestrator.job'>;

/**
 * `OS.orchestrator.dispatch` makes a call of the podium route, so that limits, lane, audit and idempotency are those of any call. An action that
 * enqueues answers once its job is on record; halt and status once the orchestrator has answered. The nonce is the idempotency key, also of an action
 * that is sent without one: then the next is a new one. What is refused before there is a job is thrown.
 */
export function orchestratorOperations(parts: OrchestratorParts): Shares {
  const { podium, routes } = parts;

  function orchestrator(): Route {
    const { service } = parts.settings();
    const route = service === null ? routes()[0] : routes().find(({ name }) => name === service);
    if (route !== undefined) return route;
    const hint = 'Add a service with kind: podium to the registry.';
    throw new Refusal(refuse('route_unknown', 'There is no orchestrator: no service is of kind podium.', { hint }));
  }

  function answer(id: string, more: Partial<OrchestratorAnswer> = {}): OrchestratorAnswer {
    const job = parts.job(id);
    const seq = job?.auditSeq ?? null;
    const url = parts.url();
    return {
      success: true,
      job_id: id,
      status: job?.state ?? 'running',
      audit_id: seq === null ? null : `AUD-${seq}`,
      stream_url: url === null ? null : `${url.replace(/^http/, 'ws')}/api/orchestrator/stream/${id}`,
      error: null,
      podium_result: null,
      ...more,
    };
  }

  function ended({ ok, job, result, error }: Crossing): OrchestratorAnswer {
    if (job === null) throw new Refusal(error ?? refuse('internal', 'The call left no job.'));
    return answer(job, { success: ok, error, podium_result: result });
  }

  return {
    async 'OS.orchestrator.dispatch'({ action, payload, source, auth }, _by, { runtime }) {
      const route = orchestrator();
      const { nonce } = payload;
      const wanted = readOrder({ params: { ...payload, action }, text: null });
      if ('code' in wanted) throw new Refusal(wanted);
      if (nonce !== undefined && !/^[\x21-\x7e]+$/.test(nonce)) {
        const message = 'A nonce is visible ASCII without spaces.';
        throw new Refusal(refuse('input_invalid', message, { issues: [{ path: 'payload.nonce', message }] }));
      }
      const ask = {
        route: route.name,
        params: { ...payload, action, source, ...(auth?.user_id !== undefined && { user_id: auth.user_id }) },
        ...(nonce !== undefined && action !== 'status' && { key: `nonce:${nonce}` }),
      };
      const { promise: accepted, resolve } = Promise.withResolvers<OrchestratorAnswer>();
      const over = runtime
        .dispatch(ask, {
          detached: true,
          accepted({ job }) {
            if (wanted.kind === 'enqueue') resolve(answer(job));
          },
        })
        .then(ended);
      return Promise.race([accepted, over]);
    },

    async 'OS.orchestrator.status'() {
      const route = orchestrator();
      const status = await podium.status(route).catch((caught: unknown) => ({ error: toWire(caught) }));
      const jobs = routes().flatMap(({ name }) => parts.jobs(name));
      return { podium: podium.states(), jobs, status };
    },

    'OS.orchestrator.job'({ job: id }, by) {
      const job = parts.job(id);
      if (job === null || !maySee(by, job) || !routes().some(({ name }) => name === job.route))
        throw new Refusal(
          refuse('not_found', `There is no job ${id.slice(0, 100)} of the orchestrator.`, {
            hint: `List them with ${operations['OS.orchestrator.status'].http}.`,
          }),
        );
      const { params, attempts, result, error, record, events, key, deliveries, ...plain } = job;
      const told = podium.states().find(({ route }) => route === job.route)?.stories ?? {};
      const story = Object.entries(told).find(([name]) => job.subject === `story:${name.toUpperCase()}`)?.[1] ?? null;
      return { job_id: id, status: job.state, story, result, error, job: plain };
    },
  };
}
