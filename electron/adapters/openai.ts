/**
 * The model door: OpenAI's API below /v1 and the part of Ollama's that its clients need below /api, for any client of theirs, unchanged. The key
 * is a token that may dispatch, or that of a grant. What is asked goes on as the bytes it is, and so does the answer.
 *
 * It reads and writes Node's requests itself: what the framework adds to each is for requests that are read into values, and costs a tenth of them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Call, NeedAsk } from '../../shared/contract.ts';
import type { Grant } from '../../shared/cortex.ts';
import { Refusal, refuse, toWire, type WireError } from '../../shared/errors.ts';
import { type Core, reportBug } from '../core/core.ts';
import { json } from './answer.ts';
import { parseJson } from './input.ts';
import { Answering, type Dialect, failAs } from './model-answer.ts';
import { type Asked, readAsked } from './model-body.ts';
import { createModelNames, type Nameable, ollamaModel, ollamaResident, ollamaShown, openAiModels } from './model-names.ts';
import { callTool, listTools } from './model-tools.ts';
import { type Admission, type Credential, unauthenticated } from './session.ts';

export interface ModelDoor {
  /** Answers a request for one of this door's paths; false: it is for another. */
  take(request: IncomingMessage, response: ServerResponse): boolean;
}

export interface ModelDoorParts {
  /** Who asks: by a token, or by the key of a grant, which is good here and nowhere else. */
  admit(request: IncomingMessage): Admission;
  /** What of a refused request goes on record. */
  recordOf(request: IncomingMessage): Record<string, unknown>;
}

/** Images are sent in the body. */
const BODY_MOST = 16 * 1_048_576;

interface Place {
  dialect: Dialect;
  method: 'GET' | 'POST';
  /** Of a call: below `/v1` or `/api`. */
  call: string | null;
  /** Of anything else. */
  answer?(visit: Visit, body: Buffer): void;
}

interface Visit {
  request: IncomingMessage;
  response: ServerResponse;
  dialect: Dialect;
  by: Credential;
}

/**
 * Below a grant, `max_tokens` and its like may not ask for more than the grant's settings say: 400. Nothing is written into a request that
 * says nothing of them, and nothing of it is changed but the value of `model`.
 */
