/** The wire between a core and a front is two members; ids, cancel and errors live here once above it. */
import type { Ask, DownFrame, Event, InputOf, OperationName, OutputOf, UpFrame } from './contract.ts';
import { Refusal, refuse } from './errors.ts';
import type { Crossing, Snapshot } from './model.ts';

export interface Port<Out, In> {
  send(frame: Out): void;
  /** One listener; frames that came before it are kept for it. */
  onFrame(listener: (frame: In) => void): void;
  onClose(listener: () => void): void;
  close(): void;
}

export interface Pending {
  answer: Promise<Crossing>;
  cancel(): void;
}

export interface Client {
  call(ask: Ask, onAccepted?: (frame: Extract<DownFrame, { t: 'accepted' }>) => void): Pending;
  /** Calls a built-in route and gives its result; throws `Refusal` with the error of the crossing. */
  operate<N extends OperationName>(name: N, params: InputOf<N>, more?: Pick<Ask, 'confirm'>): Promise<OutputOf<N>>;
  /** One snapshot, then events in order, for as long as the port lives. */
  watch(since: number, listener: { snapshot(snapshot: Snapshot): void; events(events: Event[]): void }): void;
  onClose(listener: () => void): void;
  close(): void;
}

/** A client of the core behind `port`. Calls still open when the port closes end with `core_unreachable`. */
export function createClient(port: Port<UpFrame, DownFrame>): Client {
  const pending = new Map<
    number,
    { resolve(crossing: Crossing): void; reject(error: Error): void; accepted?: (frame: Extract<DownFrame, { t: 'accepted' }>) => void }
  >();
  let watcher: Parameters<Client['watch']>[1] | null = null;
  let nextId = 1;
  let closed = false;
  const gone = () =>
    new Refusal(
      refuse('core_unreachable', 'The connection to the core closed.', { hint: 'Start it again; what it had accepted is on record.' }),
    );

  port.onFrame((frame) => {
    switch (frame.t) {
      case 'accepted':
        return pending.get(frame.id)?.accepted?.(frame);
      case 'answer': {
        pending.get(frame.id)?.resolve(frame.crossing);
        pending.delete(frame.id);
        return;
      }
      case 'fault': {
        if (frame.id === null) return;
        pending.get(frame.id)?.reject(new Refusal(frame.error));
        pending.delete(frame.id);
        return;
      }
      case 'snapshot':
        return watcher?.snapshot(frame.snapshot);
      case 'events':
        return watcher?.events(frame.events);
    }
  });
  port.onClose(() => {
    closed = true;
    for (const waiting of pending.values()) waiting.reject(gone());
    pending.clear();
  });

  const call: Client['call'] = (ask, onAccepted) => {
    const id = nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Crossing>();
    if (closed) reject(gone());
    else {
      pending.set(id, { resolve, reject, ...(onAccepted && { accepted: onAccepted }) });
      port.send({ t: 'call', id, ask });
    }
    return { answer: promise, cancel: () => !closed && port.send({ t: 'cancel', id }) };
  };

  return {
    call,
    async operate(name, params, more) {
      const crossing = await call({ route: name, params: params as Record<string, unknown>, ...more }).answer;
      if (crossing.error) throw new Refusal(crossing.error);
      return crossing.result as never;
    },
    watch(since, listener) {
      watcher = listener;
      port.send({ t: 'watch', since });
    },
    onClose: (listener) => port.onClose(listener),
    close: () => port.close(),
  };
}

/** Two linked ports in memory: what one sends the other gets, in order, never in the same tick. */
export function createPortPair<A, B>(): [Port<A, B>, Port<B, A>] {
  const end = <T>() => ({ listener: null as ((frame: T) => void) | null, waiting: [] as T[], closers: [] as (() => void)[] });
  const left = end<B>();
  const right = end<A>();
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    for (const listener of [...left.closers, ...right.closers]) listener();
  };
  const port = <Out, In>(mine: ReturnType<typeof end<In>>, theirs: ReturnType<typeof end<Out>>): Port<Out, In> => ({
    send: (frame) => {
      // A promise, because neither Node nor the DOM is known here.
      Promise.resolve().then(() => {
        if (!open) return;
        if (theirs.listener) theirs.listener(frame);
        else theirs.waiting.push(frame);
      });
    },
    onFrame: (listener) => {
      mine.listener = listener;
      for (const frame of mine.waiting.splice(0)) listener(frame);
    },
    onClose: (listener) => mine.closers.push(listener),
    close,
  });
  return [port<A, B>(left, right), port<B, A>(right, left)];
}
