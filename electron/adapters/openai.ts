/**
 * The model door: OpenAI's API below /v1 and the part of Ollama's that its clients need below /api, for any client of theirs, unchanged. The key
 * is a token that may dispatch, or that of a grant. What is asked goes on as the bytes it is, and so does the answer.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Call, Exchange, NeedAsk } from '../../shared/contract.ts';
import type { Grant } from '../../shared/cortex.ts';
import { Refusal, refuse, toWire, type WireError } from '../../shared/errors.ts';
import type { Principal } from '../../shared/model.ts';
import { type Core, reportBug } from '../core/core.ts';
import { json } from './answer.ts';
import { Answering, type Dialect, failAs } from './model-answer.ts';
import { type Asked, readAsked } from './model-body.ts';
import { createModelNames, ollamaModel, ollamaResident, ollamaShown, openAiModels } from './model-names.ts';

/** Images are sent in the body. */
const BODY_MOST = 16 * 1_048_576;

const openAiPaths = ['/chat/completions', '/completions', '/embeddings', '/responses'];
const ollamaPaths = ['/chat', '/generate', '/embed', '/embeddings'];

/**
 * Below a grant, `max_tokens` and its like may not ask for more than the grant's settings say: 400. Nothing is written into a request that
 * says nothing of them, and nothing of it is changed but the value of `model`.
 */
