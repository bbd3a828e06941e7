/** The journal: every event gets the next number, the newest are kept, watchers get what happened in one turn as one batch. */
import type { Event, EventBody } from '../../shared/contract.ts';

const KEPT = 4096;

export interface Journal {
  readonly seq: number;
  publish(body: EventBody, signal?: string | null): void;
  /** Events after `since`, or null when the oldest of them are no longer kept. */
  after(since: number): Event[] | null;
  /** Gives what stops it; that says whether it still watched. */
  watch(listener: (batch: Event[]) => void): () => boolean;
  signals(limit: number): { seq: number; at: number; signal: string }[];
}

export function createJournal(clock: () => number): Journal {
  const ring: Event[] = new Array(KEPT);
  const signals: { seq: number; at: number; signal: string }[] = [];
  const watchers = new Set<(batch: Event[]) => void>();
  let seq = 0;
  let sent = 0;
  let scheduled = false;

  const since = (from: number) => {
    const events: Event[] = [];
    for (let at = Math.max(from, seq - KEPT) + 1; at <= seq; at++) events.push(ring[at % KEPT]!);
    return events;
  };
  const flush = () => {
    scheduled = false;
    if (sent === seq) return;
    const batch = since(sent);
    sent = seq;
    for (const watcher of watchers) watcher(batch);
  };

  return {
    get seq() {
      return seq;
    },
    publish(body, signal = null) {
      seq++;
      const event = { ...body, seq, at: clock(), signal } as Event;
      ring[seq % KEPT] = event;
      if (signal !== null) {
        signals.push({ seq, at: event.at, signal });
        if (signals.length > 2000) signals.splice(0, 1000);
      }
      if (watchers.size > 0 && !scheduled) {
        scheduled = true;
        setImmediate(flush);
      }
    },
    after: (from) => (from > seq || from < seq - KEPT ? null : since(from)),
    watch(listener) {
      // A new watcher has the state as of now; what is still unsent belongs to the others.
      if (scheduled) flush();
      sent = seq;
      watchers.add(listener);
      return () => watchers.delete(listener);
    },
    signals: (limit) => signals.slice(-limit),
  };
}
