/**
 * The only way out. Every connection to anything outside this process is opened here, and every one is judged three times:
 * the literal address in the URL before any name is looked up, every address a name resolves to, and the address the
 * socket is really connected to. Redirects are answers, never followed. Proxy variables of the environment are ignored.
 *
 * The classes a route declares, and what each may reach:
 * - `local`: this machine's loopback (127/8, ::1, localhost), and names that resolve to nothing else.
 * - `lan`: loopback and private addresses (RFC 1918, RFC 4193, RFC 6598), and names that resolve to nothing else.
 * - `remote`: everything. Refused as a whole while sovereign is on, before any name is looked up.
 * - `public`: everything but loopback and private addresses, for addresses that a caller chose and nobody declared. Like `remote`
 *   it is refused while sovereign is on.
 * Link-local and cloud metadata addresses, the unspecified address, multicast and reserved ranges are refused in every class.
 * Sovereign lets `lan` through: what a machine on the LAN passes on is not seen here.
 */
import { lookup as systemLookup } from 'node:dns';
import { createRequire } from 'node:module';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Agent, buildConnector, Dispatcher } from 'undici';
import type { WebSocket } from 'ws';
import { catalogue, Refusal, refuse, toWire, type WireError } from '../../shared/errors.ts';
import type { Cutoff } from './cutoff.ts';
import { createDeadlines, type Deadlines, type Due } from './deadlines.ts';
import { addressKind, isLocalhost, leaves, outside, parseTarget, type Reach, reaches, type Target } from './reach.ts';
import { type Placed, Underway } from './underway.ts';

export interface EgressRequest {
  url: string;
  method: string;
  /** Name, value, name, value. An object is accepted too; the flat list is the fast path. */
  headers: string[] | Record<string, string>;
  body: string | Buffer | null;
  egress: Reach;
  /** Aborting it rejects at once: with the Refusal that is its reason, `upstream_timeout` for a TimeoutError, else `cancelled`. */
  signal?: AbortSignal | null;
  /** Instead of a signal, for whoever has one: it costs less. */
  cutoff?: Cutoff;
  /** Bound on everything from here to the last byte of the answer. Default 30 s. */
  timeoutMs?: number;
  /** Bound on the time until the request starts to be written. Default: the connector's 5 s. */
  connectTimeoutMs?: number;
  /** Cap on the answer's body, counted after decoding. */
  maxBytes: number;
  /** Gets the decoded text of streamed answers (event-stream, NDJSON, JSON lines; status 200..299), which are then not kept in `body`. */
  onChunk?(text: string, contentType: string): void;
  /**
   * Instead of `onChunk`: gets every answer, whatever its status and type, as the bytes that came, encoded as they came; nothing of it is kept.
   * A promise holds the service back until it resolves; what comes meanwhile anyway still comes here.
   */
  onBytes?(bytes: Buffer): Promise<void> | null;
  /** Of an answer that goes to `onChunk` or `onBytes`: what is known before its first piece. */
  onHead?(status: number, headers: Record<string, string>): void;
}

export interface EgressAnswer {
  status: number;
  headers: Record<string, string>;
  /** Decoded. Empty when the answer went to `onChunk` or `onBytes`. */
  body: Buffer;
}

/** What `request` rejects with. */
export class EgressRefusal extends Refusal {
  /** The request, or a part of it, was handed to a connected socket: the service may have acted on it. */
  readonly sent: boolean;
  constructor(wire: WireError, sent: boolean) {
    super(wire);
    this.sent = sent;
  }
}

