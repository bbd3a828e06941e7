/** What both ends ask of a job. */
import type { JobState } from './model.ts';

export const jobStates = [
  'queued',
  'waiting',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'unknown',
] as const satisfies readonly JobState[];

/** Nothing more will become of it; of an unknown one nobody knows what became. */
export function hasEnded(state: JobState): boolean {
  return state !== 'queued' && state !== 'waiting' && state !== 'running';
}
