/**
 * The record of a job: its crossing as it ended. It is the detail of its outcome in the audit chain, and has a row of its own in `job_record` only
 * where the chain has not all of it: when the detail was cut, or its row is not kept any longer. Jobs of older versions have that row always.
 */

/** JSON of a row of `job`; null when it has not ended, or a crash ended it. */
export const RECORD = `coalesce((SELECT record FROM job_record WHERE job_record.n = job.n),
  (SELECT detail FROM audit WHERE seq = outcome_seq AND kind = 'outcome'))`;
