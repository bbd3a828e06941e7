import type { Attempt, Crossing } from './model.ts';

/** Seed 000's one-line form of what happened. */
export function signalOf({
  ok,
  route,
  durationMs,
  error,
  attempts,
  mock,
}: Pick<Crossing, 'ok' | 'route' | 'durationMs' | 'error' | 'attempts' | 'mock'>): string {
  const [org, ...service] = (route ?? 'OS').split('.');
  const via = usedFallback(route, attempts);
  if (ok)
    return `🎯 OS → ${org} : dispatched, service=${service.join('.')}, latency=${Math.round(durationMs)}ms${via ? `, fallback=${via}` : ''}${mock ? ', mock' : ''}`;
  if (error?.code === 'limited') return `🚫 RATE LIMITED : retry_after=${((error.retryAfterMs ?? 0) / 1000).toFixed(1)}s`;
  const why = error?.code === 'upstream_refused' ? 'connection_refused' : error?.code;
  if (error?.code === 'cancelled') return `✋ OS → ${org} : cancelled, service=${service.join('.')}, after=${Math.round(durationMs)}ms`;
  return `❌ OS → ${org} : dispatch_failed, ${service.length > 0 ? `service=${service.join('.')}, ` : ''}error=${why}`;
}

function usedFallback(route: string | null, attempts: Attempt[]): string | null {
  const last = attempts.at(-1);
  return last && last.route !== route ? last.route : null;
}
