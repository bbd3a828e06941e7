/** A card of so many bytes, model servers that hold its memory, and the real core behind its HTTP door before them: for tests that break things. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CortexState, GpuWaiter, Grant, Lease, Resolved } from '../../shared/cortex.ts';
import type { AuditEntry, Crossing, GpuDevice } from '../../shared/model.ts';
import { type CoreOptions, createCore } from '../core/core.ts';
import { createHttpDoor, type HttpDoor } from './http.ts';

export const GiB = 1024 ** 3;

/** A card, of which other programs hold something; what servers hold on it is added up. */
export interface Card {
  totalBytes: number;
  othersBytes: number;
  servers: { holds(): number }[];
  freeBytes(): number;
  /** What a tool prints; 'absent': there is none any more. */
  tool: 'answers' | 'absent';
  devices(): GpuDevice[];
}

export function createCard(gib: number, othersGib = 0): Card {
  const card: Card = {
    totalBytes: gib * GiB,
    othersBytes: othersGib * GiB,
    servers: [],
    tool: 'answers',
    freeBytes: () => card.totalBytes - card.othersBytes - card.servers.reduce((sum, server) => sum + server.holds(), 0),
    devices() {
      if (card.tool === 'absent') throw Object.assign(new Error('spawn nvidia-smi ENOENT'), { code: 'ENOENT' });
      return [
        {
          ...{ id: 'gpu0', name: 'Card', vendor: 'nvidia', source: 'nvidia-smi', processes: [] },
          memorySource: { total: 'measured', used: 'measured' },
          memoryTotalBytes: card.totalBytes,
          memoryUsedBytes: card.totalBytes - card.freeBytes(),
          ...{ utilization: 0.1, temperatureC: 40, powerW: 50, demo: false },
        },
      ];
    },
  };
  return card;
}

type Act = 'load' | 'unload' | 'pulse' | 'call';
export type Failure = 'cut' | 'die' | 'garbage' | { status: number; error: string };

export interface Box extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  loaded: Set<string>;
  /** In order: `load a`, `unload a`, `pulse a`, `call a`. What is asked through the door is a call, what the core asks itself a pulse. */
  log: string[];
  /** Bytes that came in, headers and all. */
  received: number;
  /** What the next of a kind wait for. */
  hold: Partial<Record<Act, Promise<unknown>>>;
  fail: Record<Act, Failure[]>;
  /** Of whatever is asked for a list. */
  lists: 'well' | 'garbage' | 'hang';
  /** Streams that are open, and whether each was cut off by whoever read it. */
  streams: { model: string; more(text: string): void; end(): void; gone: Promise<void> }[];
  holds(): number;
  die(): Promise<void>;
  /** Comes back at its port, empty. */
  rise(): Promise<void>;
}

