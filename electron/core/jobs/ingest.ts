/**
 * Callbacks in: how a flow that was handed its work over says what became of it (seed 003). It has no token: whoever has the secret that
 * `callbacks.ingest` of the registry names may end a job that waits for it, once.
 *
 * The body is JSON, `{"job_id": "job_...", "status": "succeeded" or "success" or "failed", "result": anything, "error": anything}`, and its bytes
 * are signed as they are sent, in one of two forms (webhook-signature.ts):
 * - Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
 * - plain, for flow tools: `x-dispatcher-timestamp` with the seconds since 1970, `x-dispatcher-signature: sha256=<hex>`, which is the HMAC-SHA256 of
 *   `<timestamp>.<body>` under the whole text of the secret. In Node-RED (a function node with `crypto` set up as a module):
 *   `const t = String(Math.floor(Date.now() / 1000)); 'sha256=' + crypto.createHmac('sha256', env.get('SECRET')).update(t + '.' + msg.payload).digest('hex')`.
 *   In n8n the Crypto node does the same: type SHA256, value `{{ t }}.{{ body }}`, encoding HEX.
 */
import { z } from 'zod';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import { hasEnded } from '../../../shared/job.ts';
import type { CallbackSettings } from '../../../shared/model.ts';
import { tooDeep } from '../crossing.ts';
import type { Outcome } from '../runners/runner.ts';
import type { Store } from '../store/store.ts';
import { readWebhookSecrets, type SignatureFault, verifyPlainly, verifyWebhook, type WebhookSecret } from './webhook-signature.ts';

export interface IngestParts {
  store: Pick<Store, 'sawCallback'> & { read: Pick<Store['read'], 'callbackSeen' | 'job'> };
  settings(): CallbackSettings;
  /** Value of an environment variable. */
  secret(name: string): string | null;
  /** Ends a job that waits for a callback, and resolves once that is on record; null: it does not wait for one. */
  arrived(job: string, outcome: Outcome): Promise<unknown> | null;
  /** Resolves when every outcome so far is on record. */
  recorded(): Promise<void>;
  clock(): number;
}

export interface ReceivedCallback {
  headers: Record<string, string | string[] | undefined>;
  /** The bytes as they came. */
  body: Buffer;
}

/** `replayed`: this message was taken before, so nothing was done. */
export type Ingested = { ok: true; job: string; replayed: boolean } | { ok: false; error: WireError };

/**
 * Codes: forbidden (no secret is configured), unauthenticated (signature, timestamp), input_invalid (signed, but no result of a job), not_found,
 * conflict (the job has ended or does not wait for a callback), store_unavailable.
 */
export type Ingest = (received: ReceivedCallback) => Promise<Ingested>;

const Body = z.object({
  job_id: z.string().min(1).max(200),
  status: z.enum(['succeeded', 'success', 'failed']),
  result: z.unknown().optional(),
  error: z.unknown().optional(),
});

export function createIngest({ store, settings, secret, arrived, recorded, clock }: IngestParts): Ingest {
  /** Secrets that callbacks in are checked with. Without one nobody is believed. */
  function secrets(): WebhookSecret[] {
    const { ingestEnv } = settings();
    if (ingestEnv === null) throw closed('No secret for callbacks is configured, so none is taken.', 'Name an environment variable there.');
    const text = secret(ingestEnv);
    if (text === null) throw closed('The secret for callbacks is not set, so none is taken.', 'Set the environment variable it names.');
    const read = readWebhookSecrets(text);
    if (read === null)
      throw closed('The secret for callbacks is none, so none is taken.', 'Its value is whsec_ and the base64 of 24 to 64 random bytes.');
    return read;
  }

  /** What this message is remembered by. */
  function identify({ headers, body }: ReceivedCallback): string {
    const header = (name: string) => [headers[name]].flat()[0] ?? '';
    const now = clock();
    if (headers['webhook-signature'] !== undefined) {
      const message = { id: header('webhook-id'), timestamp: header('webhook-timestamp'), signature: header('webhook-signature'), body };
      demand(verifyWebhook(secrets(), message, now));
      return `id:${message.id}`;
    }
    const message = { timestamp: header('x-dispatcher-timestamp'), signature: header('x-dispatcher-signature'), body };
    demand(verifyPlainly(secrets(), message, now));
    return `plain:${message.signature}`;
  }

  async function ingest(received: ReceivedCallback): Promise<Ingested> {
    const id = identify(received);
    const { job, outcome } = read(received.body);
    const taken = arrived(job, outcome);
    if (taken !== null) {
      // Answered only when it would survive a crash: the sender does not come again.
      await Promise.all([taken, store.sawCallback(id, clock())]);
      return { ok: true, job, replayed: false };
    }
    await recorded();
    const found = store.read.job(job);
    if (found === null)
      throw new Refusal(refuse('not_found', `There is no job ${job}.`, { hint: 'Send the job_id the flow was called with.' }));
    // A sender that did not hear our answer comes again; it may stop now.
    if (store.read.callbackSeen(id)) return { ok: true, job, replayed: true };
    throw new Refusal(
      hasEnded(found.state)
        ? refuse('conflict', `${job} has ended already: ${found.state}. It stays so.`, { hint: 'The first result counts.' })
        : refuse('conflict', `${job} does not wait for a callback: it is ${found.state}.`, {
            hint: 'Declare answer: callback for its service, and answer the call before the callback is sent.',
          }),
    );
  }

  return (received) =>
    ingest(received).catch((caught: unknown) => {
      if (!(caught instanceof Refusal)) throw caught;
      return { ok: false, error: caught.wire };
    });
}

const closed = (message: string, hint: string) =>
  new Refusal(refuse('forbidden', message, { hint: `See callbacks.ingest in the registry. ${hint}` }));

function demand(fault: SignatureFault | null): void {
  if (fault !== null)
    throw new Refusal(
      refuse('unauthenticated', fault.message, {
        hint: 'Sign the bytes of the body as they are sent, with webhook-signature or x-dispatcher-signature.',
      }),
    );
}

/** Refuses input_invalid. */
function read(bytes: Buffer): { job: string; outcome: Outcome } {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    throw misfit('The body is not JSON in UTF-8.');
  }
  if (tooDeep(json)) throw misfit('The body is nested too deep.');
  const body = Body.safeParse(json);
  if (!body.success) throw misfit(`The body does not fit: ${body.error.issues[0]!.path.join('.') || 'it'} is not as it should be.`);
  const { job_id: job, status, result = null, error } = body.data;
  if (status !== 'failed') return { job, outcome: { ok: true, result } };
  return { job, outcome: { ok: false, error: refuse('upstream_failed', reasonOf(error), { hint: 'Look at the flow.' }) } };
}

/** Why a flow says that it failed: a text, or the message of what looks like an error. */
function reasonOf(error: unknown): string {
  const said = typeof error === 'object' && error !== null && 'message' in error ? error.message : error;
  if (said === undefined || said === null || said === '') return 'The flow failed and did not say why.';
  return (typeof said === 'string' ? said : JSON.stringify(said)).slice(0, 2000);
}

const misfit = (message: string) =>
  new Refusal(
    refuse('input_invalid', message, {
      hint: 'Send {"job_id": "job_...", "status": "succeeded" or "failed", "result": ..., "error": ...}.',
      issues: [{ path: '', message }],
    }),
  );
