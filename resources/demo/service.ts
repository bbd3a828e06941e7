/** A real server of the demo: JSON in, an answer out, `/health`, and a ledger of what it saw, which the tests read. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request as a demo service saw it. `outcome` is null while it is being answered. */
export interface LedgerLine {
  at: number;
  method: string;
  path: string;
  idempotencyKey: string | null;
  traceparent: string | null;
  body: unknown;
  outcome: 'answered' | 'aborted' | 'failed' | null;
  /** What the service has to say about it: `stopped at 40 %`. */
  note: string | null;
}

export interface Request {
  method: string;
  path: string;
  query: URLSearchParams;
  /** The words that were typed, if any. */
  text: string;
  /** The fields of the body; those under `context` and `params` count as fields of it. */
  fields: Record<string, unknown>;
  /** Aborted when the caller goes away before the answer is complete. */
  signal: AbortSignal;
  line: LedgerLine;
  incoming: IncomingMessage;
}

/** Answers a request: a value is sent as JSON with status 200; `undefined` says the handler wrote to `response` itself. */
export type Handler = (request: Request, response: ServerResponse) => unknown;

export interface Service {
  readonly url: string;
  readonly server: Server;
  readonly ledger: LedgerLine[];
  stop(): Promise<void>;
  start(): Promise<void>;
}

const ledgerBound = 2000;
const bodyBound = 1024 * 1024;

/** Thrown by a handler to answer with `status`. */
export class Status extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Listens on 127.0.0.1. `port` is the one it would like; when that is taken, a free one is used. After `stop` the port is
 * closed and connections are cut; `start` opens the same port again and keeps the ledger.
 */
export async function openService(options: { handle: Handler; port?: number; health?: Handler }): Promise<Service> {
  const ledger: LedgerLine[] = [];
  const health = options.health ?? (() => ({ status: 'ok' }));

  async function answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://demo');
    if (pathname === '/__ledger') return send(response, 200, { requests: ledger });
    const line: LedgerLine = {
      at: Date.now(),
      method: incoming.method ?? 'GET',
      path: pathname,
      idempotencyKey: header(incoming, 'idempotency-key'),
      traceparent: header(incoming, 'traceparent'),
      body: null,
      outcome: null,
      note: null,
    };
    const isHealth = pathname.startsWith('/health');
    if (!isHealth) {
      if (ledger.length >= ledgerBound) ledger.splice(0, ledgerBound / 2);
      ledger.push(line);
    }
    const gone = new AbortController();
    response.once('close', () => {
      if (response.writableFinished) return;
      line.outcome = 'aborted';
      gone.abort();
    });
    try {
      const body = await readJson(incoming);
      line.body = body;
      const fields = flatten(body);
      const text = typeof fields.query === 'string' ? fields.query : typeof fields.text === 'string' ? fields.text : '';
      const request = { method: line.method, path: pathname, query: searchParams, text, fields, signal: gone.signal, line, incoming };
      const value = await (isHealth ? health : options.handle)(request, response);
      if (gone.signal.aborted) return;
      if (value !== undefined) send(response, 200, value);
      line.outcome = 'answered';
    } catch (caught) {
      if (gone.signal.aborted) return;
      line.outcome = 'failed';
      const status = caught instanceof Status ? caught.status : 500;
      const message = caught instanceof Error ? caught.message : String(caught);
      if (response.headersSent) response.destroy();
      else send(response, status, { error: message });
    }
  }

  const server = createServer((incoming, response) => void answer(incoming, response));
  const listen = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  await listen(options.port ?? 0).catch(() => listen(0));
  const { port } = server.address() as AddressInfo;
  // Those that became WebSockets too, which closeAllConnections knows nothing of.
  const connections = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    ledger,
    async stop() {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of connections) socket.destroy();
      await closed;
    },
    async start() {
      if (!server.listening) await listen(port);
    },
  };
}

/** Resolves after `ms`; false when `signal` was aborted before. */
export function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const stop = () => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve(true);
    }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });
}

export function send(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function header(incoming: IncomingMessage, name: string): string | null {
  const value = incoming.headers[name];
  return typeof value === 'string' ? value : null;
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyBound) throw new Status(413, 'The body is larger than 1 MiB.');
    chunks.push(chunk);
  }
  if (size === 0) return null;
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw new Status(400, 'The body is not JSON.');
  }
}

function flatten(body: unknown): Record<string, unknown> {
  const own = record(body);
  return { ...record(own.context), ...record(own.params), ...own };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
