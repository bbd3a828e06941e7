/** Verifies one part of the chain in a worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { openChainCopy } from '../store/chain-reader.ts';
import { storeFailure } from '../store/failures.ts';
import type { ThreadAnswer } from './thread.ts';
import { type RangeReport, verifyRange } from './verify.ts';

const { source, from, to } = workerData as { source: string; from: number; to: number };
try {
  const chain = openChainCopy(source);
  try {
    parentPort!.postMessage({ report: verifyRange(chain, from, to) } satisfies ThreadAnswer<RangeReport>);
  } finally {
    chain[Symbol.dispose]();
  }
} catch (caught) {
  parentPort!.postMessage({ error: storeFailure(caught, source) } satisfies ThreadAnswer<RangeReport>);
}
