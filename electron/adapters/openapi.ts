/** The HTTP surface as OpenAPI 3.1, generated from the same zod the calls are checked with. */
import { z } from 'zod';
import { Ask, type Operation, operations } from '../../shared/contract.ts';
import { catalogue } from '../../shared/errors.ts';

/** Body of POST /dispatch: an Ask whose text is called `query`; the trace context comes as a header. */
export const DispatchBody = Ask.omit({ text: true, traceparent: true }).extend({ query: Ask.shape.text });
export type DispatchBody = z.infer<typeof DispatchBody>;

type Json = Record<string, unknown>;

/** An OpenAPI 3.1 document for the door at `url`. */
export function openApi(version: string, url: string): Json {
  const paths: Record<string, Json> = {};
  const add = (method: string, path: string, item: Json) => {
    paths[path] ??= {};
    paths[path][method.toLowerCase()] = { ...item, responses: { ...(item.responses as Json), default: problem } };
  };

  for (const operation of Object.values(operations) as Operation[]) {
    const [method, path] = operation.http.split(' ') as [string, string];
    add(method, path, itemOf(operation, method, path));
  }
  add('POST', '/dispatch', {
    operationId: 'dispatch',
    summary: 'Route a text or call a route, and get the crossing',
    parameters: [traceparent, idempotencyKey],
    requestBody: body(schemaOf(DispatchBody)),
    responses: { 200: crossing },
  });
  add('POST', '/dispatch/{org}/{service}', {
    operationId: 'dispatchTo',
    summary: 'Call one service; the body is its params',
    parameters: [inPath('org'), inPath('service'), confirm, traceparent, idempotencyKey],
    requestBody: body({ type: 'object' }),
    responses: { 200: crossing },
  });
  add('POST', '/hooks/{event}', {
    operationId: 'hook',
    summary: 'A webhook in: classified as the text webhook:<event>, its body becomes the params',
    parameters: [inPath('event'), traceparent],
    requestBody: body({ type: 'object' }),
    responses: { 200: crossing },
  });
  add('POST', '/callbacks/ingest', {
    operationId: 'ingest',
    summary: 'A callback in: the result of a job that waits for it',
    description:
      'Signed instead of authenticated, with the secret that callbacks.ingest of the registry names: by Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature), or by x-dispatcher-timestamp (seconds since 1970) and x-dispatcher-signature: sha256=<hex HMAC-SHA256 of "<timestamp>.<body>" under the whole text of the secret>.',
    requestBody: body({
      type: 'object',
      properties: { job_id: { type: 'string' }, status: { enum: ['succeeded', 'success', 'failed'] }, result: {}, error: {} },
      required: ['job_id', 'status'],
    }),
    responses: {
      200: answer('It is taken, or was before', {
        type: 'object',
        properties: { job_id: { type: 'string' }, replayed: { type: 'boolean' } },
        required: ['job_id', 'replayed'],
      }),
    },
    security: [],
  });
  for (const [path, what] of modelCalls) {
    add('POST', path, {
      operationId: `model${path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
      summary: `${what}, as the API of ${path.startsWith('/v1') ? 'OpenAI' : 'Ollama'} has it, passed on as it is`,
      description:
        'model is a model, a provider, a tier, or what it has to be able to do (cap:text-generation+vision-analysis). The key is a token that may dispatch, or that of a grant. Failures have the shape of that API.',
      requestBody: body({ type: 'object', properties: { model: { type: 'string' }, stream: { type: 'boolean' } }, required: ['model'] }),
      responses: { 200: { description: 'The answer of the model, whole or as a stream' } },
    });
  }
  for (const path of ['/v1/models', '/api/tags', '/api/ps']) {
    add('GET', path, {
      operationId: `list${path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
      summary: path === '/api/ps' ? 'Models in memory' : 'What model may be',
      responses: { 200: answer('The list', { type: 'object' }) },
    });
  }
  add('POST', '/session', {
    operationId: 'session',
    summary: 'A URL that opens the command center in a browser, once, within five minutes',
    responses: { 200: answer('The URL', { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] }) },
  });
  add('GET', '/session/{code}', {
    operationId: 'openSession',
    summary: 'Exchange a one-time code for a session cookie',
    parameters: [inPath('code')],
    responses: { 303: { description: 'To the command center, with the cookie' } },
    security: [],
  });
  add('GET', '/health', {
    operationId: 'health',
    summary: 'Whether this door answers',
    responses: { 200: answer('It does', { type: 'object', properties: { ok: { const: true } } }) },
    security: [],
  });
  add('GET', '/openapi.json', { operationId: 'openapi', summary: 'This document', responses: { 200: { description: 'OpenAPI 3.1' } } });

  return {
    openapi: '3.1.0',
    info: {
      title: 'Dispatcher',
      version,
      description: 'The one audited door in front of everything that answers requests on this machine.',
    },
    servers: [{ url }],
    security: [{ bearer: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: `dispatcher_${new URL(url).port}` },
      },
      schemas: {
        Problem: {
          type: 'object',
          description: 'RFC 9457',
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            detail: { type: 'string' },
            code: { enum: Object.keys(catalogue) },
            ok: { const: false },
            error: {
              type: 'object',
              properties: {
                code: { enum: Object.keys(catalogue) },
                message: { type: 'string' },
                hint: { type: ['string', 'null'] },
                issues: { type: 'array', items: { type: 'object', properties: { path: { type: 'string' }, message: { type: 'string' } } } },
              },
              required: ['code', 'message', 'hint'],
            },
          },
          required: ['type', 'title', 'status', 'detail', 'code', 'ok', 'error'],
        },
      },
    },
  };
}