export interface Egress {
  /** Judges a URL by its text alone, synchronously and without DNS. Codes: egress_refused, sovereign_refused. */
  check(url: URL | string, egress: Reach): WireError | null;
  /**
   * Rejects with EgressRefusal: egress_refused, sovereign_refused, upstream_refused, upstream_name_unknown, upstream_unreachable,
   * upstream_timeout, upstream_failed, upstream_too_large, input_invalid, cancelled, shutting_down. What a listener throws comes as it is.
   */
  request(request: EgressRequest): Promise<EgressAnswer>;
  /** Ends every remote request and socket now; each open request rejects with `reason`. Answers how many requests there were. */
  cutRemote(reason: WireError): number;
  /**
   * The addresses of a host, each judged, for a program that has to connect by itself and is given one of them, not the name.
   * Rejects with EgressRefusal: egress_refused, sovereign_refused, upstream_name_unknown.
   */
  locate(host: string, egress: Reach): Promise<string[]>;
  /** Makes a connection that another program holds one of those that are cut; call what it answers when it is over. */
  hold(egress: Reach, cut: (reason: WireError) => void): () => void;
  /** A WebSocket, its address judged like that of a request. Rejects with EgressRefusal, with the codes of `request`. */
  socket(request: SocketRequest): Promise<EgressSocket>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface SocketRequest {
  /** http: or https:, as of the service it belongs to. */
  url: string;
  headers: Record<string, string>;
  egress: Reach;
  /** A longer message ends the connection. */
  maxBytes: number;
  /** A ping goes out so often; one that nobody answered before the next ends the connection. */
  beatMs: number;
  /** Each message; null for a binary one, which is not read. */
  onMessage(text: string | null): void;
  /** Once, however it ended, except by `close`. */
  onEnd(error: WireError): void;
}

export interface EgressSocket {
  close(): void;
}

export interface EgressOptions {
  sovereign(): boolean;
  connectTimeoutMs?: number;
  /** Connections per origin; further requests queue until one is free or their time is over. */
  connections?: number;
  lookup?: (
    hostname: string,
    done: (error: NodeJS.ErrnoException | null, addresses: { address: string; family: number }[]) => void,
  ) => void;
}

/** Parsed URLs kept: endpoints come again and again, query strings do not. */
// All of undici takes four times as long to load as these two parts of it, and a start waits for them.
const load = createRequire(import.meta.url);
const HttpAgent = load('undici/lib/dispatcher/agent.js') as typeof Agent;
const createConnector = load('undici/lib/core/connect.js') as typeof buildConnector;

const targetsKept = 2000;
const targetLength = 500;

// --- the module -------------------------------------------------------------------------------------------------------

export function createEgress(options: EgressOptions): Egress {
  const { sovereign, connectTimeoutMs = 5000, connections = 128 } = options;
  const targets = new Map<string, Target>();
  const inFlight = new Underway<Exchange>();
  const deadlines = createDeadlines(inFlight, (exchange) => exchange.expire());
  const sockets: Record<Reach, Set<Socket>> = { local: new Set(), lan: new Set(), remote: new Set(), public: new Set() };
  const held = new Set<{ egress: Reach; cut(reason: WireError): void }>();
  const resolve = createResolver(options.lookup ?? ((name, done) => systemLookup(name, { all: true, order: 'verbatim' }, done)));
  const lookups = {} as Record<Reach, LookupFunction>;
  const connectors = {} as Record<Reach, buildConnector.connector>;
  // One agent a class: a connection opened for a remote route is never reused by one that says it is local.
  const agents: Record<Reach, Agent> = {
    local: agentOf('local'),
    lan: agentOf('lan'),
    remote: agentOf('remote'),
    public: agentOf('public'),
  };
  let disposed = false;

  function agentOf(egress: Reach): Agent {
    const lookup = ((hostname: string, want: { all?: boolean }, done: (error: Error | null, ...rest: unknown[]) => void) => {
      const answer = (error: Error | null, found: { address: string; family: number }[]) => {
        const refusal = error ?? (leaves(egress) && sovereign() ? new Refusal(sovereignRefusal(hostname)) : null);
        if (refusal !== null) return done(refusal);
        const strange = found.find(({ address }) => {
          const kind = addressKind(address);
          return kind !== 'never' && !reaches(egress, kind);
        });
        // One address outside the class spoils the name: whoever answers with a mix chooses when we connect to which.
        if (strange !== undefined) return done(new Refusal(outside(hostname, strange.address, egress)));
        const usable = found.filter(({ address }) => reaches(egress, addressKind(address)));
        if (usable.length === 0) {
          if (found[0] !== undefined) return done(new Refusal(outside(hostname, found[0].address, egress)));
          return done(Object.assign(new Error('no address'), { code: 'ENOTFOUND' }));
        }
        if (want.all === true) return done(null, usable);
        done(null, usable[0]!.address, usable[0]!.family);
      };
      if (isLocalhost(hostname)) {
        return answer(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '::1', family: 6 },
        ]);
      }
      resolve(hostname, answer);
    }) as LookupFunction;

