/** What the tests of the doors share: a core behind a door, and a client that speaks in raw bytes. */
import { connect } from 'node:net';
import type { Call } from '../../shared/contract.ts';
import { refuse, type WireError } from '../../shared/errors.ts';
import type { Crossing, Principal } from '../../shared/model.ts';
import type { Core } from '../core/core.ts';
import { createHttpDoor, type HttpDoor, type HttpDoorOptions } from './http.ts';

export interface StandIn {
  core: Core;
  calls: Call[];
  rejected: { door: string; error: WireError; detail: Record<string, unknown> }[];
  /** Tokens by secret; delete one to revoke it. */
  tokens: Map<string, Principal>;
  watchers: Set<Parameters<Core['watch']>[1]>;
  /** Answers of routes by name, in place of an echo of the params. */
  routes: Map<string, (call: Call, signal?: AbortSignal) => Partial<Crossing> | Promise<Partial<Crossing>>>;
}

/** A stand-in for the core: it authenticates, keeps what it is asked, and echoes. For what the real core cannot be made to show. */
export function createStandIn(): StandIn {
  const owner = {
    principal: { id: 'owner', name: 'owner', capabilities: ['read', 'dispatch', 'admin'] } as Principal,
    secret: 'owner-secret',
  };
  const stand: Omit<StandIn, 'core'> = {
    calls: [],
    rejected: [],
    tokens: new Map([[owner.secret, owner.principal]]),
    watchers: new Set(),
    routes: new Map(),
  };
  const core: Core = {
    owner,
    home: '',
    databaseFile: '',
    authenticate: (secret) => stand.tokens.get(secret) ?? null,
    reject: (rejected) => void stand.rejected.push(rejected),
    setUrl() {},
    watch(_since, listener) {
      stand.watchers.add(listener);
      listener.snapshot({ seq: 0 } as never);
      return () => stand.watchers.delete(listener);
    },
    async dispatch(call, signal, accepted) {
      stand.calls.push(call);
      const id = `crossing-${stand.calls.length}`;
      const audit = { seq: stand.calls.length, hash: '0'.repeat(64) };
      const route = call.route ?? 'T.echo';
      accepted?.({ job: id, route, audit });
      const found = await stand.routes.get(route)?.(call, signal);
      const shown = found ?? { result: call.params ?? {} };
      return {
        id,
        ok: !shown.error,
        route,
        result: null,
        error: null,
        why: 'named',
        confidence: 1,
        job: id,
        audit,
        durationMs: 0,
        at: 0,
        door: call.door,
        caller: call.principal.id,
        text: call.text ?? null,
        parent: null,
        traceparent: '',
        boundaries: [],
        attempts: [],
        left: [],
        mock: false,
        signal: '',
        signature: null,
        ...shown,
      };
    },
    async [Symbol.asyncDispose]() {},
  };
  stand.routes.set(
    'T.slow',
    (_call, signal) =>
      new Promise((resolve) => signal?.addEventListener('abort', () => resolve({ error: refuse('cancelled', 'Cancelled.') }))),
  );
  return { ...stand, core };
}

export async function openDoor(options: Partial<HttpDoorOptions> = {}): Promise<StandIn & { door: HttpDoor } & AsyncDisposable> {
  const stand = createStandIn();
  const door = await createHttpDoor(stand.core, { port: 0, rendererFolder: '/nowhere', ...options });
  return { ...stand, door, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
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

export const bearer = { authorization: 'Bearer owner-secret' };
