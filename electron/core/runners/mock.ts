/** Answers without calling anything, as seed 000's mock client does. */
import type { Runner } from './runner.ts';

/**
 * `responses` by endpoint; a route name is a key too. Anything else answers `{success: true, mock: true, route, query}`.
 * Attempts are recorded as if a service had answered 200; nothing leaves the machine.
 */
export function createMockRunner({
  responses = {},
  clock = Date.now,
}: {
  responses?: Record<string, unknown>;
  clock?: () => number;
} = {}): Runner {
  return async (run) => {
    const { route, text, params, attempts } = run;
    const key = [route.endpoint, route.name].find((name) => name !== null && Object.hasOwn(responses, name)) ?? null;
    attempts.push({
      durationMs: 0,
      endpoint: route.endpoint,
      error: null,
      id: run.newAttemptId(),
      route: route.name,
      startedAt: clock(),
      status: 200,
    });
    if (key !== null) return { ok: true, result: structuredClone(responses[key]) };
    return {
      ok: true,
      result: { success: true, mock: true, route: route.name, query: text ?? (typeof params.query === 'string' ? params.query : null) },
    };
  };
}
