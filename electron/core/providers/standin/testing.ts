/**
 * What stand-ins for servers are made of: each answers on the paths it is given and nothing else. An unknown path is a 404, a wrong method a
 * 405, a body that is no JSON a 400; and they can fail.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** die: the server ends in the middle of a load. The others are what it answers to a load, or to anything (`everywhere`). */
export type Fault = 'die' | 'out-of-memory' | 'hang' | 'garbage' | 'huge';

export interface StandIn extends AsyncDisposable {
  url: string;
  port: number;
  /** What was asked: `GET /api/tags`. */
  asked: string[];
  /** Of the next load. */
  fault: Fault | null;
  /** Of whatever is asked. */
  everywhere: Fault | null;
  /** Models in memory. */
  loaded: Set<string>;
  /** Of Ollama: somebody uses it, so that an unload is put off. */
  keeps: boolean;
}

interface Request {
  path: string;
  body: Record<string, unknown>;
  headers: Record<string, unknown>;
}

export type Handler = (request: Request, response: ServerResponse, self: StandIn) => void;

/** By method and path; a path that ends in `*` stands for all below it. */
export type Routes = Record<string, Handler>;

export const send = (response: ServerResponse, status: number, value: unknown) => {
  if (typeof value === 'string') return void response.writeHead(status, { 'content-type': 'text/plain' }).end(value);
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};

const MISTAKES: Record<Exclude<Fault, 'die' | 'hang'>, (response: ServerResponse) => void> = {
  'out-of-memory': (response) =>
    send(response, 500, { error: 'llama runner process has terminated: cudaMalloc failed: out of memory\nggml_gallocr_reserve_n failed' }),
  garbage: (response) => send(response, 200, '{"models": [{"name": "\u001b[31mllama'),
  huge: (response) => send(response, 200, `{"models": ["${'x'.repeat(10_000_000)}"]}`),
};

export async function start(routes: Routes, port = 0): Promise<StandIn> {
  const paths = Object.keys(routes).map((key) => key.split(' ') as [string, string]);
  const find = (path: string) => paths.filter(([, known]) => (known.endsWith('*') ? path.startsWith(known.slice(0, -1)) : path === known));
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    request.on('end', () => {
      const path = new URL(request.url!, 'http://x').pathname;
      self.asked.push(`${request.method} ${request.url}`);
      if (self.everywhere !== null) return fail(self, response, self.everywhere);
      const known = find(path);
      if (known.length === 0) return send(response, 404, '404 page not found');
      const fitting = known.find(([method]) => method === request.method);
      if (fitting === undefined) return send(response, 405, '405 method not allowed');
      let body: Record<string, unknown> = {};
      try {
        if (text !== '') body = JSON.parse(text) as Record<string, unknown>;
      } catch {
        return send(response, 400, { error: 'invalid character in the body' });
      }
      routes[fitting.join(' ')]!({ path, body, headers: request.headers }, response, self);
    });
  });
  const end = async () => {
    server.closeAllConnections();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  const self: StandIn = {
    url: '',
    port: 0,
    asked: [],
    fault: null,
    everywhere: null,
    loaded: new Set(),
    keeps: false,
    [Symbol.asyncDispose]: end,
  };
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  self.port = (server.address() as AddressInfo).port;
  self.url = `http://127.0.0.1:${self.port}`;
  return self;
}

/** True when it failed. */
function fail(self: StandIn, response: ServerResponse, fault: Fault): boolean {
  if (fault === 'hang') return true;
  if (fault === 'die') void self[Symbol.asyncDispose]();
  else MISTAKES[fault](response);
  return true;
}

export function failsLoad(self: StandIn, response: ServerResponse): boolean {
  const { fault } = self;
  self.fault = null;
  return fault !== null && fail(self, response, fault);
}

// --- the OpenAI API ---------------------------------------------------------------------------------------------------

/** `load` answers true when it has answered in place of the model. */
export function openaiRoutes(names: () => string[], load: (model: string, response: ServerResponse, self: StandIn) => boolean): Routes {
  const missing = (response: ServerResponse, model: unknown) =>
    send(response, 404, { error: { message: `model '${String(model)}' not found`, type: 'not_found_error', code: 'model_not_found' } });
  const call =
    (fits: (body: Record<string, unknown>) => boolean, answer: (model: string, body: Record<string, unknown>) => unknown): Handler =>
    ({ body }, response, self) => {
      const { model } = body;
      if (typeof model !== 'string' || (!names().includes(model) && !names().includes(`${model}:latest`))) return missing(response, model);
      if (!fits(body)) return send(response, 400, { error: { message: 'invalid request', type: 'invalid_request_error' } });
      if (load(model, response, self)) return;
      send(response, 200, answer(model, body));
    };
  return {
    'POST /v1/chat/completions': call(
      ({ messages, max_tokens }) => Array.isArray(messages) && messages.length > 0 && (max_tokens === undefined || Number(max_tokens) >= 1),
      (model) => ({
        id: 'chatcmpl-1',
        object: 'chat.completion',
        model,
        choices: [{ index: 0, message: { role: 'assistant', content: 'O' }, finish_reason: 'length' }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
    ),
    'POST /v1/embeddings': call(
      ({ input }) => typeof input === 'string' || Array.isArray(input),
      (model) => ({ object: 'list', model, data: [{ object: 'embedding', index: 0, embedding: [0.1, 0.2] }] }),
    ),
  };
}

export const list = (models: Record<string, unknown>[], more: Record<string, unknown> = {}) => ({
  object: 'list',
  data: models.map((model) => ({ object: 'model', created: 1, owned_by: 'library', ...model })),
  ...more,
});

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
