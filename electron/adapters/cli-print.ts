/** What the command line prints: one line for each thing, and nothing that could steer a terminal. */

import type { Readable, Writable } from 'node:stream';
import { catalogue, type WireError } from '../../shared/errors.ts';
import type { Crossing, Health, Job, RegistryProblem, RouteSummary, VerifyReport, Waits } from '../../shared/model.ts';
import { signalOf } from '../../shared/signal.ts';

export interface Terminal {
  stdin: Readable & { isTTY?: boolean };
  stdout: Writable & { isTTY?: boolean };
  stderr: Writable & { isTTY?: boolean };
  /** File that keeps the lines typed in `interactive`; null keeps none. */
  historyFile: string | null;
}

export const healthIcon = { healthy: '🟢', degraded: '🟡', down: '🔴', unknown: '⚪' } as const;

/** Prints a failure the way every command does and gives its exit code. With `json`, the error is JSON on stdout as well. */
export function printError(wire: WireError, terminal: Terminal, json: boolean): number {
  if (json) printJson(terminal, { error: wire });
  else for (const line of errorLines(wire)) note(terminal, line);
  return catalogue[wire.code].exit;
}

/** Text that cannot steer a terminal: control characters, escapes and direction marks become visible. */
export function inert(text: string): string {
  return text.replace(steering, (found) => (found === '\t' ? '  ' : `\\x${found.codePointAt(0)!.toString(16).padStart(2, '0')}`));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach a terminal.
const steering = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** JSON that is inert too: what JSON leaves as it is but a terminal may obey is escaped. */
export function inertJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(steering, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export function print({ stdout }: Terminal, lines: readonly string[]): number {
  for (const line of lines) stdout.write(`${inert(line)}\n`);
  return 0;
}

export function printJson({ stdout }: Terminal, value: unknown): number {
  stdout.write(`${inertJson(value, 2)}\n`);
  return 0;
}

export function note({ stderr }: Terminal, line: string): void {
  stderr.write(`${inert(line)}\n`);
}

export function printCrossing(crossing: Crossing, terminal: Terminal): number {
  const { error, result } = crossing;
  if (error) {
    note(terminal, signalOf(crossing));
    if (crossing.why) note(terminal, `  why     ${crossing.why}`);
    return printError(error, terminal, false);
  }
  const changed = crossing.boundaries.filter((step) => step.outcome === 'rewrote').map((step) => step.boundary);
  const lines = [
    signalOf(crossing),
    `  route   ${crossing.route}${crossing.confidence === null ? '' : ` (${percent(crossing.confidence)})`}${crossing.mock ? ', mock' : ''}`,
    `  why     ${crossing.why}`,
  ];
  if (crossing.job) lines.push(`  job     ${crossing.job}${crossing.audit ? `, audit ${crossing.audit.seq}` : ''}`);
  if (changed.length > 0) lines.push(`  changed by ${changed.join(', ')}`);
  if (crossing.left.length > 0)
    lines.push(`  left    ${crossing.left.map(({ host, egress, bytes }) => `${bytes} bytes to ${host} (${egress})`).join(', ')}`);
  print(terminal, lines);
  if (result !== null && result !== undefined) print(terminal, [typeof result === 'string' ? result : JSON.stringify(result, null, 2)]);
  return 0;
}

function errorLines(wire: WireError): string[] {
  const lines = [`error (${wire.code}): ${wire.message}`];
  for (const issue of wire.issues ?? []) lines.push(`  ${issue.path}: ${issue.message}`);
  for (const choice of wire.choices ?? [])
    lines.push(`  perhaps ${choice.route}${choice.confidence === null ? '' : ` (${percent(choice.confidence)})`}: ${choice.reason}`);
  if (wire.needed?.length) lines.push(`  needs ${wire.needed.join(', ')}`);
  if (wire.code === 'limited') lines.push(`🚫 RATE LIMITED : retry_after=${((wire.retryAfterMs ?? 0) / 1000).toFixed(1)}s`);
  const hint = hintOf(wire);
  if (hint) lines.push(`hint: ${hint}`);
  return lines;
}

/** What to do about it, in the words of the command line. */
function hintOf({ code, choices, hint }: WireError): string | null {
  if (code === 'confirm_required') return 'Run it again with --yes.';
  // The nearest names stand above it already.
  if (code === 'route_unknown' && choices?.length) return '`dispatcher routes` lists them all.';
  return hint?.replace(/\bList them with OS\.(jobs|routes)\b/, 'List them with `dispatcher $1`') ?? null;
}

export function jobLine(job: Job): string {
  const took = job.durationMs === null ? '' : ` ${Math.round(job.durationMs)} ms`;
  const now = job.progress === null || job.finishedAt !== null ? '' : ` ${percent(job.progress)} ${job.progressNote ?? ''}`;
  return `${job.id}  ${clock(job.createdAt)} ${job.state.padEnd(9)} ${job.route ?? '-'}${took}${now}${job.waits ? ` ${waitWords(job.waits)}` : ''}${job.text ? `  "${job.text}"` : ''}`;
}

/** Why a job waits, and for how long still. */
export function waitWords({ reason, until, position }: Waits): string {
  const left = until === null ? '' : `, ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s at most`;
  const before = position === null || position === 0 ? '' : `, ${position} before it`;
  return `(${inert(reason)}${left}${before})`;
}

export function healthLine({ status, reason }: Health, name: string): string {
  return `${healthIcon[status]} ${name.padEnd(15)} ${status.padEnd(9)} ${reason}`;
}

/** The report of a verify, in words. */
export function verifyLines(report: VerifyReport): string[] {
  if (report.fault)
    return [`🔴 the audit chain is broken${report.fault.seq === null ? '' : ` at row ${report.fault.seq}`}: ${report.fault.message}`];
  const range = report.firstSeq === null ? '' : `, ${report.firstSeq} to ${report.lastSeq}, head ${report.head?.slice(0, 16)}`;
  const { rows, segments, pruned, checkpoints, durationMs } = report;
  const holds = `🟢 the audit chain holds: ${rows} rows${range}, ${segments} days sealed, ${checkpoints} checkpoints, ${Math.round(durationMs)} ms`;
  if (pruned === null) return [holds];
  const day = new Date(pruned.at).toISOString().slice(0, 10);
  return [holds, `   rows 1 to ${pruned.lastSeq}, ${pruned.segments} days, were pruned by ${pruned.by}, last on ${day}`];
}

export function problemLine(problem: RegistryProblem, file: string): string {
  return `${file}:${problem.line}:${problem.column}: ${problem.severity}: ${problem.message}${problem.hint ? ` (${problem.hint})` : ''}`;
}

export function tagOf(route: RouteSummary): string {
  if (route.kind === 'tool') return 'tool';
  return route.type === 'external' ? 'ext' : 'int';
}

/** A share of one; what is small and what is nothing are told apart. */
export const percent = (share: number) => (share > 0 && share < 0.005 ? '<1%' : `${Math.round(share * 100)}%`);
export const gib = (bytes: number | null) => (bytes === null ? '?' : (bytes / 2 ** 30).toFixed(1));
export const clock = (at: number) => new Date(at).toISOString().slice(0, 19).replace('T', ' ');
