/** Real services and cores for tests. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ask } from '../../shared/contract.ts';
import { type Core, createCore } from './core.ts';

/** One request as a service saw it. */
export interface Seen {
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

/** A real service on loopback that keeps a ledger of what it saw. */
export async function startService(answer: (request: Seen, response: ServerResponse) => void) {
  const ledger: Seen[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece) => {
      body += piece;
    });
    request.on('end', () => {
      const seen = { url: request.url!, headers: request.headers, body };
      ledger.push(seen);
      answer(seen, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    ledger,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export const json = (value: unknown) => (_: Seen, response: ServerResponse) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(value));
};

/** A new folder that goes with whoever has it. */
export function tempFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'dispatcher-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A core on a home of its own, which goes with it, or on the one that is given; `ask` calls it as its owner. */
export async function openCore(template: string, options: Partial<Parameters<typeof createCore>[0]> = {}) {
  await using stack = new AsyncDisposableStack();
  const home = options.home ?? stack.use(tempFolder()).path;
  const core = stack.use(await createCore({ home, template, version: 'test', ...options }));
  const owned = stack.move();
  return Object.assign(core, {
    ask: (ask: Ask, more: { principal?: typeof core.owner.principal } = {}) =>
      core.dispatch({ ...ask, door: 'library', principal: core.owner.principal, ...more }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  });
}

/** What a built-in route answers the owner. */
export const operate = async (core: Core, route: string, params: Record<string, unknown> = {}) =>
  (await core.dispatch({ route, params, door: 'library', principal: core.owner.principal })).result as never;
