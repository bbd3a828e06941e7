/** The life of one MCP server: started once however many ask, ended when nobody does, given a rest when it fails. */
import type { CallToolResult, Tool } from '@modelcontextprotocol/client';
import { Refusal, refuse, toWire, type WireError } from '../../../shared/errors.ts';
import type { McpSpec, McpState } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';
import { reasonOf, unlessAborted } from './abort.ts';
import type { Connection, ToolCall } from './connection.ts';
import { usable } from './tools.ts';

export interface ServerOptions {
  name: string;
  /** As the registry has it now. */
  spec(): McpSpec;
  egress: Egress;
  /** A child that is started now is to have no network. */
  confine(): boolean;
  /** The value of an environment variable; null when it is not set. */
  secret(name: string): string | null;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** Does the work once there is a place among those that start. */
  turn<T>(work: () => Promise<T>): Promise<T>;
  /** Bound on becoming ready. */
  startMs: number;
  /** Between SIGTERM and SIGKILL. */
  graceMs: number;
  /** What a server that was asked to stop a call has to show that it lives. */
  hangMs: number;
  /** Its state changed. */
  onState(): void;
  /** It told of its tools. */
  onTools(): void;
}

export interface McpLife {
  state: Exclude<McpState, 'unapproved'>;
  detail: string | null;
  pid: number | null;
  startedAt: number | null;
  /** It was started without a network. */
  confined: boolean;
}

export interface Server {
  life(): McpLife;
  /** What it told of last; null before it was asked. */
  tools(): Tool[] | null;
  /**
   * Resolves once it runs. Rejects with Refusal: breaker_open while it rests after failures, what `signal` was aborted with, those of
   * openConnection; it goes on starting when only this caller has given up.
   */
  ready(signal: AbortSignal): Promise<void>;
  /** Of a server that is ready. Rejects with Refusal, as Connection.call. */
  call(ask: ToolCall): Promise<CallToolResult>;
  /** Asks for its tools again. Rejects with Refusal. */
  refresh(): Promise<void>;
  /** Failures in a row are forgotten. */
  forgive(): void;
  /** Ends it, and a child with all that it started; it starts again when it is called. Calls under way fail with `reason`. */
  stop(reason: WireError): Promise<void>;
}

/** The second failure in a row is followed by a rest of this, every further one by double, up to the most. */
const REST_MS = 1000;
const MOST_REST_MS = 60_000;

/**
 * Failures are: it could not be started, it ended by itself, it had to be ended because it hung. With the second in a row calls are refused
 * for a while (breaker_open); a call that is answered makes it well again.
 *
 * A call that is cancelled or out of time is taken back (notifications/cancelled). If it had its time and was the only one, the server is
 * ended, because nothing else is sure to stop it; if others run, or it was cancelled early, the server is ended only when it does not
 * answer a ping in `hangMs`.
 */
