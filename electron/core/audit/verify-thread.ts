/** Verifies one part of the chain in a worker thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { openChainCopy } from '../store/chain-reader.ts';
import { storeFailure } from '../store/failures.ts';
import type { ThreadAnswer } from './thread.ts';
import { type Part, type RangeReport, verifyRange } from './verify.ts';

const { source, ...part } = workerData as { source: string } & Part;
try {
  const chain = openChainCopy(source);
  try {
    parentPort!.postMessage({ report: verifyRange(chain, part) } satisfies ThreadAnswer<RangeReport>);
  } finally {
    chain[Symbol.dispose]();
  }
} catch (caught) {
  parentPort!.postMessage({ error: storeFailure(caught, source) } satisfies ThreadAnswer<RangeReport>);
}