/** The JSON Schema of a zod type as a caller has to write it. */
export function schemaOf(type: z.ZodType): Json & { properties?: Record<string, Json>; required?: string[] } {
  const { $schema: _, ...schema } = z.toJSONSchema(type, { io: 'output', unrepresentable: 'any' });
  // Defaults are filled in on the way in, so nothing with one has to be written.
  const { required: all = [], ...rest } = schema;
  const required = all.filter((name) => !Object.hasOwn((schema.properties?.[name] ?? {}) as Json, 'default'));
  return { ...rest, ...(required.length > 0 && { required }) } as ReturnType<typeof schemaOf>;
}

function itemOf(operation: Operation, method: string, path: string): Json {
  const schema = schemaOf(operation.input);
  const captures = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] as string);
  const fields = Object.entries(schema.properties ?? {}).filter(([name]) => !captures.includes(name));
  const required = (schema.required ?? []).filter((name) => !captures.includes(name));
  const parameters: Json[] = captures.map(inPath);
  if (method === 'GET' || method === 'DELETE')
    parameters.push(...fields.map(([name, type]) => ({ name, in: 'query', required: required.includes(name), schema: type })));
  if (operation.effect === 'write') parameters.push(confirm);
  if (operation.keyed) parameters.push(idempotencyKey);
  const takesBody = method !== 'GET' && method !== 'DELETE' && fields.length > 0;
  return {
    operationId: operation.name,
    summary: operation.summary,
    description: `Needs the capability ${operation.needs}.`,
    ...(parameters.length > 0 && { parameters }),
    ...(takesBody && {
      requestBody: body({
        type: 'object',
        properties: Object.fromEntries(fields),
        ...(required.length && { required }),
        additionalProperties: false,
      }),
    }),
    responses: {
      200: { description: operation.summary, content: { 'application/json': {} } },
      ...(operation.goesOn && { 202: { description: 'It goes on; GET /jobs/{id} has its result', content: { 'application/json': {} } } }),
    },
  };
}

const modelCalls = [
  ['/v1/chat/completions', 'A chat completion'],
  ['/v1/completions', 'A completion'],
  ['/v1/embeddings', 'Embeddings'],
  ['/v1/responses', 'A response'],
  ['/api/chat', 'A chat completion'],
  ['/api/generate', 'A completion'],
  ['/api/embed', 'Embeddings'],
] as const;
const answer = (description: string, schema: Json): Json => ({ description, content: { 'application/json': { schema } } });
const body = (schema: Json): Json => ({ content: { 'application/json': { schema } } });
const idempotencyKey: Json = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The same key and the same request run once, for 24 hours',
  schema: { type: 'string', maxLength: 255 },
};
const inPath = (name: string): Json => ({ name, in: 'path', required: true, schema: { type: 'string' } });
const crossing = answer('The crossing', {
  type: 'object',
  properties: {
    ok: { type: 'boolean' },
    route: { type: ['string', 'null'] },
    result: {},
    why: { type: 'string' },
    job: { type: ['string', 'null'] },
  },
});
const problem: Json = {
  description: 'An RFC 9457 problem',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
};
const traceparent: Json = { name: 'traceparent', in: 'header', schema: { type: 'string' }, description: 'W3C trace context' };
const confirm: Json = { name: 'confirm', in: 'query', schema: { type: 'boolean' }, description: 'What will happen was seen and is wanted' };
