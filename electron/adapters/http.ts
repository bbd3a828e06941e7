/** The HTTP door on loopback: every operation at its path, /dispatch, webhooks, the built renderer, and /ws beside it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { Ask, type Call, type Operation, operations } from '../../shared/contract.ts';
import { Refusal, refuse, toProblem, toWire, type WireError } from '../../shared/errors.ts';
import type { Crossing, Door, Principal } from '../../shared/model.ts';
import { type Core, reportBug, textOf } from '../core/core.ts';
import { commonHeaders, fail, json, page, problemHeaders, rawAnswer, serviceHeaders, wantsPage, write } from './answer.ts';
import { type Asset, loadAssets } from './assets.ts';
import { mountIngest, type TurnAway } from './ingest.ts';
import { invalidInput, parseJson } from './input.ts';
import { createModelDoor } from './openai.ts';
import { DispatchBody, openApi, schemaOf } from './openapi.ts';
import { createGate, type Gate, unauthenticated } from './session.ts';
import { createWsDoor } from './ws.ts';

export interface HttpDoor extends AsyncDisposable {
  url: string;
  port: number;
  /** A URL that opens the command center in a browser as the owner: once, within five minutes. */
  openUrl(): string;
}

export interface HttpDoorOptions {
  /** 0 for any free one. */
  port: number;
  /** 127.0.0.1 (the default) or ::1; nothing else is bound. */
  host?: string;
  /** The built renderer; dist/renderer of this checkout if not given. */
  rendererFolder?: string;
  /** Time for a request to arrive whole, headers and body, in ms; 10 s if not given. */
  requestMs?: number;
  /** Time for the first message of a WebSocket to be the token, and between two signs of life, in ms; 5 s and 15 s if not given. */
  authMs?: number;
  beatMs?: number;
}

const maxBodyBytes = 1_048_576;
const maxRegistryBytes = 16 * 1_048_576;
const maxHeaderBytes = 16_384;

/**
 * Opens the door. Throws `Refusal` port_taken when the port cannot be bound, usage when `host` is not loopback.
 * Disposing it ends connections within two seconds; calls that were accepted go on in the core.
 */
