/**
 * An MCP server as a child process. The client package's own transport has no process groups and lets a child fill its pipes at will,
 * so this is one of ours behind the same interface: one JSON-RPC message a line, both ways (MCP 2025-11-25, transports).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { platform } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { isJSONRPCResponse, type JSONRPCMessage, parseJSONRPCMessage, type Transport } from '@modelcontextprotocol/client';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import { redactText } from '../store/redact.ts';
import { inert } from './display.ts';

export interface StdioOptions {
  /** Of the server, for messages. */
  name: string;
  /** The program and its arguments, passed on as they are. */
  argv: readonly string[];
  cwd: string;
  /** The whole environment of the child. */
  env: Record<string, string>;
  /** A longer message ends the server. */
  mostLineBytes: number;
  /** Between the request to end and the end by force. */
  graceMs: number;
  /** Something came that was left aside. */
  onNote(note: string): void;
}

export interface StdioTransport extends Transport {
  readonly pid: number | null;
  /** The end of what it wrote there. The client package knows a child process by its `pid` and `stderr`. */
  readonly stderr: string;
  /** Why it is over; null while it is not. */
  readonly ended: WireError | null;
  /** Ends the child and everything in its process group; resolves when the child is gone. The first reason stays. */
  end(reason: WireError): Promise<void>;
}

/** Together, before anything that is a message. */
const MOST_GARBAGE_BYTES = 1024 ** 2;
/** What may wait to be read by a child that does not read. */
const MOST_UNREAD_BYTES = 64 * 1024 ** 2;
const STDERR_BYTES = 8192;
const SHOWN_STDERR = 500;
/** Somebody outside the group may hold the pipes of a child that is gone. */
const DRAIN_MS = 200;
const POLL_MS = 20;

