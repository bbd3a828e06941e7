/** What a service says of when to come again. */

/** The longest pause that is kept. */
const MOST_MS = 3_600_000;

/** The header Retry-After (RFC 9110, 10.2.3), seconds or a date, within an hour; null: none that can be read. */
export function retryAfterMs(header: string | undefined, now: number): number | null {
  if (header === undefined) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? null : Math.min(Math.max(0, ms), MOST_MS);
}
