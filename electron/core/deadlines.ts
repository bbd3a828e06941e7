/** One timer for all that may take only so long: setting and clearing one for each call costs more than looking at all of them now and then. */

export interface Due {
  /** By performance.now(). */
  dueAt: number;
}

export interface Deadlines extends Disposable {
  /** From now on one of `items` is due then; a later one than that of the others costs a comparison. */
  watch(dueAt: number): void;
}

/** Calls `expire` for each of `items` that is due, soon after it is; `expire` takes it out of them or sets a later `dueAt`. */
export function createDeadlines<Item extends Due>(items: Iterable<Item>, expire: (item: Item) => void): Deadlines {
  let timer: NodeJS.Timeout | null = null;
  let armedFor = Number.POSITIVE_INFINITY;

  function watch(dueAt: number): void {
    if (dueAt >= armedFor) return;
    if (timer !== null) clearTimeout(timer);
    armedFor = dueAt;
    // What waits keeps the process alive by its socket, if at all.
    timer = setTimeout(look, Math.ceil(Math.min(dueAt - performance.now(), 2 ** 31 - 1))).unref();
  }

  function look(): void {
    timer = null;
    armedFor = Number.POSITIVE_INFINITY;
    const now = performance.now();
    for (const item of items) if (item.dueAt <= now) expire(item);
    let next = Number.POSITIVE_INFINITY;
    for (const item of items) next = Math.min(next, item.dueAt);
    if (next < Number.POSITIVE_INFINITY) watch(next);
  }

  return {
    watch,
    [Symbol.dispose]() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
