/** What each start leaves in the record. */
import type { Attempt } from '../../../shared/model.ts';
import type { Run } from './runner.ts';

/** One more attempt of this run, with an id of its own; whoever began it says how it ended. `at`: milliseconds since the epoch. */
export function beginAttempt(run: Run, { endpoint, at }: { endpoint: string | null; at: number }): Attempt {
  const { route, attempts } = run;
  // In the order of canonical JSON.
  const attempt: Attempt = {
    durationMs: 0,
    endpoint,
    error: null,
    id: run.newAttemptId(),
    route: route.name,
    startedAt: at,
    status: null,
  };
  attempts.push(attempt);
  return attempt;
}
