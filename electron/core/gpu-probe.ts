/** What the probes of `gpu.ts` have in common. */
import type { GpuDevice } from '../../shared/model.ts';

/** Runs a program without a shell and gives its standard output. Rejects with code ENOENT, or `killed` when it took too long. */
export type Exec = (file: string, args: string[], timeoutMs: number) => Promise<string>;

export interface Found {
  devices: GpuDevice[];
  probe: { name: string; found: boolean; detail: string };
  /** It did not answer, so that nothing is known, not even that there is no device: one of which it told before is still there. */
  unanswered: boolean;
  /** It is not there to be asked. */
  missing?: boolean;
}

export const execTimeoutMs = 3000;

/** What became of a tool that failed. */
export function unanswered(name: string, caught: unknown): Found {
  const missing = (caught as NodeJS.ErrnoException).code === 'ENOENT';
  return { devices: [], probe: { name, found: false, detail: whyNot(caught) }, unanswered: true, missing };
}

/** null for `[N/A]`, `[Not Supported]` and whatever else is no number that can be counted with. */
export function numberIn(field: string | undefined): number | null {
  return field !== undefined && /^-?\d{1,15}(\.\d{1,15})?$/.test(field.trim()) ? Number(field) : null;
}

/** A whole number of bytes, of a figure in `unit` bytes; null where it is no number, or below zero. */
export function bytesIn(field: string | undefined, unit = 1): number | null {
  const value = numberIn(field);
  return value === null || value < 0 ? null : Math.round(value * unit);
}

function whyNot(caught: unknown): string {
  const { code, killed, stdout, message } = caught as Partial<NodeJS.ErrnoException & { killed: boolean; stdout: string }>;
  if (code === 'ENOENT') return 'not installed';
  if (killed === true) return `did not answer within ${execTimeoutMs / 1000} s`;
  if (code === 'EACCES') return 'not allowed to run it';
  return `failed: ${firstLine(stdout || message || String(code))}`;
}

export function firstLine(text: string): string {
  return text.trim().split('\n').at(0)!.slice(0, 200) || 'nothing';
}
