/** One live MCP server: the client package over a child process or over HTTP, with failures in words of the catalogue. */
import {
  type CallToolResult,
  Client,
  ProtocolError,
  ProtocolErrorCode,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  StreamableHTTPClientTransport,
  type Tool,
} from '@modelcontextprotocol/client';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { McpSpec } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';
import { reasonOf } from './abort.ts';
import { inert } from './display.ts';
import { createFetch } from './fetch.ts';
import { createStdioTransport, type StdioOptions } from './stdio.ts';

export interface ConnectionOptions {
  spec: McpSpec;
  /** Of a child: its whole environment and the folder it starts in. */
  env: Record<string, string>;
  cwd: string;
  /** Of a child: it is to have no network. */
  confined: boolean;
  /** Of HTTP: what says who calls. */
  headers: Record<string, string>;
  egress: Egress;
  /** Bound on becoming ready. */
  startMs: number;
  graceMs: number;
  /** The server is known to speak the protocol of 2025, so it is not asked. */
  legacy: boolean;
  /** Something came that was left aside. */
  onNote(note: string): void;
  /** The server says that its tools are others now. */
  onToolsChanged(): void;
  /** Once: it is over, not by `close`. */
  onEnd(reason: WireError): void;
}

export interface Connection {
  readonly pid: number | null;
  /** It speaks the protocol of 2025, so the next one needs not ask. */
  readonly legacy: boolean;
  /** Rejects with Refusal: upstream_timeout, upstream_failed, upstream_too_large and, over HTTP, those of Egress.request. */
  tools(): Promise<Tool[]>;
  /** Rejects as `tools`, with `input_invalid`, and with what the signal was aborted with. */
  call(ask: ToolCall): Promise<CallToolResult>;
  /** Whether it answers anything within `ms`. */
  answers(ms: number): Promise<boolean>;
  /** Ends it, and a child with all that it started; calls under way reject with `reason`. */
  close(reason: WireError): Promise<void>;
}

export interface ToolCall {
  tool: Tool;
  params: Record<string, unknown>;
  meta: Record<string, unknown>;
  /** The only bound on it. */
  signal: AbortSignal;
  /** `progress` is 0..1, null where the server does not say of how much. */
  onProgress(progress: number | null, note: string | null): void;
}

/** A server that was asked what it speaks and ended instead of answering; it is to be started again and not asked. */
export class EndedWhenAsked extends Refusal {}

const MOST_MESSAGE_BYTES = 16 * 1024 ** 2;
const MOST_PAGES = 32;
const MOST_NOTE = 200;
const MOST_WORDS = 2000;
/** Long enough for a slow start, short beside what a person waits for one that never says it does not understand. */
const PROBE_MS = 10_000;
const GOODBYE_MS = 1000;
/**
 * Runs a program in a network namespace of its own, in which there is nothing, not even loopback; it becomes that program and starts none.
 * Where the system does not allow that it ends with an error, and nothing runs.
 */
const WITHOUT_NETWORK = ['unshare', '--user', '--map-current-user', '--net', '--'];
/** Behind a bound of ours, which comes first and knows the words for it. */
const NET_MS = 100;
/** What a timer takes. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Starts a server, or goes to one, and agrees on the protocol (2026-07-28, else 2025-11-25 and before). Nothing is left of it when this
 * rejects, with Refusal: upstream_timeout, upstream_failed, upstream_unreachable, upstream_too_large, registry_invalid, and over HTTP
 * those of Egress.request; EndedWhenAsked.
 */