    lookups[egress] = lookup;
    const base = createConnector({
      timeout: connectTimeoutMs,
      allowH2: false,
      lookup,
      autoSelectFamily: true,
    }) as unknown as (options: Parameters<buildConnector.connector>[0], done: (...args: [null, Socket] | [Error, null]) => void) => Socket;
    const connect: buildConnector.connector = (target, done) => {
      const finish = done as (error: Error | null, socket: Socket | null) => void;
      if (leaves(egress) && sovereign()) return finish(new Refusal(sovereignRefusal(target.hostname)), null);
      const opened = base(target, (error, socket) => {
        if (error !== null) return finish(error, null);
        const address = socket.remoteAddress;
        if (address === undefined) return finish(Object.assign(new Error('closed'), { code: 'ECONNRESET' }), null);
        if (reaches(egress, addressKind(address)) && !(leaves(egress) && sovereign())) return finish(null, socket);
        socket.destroy();
        finish(
          new Refusal(leaves(egress) && sovereign() ? sovereignRefusal(target.hostname) : outside(target.hostname, address, egress)),
          null,
        );
      });
      sockets[egress].add(opened);
      opened.once('close', () => sockets[egress].delete(opened));
    };
    connectors[egress] = connect;
    return new HttpAgent({ connect, connections, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  }

  function target(url: string): Target {
    let found = targets.get(url);
    if (found === undefined) {
      found = parseTarget(url);
      if (targets.size >= targetsKept) targets.clear();
      if (url.length <= targetLength) targets.set(url, found);
    }
    return found;
  }

  function judge(where: Target, egress: Reach): WireError | null {
    if (where.problem !== null) return where.problem;
    const { literal } = where;
    if (literal?.kind === 'never') return outside(where.host, literal.address, egress);
    if (leaves(egress) && sovereign()) return sovereignRefusal(where.host);
    if (literal !== null && !reaches(egress, literal.kind)) return outside(where.host, literal.address, egress);
    if (egress === 'public' && isLocalhost(where.host)) return outside(where.host, '127.0.0.1', egress);
    return null;
  }

  function hold(egress: Reach, cut: (reason: WireError) => void) {
    const connection = { egress, cut };
    held.add(connection);
    return () => void held.delete(connection);
  }

  return {
    check: (url, egress) => judge(target(typeof url === 'string' ? url : url.href), egress),

    request(request) {
      return new Promise((done, failed) => {
        const where = target(request.url);
        const refusal = disposed ? refuse('shutting_down', 'Dispatcher is shutting down.') : judge(where, request.egress);
        if (refusal !== null) return failed(new EgressRefusal(refusal, false));
        const exchange = new Exchange(request, { host: where.host, inFlight, deadlines, done, failed });
        if (exchange.settled) return;
        agents[request.egress].dispatch(
          {
            origin: where.origin,
            path: where.path,
            method: request.method,
            headers: request.headers,
            body: request.body,
          },
          exchange,
        );
      });
    },

    cutRemote(reason) {
      const old = [agents.remote, agents.public];
      agents.remote = agentOf('remote');
      agents.public = agentOf('public');
      let cut = 0;
      for (const exchange of inFlight) {
        if (!leaves(exchange.egress)) continue;
        cut += 1;
        exchange.fail(reason);
      }
      for (const connection of held) {
        if (!leaves(connection.egress)) continue;
        cut += 1;
        connection.cut(reason);
      }
      for (const socket of [...sockets.remote, ...sockets.public]) socket.destroy();
      for (const agent of old) void agent.destroy(new Refusal(reason));
      return cut;
    },

    locate(host, egress) {
      return new Promise((done, failed) => {
        const where = target(`http://${isIP(host) === 6 ? `[${host}]` : host}/`);
        const refusal = disposed ? refuse('shutting_down', 'Dispatcher is shutting down.') : judge(where, egress);
        if (refusal !== null) return failed(new EgressRefusal(refusal, false));
        if (where.literal !== null) return done([where.literal.address]);
        lookups[egress](where.host, { all: true }, (error, found) => {
          if (error === null) return done((found as unknown as { address: string }[]).map(({ address }) => address));
          failed(new EgressRefusal(mapError(error, where.host, false, 0), false));
        });
      });
    },

    hold,

    async socket(request) {
      const where = target(request.url);
      // Loaded by whoever needs it: most cores never open one.
      const { WebSocket } = await import('ws');
      const refusal = disposed ? refuse('shutting_down', 'Dispatcher is shutting down.') : judge(where, request.egress);
      if (refusal !== null) throw new EgressRefusal(refusal, false);
      const { protocol, hostname, host, port } = new URL(request.url);
      const bare = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
      const connection = await new Promise<Socket>((done, failed) => {
        connectors[request.egress]({ protocol, hostname: bare, host, port }, (error, socket) => {
          if (error === null) done(socket);
          else failed(new EgressRefusal(mapError(error, where.host, false, 0), false));
        });
      });
      const client = new WebSocket(request.url.replace(/^http/, 'ws'), {
        createConnection: () => connection,
        headers: request.headers,
        handshakeTimeout: connectTimeoutMs,
        maxPayload: request.maxBytes,
        perMessageDeflate: false,
      });
      return conduct({ client, request, host: where.host, hold: (cut) => hold(request.egress, cut) });
    },

    async [Symbol.asyncDispose]() {
      disposed = true;
      deadlines[Symbol.dispose]();
      const reason = refuse('shutting_down', 'Dispatcher is shutting down.');
      for (const exchange of inFlight) exchange.fail(reason);
      for (const connection of held) connection.cut(reason);
      for (const set of Object.values(sockets)) for (const socket of set) socket.destroy();
      await Promise.all(Object.values(agents).map((agent) => agent.destroy(new Refusal(reason))));
    },
  };
}

function sovereignRefusal(host: string): WireError {
  return refuse(
    'sovereign_refused',
    `Sovereign is on: ${host === '' ? 'a remote service' : host} is remote, so nothing was sent and no name looked up.`,
    {
      hint: 'Turn sovereign off, or use a route that is local.',
    },
  );
}

/**
 * Looks names up through the system's resolver: equal names once at a time, and never more than three at once, because each
 * holds one of the four threads that files are read on too.
 */
function createResolver(lookup: NonNullable<EgressOptions['lookup']>) {
  type Waiter = (error: Error | null, addresses: { address: string; family: number }[]) => void;
  const waiting = new Map<string, Waiter[]>();
  const queue: string[] = [];
  let running = 0;
  function next() {
    while (running < 3 && queue.length > 0) {
      const name = queue.shift()!;
      running += 1;
      lookup(name, (error, addresses) => {
        running -= 1;
        const waiters = waiting.get(name) ?? [];
        waiting.delete(name);
        for (const waiter of waiters) waiter(error, error === null ? addresses : []);
        next();
      });
    }
  }
  return (name: string, done: Waiter) => {
    const others = waiting.get(name);
    if (others !== undefined) return void others.push(done);
    waiting.set(name, [done]);
    queue.push(name);
    next();
  };
}

const streamed = /^(?:text\/event-stream|application\/(?:x-ndjson|ndjson|jsonl|x-jsonlines|json-seq))\b/i;
const nothing = Buffer.alloc(0);

interface Surroundings {
  host: string;
  inFlight: Underway<Exchange>;
  deadlines: Deadlines;
  done(answer: EgressAnswer): void;
  failed(error: Error): void;
}

/** One request under way: undici's handler and all that can end it in one object, because this is the hot path. */
class Exchange implements Dispatcher.DispatchHandler, Placed, Due {
  readonly egress: Reach;
  place = 0;
  dueAt = Number.POSITIVE_INFINITY;
  settled = false;
  readonly #request: EgressRequest;
  readonly #around: Surroundings;
  readonly #host: string;
  /** Bounds in milliseconds from `#from`. */
  readonly #from = performance.now();
  readonly #totalMs: number;
  readonly #connectMs: number | null;
  #onAbort: (() => void) | null = null;
  #controller: Dispatcher.DispatchController | null = null;
  #sent = false;
  #status = 0;
  #headers: Record<string, string> = {};
  #first: Buffer | null = null;
  #more: Buffer[] | null = null;
  #bytes = 0;
  /** Bytes that came encoded. */
  #raw = 0;
  #decoder: Transform | null = null;
  #text: InstanceType<typeof TextDecoder> | null = null;