/** Speaks Ollama's API. `models`: the bytes that each takes. A chat whose first words are `stream` goes on until it is told to end. */
export async function startBox(models: Record<string, number>, { card, cloud = [] }: { card?: Card; cloud?: string[] } = {}): Promise<Box> {
  const sockets = new Set<Socket>();
  const send = (response: ServerResponse, status: number, value: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  const entry = (model: string) => ({
    ...{ name: model, model, size: models[model], digest: model, details: {} },
    ...(cloud.includes(model) && { remote_host: 'https://ollama.com:443', remote_model: model }),
  });

  async function act(what: Act, model: string, response: ServerResponse): Promise<boolean> {
    box.log.push(`${what} ${model}`);
    await box.hold[what];
    const failure = box.fail[what].shift();
    if (failure === 'die') await box.die();
    else if (failure === 'cut') response.destroy();
    else if (failure === 'garbage') response.writeHead(200, { 'content-type': 'application/json' }).end('{"models": [{"na');
    else if (failure !== undefined) send(response, failure.status, { error: failure.error });
    else if (what === 'unload') return box.loaded.delete(model) || true;
    else if (box.loaded.has(model)) return true;
    else if (card !== undefined && card.freeBytes() < models[model]!) send(response, 500, { error: 'cudaMalloc failed: out of memory' });
    else return Boolean(box.loaded.add(model));
    return false;
  }

  const server = createServer(async (request, response) => {
    const text = Buffer.concat(await request.toArray()).toString();
    const body = (text === '' ? {} : JSON.parse(text)) as {
      model?: string;
      keep_alive?: number;
      stream?: boolean;
      messages?: { content: string }[];
    };
    const { url = '' } = request;
    if (/^\/(api\/(tags|ps)|v1\/models)$/.test(url)) {
      if (box.lists === 'hang') return;
      if (box.lists === 'garbage') return void response.writeHead(200).end('{"models": [{"name": "\u001b[31mlla');
    }
    if (url === '/slow') return;
    if (url === '/api/tags') return void send(response, 200, { models: Object.keys(models).map(entry) });
    if (url === '/v1/models')
      return void send(response, 200, { object: 'list', data: Object.keys(models).map((id) => ({ id, object: 'model' })) });
    if (url === '/api/ps')
      return void send(response, 200, {
        models: [...box.loaded].map((model) => ({ ...entry(model), size_vram: models[model], expires_at: '2318-01-01T00:00:00Z' })),
      });
    if (url === '/api/show')
      return void send(response, 200, {
        capabilities: ['completion'],
        model_info: {},
        ...(cloud.includes(body.model!) && entry(body.model!)),
      });
    const { model } = body;
    if (model === undefined || !(model in models)) return void send(response, 404, { error: `model '${model}' not found` });
    if (url === '/api/generate') {
      if (await act(body.keep_alive === 0 ? 'unload' : 'load', model, response)) send(response, 200, { model, response: '', done: true });
      return;
    }
    const isCall = request.headers.traceparent !== undefined;
    if (!(await act(isCall ? 'call' : 'pulse', model, response))) return;
    const message = { role: 'assistant', content: 'well' };
    if (body.stream !== true)
      return void send(response, 200, {
        id: 'x',
        object: 'chat.completion',
        model,
        choices: [{ index: 0, message, finish_reason: 'stop' }],
      });
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    response.on('close', () => {
      if (!response.writableFinished) resolve();
    });
    const more = (content: string) =>
      void response.write(
        `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', model, choices: [{ index: 0, delta: { content } }] })}\n\n`,
      );
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    more('one ');
    box.streams.push({ model, more, end: () => void response.end('data: [DONE]\n\n'), gone });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('data', (chunk) => {
      box.received += chunk.length;
    });
    socket.on('close', () => sockets.delete(socket));
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const port = await listen(0);
  const box: Box = {
    url: `http://127.0.0.1:${port}`,
    port,
    loaded: new Set(),
    ...{ log: [], received: 0, hold: {}, lists: 'well', streams: [] },
    fail: { load: [], unload: [], pulse: [], call: [] },
    holds: () => [...box.loaded].filter((model) => !cloud.includes(model)).reduce((bytes, model) => bytes + models[model]!, 0),
    async die() {
      box.loaded.clear();
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
    async rise() {
      await listen(port);
    },
    [Symbol.asyncDispose]: () => box.die(),
  };
  card?.servers.push(box);
  return box;
}

export const only = (log: readonly string[], what: Act) =>
  log.filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(what.length + 1));

/** What `look` finds as soon as it finds something. Rejects when there is nothing for 20 s. */
export async function seen<T>(look: () => T | Promise<T>): Promise<Exclude<NonNullable<T>, false>> {
  for (let pause = 5, end = performance.now() + 20_000; performance.now() < end; pause = Math.min(100, pause * 1.2)) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found as Exclude<NonNullable<T>, false>;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  throw new Error(`It was not seen: ${look}`);
}

export interface Standing {
  grants: Grant[];
  leases: Lease[];
  queue: GpuWaiter[];
}

/** The core with its HTTP door; `providers` is what stands below `providers:`, `more` whole sections. */
export async function openHouse(
  { providers, cortex = '{ inertia: 0s, starvation: 5s }', more = '' }: { providers: string; cortex?: string; more?: string },
  options: Partial<CoreOptions> & { card?: Card } = {},
) {
  await using stack = new AsyncDisposableStack();
  const { card, ...rest } = options;
  const home = rest.home ?? stack.adopt(mkdtempSync(join(tmpdir(), 'house-')), (path) => rmSync(path, { recursive: true, force: true }));
  const text = (list: string) =>
    `${more === '' ? 'orgs: { T: { name: Test, services: {} } }\n' : more}\nlimits: off\ncortex: ${cortex}\nproviders:\n${list}\n`;
  const core = stack.use(
    await createCore({ version: 'test', template: text(providers), ...rest, home, ...(card && { gpus: () => card.devices() }) }),
  );
  const door: HttpDoor = stack.use(await createHttpDoor(core, { port: 0, rendererFolder: '/nowhere' }));
  const owner = core.owner.secret;
  const owned = stack.move();

  const http = (
    method: string,
    path: string,
    {
      body,
      as = owner,
      headers = {},
      signal,
    }: { body?: unknown; as?: string | null; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ) =>
    fetch(new URL(path, door.url), {
      method,
      headers: {
        ...(as !== null && { authorization: `Bearer ${as}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal && { signal }),
    });
  const send = async <T>(method: string, path: string, body?: unknown, as?: string): Promise<{ status: number; body: T }> => {
    const response = await http(method, path, { ...(body !== undefined && { body }), ...(as !== undefined && { as }) });
    return { status: response.status, body: (await response.json()) as T };
  };
  const house = {
    core,
    door,
    home,
    owner,
    http,
    send,
    grant: (need: object, about: object = {}, as?: string) =>
      send<Grant & { error?: string; code?: string }>('POST', '/grants', { need, task: 'a test', ...about }, as),
    revoke: (id: string, as?: string) => send<{ code?: string }>('DELETE', `/grants/${id}`, undefined, as),
    standing: async () => (await send<Standing>('GET', '/grants')).body,
    cortex: async () => (await send<CortexState>('GET', '/cortex')).body,
    resolve: async (need: object) => (await send<Resolved>('POST', '/resolve/need', { need })).body,
    dispatch: async (ask: object) => (await send<Crossing>('POST', '/dispatch', ask)).body,
    audit: async (outcome: string) =>
      (await send<{ entries: AuditEntry[] }>('GET', '/audit?limit=500')).body.entries.filter((entry) => entry.outcome === outcome),
    token: async (name: string, capabilities: string[]) =>
      (await send<{ secret: string }>('POST', '/tokens', { name, capabilities })).body.secret,
    /** Another registry, as its editor saves it. */
    async edit(list: string, sections = cortex) {
      const { body } = await send<{ revision: string }>('GET', '/registry');
      const whole = text(list).replace(`cortex: ${cortex}`, `cortex: ${sections}`);
      return await send<{ code?: string }>('PUT', '/registry?confirm=true', { text: whole, revision: body.revision });
    },
    chat: (model: string, about: { as?: string; stream?: boolean; signal?: AbortSignal } = {}) =>
      http('POST', '/v1/chat/completions', {
        body: { model, messages: [{ role: 'user', content: 'go' }], ...(about.stream && { stream: true }) },
        ...(about.as !== undefined && { as: about.as }),
        ...(about.signal && { signal: about.signal }),
      }),
    sovereign: (on: boolean) => send('POST', '/dispatch', { route: 'OS.sovereign.set', params: { on }, confirm: true }),
    /** Every server has been asked once. */
    known: () =>
      seen(
        async () => !(await house.cortex()).models.some(({ phase, detail }) => phase === 'unknown' && detail?.endsWith('not answered yet')),
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  await house.known();
  return house;
}

export type House = Awaited<ReturnType<typeof openHouse>>;

/** One provider with tiers of so many GiB, in the words of the registry. */
export function provider(
  name: string,
  server: { url: string },
  about: Record<string, unknown> & { sizes: Record<string, number> },
): string {
  const { sizes, ...more } = about;
  const tiers = Object.fromEntries(
    Object.entries(sizes).map(([tier, gib]) => [tier, { model: `${name}:${tier}`, vram: `${gib} GiB`, load_time: '100ms' }]),
  );
  const whole = {
    controller: 'ollama',
    endpoint: server.url,
    egress: 'local',
    capabilities: ['text-generation'],
    stop_time: '10ms',
    tiers,
    ...more,
  };
  return `  ${name}: ${JSON.stringify(whole)}`;
}

/** Bytes as they are; all that came back until the other side closed, or until `enough`. */
export function raw(port: number, bytes: string, enough?: (received: string) => boolean): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(port, '127.0.0.1');
  let received = '';
  const done = () => {
    socket.destroy();
    resolve(received);
  };
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk;
    if (enough?.(received)) done();
  });
  socket.on('error', done).on('close', done);
  socket.write(bytes);
  return promise;
}
