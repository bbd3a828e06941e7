/** Who calls which provider right now, and who called last. */

export interface Callers {
  /** A call begins; call what it answers when it is over. */
  calling(provider: string): () => void;
  /** Calls in flight. */
  count(provider: string): number;
  /** When the last call ended, on the clock that was given; null: none did. */
  lastAt(provider: string): number | null;
  /** Resolves when none is in flight. Whoever gives up waiting lets go of it with the signal. */
  calm(provider: string, signal: AbortSignal): Promise<void>;
}

/** `over`: a call of this provider ended. */
export function createCallers({ now, over }: { now(): number; over(provider: string): void }): Callers {
  const counts = new Map<string, number>();
  const last = new Map<string, number>();
  const waiting = new Map<string, Set<() => void>>();
  return {
    calling(provider) {
      counts.set(provider, (counts.get(provider) ?? 0) + 1);
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        const left = counts.get(provider)! - 1;
        last.set(provider, now());
        if (left > 0) counts.set(provider, left);
        else {
          counts.delete(provider);
          for (const calm of waiting.get(provider) ?? []) calm();
        }
        over(provider);
      };
    },
    count: (provider) => counts.get(provider) ?? 0,
    lastAt: (provider) => last.get(provider) ?? null,
    async calm(provider, signal) {
      if (!counts.has(provider)) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      const set = waiting.get(provider) ?? new Set();
      waiting.set(provider, set.add(resolve));
      signal.addEventListener('abort', () => resolve(), { once: true });
      await promise;
      set.delete(resolve);
      if (set.size === 0) waiting.delete(provider);
    },
  };
}
