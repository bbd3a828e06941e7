/** `dispatcher serve` and the browser front of `npm start`: a core and its HTTP door, until a signal ends them. */
import { once } from 'node:events';
import { toWire, type WireError } from '../shared/errors.ts';
import { type HostOptions, openHost } from './host.ts';

/** One fact for whoever started this: JSON lines on stderr for programs, sentences for people. */
export type Log = (level: 'info' | 'warn' | 'error', message: string, facts?: Record<string, unknown>) => void;

export interface ServerOptions extends HostOptions {
  /** null: 8000, or any free port when that is taken. */
  port: number | null;
  log: Log;
  /** Ends the server. */
  signal: AbortSignal;
  /** Called once it takes calls; `openUrl` makes a URL that opens the command center once. */
  ready?(at: { url: string; openUrl(): string }): void | Promise<void>;
}

/** JSON lines, one fact each. */
export function jsonLog(stream: { write(text: string): unknown }): Log {
  return (level, message, facts = {}) =>
    void stream.write(`${JSON.stringify({ at: new Date().toISOString(), level, message, ...facts })}\n`);
}

/** Serves until `signal`. Throws `Refusal` conflict, port_taken, store_unavailable, database_newer. */
export async function runServer(options: ServerOptions): Promise<void> {
  const { log, signal, home, demo, mock } = options;
  const started = performance.now();
  await using host = await openHost(options);
  const { core } = host;
  const door = await host.openDoor(options.port);
  if (door.moved) log('warn', `port 8000 is taken by another program; serving on ${door.port} instead`, { port: door.port });
  log('info', 'serving', { url: door.url, pid: process.pid, home, demo, mock, startMs: Math.round(performance.now() - started) });
  const unwatch = core.watch(0, {
    snapshot: ({ registry }) => {
      for (const problem of registry.problems) log('warn', 'registry problem', { file: registry.file, ...problem });
    },
    events: (events) => {
      for (const event of events) {
        if (event.type === 'rejected') log('warn', 'rejected', { door: event.door, code: event.error.code });
        else if (event.type === 'breaker' || event.type === 'registry' || event.type === 'sovereign')
          log('info', event.type, { signal: event.signal });
      }
    },
  });
  await options.ready?.(door);
  if (!signal.aborted) await once(signal, 'abort');
  log('info', 'stopping');
  unwatch();
}

/** A signal that SIGINT, SIGTERM and SIGHUP abort; a second one ends the process at once. */
export function untilStopped(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      controller.abort();
    });
  return controller.signal;
}

/** What ended a process, as an error of the catalogue. A bug is told without its inside, unless `debug` (DISPATCHER_DEBUG) is set. */
export function tellEnd(caught: unknown, debug: boolean): WireError {
  const wire = toWire(caught);
  if (wire.code !== 'internal') return wire;
  if (debug) console.error(caught);
  return { ...wire, hint: 'Please report it, with what DISPATCHER_DEBUG=1 shows.' };
}
