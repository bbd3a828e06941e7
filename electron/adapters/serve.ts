/** One core behind one port: frames in, frames out, whatever carries them (IPC, WebSocket, a pair in memory). */

import type { DownFrame } from '../../shared/contract.ts';
import { type Event, type Operation, operations, UpFrame } from '../../shared/contract.ts';
import { refuse, toWire, type WireError } from '../../shared/errors.ts';
import type { Door, Principal } from '../../shared/model.ts';
import type { Port } from '../../shared/port.ts';
import type { Core } from '../core/core.ts';
import { invalidInput } from './input.ts';

export interface ServeOptions {
  principal: Principal;
  door: Door;
  /** Whether the other end reads slower than it is sent to. While it does, a watcher gets nothing; then one fresh snapshot. */
  congested?: () => boolean;
}

/** More calls under way on one port are refused with `limited`. */
const maxOpenCalls = 1000;
const congestionCheckMs = 50;

/**
 * Serves `port` until it closes. A frame that does not fit is answered with a `fault`. `cancel` aborts a call; closing the
 * port aborts none but those that lapse with their caller: what was accepted goes on and stays on record.
 */
export function serve(core: Pick<Core, 'dispatch' | 'watch'>, port: Port<DownFrame, UpFrame>, options: ServeOptions): void {
  const { principal, door, congested = () => false } = options;
  const open = new Map<number, AbortController & { lapses?: boolean }>();
  let closed = false;
  let stopWatching: (() => void) | null = null;

  const send = (frame: DownFrame) => {
    if (!closed) port.send(frame);
  };
  const fault = (id: number | null, error: WireError) => send({ t: 'fault', id, error });

  const call = ({ id, ask }: Extract<UpFrame, { t: 'call' }>) => {
    if (open.has(id))
      return fault(
        null,
        refuse('input_invalid', `A call with the id ${id} is under way.`, {
          hint: 'Count ids up.',
          issues: [{ path: 'id', message: 'in use' }],
        }),
      );
    if (open.size >= maxOpenCalls)
      return fault(
        id,
        refuse('limited', `${maxOpenCalls} calls are under way on this connection.`, {
          hint: 'Wait for answers first.',
          retryAfterMs: 1000,
        }),
      );
    const controller = Object.assign(new AbortController(), { lapses: lapsing.has(ask.route ?? '') });
    open.set(id, controller);
    Promise.try(() => core.dispatch({ ...ask, door, principal }, controller.signal, (accepted) => send({ t: 'accepted', id, ...accepted })))
      .then(
        (crossing) => send({ t: 'answer', id, crossing }),
        (caught) => fault(id, toWire(caught)),
      )
      .finally(() => open.delete(id));
  };

  const watch = (since: number) => {
    stopWatching?.();
    stopWatching = null;
    if (!principal.capabilities.includes('read'))
      return fault(
        null,
        refuse('forbidden', 'Watching needs the capability read.', { hint: 'Use a token that has it.', needed: ['read'] }),
      );
    stopWatching = startWatch(core, since, { send, congested, failed: (caught) => fault(null, toWire(caught)) });
  };

  port.onFrame((raw) => {
    const parsed = UpFrame.safeParse(raw);
    if (!parsed.success) return fault(idOf(raw, open), invalidInput(parsed.error, 'The frame'));
    const frame = parsed.data;
    switch (frame.t) {
      case 'call':
        return call(frame);
      case 'cancel':
        return open.get(frame.id)?.abort();
      case 'watch':
        return watch(frame.since);
      case 'unwatch':
        stopWatching?.();
        stopWatching = null;
    }
  });
  port.onClose(() => {
    closed = true;
    stopWatching?.();
    stopWatching = null;
    for (const call of open.values()) if (call.lapses) call.abort();
  });
}

const lapsing: ReadonlySet<string> = new Set(
  (Object.values(operations) as Operation[]).filter(({ lapses }) => lapses).map(({ name }) => name),
);

/** The id a broken frame meant, so that its caller hears of it; null when a call under way has that id. */
function idOf(raw: unknown, open: Map<number, unknown>): number | null {
  const id = typeof raw === 'object' && raw !== null && 't' in raw && raw.t === 'call' && 'id' in raw ? raw.id : null;
  return Number.isSafeInteger(id) && !open.has(id as number) ? (id as number) : null;
}

/** Watches the core and sends every tick's events as one frame; returns the way to stop. A snapshot that cannot be made is `failed`, and the end. */
export function startWatch(
  core: Pick<Core, 'watch'>,
  since: number,
  { send, congested, failed }: { send(frame: DownFrame): void; congested: () => boolean; failed(caught: unknown): void },
): () => void {
  let waiting: Event[] | null = null;
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let unwatch: (() => void) | null = null;

  const flush = () => {
    const events = waiting;
    waiting = null;
    if (stopped || events === null) return;
    if (!congested()) return send({ t: 'events', events });
    // Nothing is kept for a slow reader: the state it will have missed is in the next snapshot.
    unwatch?.();
    unwatch = null;
    timer = setInterval(() => {
      if (congested()) return;
      if (timer) clearInterval(timer);
      timer = null;
      start(0);
    }, congestionCheckMs).unref();
  };
  const start = (from: number) => {
    try {
      unwatch = core.watch(from, {
        snapshot(snapshot) {
          waiting = null;
          send({ t: 'snapshot', snapshot });
        },
        events(batch) {
          if (waiting === null) {
            // The batch itself when it stays the only one of its tick: fronts that share it encode it once.
            waiting = batch;
            setImmediate(flush);
          } else waiting = waiting.concat(batch);
        },
      });
    } catch (caught) {
      failed(caught);
    }
  };
  start(since);
  return () => {
    stopped = true;
    if (timer) clearInterval(timer);
    unwatch?.();
  };
}
