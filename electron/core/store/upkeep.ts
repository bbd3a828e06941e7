/** Work of the writer that nobody waits for, done in steps of a few milliseconds while nothing comes, so that a commit hardly waits for it. */
import type Database from 'better-sqlite3';

/** How long nothing has to come before the first step, and the pause between steps. */
const QUIET_MS = 20;
const PAUSE_MS = 2;
/** When something comes all the time, a step is done all the same so long after the last. */
const BUSY_MS = 1000;

export interface Upkeep {
  /** Somebody was served: rests, then goes on. */
  later(): void;
  stop(): void;
}

/** `step` does a little in a transaction of its own and says whether it did anything; what it throws ends the work until the next `later`. */
export function createUpkeep(db: Database.Database, step: () => boolean): Upkeep {
  let timer: NodeJS.Timeout | null = null;
  let workedAt = performance.now();

  function work(): void {
    timer = null;
    workedAt = performance.now();
    const patience = db.pragma('busy_timeout', { simple: true }) as number;
    // What is lost with the power is done again, so no step waits for the disk, nor for another process that holds the file.
    db.pragma('synchronous = NORMAL');
    db.pragma('busy_timeout = 0');
    try {
      if (step()) timer = setTimeout(work, PAUSE_MS);
    } catch {
      // A full or locked disk, or a file that is gone: those who write are told.
    } finally {
      db.pragma(`busy_timeout = ${patience}`);
      db.pragma('synchronous = FULL');
    }
  }

  function stop(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
  }

  return {
    later() {
      stop();
      timer = setTimeout(work, performance.now() - workedAt > BUSY_MS ? 0 : QUIET_MS);
    },
    stop,
  };
}
