/**
 * Webhooks of flow tools (n8n, Activepieces, Node-RED): seed 000's client, and what a flow that brings its result later has to know. Such a
 * flow answers at once with any success, and posts `{job_id, status, result | error}` to the callback address, signed (jobs/ingest.ts).
 */
import { refuse, type WireError } from '../../../shared/errors.ts';
import type { CallbackSettings, Route } from '../../../shared/model.ts';
import { httpProtocol, type Protocol } from './protocol.ts';
import type { Run } from './runner.ts';

/** Where callbacks come in; or why none can. */
export type IngestAddress = () => string | WireError;

/**
 * The inputs as JSON; the answer is the result. With `answer: callback` a success means that the flow has it, whatever else it says (n8n:
 * `{"message": "Workflow was started"}`), and the rest of the route's time is the callback's.
 */
export const flowProtocol: Protocol = (route, run) => {
  const exchange = httpProtocol(route, run);
  if (route.answer === 'response') return exchange;
  return {
    ...exchange,
    read(answer) {
      const outcome = exchange.read(answer);
      return outcome.ok && answer.status < 300 ? { ok: true, result: null, handed: { until: run.deadlineAt } } : outcome;
    },
  };
};

/**
 * `X-Dispatcher-Job`, and `X-Dispatcher-Callback` for a flow that has to call back. Fails when no callback could come in: nothing is
 * started whose result is sure to be lost.
 */
export function flowHeaders(route: Route, run: Run, ingestAddress: IngestAddress): string[] | WireError {
  const headers = run.job === null ? [] : ['x-dispatcher-job', run.job];
  if (route.answer === 'response') return headers;
  const address = ingestAddress();
  return typeof address === 'string' ? [...headers, 'x-dispatcher-callback', address] : address;
}

/** Where callbacks come in at this core, which listens at `url`. Code: registry_invalid. */
export function ingestAddress(
  { ingestEnv }: CallbackSettings,
  { url, secret }: { url: string | null; secret(name: string): string | null },
): string | WireError {
  const lost = (why: string, hint: string) => refuse('registry_invalid', `This flow brings its result by callback, and ${why}.`, { hint });
  if (ingestEnv === null)
    return lost('no secret for callbacks is configured', 'Write callbacks: {ingest: NAME_OF_AN_ENVIRONMENT_VARIABLE} into the registry.');
  if (secret(ingestEnv) === null)
    return lost(`${ingestEnv}, the secret for callbacks, is not set`, `Set ${ingestEnv} and start Dispatcher again.`);
  if (url === null) return lost('no HTTP door is open for it', 'Start Dispatcher with dispatcher serve, or the app.');
  return new URL('/callbacks/ingest', url).href;
}