/** Nothing is started before `start`, which rejects with a Refusal: upstream_unreachable, registry_invalid. */
export function createStdioTransport(options: StdioOptions): StdioTransport {
  const { name, argv, cwd, env, mostLineBytes, graceMs, onNote } = options;
  const windows = platform() === 'win32';
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  let child: ChildProcess | null = null;
  let ended: WireError | null = null;
  let ending: Promise<void> | null = null;
  let closed = false;
  let line: Buffer[] = [];
  let lineBytes = 0;
  let garbageBytes = 0;
  const inbox: JSONRPCMessage[] = [];
  let complaints = Buffer.alloc(0);
  const gone = Promise.withResolvers<void>();

  const transport: StdioTransport = {
    get pid() {
      return child?.pid ?? null;
    },
    get stderr() {
      return complaints.toString();
    },
    get ended() {
      return ended;
    },
    start: launch,
    send(message) {
      const stdin = child?.stdin;
      if (ended !== null || !stdin?.writable) return Promise.reject(new Refusal(ended ?? exitError('closed its standard input')));
      if (stdin.writableLength > MOST_UNREAD_BYTES)
        return Promise.reject(new Refusal(refuse('upstream_failed', `The MCP server ${name} does not read what it is sent.`)));
      // Not waited for: a child that does not read must not hold up whoever asks, whose time is bounded elsewhere.
      stdin.write(`${JSON.stringify(message)}\n`);
      return Promise.resolve();
    },
    close: () => transport.end(refuse('cancelled', `The MCP server ${name} was stopped.`)),
    end(reason) {
      ended ??= reason;
      tellClosed();
      ending ??= finish();
      return ending;
    },
  };

  function launch(): Promise<void> {
    return new Promise((started, failed) => {
      try {
        // A group of its own, so that what it starts can be ended with it.
        child = spawn(argv[0]!, argv.slice(1), { cwd, env, shell: false, detached: !windows, windowsHide: true, stdio: 'pipe' });
      } catch (caught) {
        ended = refuse('registry_invalid', `The MCP server ${name} cannot be started: ${inert((caught as Error).message, 200)}`);
        gone.resolve();
        return failed(new Refusal(ended));
      }
      child.on('spawn', () => started());
      child.on('error', (caught: NodeJS.ErrnoException) => {
        if (child!.pid !== undefined) return;
        ended ??= spawnError(caught);
        gone.resolve();
        tellClosed();
        failed(new Refusal(ended));
      });
      // The child is gone but what it started may not be, nor what it wrote last be read.
      child.on('exit', () => {
        signalGroup('SIGKILL');
        setTimeout(destroyPipes, DRAIN_MS).unref();
        gone.resolve();
      });
      child.on('close', (code, signal) => {
        ended ??= exitError(signal === null ? `ended by itself (exit code ${code})` : `was ended by ${signal}`);
        tellClosed();
      });
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {});
      child.stdout?.on('data', take);
      child.stderr?.on('data', (chunk: Buffer) => {
        complaints = Buffer.concat([complaints, chunk.subarray(-STDERR_BYTES)]).subarray(-STDERR_BYTES);
      });
    });
  }

  function take(chunk: Buffer): void {
    for (let from = 0; ; ) {
      const at = chunk.indexOf(10, from);
      const piece = chunk.subarray(from, at < 0 ? chunk.length : at);
      lineBytes += piece.length;
      if (lineBytes > mostLineBytes) {
        void transport.end(
          refuse('upstream_too_large', `The MCP server ${name} sent a message of more than ${mostLineBytes} bytes and was ended.`),
        );
        line = [];
        return;
      }
      if (piece.length > 0) line.push(piece);
      if (at < 0) return;
      const whole = line.length === 1 ? line[0]! : Buffer.concat(line);
      line = [];
      lineBytes = 0;
      from = at + 1;
      // Nothing is heard of a child that is being ended.
      if (ended !== null) return;
      if (whole.length > 0) read(whole);
    }
  }

  function read(bytes: Buffer): void {
    const message = parse(bytes);
    if (message === null) {
      discard(bytes);
      return;
    }
    garbageBytes = 0;
    inbox.push(message);
    if (inbox.length === 1) void deliver();
  }

  /** One at a time: the client takes in a notification a little later than an answer, and would lose progress that came just before. */
  async function deliver(): Promise<void> {
    for (let next = inbox[0]; next !== undefined; next = inbox[0]) {
      try {
        transport.onmessage?.(next);
      } catch (caught) {
        transport.onerror?.(caught as Error);
      }
      await null;
      inbox.shift();
    }
  }

  function parse(bytes: Buffer): JSONRPCMessage | null {
    try {
      const message = parseJSONRPCMessage(JSON.parse(utf8.decode(bytes)));
      // The client reads ids as numbers, so that "" would answer request 0. Ours are never written as text.
      return isJSONRPCResponse(message) && typeof message.id === 'string' && !Number.isNaN(Number(message.id)) ? null : message;
    } catch {
      return null;
    }
  }

  function discard(bytes: Buffer): void {
    const text = bytes.subarray(0, 800).toString();
    if (text.trim() === '') return;
    garbageBytes += bytes.length;
    if (garbageBytes <= MOST_GARBAGE_BYTES) onNote(`not a message: ${text}`);
    else void transport.end(refuse('upstream_failed', `The MCP server ${name} writes its log where its messages belong and was ended.`));
  }

  async function finish(): Promise<void> {
    if (child?.pid === undefined) return;
    child.stdin?.end();
    signalGroup('SIGTERM');
    for (const until = performance.now() + graceMs; groupLives() && performance.now() < until; ) await wait(POLL_MS);
    signalGroup('SIGKILL');
    await gone.promise;
    destroyPipes();
  }

  function signalGroup(signal: 'SIGTERM' | 'SIGKILL'): void {
    try {
      if (windows) child!.kill(signal);
      else process.kill(-child!.pid!, signal);
    } catch {
      // Nobody is left in it.
    }
  }

  function groupLives(): boolean {
    if (windows) return child!.exitCode === null && child!.signalCode === null;
    try {
      return process.kill(-child!.pid!, 0);
    } catch (caught) {
      return (caught as NodeJS.ErrnoException).code !== 'ESRCH';
    }
  }

  function destroyPipes(): void {
    for (const stream of [child?.stdin, child?.stdout, child?.stderr]) stream?.destroy();
  }

  function tellClosed(): void {
    if (closed) return;
    closed = true;
    transport.onclose?.();
  }

  function spawnError(caught: NodeJS.ErrnoException): WireError {
    const program = inert(argv[0]!, 200);
    const what =
      caught.code === 'ENOENT'
        ? `there is no program ${program}, or no folder ${inert(cwd, 200)}`
        : caught.code === 'EACCES'
          ? `${program} may not be run`
          : inert(caught.message, 200);
    return refuse('upstream_unreachable', `The MCP server ${name} cannot be started: ${what}.`, {
      hint: 'Correct its command in the registry, or install the program.',
    });
  }

  function exitError(what: string): WireError {
    const said = inert(redactText(complaints.toString()).slice(-SHOWN_STDERR), SHOWN_STDERR);
    return refuse('upstream_failed', `The MCP server ${name} ${what}.`, {
      hint: said === '' ? 'It wrote nothing to its standard error.' : `It wrote last: ${said}`,
    });
  }

  return transport;
}