export async function createHttpDoor(core: Core, options: HttpDoorOptions): Promise<HttpDoor> {
  const { port, host = '127.0.0.1', requestMs = 10_000, authMs, beatMs } = options;
  if (host !== '127.0.0.1' && host !== '::1')
    throw new Refusal(refuse('usage', `Only loopback addresses are bound, not ${host}.`, { hint: 'Leave the host out.' }));
  const assets = loadAssets(options.rendererFolder ?? fileURLToPath(new URL('../../dist/renderer', import.meta.url)));
  let gate: Gate;
  let url = '';
  let bound = 0;
  let closeSockets = () => {};
  let closing = false;

  const app = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    exposeHeadRoutes: false,
    return503OnClosing: false,
    requestTimeout: requestMs,
    routerOptions: { maxParamLength: 500 },
    // Zod checks what comes in. Without these Fastify loads ajv and a serializer nobody uses, half of its start.
    schemaController: { compilersFactory: { buildValidator: unused, buildSerializer: unused } },
    http: {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: requestMs,
      connectionsCheckingInterval: requestMs / 10,
      // Node's own answers to these have no body and no headers of ours; the gate and this door answer in their place.
      requireHostHeader: false,
      shouldUpgradeCallback: (request: IncomingMessage) => request.headers.upgrade?.toLowerCase() === 'websocket',
    },
    frameworkErrors: (_error, request, reply) => {
      const admission = gate.admit(request.raw);
      turnAway(
        request.raw,
        reply.raw,
        admission.ok ? refuse('input_invalid', 'This URL cannot be read.', { hint: 'Check its escapes and length.' }) : admission.error,
      );
    },
    clientErrorHandler: (error, socket) => {
      if (socket.writable) {
        const wire = protocolError(error, requestMs);
        core.reject({ door: 'http', error: wire, detail: { protocol: error.code } });
        socket.write(rawAnswer(wire));
      }
      // Not to be read any further: what follows a broken request may be a second one in disguise.
      socket.destroySoon();
    },
  });

  const turnAway = (request: IncomingMessage, response: ServerResponse, error: WireError) => {
    core.reject({ door: 'http', error, detail: recordOf(request) });
    fail(response, error);
  };

  app.decorateRequest('principal', null);
  app.decorateRequest('secret', '');
  app.addHook('onRequest', (request, reply, done) => {
    const admission = gate.admit(request.raw);
    if (!admission.ok && admission.error.code !== 'unauthenticated') return turnAway(request.raw, reply.raw, admission.error);
    if (closing) return fail(reply.raw, shuttingDown());
    if (admission.ok && admission.credential) {
      request.principal = admission.credential.principal;
      request.secret = admission.credential.secret;
    } else if ((request.routeOptions.config as { open?: boolean }).open !== true) {
      if (request.method === 'GET' && wantsPage(request.raw)) return signInPage(reply.raw);
      return turnAway(request.raw, reply.raw, admission.ok ? unauthenticated('No token was sent.') : admission.error);
    }
    done();
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(/^application\/(json|[\w.-]+\+json)(;|$)/i, { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : parseJson(text as string));
    } catch (error) {
      done(error as Error, undefined);
    }
  });
  app.setErrorHandler((error, request, reply) => {
    turnAway(request.raw, reply.raw, frameworkError(error as { code?: string; statusCode?: number }) ?? foreseen(error));
  });

  // --- routes ------------------------------------------------------------------------------------------------------------

  const table: { method: string; pattern: RegExp }[] = [];
  app.addHook('onRoute', ({ method, url: path }) => {
    const pattern = new RegExp(`^${path.replace(/:\w+/g, '[^/]+')}$`);
    for (const one of [method].flat()) table.push({ method: one, pattern });
  });
  app.setNotFoundHandler((request, reply) => {
    const [path = ''] = request.url.split('?');
    const allowed = table.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (allowed.length === 0)
      return fail(reply.raw, refuse('not_found', 'There is nothing at this path.', { hint: 'GET /openapi.json lists every path.' }));
    const error = refuse('method_refused', `${request.method} is not offered here.`, { hint: `Use ${allowed.join(' or ')}.` });
    fail(reply.raw, error, ['Allow', allowed.join(', ')]);
  });

  app.get('/health', { config: { open: true } }, (_request, reply) => json(reply.raw, '{"ok":true}'));
  for (const operation of Object.values(operations) as Operation[]) mountOperation(app, core, operation);
  mountDispatch(app, core, turnAway);
  mountIngest(app, core, turnAway);

  let description: string | null = null;
  app.get('/openapi.json', async (request, reply) => {
    const { result } = await core.dispatch({ route: 'OS.status', door: 'http', principal: request.principal as Principal });
    const version = (result as { self?: { version?: string } } | null)?.self?.version ?? '0';
    description ??= JSON.stringify(openApi(version, url));
    json(reply.raw, description);
    return reply.hijack();
  });
  app.post('/session', (request, reply) => json(reply.raw, JSON.stringify({ url: `${url}/session/${gate.issueCode(request.secret)}` })));
  app.get<{ Params: { code: string } }>('/session/:code', { config: { open: true } }, (request, reply) => {
    const cookie = gate.redeem(request.params.code);
    if (cookie !== null)
      return write(reply.raw, { status: 303, headers: ['Set-Cookie', cookie, 'Location', '/', 'Cache-Control', 'no-store'], body: '' });
    if (wantsPage(request.raw)) return signInPage(reply.raw);
    turnAway(request.raw, reply.raw, unauthenticated('This code was used already or is too old.'));
  });
  mountAssets(app, assets, () => bound);

  // --- listening -----------------------------------------------------------------------------------------------------------

  const { server } = app;
  const models = createModelDoor(core, {
    admit: (request) => (closing ? { ok: false, error: shuttingDown() } : gate.admit(request, core.cortex)),
    recordOf,
  });
  const [framework] = server.listeners('request') as ((request: IncomingMessage, response: ServerResponse) => void)[];
  server.removeAllListeners('request').on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (!models.take(request, response)) framework!(request, response);
  });
  server.maxHeadersCount = 0; // bounded by their bytes; beyond a count Node would drop headers in silence
  server.maxConnections = 4096;
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // Only a body we would read is asked for.
    if (Number(request.headers['content-length'] ?? 0) <= maxRegistryBytes && gateOpens(request)) response.writeContinue();
    server.emit('request', request, response);
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    turnAway(request, response, refuse('input_invalid', 'This Expect header cannot be met.', { hint: 'Leave it out.' })),
  );
  const gateOpens = (request: IncomingMessage) => {
    const admission = gate.admit(request, core.cortex);
    return admission.ok && admission.credential !== null;
  };
  // Before the first connection is taken, not when `listen` comes back.
  server.on('listening', () => {
    bound = (server.address() as AddressInfo).port;
    url = host === '::1' ? `http://[::1]:${bound}` : `http://127.0.0.1:${bound}`;
    gate = createGate(core, bound, Date.now);
    const ws = createWsDoor({ core, gate, authMs, beatMs });
    closeSockets = () => ws.close();
    server.on('upgrade', (request, socket, head) => {
      socket.on('error', () => socket.destroy());
      ws.upgrade(request, socket, head, (error) => {
        core.reject({ door: 'ws', error, detail: recordOf(request) });
        socket.end(rawAnswer(error));
      });
    });
  });

  try {
    await app.listen({ port, host });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    const why = code === 'EACCES' ? 'may not be bound by this user' : 'is used by another program';
    throw new Refusal(
      refuse('port_taken', `Port ${port} ${why}.`, { hint: 'Stop that program or choose another port with --port; 0 takes any.' }),
    );
  }
  core.setUrl(url);

  return {
    url,
    port: bound,
    openUrl: () => `${url}/session/${gate.issueCode(core.owner.secret)}`,
    async [Symbol.asyncDispose]() {
      closing = true;
      closeSockets();
      const patience = setTimeout(() => server.closeAllConnections(), 1500);
      await app.close();
      clearTimeout(patience);
    },
  };
}

