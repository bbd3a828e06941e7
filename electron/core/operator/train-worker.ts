/** The thread in which a model is trained. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Lesson, train } from './train.ts';

const model = train(workerData as Lesson);
const moved = [...Object.values(model), ...Object.values(model.postings ?? {})].flatMap((value) =>
  ArrayBuffer.isView(value) ? [value.buffer as ArrayBuffer] : [],
);
parentPort?.postMessage(model, [...new Set(moved)]);
