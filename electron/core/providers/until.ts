/** Waiting for what a server or program does in its own time. */
import { setTimeout as wait } from 'node:timers/promises';
import { Refusal, refuse } from '../../../shared/errors.ts';
import { reasonOf } from '../mcp/abort.ts';

export interface Until {
  /** True: it is so. */
  check(): Promise<boolean>;
  withinMs: number;
  /** What is said when it did not come about: `vision did not start`. */
  failure(): string;
  signal: AbortSignal;
}

const FIRST_MS = 25;
const MOST_MS = 500;

/** Asks again and again, ever more slowly. Rejects with Refusal: upstream_timeout, what the signal was aborted with; and with what `check` throws. */
export async function until({ check, withinMs, failure, signal }: Until): Promise<void> {
  const end = performance.now() + withinMs;
  for (let pause = FIRST_MS; ; pause = Math.min(MOST_MS, pause * 1.5)) {
    if (signal.aborted) throw new Refusal(reasonOf(signal));
    if (await check()) return;
    const left = end - performance.now();
    if (left <= 0) throw new Refusal(refuse('upstream_timeout', `${failure()} within ${seconds(withinMs)}.`));
    await wait(Math.min(pause, left), undefined, { signal }).catch(() => {
      throw new Refusal(reasonOf(signal));
    });
  }
}

export const seconds = (ms: number) => (ms < 10_000 ? `${Math.round(ms / 100) / 10} s` : `${Math.round(ms / 1000)} s`);
