/**
 * Results on their way to callback URLs (Standard Webhooks 1.0.0): which URLs may be called, what is sent, and what became of it. When
 * something is tried again, and when it is given up, the schedule decides. What a receiver answers never changes the job.
 */
import { onlyRefusals, Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { CallbackSettings, Crossing, Delivery, DeliveryAttempt, JobDetail, JobState } from '../../../shared/model.ts';
import { type Egress, EgressRefusal } from '../egress.ts';
import type { Implementation, ParsedOf } from '../operations.ts';
import { declaredReach, namesLoopback } from '../reach.ts';
import { stateOf } from '../record.ts';
import { retryAfterMs } from '../retry-after.ts';
import { redact, redactText } from '../store/redact.ts';
import type { Store } from '../store/store.ts';
import { reportBug } from './life.ts';
import type { ScheduleEvent } from './schedule.ts';
import type { Seal } from './seal.ts';
import { readWebhookSecrets, signWebhook, verifyWebhook, type WebhookSecret } from './webhook-signature.ts';

/** Where a person finds the secret that the core made, to give it to receivers. */
const OWN_SECRET = 'webhook.secret in the home folder';
const USUAL_TIMEOUT_MS = 15_000;
/** Nobody reads what a receiver says. */
const ANSWER_BYTES = 16_384;
/** The longest pause between two attempts (schedule.ts). */
const LONGEST_PAUSE_MS = 36_000_000;
/** Longest a body may carry of a result; the job has more. */
const RESULT_MOST = 262_144;
/** Attempts of one delivery that are kept, for one that is sent by hand again and again. */
const ATTEMPTS_KEPT = 50;

export interface CallbackParts {
  store: Pick<Store, 'saveDelivery'> & {
    read: Pick<Store['read'], 'delivery' | 'deliveries' | 'deliveriesPending' | 'undelivered' | 'job'>;
  };
  egress: Pick<Egress, 'check' | 'request'>;
  /** URLs are secrets to many receivers, so the store has them sealed. */
  seal: Seal;
  settings(): CallbackSettings;
  /** Value of an environment variable. */
  secret(name: string): string | null;
  /** Signs where the registry names no other: `whsec_...`. */
  ownSecret: string;
  /** Where this core listens; null: nowhere. */
  ownUrl(): string | null;
  schedule(event: ScheduleEvent): void;
  /** Milliseconds on the clock of the schedule. */
  now(): number;
  /** Milliseconds since the epoch: what receivers compare with. */
  clock(): number;
  random(): number;
  publish(delivery: Delivery): void;
  newId(prefix: string): string;
  /** Bound on one attempt; 15 s if not given. */
  timeoutMs?: number;
}

export interface Callbacks extends AsyncDisposable {
  /**
   * What stands against a callback URL by its text alone; null: nothing. Codes: input_invalid (no URL, not http or https, userinfo),
   * egress_refused (not public and not declared under callbacks.hosts, or this core), sovereign_refused. It is asked again before
   * each attempt, and the names it resolves to are judged then.
   */
  check(url: string): WireError | null;
  /** The job of this crossing has ended: what became of it goes to the URL. The delivery is written in this turn. */
  begin(record: Crossing, url: string): void;
  /** The schedule says so: one attempt, and what came of it goes back to the schedule. */
  send(id: string): void;
  /** It is tried again at a time on the clock of the schedule. */
  again(id: string, at: number): void;
  /** It is not tried any more. */
  dead(id: string): void;
  /** Once, at start: deliveries that were not over go on, and those nobody came to write begin. Answers how many. */
  resume(): number;
  /** A delivery from the store as it may be seen: its URL opened, without the secrets in it. */
  shown(delivery: Delivery): Delivery;
  /** Which secrets sign and check, never what they are. `checks` null: callbacks in are refused. */
  names(): { signs: string; checks: string | null };
  operations: Pick<Implementation, 'OS.callbacks' | 'OS.callbacks.redeliver' | 'OS.callbacks.check'>;
}

/** What came of one attempt. */
interface Answered {
  attempt: DeliveryAttempt;
  ok: boolean;
  /** Trying again may help. */
  again: boolean;
  retryAfterMs: number | null;
}

export function createCallbacks(parts: CallbackParts): Callbacks {
  const { store, egress, seal, schedule, now, clock, timeoutMs = USUAL_TIMEOUT_MS } = parts;

  const closing = new AbortController();
  const working = new Set<Promise<void>>();

  /** Nobody waits for it but the end; what the store refuses now is found again at the next start. */
  function alongside(work: Promise<void>): void {
    const done = work
      .catch(onlyRefusals)
      .catch(reportBug)
      .finally(() => working.delete(done));
    working.add(done);
  }

  /** Of a delivery, or of a job that was found: sealed, or as it was given. */
  const urlOf = (kept: string) => seal.open(kept) ?? kept;
  const shown = (delivery: Delivery): Delivery => ({ ...delivery, url: redactText(urlOf(delivery.url)) });

  // --- what may be called ----------------------------------------------------------------------------------------------

  function check(text: string): WireError | null {
    const url = URL.parse(text);
    if (url === null) return unfit('The callback URL is not a URL.');
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return unfit(`A callback URL cannot be ${url.protocol.slice(0, 40)}`);
    if (url.username !== '' || url.password !== '') return unfit('The callback URL has a user name or password in it.');
    if (isOwn(url))
      return refuse('egress_refused', 'The callback URL is this core itself.', {
        hint: 'Name the program that waits for the result.',
      });
    return egress.check(url, declaredReach(url, parts.settings().hosts));
  }

  function isOwn(url: URL): boolean {
    const own = parts.ownUrl();
    return own !== null && url.port === new URL(own).port && namesLoopback(url);
  }

  // --- one attempt -----------------------------------------------------------------------------------------------------

  function signers(): WebhookSecret[] | WireError {
    const { signEnv } = parts.settings();
    const name = signEnv ?? OWN_SECRET;
    const text = signEnv === null ? parts.ownSecret : parts.secret(signEnv);
    const hint = `${name} has to be whsec_ and the base64 of 24 to 64 random bytes.`;
    if (text === null) return refuse('forbidden', `${name}, which signs callbacks, is not set, so nothing is sent.`, { hint });
    return readWebhookSecrets(text) ?? refuse('forbidden', `${name} does not hold a webhook secret, so nothing is sent.`, { hint });
  }

  /** null: the core is closing, and it goes on at the next start. */
  async function post({ id, url: kept, body }: Delivery): Promise<Answered | null> {
    const at = clock();
    const began = performance.now();
    const ended = (status: number | null, error: string | null, more: Partial<Answered> = {}): Answered => ({
      attempt: { at, durationMs: Math.round(performance.now() - began), status, error: error === null ? null : redactText(error) },
      ok: error === null,
      again: true,
      retryAfterMs: null,
      ...more,
    });
    const url = urlOf(kept);
    const secrets = signers();
    if (!Array.isArray(secrets)) return ended(null, secrets.message);
    const refusal = check(url);
    if (refusal !== null) return ended(null, refusal.message);
    const timestamp = String(Math.floor(at / 1000));
    try {
      const { status, headers } = await egress.request({
        url,
        method: 'POST',
        headers: [
          ...['content-type', 'application/json', 'user-agent', 'dispatcher'],
          ...['webhook-id', id, 'webhook-timestamp', timestamp, 'webhook-signature', signWebhook(secrets, { id, timestamp, body })],
        ],
        body,
        egress: declaredReach(new URL(url), parts.settings().hosts),
        signal: closing.signal,
        timeoutMs,
        maxBytes: ANSWER_BYTES,
      });
      if (isSuccess(status)) return ended(status, null);
      const asked = retryAfterMs(headers['retry-after'], clock());
      if (status === 410) return ended(status, 'It answered 410: it wants no more of this.', { again: false });
      if (status >= 300 && status < 400)
        return ended(status, `It answered ${status}: redirects are not followed.`, { retryAfterMs: asked });
      return ended(status, `It answered ${status}.`, { retryAfterMs: asked });
    } catch (caught) {
      if (!(caught instanceof EgressRefusal)) throw caught;
      const { code, message, status = null } = caught.wire;
      if (code === 'shutting_down') return null;
      // It said that it has it; how much more it said is nobody's business.
      if (code === 'upstream_too_large' && status !== null && isSuccess(status)) return ended(status, null);
      return ended(status, message);
    }
  }

  async function attempt(id: string): Promise<void> {
    if (closing.signal.aborted) return;
    try {
      const delivery = store.read.delivery(id);
      if (delivery === null) return report(id, { ok: false, again: false, retryAfterMs: null });
      const answered = await post(delivery);
      if (answered === null) return;
      const attempts = [...delivery.attempts, answered.attempt].slice(-ATTEMPTS_KEPT);
      await change({ ...delivery, attempts, state: answered.ok ? 'delivered' : 'pending', nextAt: null });
      report(id, answered);
    } catch (caught) {
      onlyRefusals(caught);
      // The store cannot be read now; that passes.
      report(id, { ok: false, again: true, retryAfterMs: null });
    }
  }

  const report = (delivery: string, { ok, again, retryAfterMs }: Omit<Answered, 'attempt'>) =>
    schedule({ type: 'delivered', at: now(), delivery, ok, again, retryAfterMs, random: parts.random() });

  // --- what is kept ----------------------------------------------------------------------------------------------------

  /** What cannot be written is sent once more after a restart, under the same id: receivers know that id. */
  async function change(delivery: Delivery): Promise<void> {
    await store.saveDelivery(delivery).catch(onlyRefusals);
    parts.publish(shown(delivery));
  }

  async function changeStored(id: string, changes: Partial<Delivery>): Promise<void> {
    const delivery = closing.signal.aborted ? null : store.read.delivery(id);
    if (delivery !== null) await change({ ...delivery, ...changes });
  }

  function deliver(delivery: Delivery, tries: number): void {
    // Never later than the longest pause there is: the clock may have been set back while nobody looked.
    const notBefore = now() + Math.min(Math.max(0, (delivery.nextAt ?? 0) - clock()), LONGEST_PAUSE_MS);
    schedule({ type: 'deliver', at: now(), delivery: delivery.id, tries, notBefore });
  }

  /** What cannot be written is found by `resume`: the job has a URL and no delivery. */
  function add(job: string, url: string, body: string): void {
    const at = clock();
    const delivery: Delivery = {
      ...{ id: parts.newId('msg_'), job, url: seal.seal(url), state: 'pending', attempts: [] },
      ...{ createdAt: at, nextAt: at, body },
    };
    const written = store.saveDelivery(delivery).then(() => {
      parts.publish(shown(delivery));
      deliver(delivery, 0);
    });
    alongside(written);
  }

  return {
    check,
    begin: (record, url) => add(record.job!, url, callbackBody(record, stateOf(record))),
    send: (id) => alongside(attempt(id)),
    again: (id, at) => alongside(changeStored(id, { nextAt: Math.round(clock() + at - now()) })),
    dead: (id) => alongside(changeStored(id, { state: 'dead', nextAt: null })),
    resume() {
      const pending = store.read.deliveriesPending();
      const missing = store.read.undelivered();
      // One that had its last try when the core went down has one more: what came of it is not known.
      for (const delivery of pending) deliver(delivery, Math.min(delivery.attempts.length, parts.settings().attempts - 1));
      for (const { job, callbackUrl } of missing) {
        const detail = store.read.job(job);
        if (detail !== null) add(job, urlOf(callbackUrl), bodyOfJob(detail));
      }
      return pending.length + missing.length;
    },
    shown,
    names() {
      const { signEnv, ingestEnv } = parts.settings();
      return { signs: signEnv ?? OWN_SECRET, checks: ingestEnv };
    },
    operations: {
      'OS.callbacks'(filter) {
        const { deliveries, cursor } = store.read.deliveries(filter);
        return { deliveries: deliveries.map(shown), cursor };
      },
      async 'OS.callbacks.redeliver'({ id }, by) {
        const found = store.read.delivery(id);
        if (found === null)
          throw new Refusal(refuse('not_found', `There is no delivery ${id.slice(0, 100)}.`, { hint: 'List them with OS.callbacks.' }));
        // The answer has the result in it.
        if (!by.capabilities.includes('admin') && store.read.job(found.job)?.caller !== by.id)
          throw new Refusal(
            refuse('forbidden', `${id} is of a job of somebody else.`, {
              hint: 'Who made the call may have its result sent again, or a token with admin.',
              needed: ['admin'],
            }),
          );
        if (found.state === 'pending')
          throw new Refusal(refuse('conflict', 'It is on its way already.', { hint: 'Wait until it is delivered or given up.' }));
        const refusal = check(urlOf(found.url));
        if (refusal !== null) throw new Refusal(refusal);
        const delivery: Delivery = { ...found, state: 'pending', nextAt: clock() };
        await store.saveDelivery(delivery);
        parts.publish(shown(delivery));
        deliver(delivery, 0);
        return shown(delivery);
      },
      'OS.callbacks.check': (received) => explain(received),
    },
    async [Symbol.asyncDispose]() {
      closing.abort(new Refusal(refuse('shutting_down', 'Dispatcher is shutting down.')));
      await Promise.all(working);
    },
  };

  // --- the callback lab --------------------------------------------------------------------------------------------------

  /**
   * What is wrong with a message that was received, in words. The signature it should have is told only to who has the secret: under the
   * core's own secret it would make this a way to sign anything.
   */
  function explain(received: ParsedOf<'OS.callbacks.check'>): { ok: boolean; reason: string; expected: string | null } {
    const given = received.secret === undefined ? null : readWebhookSecrets(received.secret);
    const own = signers();
    const secrets = received.secret === undefined ? own : given;
    if (secrets === null) return wrong('malformed: the secret is not whsec_ and the base64 of 24 to 64 bytes.');
    if (!Array.isArray(secrets)) return wrong(secrets.message);
    const expected = given === null ? null : signWebhook(given, received);
    const fault = verifyWebhook(secrets, received, clock());
    if (fault === null) return { ok: true, reason: 'It was signed with this secret, within the last five minutes.', expected };
    if (fault.is !== 'signature') return wrong(`${fault.is}: ${fault.message}`, expected);

    const signedBy = (those: WebhookSecret[], body: string) => verifyWebhook(those, { ...received, body }, clock())?.is !== 'signature';
    if (given !== null && Array.isArray(own) && signedBy(own, received.body))
      return wrong('secret: it was signed with another secret than this one, the one this core signs with.', expected);
    const sent = store.read.delivery(received.id);
    if (sent === null)
      return wrong(
        `id: this core sent nothing under ${received.id.slice(0, 60)}. The id was changed, or it is from another sender: check with its secret.`,
        expected,
      );
    if (sent.body === received.body)
      return wrong(
        'timestamp or signature: id and body are as they were sent. The timestamp was changed, the signature is of another attempt, or the secret is another one now.',
        expected,
      );
    const at = firstDifference(sent.body, received.body);
    const where = `from character ${at + 1} on it is not what was sent (${sent.body.length} characters, received ${received.body.length})`;
    return wrong(
      signedBy(secrets, sent.body)
        ? `body: ${where}. Check the bytes as they come, before any parser.`
        : `body: ${where}, and the timestamp or the secret does not fit either.`,
      expected,
    );
  }
}

const wrong = (reason: string, expected: string | null = null) => ({ ok: false, reason, expected });

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/**
 * What is sent when the job of this crossing ends: JSON in the shape of seed 003, the same bytes whenever it is made. Secrets are redacted as
 * they are in the record, and a long result is cut and says so; the whole is at GET /jobs/{job_id}.
 */
export function callbackBody(record: Crossing, state: JobState): string {
  const { job, text, route, result, error, durationMs, attempts } = record;
  return bodyOf({ id: job!, text, route, state, result, error, durationMs, attempts });
}

/** For a job that has no crossing: it was cut off. */
function bodyOfJob({ error, record, ...job }: JobDetail): string {
  if (record !== null) return callbackBody(record, job.state);
  const cutOff = refuse('unknown_outcome', 'It was cut off, and whether it happened is not known.', {
    hint: 'Look at the service before calling again.',
  });
  return bodyOf({ ...job, error: error ?? (job.state === 'unknown' ? cutOff : null) });
}

function bodyOf(job: Pick<JobDetail, 'id' | 'text' | 'route' | 'state' | 'result' | 'error' | 'durationMs' | 'attempts'>): string {
  const result = redact(job.result);
  const logs = job.attempts.map(
    ({ startedAt, route, status, error, durationMs }) =>
      `${new Date(startedAt).toISOString()} ${route}: ${error ?? status ?? 'ok'} in ${durationMs} ms`,
  );
  const members = {
    job_id: JSON.stringify(job.id),
    intent: redact(job.text ?? intentOf(job.route)),
    status: JSON.stringify(job.state),
    result: result.length <= RESULT_MOST ? result : JSON.stringify({ cut: true, characters: result.length, start: result.slice(0, 4096) }),
    error: redact(job.error),
    metrics: JSON.stringify({ latency_ms: job.durationMs }),
    logs: JSON.stringify(logs),
  };
  return `{${Object.entries(members)
    .map(([name, json]) => `"${name}":${json}`)
    .join(',')}}`;
}

/** Seed 003's words for a route: the org of flows, MCP tools and built-in tools is not part of an intent. */
const intentOf = (route: string | null) => route?.replace(/^(?:FLOW|MCP|OS)\./, '') ?? null;

const isSuccess = (status: number) => status >= 200 && status < 300;

function unfit(message: string): WireError {
  return refuse('input_invalid', message, {
    hint: 'Write it like https://host/path.',
    issues: [{ path: 'callbackUrl', message }],
  });
}