  constructor(request: EgressRequest, around: Surroundings) {
    const { signal, cutoff, timeoutMs = 30_000, connectTimeoutMs } = request;
    this.egress = request.egress;
    this.#request = request;
    this.#around = around;
    this.#host = around.host;
    this.#totalMs = timeoutMs;
    this.#connectMs = connectTimeoutMs !== undefined && connectTimeoutMs < timeoutMs ? Math.max(1, connectTimeoutMs) : null;
    around.inFlight.add(this);
    if (cutoff?.reason) this.fail(cutoff.reason);
    else if (signal?.aborted === true) this.#aborted();
    else if (timeoutMs <= 0) this.#timeout(timeoutMs);
    else this.#heed(around.deadlines);
  }

  #heed(deadlines: Deadlines) {
    const { signal, cutoff } = this.#request;
    cutoff?.listen((reason) => this.fail(reason));
    if (signal) {
      // Not this object itself: Node wraps it, and under load every exchange then outlived its time in the young generation.
      this.#onAbort = () => this.#aborted();
      signal.addEventListener('abort', this.#onAbort);
    }
    this.dueAt = this.#from + (this.#connectMs ?? this.#totalMs);
    deadlines.watch(this.dueAt);
  }

  #aborted() {
    const reason: unknown = this.#request.signal?.reason;
    if (reason instanceof Refusal) return this.fail(reason.wire);
    if (reason instanceof Error && reason.name === 'TimeoutError') return this.#timeout(null);
    if (typeof reason === 'object' && reason !== null && 'code' in reason && String(reason.code) in catalogue)
      return this.fail(reason as WireError);
    this.fail(refuse('cancelled', 'The call was cancelled.'));
  }