export function createServer(options: ServerOptions): Server {
  const { name, spec, egress, clock, turn, startMs, graceMs, hangMs, onState, onTools } = options;
  let connection: Connection | null = null;
  let starting: { done: Promise<void>; abort: AbortController } | null = null;
  let failure: WireError | null = null;
  let failures = 0;
  let restUntil = 0;
  let startedAt: number | null = null;
  let tools: Tool[] | null = null;
  let legacy = false;
  let confined = false;
  let calls = 0;
  let idle: NodeJS.Timeout | null = null;
  let ignored = 0;
  let lastIgnored = '';
  let left: string[] = [];
  let release = () => {};
  let refreshing: Promise<void> | null = null;
  const closing = new Set<Promise<void>>();

  function start(): Promise<void> {
    if (starting === null) {
      const abort = new AbortController();
      const done = turn(() => open(abort.signal)).finally(() => {
        starting = null;
        onState();
      });
      // Whoever waits hears of it; there may be nobody left.
      done.catch(() => {});
      starting = { done, abort };
      onState();
    }
    return starting.done;
  }

  async function open(signal: AbortSignal): Promise<void> {
    ignored = 0;
    let opened: Connection | null = null;
    try {
      if (signal.aborted) throw new Refusal(reasonOf(signal));
      // The client package takes a tenth of a second to load, which nobody without MCP servers should wait for.
      const { EndedWhenAsked, openConnection } = await import('./connection.ts');
      confined = options.confine();
      const settings = {
        ...settingsOf(),
        confined,
        startMs,
        graceMs,
        egress,
        onNote,
        onToolsChanged,
        onEnd: (wire: WireError) => onEnd(opened, wire),
      };
      opened = await openConnection({ ...settings, legacy }, signal).catch((caught: unknown) => {
        if (!(caught instanceof EndedWhenAsked)) throw caught;
        return openConnection({ ...settings, legacy: true }, signal);
      });
      ({ tools, left } = usable(await unlessAborted(opened.tools(), signal)));
    } catch (caught) {
      const wire = toWire(caught);
      await opened?.close(wire);
      if (signal.aborted) throw new Refusal(reasonOf(signal));
      failed(wire);
      throw caught;
    }
    const { close } = opened;
    connection = opened;
    legacy = opened.legacy;
    failure = null;
    startedAt = clock();
    release = egress.hold(spec().egress, (reason) => void stop(reason));
    // It was cut off in the turn that it became ready in.
    if (signal.aborted) {
      drop();
      await close(reasonOf(signal));
      throw new Refusal(reasonOf(signal));
    }
    rest();
    onTools();
  }

  function settingsOf(): { spec: McpSpec; env: Record<string, string>; cwd: string; headers: Record<string, string> } {
    const current = spec();
    const { transport, auth } = current;
    const own = (variable: string) => {
      const value = options.secret(variable)?.trim();
      if (value) return value;
      throw new Refusal(
        refuse('registry_invalid', `The MCP server ${name} needs ${variable}, which is not set.`, {
          hint: `Set the environment variable ${variable} and start Dispatcher again.`,
        }),
      );
    };
    const headers: Record<string, string> = {};
    if (auth?.kind === 'bearer') headers.authorization = `Bearer ${own(auth.env)}`;
    else if (auth !== null) headers[auth.header ?? 'x-api-key'] = own(auth.env);
    // What a program needs to find others and its home, and nothing that is ours: no token, no key, no proxy, no option for Node.
    const env: Record<string, string> = {};
    for (const variable of ['PATH', 'HOME', 'LANG', ...(process.platform === 'win32' ? ofWindows : [])]) {
      const value = options.secret(variable);
      if (value !== null) env[variable] = value;
    }
    const home = env.HOME ?? env.USERPROFILE ?? '/';
    if (transport.kind === 'http') return { spec: current, env, cwd: home, headers };
    for (const declared of transport.env) env[declared.name] = own(declared.from);
    return { spec: current, env, cwd: transport.cwd ?? home, headers };
  }

  function onNote(note: string): void {
    ignored += 1;
    lastIgnored = note;
    if (ignored === 1) onState();
  }

  function onToolsChanged(): void {
    void refresh().catch((caught: unknown) => onNote(toWire(caught).message));
  }

  function onEnd(ended: Connection | null, wire: WireError): void {
    if (ended === null || ended !== connection) return;
    drop();
    failed(wire);
  }

  function drop(): void {
    connection = null;
    release();
    release = () => {};
    if (idle !== null) clearTimeout(idle);
    idle = null;
    startedAt = null;
  }

  function failed(wire: WireError): void {
    failure = wire;
    failures += 1;
    if (failures > 1) restUntil = clock() + Math.min(MOST_REST_MS, REST_MS * 2 ** (failures - 2));
    onState();
  }

  /** How long calls are still refused. */
  function restMs(): number {
    // Whatever the clock does, it is not longer than the longest.
    return failures > 1 ? Math.min(MOST_REST_MS, restUntil - clock()) : 0;
  }

  /** Nobody calls: it is ended after a while. */
  function rest(): void {
    if (calls > 0 || connection === null) return;
    if (idle !== null) clearTimeout(idle);
    idle = setTimeout(() => void stop(refuse('cancelled', `The MCP server ${name} was not used and was ended.`)), spec().idleMs).unref();
  }

  async function stop(reason: WireError): Promise<void> {
    starting?.abort.abort(new Refusal(reason));
    await starting?.done.catch(() => {});
    if (connection !== null) end(connection, reason);
    failure = null;
    failures = 0;
    onState();
    while (closing.size > 0) await Promise.all(closing);
  }

  function end(ended: Connection, reason: WireError): void {
    drop();
    const done: Promise<void> = ended.close(reason).finally(() => closing.delete(done));
    closing.add(done);
  }

  /** A call to it was cut off: does it live? */
  async function examine(suspect: Connection, { timedOut, alone }: { timedOut: boolean; alone: boolean }): Promise<void> {
    if ((timedOut && alone) || !(await suspect.answers(hangMs))) {
      if (suspect !== connection) return;
      const wire = refuse('upstream_timeout', `The MCP server ${name} did not answer in time and was ended.`, {
        hint: 'It is started again when it is called. Raise its timeout if it needs longer.',
      });
      end(suspect, wire);
      failed(wire);
    }
  }

  async function refresh(): Promise<void> {
    // What changes while it is asked is asked for after.
    await refreshing?.catch(() => {});
    const asked = connection;
    if (asked === null) return;
    refreshing = (async () => {
      const listed = usable(await asked.tools());
      if (asked !== connection) return;
      ({ tools, left } = listed);
      onTools();
    })();
    await refreshing;
  }

  return {
    life() {
      const state = starting !== null ? 'starting' : connection !== null ? 'ready' : failure !== null ? 'failed' : 'idle';
      const told = [
        left.length > 0 ? `Left aside: ${left.slice(0, 5).join(', ')}${left.length > 5 ? ` and ${left.length - 5} more` : ''}.` : null,
        ignored > 0 ? `${ignored} messages were ignored, the last: ${lastIgnored}` : null,
      ].filter((text) => text !== null);
      const detail = state === 'failed' ? [failure!.message, failure!.hint].filter(Boolean).join(' ') : told.join(' ') || null;
      return { state, detail, pid: connection?.pid ?? null, startedAt, confined };
    },

    tools: () => tools,

    async ready(signal) {
      if (connection !== null) return;
      const retryAfterMs = restMs();
      if (starting === null && retryAfterMs > 0) {
        throw new Refusal(
          refuse('breaker_open', `The MCP server ${name} failed ${failures} times in a row: ${failure?.message ?? ''}`, {
            hint: `It is tried again in ${Math.ceil(retryAfterMs / 1000)} s, or when its tools are asked for by hand.`,
            retryAfterMs,
          }),
        );
      }
      await unlessAborted(start(), signal);
    },

    async call(ask) {
      const asked = connection;
      if (asked === null) throw new Refusal(failure ?? refuse('upstream_failed', `The MCP server ${name} has just ended.`));
      const began = performance.now();
      calls += 1;
      if (idle !== null) clearTimeout(idle);
      try {
        const result = await asked.call(ask);
        failures = 0;
        return result;
      } catch (caught) {
        const { code } = toWire(caught);
        // Somebody who gives it less than half its time learns nothing of it when that is over.
        const timedOut = code === 'upstream_timeout' && performance.now() - began >= spec().timeoutMs / 2;
        if (timedOut || ask.signal.aborted) {
          const examined: Promise<void> = examine(asked, { timedOut, alone: calls === 1 }).finally(() => closing.delete(examined));
          closing.add(examined);
        }
        throw caught;
      } finally {
        calls -= 1;
        rest();
      }
    },

    refresh,
    forgive() {
      failures = 0;
    },
    stop,
  };
}

/** Without these nothing starts there. */
const ofWindows = ['SystemRoot', 'SystemDrive', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA', 'TEMP', 'PATHEXT'];
