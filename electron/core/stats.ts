/** What the last calls of each route were like: counted as they end, never asked of the database. */
import type { ErrorCode } from '../../shared/errors.ts';

const KEPT = 200;

export interface RouteStats {
  calls: number;
  p50Ms: number | null;
  p95Ms: number | null;
  lastError: string | null;
  lastCallAt: number | null;
}

export interface Stats {
  note(route: string, call: { at: number; durationMs: number; error: ErrorCode | null }): void;
  of(route: string): RouteStats | null;
  /** Routes called since they were last given here, at most `most`; the others come next time. */
  changed(most: number): string[];
}

/** Starts from what the store remembers of each route. */
export function createStats(remembered: (RouteStats & { route: string })[]): Stats {
  const routes = new Map<string, { before: RouteStats; calls: number; lastError: string | null; lastCallAt: number; recent: number[] }>();
  const before = new Map(remembered.map((stats) => [stats.route, stats]));
  const changed = new Set<string>();
  return {
    note(route, { at, durationMs, error }) {
      let entry = routes.get(route);
      if (!entry) {
        const old = before.get(route);
        entry = {
          before: old ?? { calls: 0, p50Ms: null, p95Ms: null, lastError: null, lastCallAt: null },
          calls: 0,
          lastError: old?.lastError ?? null,
          lastCallAt: at,
          recent: [],
        };
        routes.set(route, entry);
      }
      entry.recent[entry.calls % KEPT] = durationMs;
      entry.calls++;
      entry.lastCallAt = at;
      entry.lastError = error;
      changed.add(route);
    },
    of(route) {
      const entry = routes.get(route);
      if (!entry) return before.get(route) ?? null;
      const sorted = [...entry.recent].sort((a, b) => a - b);
      const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
      return {
        calls: entry.before.calls + entry.calls,
        p50Ms: at(0.5),
        p95Ms: at(0.95),
        lastError: entry.lastError,
        lastCallAt: entry.lastCallAt,
      };
    },
    changed(most) {
      const names = [...changed].slice(0, most);
      for (const name of names) changed.delete(name);
      return names;
    },
  };
}
