/**
 * Runs a route that takes its model from the cortex: with the models that its lease holds, or with the one that its grant is for. A call that comes as
 * bytes is passed on as bytes; any other is said in the words of chat completions (chat.ts), or of embeddings.
 */
import type { Exchange } from '../../../shared/contract.ts';
import type { Provider } from '../../../shared/cortex.ts';
import { refuse, toWire, type WireError } from '../../../shared/errors.ts';
import type { Attempt, Route } from '../../../shared/model.ts';
import { type Breakers, breakerOpen, endpointKey } from '../breaker.ts';
import type { Bound } from '../cortex/bound.ts';
import type { Cortex } from '../cortex/cortex.ts';
import { type Egress, EgressRefusal } from '../egress.ts';
import { retryAfterMs } from '../retry-after.ts';
import { beginAttempt } from './attempt.ts';
import { credentials } from './credentials.ts';
import { createHttpRunner, verdict } from './http.ts';
import { translated } from './ollama.ts';
import { createPassage, type Reader } from './passage.ts';
import { parseJson, wordsOf } from './protocol.ts';
import type { Outcome, Run, Runner } from './runner.ts';

export interface ModelRunnerOptions extends Pick<Cortex, 'granted' | 'under' | 'calling'> {
  egress: Egress;
  breakers: Breakers;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** The secret in an environment variable, null when it is not set. */
  secret(name: string): string | null;
}

const deadlineGraceMs = 50;
/** What may be said to a provider besides what is ours to say. Nothing else of a caller's headers leaves. */
const spoken: ReadonlySet<string> = new Set(['accept', 'openai-beta']);

/** How a request is put to a provider, and who reads its answer. */
export interface Put {
  url: string;
  body: Buffer | null;
  reader: Reader;
}

/**
 * Codes: no_capability (nothing was bound), forbidden and unauthenticated (its grant is not for this model, or ended), breaker_open, registry_invalid
 * (secret not set), and those of Egress.request. The result of an exchange is what is known of it, never its words.
 */
export function createModelRunner(options: ModelRunnerOptions): Runner {
  const { egress, breakers, clock, secret, granted, under, calling } = options;
  const http = createHttpRunner({ egress, breakers, clock, secret, resolveRoute: () => null });
  const keys = new WeakMap<Provider, string>();

  /** Reading a URL takes as long as asking the breaker. */
  function keyOf(provider: Provider): string {
    let key = keys.get(provider);
    if (key === undefined) {
      key = endpointKey(provider.endpoint);
      keys.set(provider, key);
    }
    return key;
  }

  function choose(run: Run): Bound | WireError {
    const { exchange, grant } = run.runtime;
    if (grant !== null) return granted(grant, exchange === null ? nameIn(run.params.model) : askedModel(exchange));
    const wanted = exchange?.path.startsWith('/embed') ? 'embedding' : 'text-generation';
    const bound = run.models.find(({ capabilities }) => capabilities.includes(wanted)) ?? run.models[0];
    return bound ?? refuse('no_capability', `${run.route.name} was started without a model.`);
  }

  async function pass(run: Run, exchange: Exchange, bound: Bound): Promise<Outcome> {
    const { provider, tier } = bound;
    const put = putting(exchange, { ...bound, clock });
    if ('code' in put) return { ok: false, error: put };
    const { url, body, reader } = put;
    const shown = credentials(provider.name, { auth: provider.auth, secret });
    if (!Array.isArray(shown)) return { ok: false, error: shown };
    const blocked = egress.check(url, provider.egress);
    if (blocked !== null) return { ok: false, error: blocked };
    const key = keyOf(provider);
    // Nothing between here and its done() may throw: a permit that is not handed back keeps a half-open breaker shut.
    const permit = breakers.permit(key);
    if (!permit.ok) return { ok: false, error: breakerOpen(breakers.state(key), permit.retryAfterMs) };
    const startedAt = clock();
    const attempt = beginAttempt(run, { endpoint: provider.endpoint, at: startedAt });
    const headers = [
      ...spokenHeaders(exchange),
      ...(body === null ? [] : ['content-type', 'application/json']),
      ...['accept-encoding', 'identity', 'traceparent', run.traceparent, 'idempotency-key', attempt.id, 'user-agent', 'dispatcher'],
      ...shown,
    ];
    let said: Record<string, string> = {};
    let status: number;
    try {
      ({ status } = await egress.request({
        url,
        method: exchange.method,
        headers,
        body,
        egress: provider.egress,
        cutoff: run.cutoff,
        // The run is cut off first, and that knows the words for it; this is the net below.
        timeoutMs: run.deadlineAt - startedAt + deadlineGraceMs,
        maxBytes: run.route.maxResponseBytes,
        onHead(code, told) {
          said = told;
          reader.head(code, told);
        },
        onBytes: reader.bytes,
      }));
    } catch (caught) {
      const error = run.cutoff.reason ?? toWire(caught);
      end(attempt, { at: clock(), error, status: error.status ?? null });
      const now = clock();
      permit.done(verdict(error, (run.cutoff.reason !== null || now >= run.deadlineAt) && now - startedAt < run.route.timeoutMs / 2));
      if (!(caught instanceof EgressRefusal) || caught.sent) leave(run, bound, put);
      reader.fail(error);
      if (error.code === 'internal') throw caught;
      return { ok: false, error };
    }
    permit.done(status < 500);
    leave(run, bound, put);
    reader.end();
    const { bytes, usage, finishReason, withheld } = reader.facts();
    const error = status < 300 ? null : failure(bound, { status, withheld, retryAfter: said['retry-after'], now: clock() });
    end(attempt, { at: clock(), error, status });
    if (error !== null) return { ok: false, error };
    return { ok: true, result: { status, model: tier.model, provider: provider.name, tier: tier.name, bytes, usage, finishReason } };
  }

  return async (run) => {
    const bound = choose(run);
    if ('code' in bound) return { ok: false, error: bound };
    const { exchange, grant } = run.runtime;
    const release = grant === null ? null : under(grant, (reason) => run.cutoff.cut(reason));
    const over = calling(bound.provider.name);
    try {
      if (run.cutoff.reason !== null) return { ok: false, error: run.cutoff.reason };
      return exchange === null ? await http(spoke(run, bound)) : await pass(run, exchange, bound);
    } finally {
      over();
      release?.();
    }
  };
}

