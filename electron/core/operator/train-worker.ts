/** The thread in which a model is trained. */
import { parentPort, workerData } from 'node:worker_threads';
import { train } from './train.ts';

const { examples, seed } = workerData as { examples: string[][]; seed: number };
const model = train(examples, { seed });
const moved = [...Object.values(model), ...Object.values(model.postings ?? {})].flatMap((value) =>
  ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : [],
);
parentPort?.postMessage(model, [...new Set(moved)]);
