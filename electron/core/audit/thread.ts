/** One question to a thread of its own, and its answer. */
import { Worker } from 'node:worker_threads';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';

/** What the thread posts: one of these, once. */
export type ThreadAnswer<T> = { report: T } | { error: WireError };

/** Rejects with the Refusal that the thread answers, or `internal` when it ends without an answer. */
export function askThread<T>(module: URL, workerData: unknown): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(module, { workerData });
    worker.once('message', (answer: ThreadAnswer<T>) => {
      if ('error' in answer) reject(new Refusal(answer.error));
      else resolve(answer.report);
    });
    worker.once('error', reject);
    worker.once('exit', () =>
      reject(new Refusal(refuse('internal', 'A thread ended without an answer.', { hint: 'Try again; please report it.' }))),
    );
  });
}