export async function openConnection(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
  const { spec, startMs, onNote, onToolsChanged, onEnd } = options;
  const child = spec.transport.kind === 'stdio' ? createStdioTransport(childOptions(options, spec.transport.argv)) : null;
  const http = spec.transport.kind === 'http' ? httpTransport(options, spec.transport.url, onBroken) : null;
  /** What waits for an answer, to be told when there will be none. */
  const waiting = new Set<(over: unknown) => void>();
  let reason: WireError | null = null;
  let ready = false;
  let calls = 0;

  const client = new Client(
    { name: 'dispatcher', version: '1' },
    {
      capabilities: {},
      ...(!options.legacy && { versionNegotiation: { mode: 'auto', probe: { timeoutMs: Math.min(PROBE_MS, startMs / 2) } } }),
      listMaxPages: MOST_PAGES,
      listChanged: { tools: { autoRefresh: false, debounceMs: 100, onChanged: onToolsChanged } },
      inputRequired: { autoFulfill: false },
    },
  );
  client.onerror = (error) => {
    // What failed in a request of ours is told to whoever made it.
    if (!(error instanceof Refusal || error instanceof SdkError)) onNote(inert(error.message, MOST_NOTE));
  };
  client.onclose = () => end(child?.ended ?? refuse('upstream_failed', `The MCP server ${spec.name} closed the connection.`));

  const abort = new AbortController();
  /** What breaks off may be the answer to a call. Without one it is a subscription, which the client package gives up by itself. */
  function onBroken(wire: WireError): void {
    if (calls > 0) end(wire);
    else onNote(wire.message);
  }
  /** It is over by itself. */
  function end(wire: WireError): void {
    if (!ready || reason !== null) return;
    void stop(wire);
    onEnd(wire);
  }
  const stop = (wire: WireError) => {
    reason ??= wire;
    for (const fail of waiting) fail(reason);
    abort.abort('stopped');
    return child === null ? farewell() : child.end(wire);
  };
  const onAbort = () => void stop(reasonOf(signal));

  /** A server over HTTP is told that its session is over, which it need not answer. */
  async function farewell(): Promise<void> {
    const timer = setTimeout(() => void http!.close(), GOODBYE_MS);
    await http!.terminateSession().catch(() => {});
    clearTimeout(timer);
    await client.close().catch(() => {});
    await http!.close().catch(() => {});
  }

  async function bounded<T>(work: Promise<T>): Promise<T> {
    const over = Promise.withResolvers<T>();
    waiting.add(over.reject);
    work.then(over.resolve, over.reject);
    try {
      return await over.promise;
    } catch (caught) {
      throw new Refusal(reason ?? child?.ended ?? wireOf(caught, spec.name));
    } finally {
      waiting.delete(over.reject);
    }
  }

  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(
    () =>
      void stop(
        refuse('upstream_timeout', `The MCP server ${spec.name} was not ready within ${startMs} ms.`, {
          hint: 'Run its command by hand to see what it waits for.',
        }),
      ),
    startMs,
  );
  try {
    if (signal.aborted) throw new Refusal(reasonOf(signal));
    // What is over the start's own bound is the timer's to say.
    await bounded(client.connect(child ?? http!, { timeout: startMs + NET_MS, signal: abort.signal }));
  } catch (caught) {
    const asked = child !== null && !options.legacy && child.ended?.code === 'upstream_failed' && reason === null;
    const { wire } = caught as Refusal;
    await stop(wire);
    throw asked ? new EndedWhenAsked(wire) : caught;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
  ready = true;

  return {
    pid: child?.pid ?? null,
    legacy: client.getProtocolEra() === 'legacy',

    async tools() {
      // The client writes to the console when it is asked for what the server does not have.
      if (client.getServerCapabilities()?.tools === undefined) return [];
      return (await bounded(client.listTools(undefined, { cacheMode: 'bypass', timeout: startMs, signal: abort.signal }))).tools;
    },

    async call({ tool, params, meta, signal: caller, onProgress }) {
      const call = new AbortController();
      const onCancel = () => call.abort(reasonOf(caller).code === 'cancelled' ? 'cancelled' : 'out of time');
      if (caller.aborted) throw new Refusal(reasonOf(caller));
      caller.addEventListener('abort', onCancel, { once: true });
      // A schema is a stranger's: a pattern in it can take for ever. Nothing is held against one here, and the server judges what it is sent.
      const { outputSchema: _, ...toolDefinition } = tool;
      calls += 1;
      try {
        return await bounded(
          client.callTool(
            { name: tool.name, arguments: params, _meta: meta },
            {
              signal: call.signal,
              timeout: LONGEST_MS,
              toolDefinition,
              onprogress: ({ progress, total, message }) =>
                onProgress(
                  total !== undefined && total > 0 ? Math.min(1, Math.max(0, progress / total)) : null,
                  message === undefined ? null : inert(message, MOST_NOTE),
                ),
            },
          ),
        );
      } catch (caught) {
        if (caller.aborted && reason === null) throw new Refusal(reasonOf(caller));
        if (http !== null && isLost((caught as Refusal).wire)) end((caught as Refusal).wire);
        throw caught;
      } finally {
        calls -= 1;
        caller.removeEventListener('abort', onCancel);
      }
    },

    async answers(ms) {
      const asked = { timeout: ms, signal: abort.signal };
      try {
        await (client.getProtocolEra() === 'legacy' ? client.ping(asked) : client.discover(asked));
        return true;
      } catch (caught) {
        // Refusing to answer is an answer.
        return caught instanceof ProtocolError;
      }
    },

    close: stop,
  };
}

function childOptions({ spec, env, cwd, confined, graceMs, onNote }: ConnectionOptions, argv: string[]): StdioOptions {
  return {
    name: spec.name,
    argv: confined ? [...WITHOUT_NETWORK, ...argv] : argv,
    cwd,
    env,
    graceMs,
    mostLineBytes: MOST_MESSAGE_BYTES,
    onNote: (text) => onNote(inert(text, MOST_NOTE)),
  };
}

function httpTransport(
  { spec, headers, egress }: ConnectionOptions,
  url: string,
  onBroken: (wire: WireError) => void,
): StreamableHTTPClientTransport {
  return new StreamableHTTPClientTransport(new URL(url), {
    fetch: createFetch({ egress, reach: spec.egress, maxBytes: MOST_MESSAGE_BYTES, onBroken }),
    requestInit: { headers },
  });
}

/** After this a session over HTTP is gone: the server cannot be reached, or knows nothing of it. */
function isLost({ code, status }: WireError): boolean {
  return lost.has(code) || status === 400 || status === 401 || status === 404;
}
const lost = new Set<string>(['upstream_refused', 'upstream_unreachable', 'upstream_name_unknown', 'egress_refused', 'sovereign_refused']);

/** What the client package, or the way out below it, failed with. */
function wireOf(caught: unknown, name: string): WireError {
  for (let error = caught; error instanceof Error; error = error.cause) if (error instanceof Refusal) return error.wire;
  const words = inert(caught instanceof Error ? caught.message : String(caught), MOST_WORDS);
  if (caught instanceof ProtocolError) {
    return caught.code === ProtocolErrorCode.InvalidParams
      ? refuse('input_invalid', `The MCP server ${name} does not take that: ${words}`)
      : refuse('upstream_failed', `The MCP server ${name} answered with a failure: ${words}`);
  }
  if (caught instanceof SdkHttpError && caught.status !== undefined) {
    return refuse('upstream_failed', `The MCP server ${name} answered ${caught.status}.`, {
      status: caught.status,
      hint: caught.status === 401 || caught.status === 403 ? 'Look at the auth of the server in the registry.' : null,
    });
  }
  if (caught instanceof SdkError && caught.code === SdkErrorCode.RequestTimeout)
    return refuse('upstream_timeout', `The MCP server ${name} did not answer in time.`);
  if (caught instanceof SdkError && caught.code === SdkErrorCode.UnsupportedResultType)
    return refuse('upstream_failed', `The MCP server ${name} asks a person something in the middle of a call, which is not passed on.`);
  return refuse('upstream_failed', `The MCP server ${name} does not speak the protocol as it should: ${words}`);
}
