/** How many calls a principal may make: a token bucket each, counted together whichever door they come through. */
import type { CallLimits } from '../../shared/model.ts';

export interface Limits {
  configure(limits: CallLimits | null): void;
  /** Takes one; the milliseconds to wait when there is none, else 0. */
  take(principal: string): number;
  look(principal: string): { remaining: number; perSecond: number; burst: number; retryAfterMs: number } | null;
}

/** `clock` is monotonic milliseconds, so that a jump of the wall clock neither grants nor takes anything. */
export function createLimits(clock: () => number): Limits {
  const buckets = new Map<string, { tokens: number; at: number }>();
  let limits: CallLimits | null = null;
  let most = 10_000;
  const filled = (principal: string, { perSecond, burst }: CallLimits) => {
    const now = clock();
    const bucket = buckets.get(principal);
    if (!bucket) {
      // A bucket that is full again says nothing: forget those before the map grows with every name ever seen.
      if (buckets.size >= most) {
        for (const [name, { tokens, at }] of buckets) if (tokens + ((now - at) * perSecond) / 1000 >= burst) buckets.delete(name);
        most = Math.max(10_000, 2 * buckets.size);
      }
      const fresh = { tokens: burst, at: now };
      buckets.set(principal, fresh);
      return fresh;
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) * perSecond) / 1000);
    bucket.at = now;
    return bucket;
  };
  const wait = (tokens: number, perSecond: number) => (tokens >= 1 ? 0 : Math.ceil(((1 - tokens) * 1000) / perSecond));
  return {
    configure(next) {
      if (next?.burst !== limits?.burst || next?.perSecond !== limits?.perSecond) buckets.clear();
      limits = next;
    },
    take(principal) {
      if (!limits) return 0;
      const bucket = filled(principal, limits);
      const retryAfterMs = wait(bucket.tokens, limits.perSecond);
      if (retryAfterMs === 0) bucket.tokens -= 1;
      return retryAfterMs;
    },
    look(principal) {
      if (!limits) return null;
      const { tokens } = filled(principal, limits);
      return { ...limits, remaining: Math.floor(tokens), retryAfterMs: wait(tokens, limits.perSecond) };
    },
  };
}