export function createModelDoor(core: Core, { admit, recordOf }: ModelDoorParts): ModelDoor {
  const names = createModelNames(() => core.cortex.state());
  const places = new Map<string, Place>();
  for (const path of ['/chat/completions', '/completions', '/embeddings', '/responses'])
    places.set(`/v1${path}`, { dialect: 'openai', method: 'POST', call: path });
  for (const path of ['/chat', '/generate', '/embed', '/embeddings'])
    places.set(`/api${path}`, { dialect: 'ollama', method: 'POST', call: path });
  const list = (path: string, dialect: Dialect, say: (models: readonly Nameable[]) => unknown) =>
    places.set(path, {
      dialect,
      method: 'GET',
      call: null,
      answer(visit) {
        const models = nameable(visit);
        if (models !== null) json(visit.response, JSON.stringify(say(models)));
      },
    });
  list('/v1/models', 'openai', (models) => ({ object: 'list', data: openAiModels(models) }));
  list('/api/tags', 'ollama', (models) => ({ models: models.map(ollamaModel) }));
  list('/api/ps', 'ollama', (models) => ({
    models: names
      .all()
      .filter(({ phase, model }) => phase === 'warm' && models.some((one) => one.model === model))
      .map(ollamaResident),
  }));
  list('/api/version', 'ollama', () => ({ version: '0.0.0' }));
  places.set('/api/show', { dialect: 'ollama', method: 'POST', call: null, answer: show });
  places.set('/v1/tools', { dialect: 'openai', method: 'GET', call: null, answer: tools });
  const oneTool: Place = { dialect: 'openai', method: 'POST', call: null, answer: tool };
  const oneModel: Place = { dialect: 'openai', method: 'GET', call: null, answer: retrieve };

  function turnAway({ request, response, dialect }: Omit<Visit, 'by'>, error: WireError): void {
    core.reject({ door: 'openai', error, detail: recordOf(request) });
    failAs(dialect, response, error);
  }

  // --- calls -----------------------------------------------------------------------------------------------------------------

  /** What a request asks for, and what it needs of the cortex: null under a grant, which has its models. */
  function judge(body: Buffer, { grant, path }: { grant: Grant | null; path: string }): { asked: Asked; need: NeedAsk | null } | WireError {
    const asked = readAsked(body);
    if ('code' in asked) return asked;
    if (grant !== null) return overLimit(asked, grant) ?? { asked, need: null };
    const need = names.need(asked.model, path);
    return 'code' in need ? need : { asked, need };
  }

  function call(visit: Visit, path: string, body: Buffer) {
    const { request, response, dialect, by } = visit;
    const judged = judge(body, { grant: by.grant, path });
    if ('code' in judged) return turnAway(visit, judged);
    const { asked, need } = judged;
    const stream = asked.stream ?? (dialect === 'ollama' && !path.startsWith('/embed'));
    const { accept, traceparent, 'openai-beta': beta } = request.headers;
    const headers: Record<string, string> = {};
    if (accept !== undefined) headers.accept = accept;
    if (typeof beta === 'string') headers['openai-beta'] = beta;
    const exchange = new Answering(response, { dialect, path, method: 'POST', headers, body, model: asked.at, stream });
    const made: Call = {
      exchange,
      route: by.grant === null ? 'OS.model' : 'OS.granted',
      door: 'openai',
      principal: by.principal,
      params: { path: `${dialect === 'openai' ? '/v1' : '/api'}${path}`, model: asked.model, stream, bytes: body.length },
    };
    if (typeof traceparent === 'string') made.traceparent = traceparent;
    if (by.grant !== null) made.grant = by.grant.id;
    if (need !== null) made.need = need;
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort();
    });
    core
      .dispatch(made, gone.signal)
      .then(({ error, result }) => {
        // What has begun was ended by whoever wrote it.
        if (response.headersSent) exchange.end();
        else if (error !== null) failAs(dialect, response, error);
        else json(response, JSON.stringify(result ?? null));
      })
      .catch((caught: unknown) => {
        if (!(caught instanceof Refusal)) reportBug(caught);
        if (response.headersSent) response.destroy();
        else failAs(dialect, response, toWire(caught));
      });
  }

  // --- lists -----------------------------------------------------------------------------------------------------------------

  /** The models that may be named by whoever asks; null: turned away. */
  function nameable(visit: Visit): readonly Nameable[] | null {
    const { grant, principal } = visit.by;
    if (grant !== null) return grant.models;
    if (principal.capabilities.includes('dispatch')) return names.all();
    const hint = 'Use a token with the capability dispatch, or the key of a grant.';
    turnAway(visit, refuse('forbidden', `${principal.name} may not use models.`, { hint, needed: ['dispatch'] }));
    return null;
  }

  function retrieve(visit: Visit): void {
    const models = nameable(visit);
    if (models === null) return;
    const id = decoded(pathOf(visit.request).slice('/v1/models/'.length));
    const found = openAiModels(models).find((model) => model.id === id);
    if (found === undefined) turnAway(visit, unknown(id));
    else json(visit.response, JSON.stringify(found));
  }

  function show(visit: Visit, body: Buffer) {
    const models = nameable(visit);
    if (models === null) return;
    const asked = readAsked(body);
    if ('code' in asked) return turnAway(visit, asked);
    const found = models.find(({ model }) => model === asked.model || model === `${asked.model}:latest`);
    if (found === undefined) turnAway(visit, unknown(asked.model));
    else json(visit.response, JSON.stringify(ollamaShown(found)));
  }

  // --- tools -----------------------------------------------------------------------------------------------------------------

  /** The grant whose key it is; null: turned away. */
  function granted(visit: Visit): Grant | null {
    if (visit.by.grant === null)
      turnAway(visit, refuse('forbidden', 'Tools are for the key of a grant.', { hint: 'With a token, dispatch to the route itself.' }));
    return visit.by.grant;
  }

  function tools(visit: Visit): void {
    const grant = granted(visit);
    if (grant === null) return;
    listTools(core, grant).then(
      (list) => json(visit.response, JSON.stringify(list)),
      (caught: unknown) => failed(visit, caught),
    );
  }

  /** The body is the parameters; the answer is the crossing's result. */
  function tool(visit: Visit, body: Buffer): void {
    const grant = granted(visit);
    if (grant === null) return;
    const params = readParams(body);
    if (!('params' in params)) {
      turnAway(visit, params);
      return;
    }
    const gone = new AbortController();
    visit.response.once('close', () => gone.abort());
    const name = decoded(pathOf(visit.request).slice('/v1/tools/'.length));
    callTool(core, { grant, principal: visit.by.principal, name, params: params.params, signal: gone.signal }).then(
      (crossing) => {
        if ('code' in crossing) turnAway(visit, crossing);
        else if (crossing.error !== null) failAs('openai', visit.response, crossing.error);
        else
          json(
            visit.response,
            JSON.stringify({ object: 'tool.result', route: crossing.route, result: crossing.result, job: crossing.job }),
          );
      },
      (caught: unknown) => failed(visit, caught),
    );
  }

  function failed({ response, dialect }: Visit, caught: unknown): void {
    if (!(caught instanceof Refusal)) reportBug(caught);
    failAs(dialect, response, toWire(caught));
  }

  // --- what comes in -----------------------------------------------------------------------------------------------------------

  function enter(visit: Omit<Visit, 'by'>, place: Place) {
    const admission = admit(visit.request);
    if (!admission.ok) return turnAway(visit, admission.error);
    if (admission.credential === null) return turnAway(visit, unauthenticated('No API key was sent.'));
    if (visit.request.method !== place.method) {
      const error = refuse('method_refused', `${visit.request.method} is not offered here.`, { hint: `Use ${place.method}.` });
      return turnAway(visit, error);
    }
    const admitted = { ...visit, by: admission.credential };
    if (place.method === 'GET') return place.answer!(admitted, nothing);
    readBody(visit.request, (body) => {
      if ('code' in body) turnAway(visit, body);
      else if (place.call !== null) call(admitted, place.call, body);
      else place.answer!(admitted, body);
    });
  }

  function placeOf(path: string): Place | undefined {
    if (/^\/v1\/models\/[^/]+$/.test(path)) return oneModel;
    return /^\/v1\/tools\/[^/]+$/.test(path) ? oneTool : undefined;
  }

  return {
    take(request, response) {
      const path = pathOf(request);
      const place = places.get(path) ?? placeOf(path);
      if (place === undefined) return false;
      try {
        enter({ request, response, dialect: place.dialect }, place);
      } catch (caught) {
        if (!(caught instanceof Refusal)) reportBug(caught);
        failAs(place.dialect, response, toWire(caught));
      }
      return true;
    },
  };
}

