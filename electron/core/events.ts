/** The journal: every event gets the next number, the newest are kept, watchers get what happened in one turn as one batch. */
import type { Event, EventBody } from '../../shared/contract.ts';

const KEPT = 4096;
/** Of events that say how large they are: past this all that were sent are forgotten, and who lost its connection gets a snapshot. */
const KEPT_BYTES = 32 * 1024 * 1024;
/** How long events are kept for a watcher that lost its connection, milliseconds. */
const PATIENCE_MS = 30_000;

export interface Journal {
  readonly seq: number;
  /** Whether what is published is kept: while somebody watches, and for a while after the last one left. */
  readonly kept: boolean;
  /** `bytes`: how large it is, for what others send and may make as large as they like. */
  publish(body: EventBody, signal?: string | null, bytes?: number): void;
  /** Events after `since`, or null when the oldest of them are no longer kept. */
  after(since: number): Event[] | null;
  /** Gives what stops it; that says whether it still watched. */
  watch(listener: (batch: Event[]) => void): () => boolean;
  signals(limit: number): { seq: number; at: number; signal: string }[];
}

export function createJournal(clock: () => number): Journal {
  // The newest events, without a gap; empty while nobody watches, since what nobody will read must not fill the heap.
  let events: Event[] = [];
  let patience: ReturnType<typeof setTimeout> | null = null;
  const signals: { seq: number; at: number; signal: string }[] = [];
  const watchers = new Set<(batch: Event[]) => void>();
  let seq = 0;
  let sent = 0;
  let scheduled = false;
  let heldBytes = 0;

  const keeping = () => watchers.size > 0 || patience !== null;
  const forget = () => {
    patience = null;
    events = [];
    heldBytes = 0;
  };
  const since = (from: number) => (from >= seq || events.length === 0 ? [] : events.slice(Math.max(0, from + 1 - events[0]!.seq)));
  const trim = () => {
    if (events.length > 2 * KEPT) events = events.slice(-KEPT);
    if (heldBytes <= KEPT_BYTES) return;
    events = [];
    heldBytes = 0;
  };
  const flush = () => {
    scheduled = false;
    if (sent === seq) return;
    const batch = since(sent);
    sent = seq;
    trim();
    for (const watcher of watchers) watcher(batch);
  };

  return {
    get seq() {
      return seq;
    },
    get kept() {
      return keeping();
    },
    publish(body, signal = null, bytes = 0) {
      seq++;
      const at = clock();
      if (signal !== null) {
        signals.push({ seq, at, signal });
        if (signals.length > 2000) signals.splice(0, 1000);
      }
      if (!keeping()) return;
      events.push({ ...body, seq, at, signal });
      heldBytes += bytes;
      if (watchers.size > 0 && !scheduled) {
        scheduled = true;
        setImmediate(flush);
      }
      // Not before those who watch have had them: a gap would look like a whole.
      if (!scheduled) trim();
    },
    after: (from) => (from > seq || (from < seq && (events.length === 0 || from + 1 < events[0]!.seq)) ? null : since(from)),
    watch(listener) {
      // A new watcher has the state as of now; what is still unsent belongs to the others.
      if (scheduled) flush();
      sent = seq;
      if (patience !== null) clearTimeout(patience);
      patience = null;
      watchers.add(listener);
      return () => {
        const watched = watchers.delete(listener);
        if (watched && watchers.size === 0) {
          trim();
          patience = setTimeout(forget, PATIENCE_MS).unref();
        }
        return watched;
      };
    },
    signals: (limit) => signals.slice(-limit),
  };
}
