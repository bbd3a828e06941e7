/**
 * WebSockets: who may open one, how many, and for how long. At /ws the frame port is spoken, frames of contract.ts as JSON text, one message
 * each; at /api/orchestrator/stream what seed 004 says (orchestrator.ts).
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { DownFrame, UpFrame } from '../../shared/contract.ts';
import { refuse, toWire, type WireError } from '../../shared/errors.ts';
import type { Principal } from '../../shared/model.ts';
import type { Port } from '../../shared/port.ts';
import type { Core } from '../core/core.ts';
import { createEncoder } from './encode.ts';
import { parseJson } from './input.ts';
import { createOrchestratorStreams } from './orchestrator.ts';
import { serve } from './serve.ts';
import { type Credential, type Gate, unauthenticated } from './session.ts';

/** A connection whose caller is known, for whatever is spoken on it. */
export interface Line {
  principal: Principal;
  send(text: string): void;
  /** The other end reads slower than it is sent to. */
  congested(): boolean;
  onClose(listener: () => void): void;
  close(code: number, reason: string): void;
}

/** Answers what hears each message that comes. */
export type Conversation = (line: Line) => (data: Buffer, isBinary: boolean) => void;

export interface WsDoor {
  /** Takes over an upgrade request that passed the gate; `turnAway` answers in its place when it cannot. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, turnAway: (error: WireError) => void): void;
  close(): void;
}

export interface WsOptions {
  core: Core;
  gate: Gate;
  /** Time for the first message to be the token, in ms. */
  authMs?: number;
  /** Silence after which a connection is taken for dead, twice this, in ms. */
  beatMs?: number;
}

const maxMessageBytes = 1_048_576;
/** The registry of thousands of services is longer; only a call that carries one may be. */
const maxRegistryBytes = 8 * 1_048_576;
const maxFragments = 1024;
const maxSockets = 256;
const maxSocketsPerPrincipal = 64;
/** Sockets that have not shown a token yet, so that they cannot use up the places of those that have. */
const maxStrangers = 64;
const maxPingsPerBeat = 200;
/** Time in which a revoked token has lost its sockets, in ms. */
const revokedMs = 1000;
/** Unsent bytes at which a watcher gets no more events, at which we stop reading, and at which we give up. */
const slowBytes = 256 * 1024;
const pauseBytes = 1_048_576;
const hopelessBytes = 64 * 1_048_576;

interface Peer {
  socket: WebSocket;
  credential: Credential | null;
  alive: boolean;
  pings: number;
}

export function createWsDoor({ core, gate, authMs = 5000, beatMs = 15_000 }: WsOptions): WsDoor {
  const createServer = (maxPayload: number) =>
    new WebSocketServer({ noServer: true, clientTracking: false, maxPayload, maxFragments, perMessageDeflate: false, autoPong: false });
  const forStrangers = createServer(maxMessageBytes);
  const forKnown = createServer(maxRegistryBytes);
  const peers = new Set<Peer>();
  const frames = createFrames(core);
  const streams = createOrchestratorStreams(core);

  const crowded = (principal: string | null): WireError | null => {
    const same = peers.values().reduce((count, { credential }) => count + ((credential?.principal.id ?? null) === principal ? 1 : 0), 0);
    if (peers.size < maxSockets && same < (principal === null ? maxStrangers : maxSocketsPerPrincipal)) return null;
    return refuse('limited', 'Too many connections are open.', { hint: 'Close some and try again.', retryAfterMs: 5000 });
  };

  const beat = setInterval(() => {
    for (const peer of peers) {
      if (!peer.alive) peer.socket.terminate();
      else peer.socket.ping();
      peer.alive = false;
      peer.pings = 0;
    }
  }, beatMs).unref();
  // One that only listens says no word at which it could be found out.
  const roll = setInterval(() => {
    for (const { credential, socket } of peers)
      if (credential && !core.authenticate(credential.secret)) socket.close(1008, 'The token was revoked.');
  }, revokedMs).unref();

  const attach = (socket: WebSocket, { credential, path, speak }: { credential: Credential | null; path: string; speak: Conversation }) => {
    const peer: Peer = { socket, credential, alive: true, pings: 0 };
    peers.add(peer);
    let hear: ReturnType<Conversation> = () => {};
    const open = (with_: Credential) => {
      peer.credential = with_;
      hear = speak({
        principal: with_.principal,
        send(text) {
          if (socket.readyState !== socket.OPEN) return;
          if (socket.bufferedAmount > hopelessBytes) socket.terminate();
          else socket.send(text);
        },
        congested: () => socket.bufferedAmount > slowBytes,
        onClose: (listener) => socket.on('close', listener),
        close: (code, reason) => socket.close(code, reason),
      });
    };
    const turnOut = (error: WireError) => {
      core.reject({ door: 'ws', error, detail: { path } });
      socket.close(1008, error.message);
    };

    const timer = setTimeout(() => turnOut(unauthenticated('No token came in the first message.')), authMs).unref();
    if (credential) {
      clearTimeout(timer);
      open(credential);
    }
    socket.on('message', (data, isBinary) => {
      peer.alive = true;
      if (peer.credential === null) {
        clearTimeout(timer);
        const found = isBinary ? null : tokenOf(read(String(data)));
        const principal = found === null ? null : core.authenticate(found);
        if (found === null || principal === null)
          return turnOut(unauthenticated(found === null ? 'The first message was not the token.' : 'This token is not valid.'));
        const full = crowded(principal.id);
        return full ? socket.close(1013, full.message) : open({ principal, grant: null, secret: found });
      }
      if (!core.authenticate(peer.credential.secret)) return socket.close(1008, 'The token was revoked.');
      hear(data as Buffer, isBinary);
      holdBack(socket);
    });
    socket.on('ping', (data) => {
      peer.alive = true;
      if (++peer.pings > maxPingsPerBeat) socket.close(1008, 'Too many pings.');
      else if (socket.bufferedAmount < slowBytes) socket.pong(data);
    });
    socket.on('pong', () => {
      peer.alive = true;
    });
    // A broken frame: ws has closed with the code of RFC 6455 already; without a listener it would be thrown.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      peers.delete(peer);
    });
  };

  for (const server of [forStrangers, forKnown])
    server.on(
      'wsClientError',
      (_error, socket, request) =>
        turnedAway.get(request)?.(
          refuse('input_invalid', 'This is not a WebSocket handshake.', { hint: 'Use a WebSocket client of version 13.' }),
        ) ?? socket.destroy(),
    );
  const turnedAway = new WeakMap<IncomingMessage, (error: WireError) => unknown>();

  return {
    upgrade(request, socket, head, turnAway) {
      const admission = gate.admit(request);
      if (!admission.ok) return turnAway(admission.error);
      const [path = '', query] = (request.url ?? '').split('?');
      const speak = path === '/ws' ? frames : streams.at(path);
      if (speak === null)
        return turnAway(refuse('not_found', 'No WebSockets are served here.', { hint: 'Connect to /ws or /api/orchestrator/stream.' }));
      if (query !== undefined) return turnAway(unauthenticated(`A token does not belong in a URL, and ${path} takes no query.`));
      const full = crowded(admission.credential?.principal.id ?? null);
      if (full) return turnAway(full);
      turnedAway.set(request, turnAway);
      const { credential } = admission;
      const server = credential && speak === frames ? forKnown : forStrangers;
      server.handleUpgrade(request, socket, head, (accepted) => attach(accepted, { credential, path, speak }));
    },
    close() {
      clearInterval(beat);
      clearInterval(roll);
      for (const { socket } of peers) {
        socket.close(1001, 'Dispatcher is shutting down.');
        setTimeout(() => socket.terminate(), 500).unref();
      }
    },
  };
}