  /** It is due. */
  expire() {
    this.#timeout(this.#sent ? this.#totalMs : (this.#connectMs ?? this.#totalMs));
  }

  #timeout(ms: number | null) {
    const what = !this.#sent ? 'could not be connected to' : this.#status === 0 ? 'did not answer' : 'did not finish its answer';
    const span = ms === null ? 'in time' : `within ${ms < 10_000 ? `${Math.max(0, Math.round(ms))} ms` : `${Math.round(ms / 1000)} s`}`;
    this.fail(
      refuse('upstream_timeout', `${this.#host} ${what} ${span}.`, { hint: 'See whether it is busy; raise timeout if it needs longer.' }),
    );
  }

  fail(wire: WireError) {
    if (this.settled) return;
    this.#settle();
    this.#around.failed(new EgressRefusal(wire, this.#sent));
    this.#decoder?.destroy();
    this.#controller?.abort(new Refusal(wire));
  }

  #settle() {
    this.settled = true;
    this.#around.inFlight.delete(this);
    this.#request.cutoff?.listen(null);
    if (this.#onAbort !== null) this.#request.signal?.removeEventListener('abort', this.#onAbort);
  }

  onRequestStart(controller: Dispatcher.DispatchController) {
    this.#controller = controller;
    // Given up while it queued or connected: aborting here means not one byte is written.
    if (this.settled) return controller.abort(new Refusal(refuse('cancelled', 'Given up before it was sent.')));
    this.#sent = true;
    this.dueAt = this.#from + this.#totalMs;
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>) {
    if (status < 200 || this.settled) return;
    this.#status = status;
    // undici made this object for us alone; only repeated headers need a change.
    for (const name in headers) {
      const value = headers[name];
      if (typeof value !== 'string') headers[name] = value === undefined ? '' : value.join(', ');
    }
    this.#headers = headers as Record<string, string>;
    const length = this.#headers['content-length'];
    if (length !== undefined && Number(length) > this.#request.maxBytes && this.#request.method !== 'HEAD') return this.#tooLarge();
    if (this.#request.onBytes !== undefined) {
      try {
        this.#request.onHead?.(status, this.#headers);
      } catch (caught) {
        this.#bug(caught);
      }
      return;
    }
    const encoding = this.#headers['content-encoding'];
    if (encoding !== undefined && !this.#decodeAs(encoding.trim().toLowerCase())) return;
    const type = this.#headers['content-type'];
    if (this.#request.onChunk !== undefined && type !== undefined && status < 300 && streamed.test(type)) {
      this.#text = new TextDecoder();
      this.#request.onHead?.(status, this.#headers);
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer) {
    if (this.settled) return;
    if (this.#request.onBytes !== undefined) return this.#pass(controller, chunk);
    if (this.#decoder === null) return this.#take(chunk);
    this.#raw += chunk.length;
    if (!this.#decoder.write(chunk)) {
      controller.pause();
      this.#decoder.once('drain', () => controller.resume());
    }
  }

  onResponseEnd() {
    if (this.settled) return;
    // A 204, or an empty body, is encoded in nothing whatever its header says.
    if (this.#decoder === null || this.#raw === 0) return this.#finish();
    this.#decoder.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error) {
    if (!this.settled) this.fail(mapError(error, this.#host, this.#sent, this.#status));
  }

  /** We never ask for an encoding; some servers compress all the same. */
  #decodeAs(encoding: string): boolean {
    if (encoding === '' || encoding === 'identity') return true;
    const create = decoders.get(encoding);
    if (create === undefined) {
      this.fail(
        refuse('upstream_failed', `${this.#host} encoded its answer as "${encoding.slice(0, 40)}", which was not asked for.`, {
          status: this.#status,
        }),
      );
      return false;
    }
    const decoder = create();
    decoder.on('data', (chunk: Buffer) => this.#take(chunk));
    decoder.on('end', () => this.#finish());
    decoder.on('error', () =>
      this.fail(refuse('upstream_failed', `${this.#host} sent an answer whose ${encoding} encoding is broken.`, { status: this.#status })),
    );
    this.#decoder = decoder;
    return true;
  }

  #pass(controller: Dispatcher.DispatchController, chunk: Buffer) {
    // undici flushes its parser with nothing whenever it goes on: a reader that is held by that goes round for ever.
    if (chunk.length === 0) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#request.maxBytes) return this.#tooLarge();
    try {
      const later = this.#request.onBytes!(chunk);
      if (later === null) return;
      controller.pause();
      later.then(
        () => {
          if (!this.settled) controller.resume();
        },
        (caught: unknown) => this.#bug(caught),
      );
    } catch (caught) {
      this.#bug(caught);
    }
  }

  #take(chunk: Buffer) {
    if (this.settled) return;
    this.#bytes += chunk.length;
    if (this.#bytes > this.#request.maxBytes) return this.#tooLarge();
    if (this.#text !== null) return this.#emit(this.#text.decode(chunk, { stream: true }));
    if (this.#first === null) this.#first = chunk;
    else if (this.#more === null) this.#more = [this.#first, chunk];
    else this.#more.push(chunk);
  }

  #emit(text: string) {
    if (text === '') return;
    try {
      this.#request.onChunk!(text, this.#headers['content-type']!);
    } catch (caught) {
      this.#bug(caught);
    }
  }

  /** Of the listener's: out of an event it would end the process. */
  #bug(caught: unknown) {
    if (this.settled) return;
    this.#settle();
    this.#around.failed(caught as Error);
    this.#decoder?.destroy();
    this.#controller?.abort(new Refusal(toWire(caught)));
  }

  #finish() {
    if (this.settled) return;
    if (this.#text !== null) this.#emit(this.#text.decode());
    if (this.settled) return;
    this.#settle();
    const body = this.#more !== null ? Buffer.concat(this.#more) : (this.#first ?? nothing);
    this.#around.done({ status: this.#status, headers: this.#headers, body });
  }

  #tooLarge() {
    this.fail(
      refuse('upstream_too_large', `${this.#host} answered with more than the ${this.#request.maxBytes} bytes this route takes.`, {
        hint: 'Ask for less, or raise max_response_bytes of the service.',
        status: this.#status,
      }),
    );
  }
}

const decoders = new Map<string, () => Transform>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
]);

/** What a socket, TLS or parser error means in the catalogue. */
function mapError(caught: Error, host: string, sent: boolean, status: number): WireError {
  if (caught instanceof Refusal) return caught.wire;
  const code = codeOf(caught);
  switch (code) {
    case 'ECONNREFUSED':
      return refuse('upstream_refused', `${host} refused the connection.`, { hint: 'Start the service, or correct its endpoint.' });
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAI_NODATA':
    case 'EAI_NONAME':
    case 'EAI_FAIL':
      return refuse('upstream_name_unknown', `The name ${host} does not resolve.`, { hint: 'Correct the endpoint, or the name service.' });
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EHOSTDOWN':
    case 'ENETDOWN':
    case 'EADDRNOTAVAIL':
    case 'EACCES':
    case 'EPERM':
      return refuse('upstream_unreachable', `${host} cannot be reached (${code}).`, {
        hint: 'See whether the machine is on and the network between is up.',
      });
    case 'EMFILE':
    case 'ENFILE':
    case 'ENOBUFS':
      return refuse('upstream_unreachable', `No connection to ${host} could be opened: too many are open (${code}).`, {
        hint: 'Raise the limit of open files.',
      });
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return refuse('upstream_timeout', `${host} could not be connected to in time.`, {
        hint: 'See whether the machine is on and a firewall is between.',
      });
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
      return refuse('upstream_timeout', `${host} did not answer in time.`, {
        hint: 'See whether it is busy; raise timeout if it needs longer.',
      });
    case 'UND_ERR_HEADERS_OVERFLOW':
    case 'HPE_HEADER_OVERFLOW':
      return refuse('upstream_too_large', `${host} answered with more headers than are taken.`, {
        hint: 'Nothing to do here; the service is at fault.',
      });
    case 'UND_ERR_INVALID_ARG':
    case 'UND_ERR_NOT_SUPPORTED':
    case 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH':
      return refuse('input_invalid', `The request to ${host} cannot be written: ${caught.message}.`, {
        hint: 'Correct the header, method or path.',
      });
    case 'UND_ERR_DESTROYED':
    case 'UND_ERR_CLOSED':
      return refuse('shutting_down', 'Dispatcher is shutting down.');
  }
  if (code.startsWith('HPE_') || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
    return refuse('upstream_failed', `${host} answered with something that is not valid HTTP.`, {
      hint: 'See whether the port is the right one.',
    });
  }
  if (/CERT|TLS|SSL|SELF_SIGNED|ISSUER|SIGNATURE/.test(code)) {
    return refuse('upstream_failed', `The certificate or TLS of ${host} is not accepted (${code}). Nothing was sent.`, {
      hint: 'Correct the certificate or the endpoint.',
    });
  }
  if (!sent) return refuse('upstream_unreachable', `${host} closed the connection before the request was sent.`);
  return refuse(
    'upstream_failed',
    status === 0
      ? `${host} closed the connection after the request was sent, without an answer.`
      : `${host} closed the connection in the middle of its answer.`,
    { hint: 'It may have acted on the request: look there before calling again.' },
  );
}

function codeOf(error: Error): string {
  const own = (error as NodeJS.ErrnoException).code;
  const inner = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException | undefined)?.code : undefined;
  return inner ?? own ?? (error.cause instanceof Error ? codeOf(error.cause) : '');
}

/** A WebSocket from its handshake to its end. Resolves when it is open. */
function conduct({
  client,
  request,
  host,
  hold,
}: {
  client: WebSocket;
  request: SocketRequest;
  host: string;
  hold(cut: (reason: WireError) => void): () => void;
}): Promise<EgressSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<EgressSocket>();
  let open = false;
  let over = false;
  let answered = true;
  let beat: NodeJS.Timeout | null = null;
  const end = (wire: WireError | null) => {
    if (over) return;
    over = true;
    release();
    if (beat !== null) clearInterval(beat);
    client.terminate();
    if (wire === null) return;
    if (open) request.onEnd(wire);
    else reject(new EgressRefusal(wire, false));
  };
  const release = hold(end);

  client.on('error', (error) => {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('WS_ERR_') !== true) return end(mapError(error, host, open, 0));
    const wire =
      code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
        ? refuse('upstream_too_large', `${host} sent a message of more than ${request.maxBytes} bytes.`)
        : refuse('upstream_failed', `${host} does not speak WebSocket as RFC 6455 has it (${code}).`);
    end(wire);
  });
  client.on('unexpected-response', (_request, { statusCode = 0 }) =>
    end(
      refuse('upstream_failed', `${host} answered ${statusCode} instead of opening a WebSocket.`, {
        status: statusCode,
        hint: statusCode === 401 || statusCode === 403 ? 'Look at the auth of the service in the registry.' : null,
      }),
    ),
  );
  client.on('close', (code) => end(refuse('upstream_unreachable', `${host} closed the connection (${code}).`)));
  client.on('pong', () => {
    answered = true;
  });
  client.on('message', (data, isBinary) => {
    answered = true;
    if (!over) request.onMessage(isBinary ? null : String(data));
  });
  client.on('open', () => {
    open = true;
    beat = setInterval(() => {
      if (!answered) return end(refuse('upstream_timeout', `${host} answers no ping.`));
      answered = false;
      client.ping();
    }, request.beatMs).unref();
    resolve({ close: () => end(null) });
  });
  return promise;
}
