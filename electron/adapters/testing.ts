/** What the tests of the doors share: the real core behind a door, a real service behind that, and a client that speaks in raw bytes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Call } from '../../shared/contract.ts';
import type { AuditEntry, Capability } from '../../shared/model.ts';
import { type Core, createCore } from '../core/core.ts';
import { createHttpDoor, type HttpDoor, type HttpDoorOptions } from './http.ts';

/** What the service T answers with, by path; `/echo` with the JSON it was sent, `/slow` never. */
const answers: Record<string, (response: ServerResponse, body: string) => void> = {
  '/echo': (response, body) => response.setHeader('content-type', 'application/json').end(body),
  '/fail': (response) => response.writeHead(500, { 'content-type': 'text/plain' }).end('out of order'),
  '/halt': (response) => response.setHeader('content-type', 'application/json').end('{"_halt":418,"message":"no coffee"}'),
  '/page': (response) =>
    response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ _html: attack, story: attack, big: '😀\u202e'.repeat(500) })),
  '/bytes': (response) => response.setHeader('content-type', 'image/png').end(Buffer.from([0, 1, 2])),
  '/slow': () => {},
};
export const attack = '<img src=x onerror=alert(1)>';

const registry = (url: string, closed: number, limits: string) => `
fallback_org: T
limits: ${limits}
orgs:
  T:
    name: Test
    default_service: echo
    services:
${Object.keys(answers)
  .map((path) => `      ${path.slice(1)}: {endpoint: "${url}${path}", egress: local, examples: ["${path.slice(1)} it please"]}`)
  .join('\n')}
      down: {endpoint: "http://127.0.0.1:${closed}/", egress: local}
      far: {endpoint: "https://far.example/", egress: remote}
rules:
  - {pattern: repeat, org: T, service: echo}
`;

export interface TestCore extends AsyncDisposable {
  core: Core;
  /** Every call that reached the core. */
  calls: Call[];
  /** Listeners that watch. */
  watchers: Set<Parameters<Core['watch']>[1]>;
  /** Headers of the owner. */
  bearer: { authorization: string };
  issue(name: string, capabilities: Capability[]): Promise<{ id: string; secret: string }>;
  revoke(id: string): Promise<void>;
  /** The newest audit entries of a kind, once there are so many of them. */
  entries(kind: AuditEntry['kind'], atLeast: number): Promise<AuditEntry[]>;
}

/** The real core in a home of its own, with a tap on what it is asked. */
export async function openCore({ limits = 'off' }: { limits?: string } = {}): Promise<TestCore> {
  await using stack = new AsyncDisposableStack();
  const service = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    answers[request.url ?? '']?.(response, body);
  });
  service.listen(0, '127.0.0.1');
  await once(service, 'listening');
  stack.defer(() => {
    service.closeAllConnections();
    service.close();
  });
  const nobody = createServer().listen(0, '127.0.0.1');
  await once(nobody, 'listening');
  const closed = (nobody.address() as AddressInfo).port;
  nobody.close();
  const home = mkdtempSync(join(tmpdir(), 'door-'));
  stack.defer(() => rmSync(home, { recursive: true, force: true }));
  const url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  const real = stack.use(await createCore({ home, version: 'test', template: registry(url, closed, limits) }));
  const calls: Call[] = [];
  const watchers: TestCore['watchers'] = new Set();
  const core: Core = {
    ...real,
    dispatch(call, signal, accepted) {
      calls.push(call);
      return real.dispatch(call, signal, accepted);
    },
    watch(since, listener) {
      watchers.add(listener);
      const stop = real.watch(since, listener);
      return () => {
        watchers.delete(listener);
        stop();
      };
    },
  };
  const operate = async <T>(route: string, params: Record<string, unknown>): Promise<T> => {
    const { error, result } = await real.dispatch({ route, params, confirm: true, door: 'library', principal: real.owner.principal });
    if (error) throw new Error(error.message);
    return result as T;
  };
  const owned = stack.move();
  return {
    core,
    calls,
    watchers,
    bearer: { authorization: `Bearer ${real.owner.secret}` },
    async issue(name, capabilities) {
      const { token, secret } = await operate<{ token: { id: string }; secret: string }>('OS.tokens.create', { name, capabilities });
      return { id: token.id, secret };
    },
    async revoke(id) {
      await operate('OS.tokens.revoke', { id });
    },
    async entries(kind, atLeast) {
      for (;;) {
        const { entries } = await operate<{ entries: AuditEntry[] }>('OS.audit', { limit: 500 });
        const found = entries.filter((entry) => entry.kind === kind);
        if (found.length >= atLeast) return found;
        await new Promise(setImmediate);
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function openDoor(options: Partial<HttpDoorOptions> & { limits?: string } = {}): Promise<TestCore & { door: HttpDoor }> {
  await using stack = new AsyncDisposableStack();
  const tapped = stack.use(await openCore(options));
  const door = stack.use(await createHttpDoor(tapped.core, { port: 0, rendererFolder: '/nowhere', ...options }));
  const owned = stack.move();
  return { ...tapped, door, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Sends bytes as they are and gives all that came back until the other side closed, or until `enough` says so. */
export function raw(port: number, bytes: string | Buffer, enough?: (received: string) => boolean): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(port, '127.0.0.1');
  let received = '';
  const done = () => {
    socket.destroy();
    resolve(received);
  };
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    received += chunk;
    if (enough?.(received)) done();
  });
  socket.on('error', done);
  socket.on('close', done);
  socket.write(bytes);
  return promise;
}