const nothing = Buffer.alloc(0);

function readParams(body: Buffer): { params: Record<string, unknown> } | WireError {
  try {
    const value: unknown = body.length === 0 ? {} : parseJson(body.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { params: value as Record<string, unknown> };
  } catch (caught) {
    if (!(caught instanceof Refusal)) throw caught;
    return caught.wire;
  }
  return refuse('input_invalid', 'The parameters are JSON but not an object.', { hint: 'Send {"name": value}.' });
}

function pathOf({ url = '' }: IncomingMessage): string {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The body whole; media_refused, or input_too_large as soon as that is known. Never calls back for one that breaks off. */
function readBody(request: IncomingMessage, done: (body: Buffer | WireError) => void) {
  const { 'content-type': type = '', 'content-length': length } = request.headers;
  if (!/^application\/json *(;|$)/i.test(type))
    return done(refuse('media_refused', 'Only JSON is read here.', { hint: 'Send Content-Type: application/json.' }));
  const tooLarge = () => refuse('input_too_large', 'The body is too large.', { hint: 'Send at most 16 MiB.' });
  if (Number(length) > BODY_MOST) return done(tooLarge());
  let first: Buffer | null = null;
  let more: Buffer[] | null = null;
  let size = 0;
  const onData = (piece: Buffer) => {
    size += piece.length;
    if (size > BODY_MOST) {
      request.off('data', onData).off('end', onEnd);
      return done(tooLarge());
    }
    if (first === null) first = piece;
    else if (more === null) more = [first, piece];
    else more.push(piece);
  };
  const onEnd = () => done(more === null ? (first ?? nothing) : Buffer.concat(more));
  request.on('data', onData).on('end', onEnd);
  // Whoever sends it went away.
  request.on('error', () => {});
}

const unknown = (id: string): WireError =>
  refuse('not_found', `There is no model ${JSON.stringify(id.slice(0, 200))}.`, { hint: 'GET /v1/models lists them all.' });

function overLimit({ maxTokens }: Asked, { id, settings }: Grant): WireError | null {
  if (maxTokens === null || maxTokens <= settings.max_tokens) return null;
  return refuse('input_invalid', `${maxTokens} tokens are more than the ${settings.max_tokens} that the grant ${id} allows.`, {
    hint: `Ask for at most ${settings.max_tokens}.`,
    issues: [{ path: 'max_tokens', message: `at most ${settings.max_tokens}` }],
  });
}