// --- what is sent --------------------------------------------------------------------------------------------------------

function putting(exchange: Exchange, { provider, tier, clock }: Bound & Pick<ModelRunnerOptions, 'clock'>): Put | WireError {
  const base = baseOf(provider.endpoint);
  if (exchange.dialect === 'ollama' && provider.controller.kind !== 'ollama')
    return translated(exchange, { base, model: tier.model, clock });
  const body = exchange.method === 'GET' ? null : withModel(exchange, tier.model);
  return { url: `${base}${exchange.dialect === 'ollama' ? '/api' : '/v1'}${exchange.path}`, body, reader: createPassage(exchange) };
}

/** The body as it came, but for the name of the model where that is another one. */
function withModel({ body, model }: Exchange, name: string): Buffer {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (model === null) return bytes;
  const value = Buffer.from(JSON.stringify(name));
  if (bytes.subarray(model.start, model.end).equals(value)) return bytes;
  return Buffer.concat([bytes.subarray(0, model.start), value, bytes.subarray(model.end)]);
}

function askedModel({ body, model }: Exchange): string | null {
  if (model === null) return null;
  return nameIn(parseJson(Buffer.from(body.buffer, body.byteOffset + model.start, model.end - model.start).toString()));
}

const baseOf = (endpoint: string) => endpoint.replace(/\/+$/, '').replace(/\/v1$/, '');

const nameIn = (value: unknown): string | null => (typeof value === 'string' ? value : null);

function spokenHeaders({ headers }: Exchange): string[] {
  const found: string[] = [];
  for (const name in headers) if (spoken.has(name) && /^[ -~]{1,200}$/.test(headers[name]!)) found.push(name, headers[name]!);
  return found;
}

/** It makes vectors of what is said, and cannot answer it. */
const embeds = ({ provider, capabilities }: Bound): boolean =>
  capabilities.join() === 'embedding' ||
  (provider.capabilities.includes('embedding') && !provider.capabilities.includes('text-generation'));

/** The run as the runner of chat routes takes it: the route has the endpoint, model and secret of what was bound. */
function spoke(run: Run, bound: Bound): Run {
  const { provider, tier } = bound;
  const base = baseOf(provider.endpoint);
  const own = { auth: provider.auth, egress: provider.egress, model: tier.model, provider: provider.name, fallback: null };
  const embedding = embeds(bound);
  const route: Route = embedding
    ? { ...run.route, ...own, kind: 'http', method: 'POST', endpoint: `${base}/v1/embeddings` }
    : { ...run.route, ...own, kind: 'model', endpoint: `${base}/v1/chat/completions` };
  const input = run.params.input ?? run.params.query ?? run.text ?? '';
  return {
    route,
    text: embedding ? null : run.text,
    params: embedding ? { ...run.params, input, model: tier.model } : run.params,
    get signal() {
      return run.signal;
    },
    cutoff: run.cutoff,
    deadlineAt: run.deadlineAt,
    traceparent: run.traceparent,
    principal: run.principal,
    door: run.door,
    runtime: run.runtime,
    job: run.job,
    start: run.start,
    models: run.models,
    attempts: run.attempts,
    left: run.left,
    newAttemptId: () => run.newAttemptId(),
    progress: (progress, note) => run.progress(progress, note),
    chunk: (text) => run.chunk(text),
  };
}

// --- what came of it -----------------------------------------------------------------------------------------------------

function end(attempt: Attempt, { at, error, status }: { at: number; error: WireError | null; status: number | null }): void {
  attempt.durationMs = at - attempt.startedAt;
  attempt.status = status;
  attempt.error = error?.code ?? null;
}

function leave(run: Run, { provider }: Bound, { url, body }: Put): void {
  if (provider.egress === 'local') return;
  const { host, pathname, search } = new URL(url);
  run.left.push({ bytes: (body?.length ?? 0) + pathname.length + search.length, egress: provider.egress, host });
}

function failure(
  { provider, tier }: Bound,
  { status, withheld, retryAfter, now }: { status: number; withheld: string | null; retryAfter: string | undefined; now: number },
): WireError {
  const words = withheld === null ? '' : wordsOf(parseJson(withheld));
  const asked = status === 429 || status === 503 ? retryAfterMs(retryAfter, now) : null;
  return refuse('upstream_failed', `${provider.name} answered ${status} for ${tier.model}${words === '' ? '.' : `: ${words}`}`, {
    status,
    hint: status === 401 || status === 403 ? `Look at the auth of the provider ${provider.name} in the registry.` : null,
    ...(asked !== null && { retryAfterMs: asked }),
  });
}