const shuttingDown = () => refuse('shutting_down', 'Dispatcher is shutting down.', { hint: 'Start it again.' });

function unused(): never {
  throw new Error('No route has a schema of Fastify.');
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null on the routes that need no token. */
    principal: Principal | null;
    secret: string;
  }
}

// --- operations and dispatch ------------------------------------------------------------------------------------------------

function mountOperation(app: FastifyInstance, core: Core, operation: Operation): void {
  const [method, path] = operation.http.split(' ') as ['GET' | 'POST' | 'PUT' | 'DELETE', string];
  const takesQuery = method === 'GET' || method === 'DELETE';
  // Made when it is first asked for: a start that makes all of them is 10 ms longer.
  let fields: Record<string, Record<string, unknown>> | null = null;
  app.route({
    method,
    url: path.replace(/\{(\w+)\}/g, ':$1'),
    ...(operation.name.startsWith('OS.registry.') && { bodyLimit: maxRegistryBytes }),
    handler: (request, reply) => {
      const { raw } = reply;
      const query = { ...(request.query as Record<string, unknown>) };
      const confirm = takeConfirm(query);
      if (takesQuery) fields ??= schemaOf(operation.input).properties ?? {};
      const given = fields ? coerce(query, fields) : asParams(request.body);
      const key = operation.keyed === undefined ? undefined : keyOf(request);
      const params = { ...(key !== undefined && { [operation.keyed!]: key }), ...given, ...(request.params as object) };
      const gone = operation.lapses ? new AbortController() : null;
      if (gone !== null)
        raw.once('close', () => {
          if (!raw.writableFinished) gone.abort();
        });
      core
        .dispatch({ route: operation.name, params, confirm, ...context(request, 'http', path) }, gone?.signal)
        .then(({ error, result }) =>
          error ? fail(raw, error) : json(raw, JSON.stringify(result ?? null), operation.goesOn?.(result as never) ? 202 : 200),
        )
        .catch((caught) => fail(raw, foreseen(caught)));
    },
  });
}

