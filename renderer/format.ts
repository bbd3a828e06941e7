/** Numbers as people read them. Pure; the clock is passed in. */

export function formatDuration(ms: number): string {
  if (ms < 1) return '< 1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Milliseconds below a second with the digits that matter there: boundaries take microseconds. */
export function formatMs(ms: number): string {
  if (ms < 0.01) return '< 0.01 ms';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return formatDuration(ms);
}

export function formatAge(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  if (seconds < -1) return `in ${formatSpan(-seconds)}`;
  if (seconds < 5) return 'just now';
  return `${formatSpan(seconds)} ago`;
}

function formatSpan(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** How long until `at`: `in 12 s`, `in 4 min 05 s`; `now` once it is there. */
export function formatCountdown(at: number, now: number): string {
  const seconds = Math.ceil((at - now) / 1000);
  if (seconds <= 0) return 'now';
  if (seconds < 60) return `in ${seconds} s`;
  if (seconds < 3600) return `in ${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
  return `in ${formatDuration(seconds * 1000)}`;
}

/** When something should be there, as far as can be known: `in about 12 s`; a time that has passed is no promise any more. */
export function formatEta(at: number, now: number): string {
  return at - now <= 0 ? 'any moment now' : `in ${formatRough(at - now)}`;
}

/** A length of time nobody knows better: `about 12 s`, `about 4 min`. */
export function formatRough(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds <= 1) return 'about 1 s';
  if (seconds < 90) return `about ${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `about ${minutes} min` : `about ${Math.round(minutes / 60)} h`;
}

/** What something costs in time, to one digit: `2.4 s`, `63 min`, `5 h`. */
export function formatCost(ms: number): string {
  if (ms < 119_950) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.round(ms / 60_000);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** A place in a line, 0 for the next one. */
export function formatPlace(position: number): string {
  return position === 0 ? 'next in line' : `${formatCount(position)} before it`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** Time that counts on screen, in whole seconds. */
export function formatElapsed(ms: number): string {
  return ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : formatDuration(ms);
}

/** A count for a small badge: 1,234 becomes 1.2k. */
export function formatShort(count: number): string {
  if (count < 1000) return String(count);
  if (count < 10_000) return `${(Math.floor(count / 100) / 10).toFixed(1)}k`;
  if (count < 1_000_000) return `${Math.floor(count / 1000)}k`;
  return `${(Math.floor(count / 100_000) / 10).toFixed(1)}M`;
}

/** 0.984 as 98 %; never 100 % for less than all, never 0 % for more than nothing. */
export function formatPercent(share: number): string {
  const percent = Math.round(share * 100);
  if (percent === 100 && share < 1) return share > 0.999 ? '99.9 %' : '99 %';
  if (percent === 0 && share > 0) return '< 1 %';
  return `${percent} %`;
}

export function formatExact(at: number): string {
  const date = new Date(at);
  const two = (value: number, width = 2) => String(value).padStart(width, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
}

export function formatClock(at: number): string {
  return formatExact(at).slice(11, 19);
}