/** The frame port of contract.ts. */
function createFrames(core: Core): Conversation {
  // A batch of events goes to many watchers, each in a frame of its own.
  const encode = createEncoder((frame: DownFrame) => (frame.t === 'events' ? frame.events : null));
  return ({ principal, send, congested, onClose, close }) => {
    let listener: ((frame: UpFrame) => void) | null = null;
    const port: Port<DownFrame, UpFrame> = {
      send: (frame) => send(encode(frame)),
      onFrame: (next) => {
        listener = next;
      },
      onClose,
      close: () => close(1000, ''),
    };
    serve(core, port, { principal, door: 'ws', congested });
    const fault = (id: number | null, error: WireError) => port.send({ t: 'fault', id, error });
    return (data, isBinary) => {
      if (isBinary) return fault(null, refuse('input_invalid', 'Binary messages are not read.', { hint: 'Send JSON text.' }));
      const frame = read(String(data));
      if ('error' in frame) fault(null, frame.error);
      else if (data.length > maxMessageBytes && !carriesRegistry(frame.value))
        fault(idOf(frame.value), refuse('input_too_large', 'The message is too large.', tooLarge));
      else listener?.(frame.value as UpFrame);
    };
  };
}

function read(text: string): { value: unknown } | { error: WireError } {
  try {
    return { value: parseJson(text) };
  } catch (error) {
    return { error: toWire(error) };
  }
}

const tooLarge = { hint: 'Send at most 1 MiB (8 MiB for the registry).' };

function carriesRegistry(value: unknown): boolean {
  const { ask } = (value ?? {}) as { ask?: { route?: unknown } | null };
  return typeof ask?.route === 'string' && ask.route.startsWith('OS.registry.');
}

function idOf(value: unknown): number | null {
  const { id } = (value ?? {}) as { id?: unknown };
  return Number.isSafeInteger(id) ? (id as number) : null;
}

function tokenOf(frame: ReturnType<typeof read>): string | null {
  const { t, token } = ('value' in frame ? (frame.value ?? {}) : {}) as { t?: unknown; token?: unknown };
  return t === 'auth' && typeof token === 'string' ? token : null;
}

/** Stops reading from a peer that does not read its answers, until it has. */
function holdBack(socket: WebSocket): void {
  if (socket.bufferedAmount < pauseBytes || socket.isPaused) return;
  socket.pause();
  const timer = setInterval(() => {
    if (socket.bufferedAmount >= pauseBytes && socket.readyState === socket.OPEN) return;
    clearInterval(timer);
    socket.resume();
  }, 20).unref();
}