function mountDispatch(app: FastifyInstance, core: Core, turnAway: TurnAway): void {
  const run = (request: FastifyRequest, reply: FastifyReply, call: Call) => {
    const { raw } = reply;
    core
      .dispatch(call)
      .then((crossing) => answerCrossing(raw, crossing, request.headers.accept))
      .catch((caught) => fail(raw, foreseen(caught)));
  };

  app.post('/dispatch', (request, reply) => {
    const parsed = DispatchBody.safeParse(request.body ?? {});
    if (!parsed.success) return turnAway(request.raw, reply.raw, invalidInput(parsed.error, 'The body'));
    const { query, ...ask } = parsed.data;
    run(request, reply, { key: keyOf(request), ...ask, text: query, ...context(request, 'http', '/dispatch') });
  });
  app.post<{ Params: { org: string; service: string } }>('/dispatch/:org/:service', (request, reply) => {
    const { org, service } = request.params;
    const confirm = takeConfirm({ ...(request.query as Record<string, unknown>) });
    run(request, reply, {
      route: `${org}.${service}`,
      params: asParams(request.body),
      confirm,
      key: keyOf(request),
      ...context(request, 'http', '/dispatch/{org}/{service}'),
    });
  });
  app.post<{ Params: { event: string } }>('/hooks/:event', (request, reply) =>
    run(request, reply, {
      text: `webhook:${request.params.event}`,
      params: asParams(request.body),
      key: keyOf(request),
      ...context(request, 'webhook', '/hooks/{event}'),
    }),
  );
}

/** The Idempotency-Key header, a string of Structured Fields (RFC 8941) as the IETF draft has it or the bare key as most send it. */
function keyOf({ headers }: FastifyRequest): string | undefined {
  const given = headers['idempotency-key'] as string | undefined;
  if (given === undefined) return undefined;
  const key = Ask.shape.key.safeParse(/^"(.*)"$/.exec(given)?.[1] ?? given);
  if (key.success) return key.data;
  const issues = [{ path: 'Idempotency-Key', message: '1 to 255 visible ASCII characters' }];
  throw new Refusal(refuse('input_invalid', 'The Idempotency-Key header is no key.', { hint: 'Send a UUID, for example.', issues }));
}

/** What every call takes from its request besides what it asks. The credential stays here. */
function context(request: FastifyRequest, door: Door, path: string): Omit<Call, keyof Ask> & Pick<Ask, 'traceparent'> {
  const { authorization: _a, cookie: _c, ...headers } = request.headers as Record<string, string>;
  return { door, principal: request.principal as Principal, traceparent: headers.traceparent, path, query: words(request.query), headers };
}

/** A query string as words; of a name that is there twice the last. */
function words(query: unknown): Record<string, string> {
  const given = query as Record<string, string | string[]>;
  for (const name in given) if (typeof given[name] !== 'string') given[name] = given[name]?.at(-1) ?? '';
  return given as Record<string, string>;
}

/** A body as params; what is not an object goes in as `body`. */
function asParams(body: unknown): Record<string, unknown> {
  if (body === undefined || body === null) return {};
  return typeof body === 'object' && !Array.isArray(body) ? (body as Record<string, unknown>) : { body };
}

function takeConfirm(query: Record<string, unknown>): boolean {
  const { confirm } = query;
  delete query.confirm;
  return confirm === 'true' || confirm === '1' || confirm === '';
}

/** Query values as the kinds the operation's schema has; what does not read as one stays text, for the schema to refuse. */
function coerce(query: Record<string, unknown>, fields: Record<string, Record<string, unknown>>): Record<string, unknown> {
  for (const [name, value] of Object.entries(query)) {
    if (typeof value !== 'string') continue;
    const type = fields[name]?.type;
    if (type === 'boolean')
      query[name] =
        value === 'true' || value === '1' || value === '' ? true : value === 'false' || value === '0' ? false : unreadable(name, value);
    else if ((type === 'number' || type === 'integer') && value.trim() !== '' && Number.isFinite(Number(value)))
      query[name] = Number(value);
  }
  return query;
}

function unreadable(name: string, value: string): never {
  const message = `expected true or false, not ${JSON.stringify(value.slice(0, 40))}`;
  throw new Refusal(
    refuse('input_invalid', `${name}: ${message}.`, { hint: `Write ${name}=true or ${name}=false.`, issues: [{ path: name, message }] }),
  );
}

