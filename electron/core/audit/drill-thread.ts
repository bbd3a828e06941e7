/** Runs the tamper drill in a worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../../shared/errors.ts';
import { type DrillOptions, type DrillReport, tamperDrill } from './drill.ts';
import type { ThreadAnswer } from './thread.ts';

const { file, options } = workerData as { file: string; options: DrillOptions };
try {
  parentPort!.postMessage({ report: tamperDrill(file, options) } satisfies ThreadAnswer<DrillReport>);
} catch (caught) {
  parentPort!.postMessage({ error: toWire(caught) } satisfies ThreadAnswer<DrillReport>);
}
