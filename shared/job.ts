/** What both ends ask of a job. */
import type { JobState } from './model.ts';

/** Nothing more will become of it; of an unknown one nobody knows what became. */
export function hasEnded(state: JobState): boolean {
  return state !== 'queued' && state !== 'waiting' && state !== 'running';
}