/** The crossing as the caller may have it: its page or bytes when the route gave some, unless the caller asked for JSON. */
function answerCrossing(response: ServerResponse, crossing: Crossing, accept: string | undefined): void {
  const { error, directives } = crossing;
  if (error) {
    const { type, title, status, detail } = toProblem(error);
    write(response, { status, headers: problemHeaders(error), body: JSON.stringify({ type, title, status, detail, ...crossing }) });
    return;
  }
  if (directives && (directives.html !== undefined || directives.raw) && accept?.includes('application/json') !== true) {
    const type = directives.raw ? directives.raw.contentType : 'text/html; charset=utf-8';
    const headers = [
      'Content-Type',
      /^[\w.+/-]+(; ?[\w-]+=[\w."-]+)*$/.test(type) ? type : 'application/octet-stream',
      'Dispatcher-Crossing',
      crossing.id,
    ];
    const body = directives.raw ? Buffer.from(directives.raw.base64, 'base64') : (directives.html ?? '');
    // A service's page is not ours: sandboxed, it runs nothing and has no origin.
    write(response, { status: 200, headers, body, policy: serviceHeaders });
    return;
  }
  json(response, textOf(crossing));
}

// --- the renderer ------------------------------------------------------------------------------------------------------------

function mountAssets(app: FastifyInstance, assets: Map<string, Asset>, port: () => number): void {
  if (!assets.has('/'))
    app.get('/', (_request, reply) =>
      page(reply.raw, {
        status: 200,
        title: 'The command center is not built yet',
        html: 'Run <code>npm start</code> or <code>npm run build</code> in the checkout once, then start again.',
      }),
    );
  for (const [path, { type, body, immutable }] of assets) {
    app.get(path, (_request, reply) => {
      const origins = `ws://127.0.0.1:${port()} ws://localhost:${port()}`;
      const policy = `default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ${origins}; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;
      const headers = ['Content-Type', type, 'Cache-Control', immutable ? 'private, max-age=31536000, immutable' : 'no-store'];
      write(reply.raw, { status: 200, headers, body, policy: ['Content-Security-Policy', policy, ...commonHeaders] });
    });
  }
}

function signInPage(response: ServerResponse): void {
  const html =
    'Run <code>npm start</code>; it opens this page with a code that works once. If you have just done so, <a href="/">go on</a>.';
  page(response, { status: 401, title: 'This browser is not signed in', html });
}

// --- what went wrong before us -------------------------------------------------------------------------------------------------

/** What was caught, for the caller; a bug is written down with its stack. */
function foreseen(caught: unknown): WireError {
  if (!(caught instanceof Refusal)) reportBug(caught);
  return toWire(caught);
}

function frameworkError({ code, statusCode }: { code?: string; statusCode?: number }): WireError | null {
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return refuse('input_too_large', 'The body is too large.', { hint: 'Send at most 1 MiB (16 MiB for the registry).' });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return refuse('media_refused', 'Only JSON is read here.', { hint: 'Send Content-Type: application/json.' });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return refuse('input_invalid', 'The request cannot be read.', { hint: 'Check its length and encoding.' });
  return null;
}

function protocolError({ code }: { code?: string }, requestMs: number): WireError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return refuse('input_too_large', 'The headers are too large.', { hint: 'Send at most 16 KiB of headers.' });
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return refuse('input_invalid', `The request was not there whole within ${requestMs / 1000} seconds.`, { hint: 'Send it faster.' });
  return refuse('input_invalid', 'This is not HTTP/1.1 as RFC 9112 has it.', { hint: 'Use an HTTP client.' });
}

/** What of a refused request goes on record: no query, no credential, no one-time code. */
function recordOf({ method, url = '', headers, socket }: IncomingMessage): Record<string, unknown> {
  const cut = (text: string | undefined) => text?.slice(0, 200) ?? null;
  return {
    method,
    path: cut(url.split('?')[0]?.replace(/^\/session\/.*/, '/session/{code}')),
    host: cut(headers.host),
    origin: cut(headers.origin),
    from: socket.remoteAddress ?? null,
  };
}
