/** Runs the tamper drill in a worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../../shared/errors.ts';
import { type DrillOptions, tamperDrill } from './drill.ts';

const { file, options } = workerData as { file: string; options: DrillOptions };
try {
  parentPort!.postMessage({ report: tamperDrill(file, options) });
} catch (caught) {
  parentPort!.postMessage({ error: toWire(caught) });
}