export function mountModels(app: FastifyInstance, core: Core): void {
  const names = createModelNames(() => core.cortex.state());

  function turnAway(request: FastifyRequest, reply: FastifyReply, { dialect, error }: { dialect: Dialect; error: WireError }): void {
    const [path = ''] = request.url.split('?');
    core.reject({ door: 'openai', error, detail: { method: request.method, path: path.slice(0, 200) } });
    failAs(dialect, reply.raw, error);
  }

  // --- calls -----------------------------------------------------------------------------------------------------------------

  /** What a request asks for, and what it needs of the cortex: null under a grant, which has its models. */
  function judge({ body, grant }: FastifyRequest, path: string): { asked: Asked; need: NeedAsk | null } | WireError {
    if (body === undefined) return refuse('input_invalid', 'There is no body.', { hint: 'Send one JSON object.' });
    const asked = readAsked(body as Buffer);
    if ('code' in asked) return asked;
    if (grant !== null) return overLimit(asked, grant) ?? { asked, need: null };
    const need = names.need(asked.model, path);
    return 'code' in need ? need : { asked, need };
  }

  function call(request: FastifyRequest, reply: FastifyReply, { dialect, path }: { dialect: Dialect; path: string }): void {
    const judged = judge(request, path);
    if ('code' in judged) {
      turnAway(request, reply, { dialect, error: judged });
      return;
    }
    const { asked, need } = judged;
    const { grant } = request;
    const body = request.body as Buffer;
    const stream = asked.stream ?? (dialect === 'ollama' && !path.startsWith('/embed'));
    const { accept, traceparent } = request.headers as Record<string, string | undefined>;
    const headers: Record<string, string> = {};
    if (accept !== undefined) headers.accept = accept;
    const beta = request.headers['openai-beta'];
    if (typeof beta === 'string') headers['openai-beta'] = beta;
    const exchange = new Answering(reply.raw, { dialect, path, method: 'POST', headers, body, model: asked.at, stream });
    send(reply, {
      route: 'OS.model',
      door: 'openai',
      principal: request.principal as Principal,
      params: { path: `${dialect === 'openai' ? '/v1' : '/api'}${path}`, model: asked.model, stream, bytes: body.length },
      exchange,
      ...(traceparent !== undefined && { traceparent }),
      ...(grant !== null && { grant: grant.id }),
      ...(need !== null && { need }),
    });
  }

  function send(reply: FastifyReply, made: Call & { exchange: Exchange }): void {
    const { raw } = reply;
    const gone = new AbortController();
    raw.once('close', () => {
      if (!raw.writableFinished) gone.abort();
    });
    core
      .dispatch(made, gone.signal)
      .then(({ error, result }) => {
        // What has begun was ended by whoever wrote it.
        if (raw.headersSent) raw.end();
        else if (error !== null) failAs(made.exchange.dialect, raw, error);
        else json(raw, JSON.stringify(result ?? null));
      })
      .catch((caught: unknown) => {
        if (!(caught instanceof Refusal)) reportBug(caught);
        if (raw.headersSent) raw.destroy();
        else failAs(made.exchange.dialect, raw, toWire(caught));
      });
  }

  // --- lists -----------------------------------------------------------------------------------------------------------------

  /** The models that may be named by whoever asks; null: turned away. */
  function nameable(request: FastifyRequest, reply: FastifyReply, dialect: Dialect): Grant['models'] | ReturnType<typeof names.all> | null {
    const { grant, principal } = request;
    if (grant !== null) return grant.models;
    if (principal?.capabilities.includes('dispatch')) return names.all();
    const hint = 'Use a token with the capability dispatch, or the key of a grant.';
    const error = refuse('forbidden', `${principal?.name ?? 'Nobody'} may not use models.`, { hint, needed: ['dispatch'] });
    turnAway(request, reply, { dialect, error });
    return null;
  }

  const unknown = (id: string) =>
    refuse('not_found', `There is no model ${JSON.stringify(id.slice(0, 200))}.`, { hint: 'GET /v1/models lists them all.' });

  function mount(scope: FastifyInstance): void {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(/^application\/json(;|$)/i, { parseAs: 'buffer', bodyLimit: BODY_MOST }, (_request, body, parsed) =>
      parsed(null, body),
    );
    scope.setErrorHandler((error, request, reply) => {
      const { dialect = 'openai' } = request.routeOptions.config as { dialect?: Dialect };
      turnAway(request, reply, { dialect, error: unreadable(error) });
    });
    const openai = { config: { dialect: 'openai' }, bodyLimit: BODY_MOST };
    const ollama = { config: { dialect: 'ollama' }, bodyLimit: BODY_MOST };

    for (const path of openAiPaths) scope.post(`/v1${path}`, openai, (request, reply) => call(request, reply, { dialect: 'openai', path }));
    for (const path of ollamaPaths)
      scope.post(`/api${path}`, ollama, (request, reply) => call(request, reply, { dialect: 'ollama', path }));
    scope.get('/v1/models', openai, (request, reply) => {
      const models = nameable(request, reply, 'openai');
      if (models !== null) json(reply.raw, JSON.stringify({ object: 'list', data: openAiModels(models) }));
    });
    scope.get<{ Params: { id: string } }>('/v1/models/:id', openai, (request, reply) => {
      const models = nameable(request, reply, 'openai');
      if (models === null) return;
      const { id } = request.params;
      const found = openAiModels(models).find((model) => model.id === id);
      if (found === undefined) turnAway(request, reply, { dialect: 'openai', error: unknown(id) });
      else json(reply.raw, JSON.stringify(found));
    });
    scope.get('/api/tags', ollama, (request, reply) => {
      const models = nameable(request, reply, 'ollama');
      if (models !== null) json(reply.raw, JSON.stringify({ models: models.map(ollamaModel) }));
    });
    scope.get('/api/ps', ollama, (request, reply) => {
      const models = nameable(request, reply, 'ollama');
      if (models === null) return;
      const resident = names.all().filter(({ phase, model }) => phase === 'warm' && models.some((one) => one.model === model));
      json(reply.raw, JSON.stringify({ models: resident.map(ollamaResident) }));
    });
    scope.get('/api/version', ollama, (_request, reply) => json(reply.raw, '{"version":"0.0.0"}'));
    scope.post('/api/show', ollama, (request, reply) => {
      const models = nameable(request, reply, 'ollama');
      if (models === null) return;
      const asked = request.body === undefined ? unknown('') : readAsked(request.body as Buffer);
      const found = 'code' in asked ? undefined : models.find(({ model }) => model === asked.model || model === `${asked.model}:latest`);
      if (found !== undefined) json(reply.raw, JSON.stringify(ollamaShown(found)));
      else turnAway(request, reply, { dialect: 'ollama', error: 'code' in asked ? asked : unknown(asked.model) });
    });
  }

  // In a scope of its own, because it reads bodies as bytes.
  app.register((scope, _options, done) => {
    mount(scope);
    done();
  });
}

function overLimit({ maxTokens }: Asked, { id, settings }: Grant): WireError | null {
  if (maxTokens === null || maxTokens <= settings.max_tokens) return null;
  return refuse('input_invalid', `${maxTokens} tokens are more than the ${settings.max_tokens} that the grant ${id} allows.`, {
    hint: `Ask for at most ${settings.max_tokens}.`,
    issues: [{ path: 'max_tokens', message: `at most ${settings.max_tokens}` }],
  });
}

function unreadable(caught: unknown): WireError {
  const { code, statusCode } = caught as { code?: string; statusCode?: number };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return refuse('input_too_large', 'The body is too large.', { hint: 'Send at most 16 MiB.' });
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return refuse('media_refused', 'Only JSON is read here.', { hint: 'Send Content-Type: application/json.' });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return refuse('input_invalid', 'The request cannot be read.', { hint: 'Check its length and encoding.' });
  if (!(caught instanceof Refusal)) reportBug(caught);
  return toWire(caught);
}
