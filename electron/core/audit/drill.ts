/** The tamper drill: changes one byte in a copy of the database and shows what verify says to it. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { VerifyReport } from '../../../shared/model.ts';
import { copyForDrill, flipBit, openChain } from '../store/chain-reader.ts';
import { storeFailure } from '../store/failures.ts';
import type { CHAIN_COLUMNS } from './chain.ts';
import { verifyDatabase } from './verify.ts';

export type ChainColumn = (typeof CHAIN_COLUMNS)[number] | 'hash';

export interface DrillReport {
  changed: { seq: number; column: string };
  report: VerifyReport;
}

export interface DrillOptions {
  /** Row to change; the middle one if absent. */
  seq?: number;
  column?: ChainColumn;
}

/** Works on a copy in the temporary folder, which is deleted. Throws Refusal `not_found` without such a row, `conflict` for a null column. */
export function tamperDrill(file: string, options: DrillOptions = {}): DrillReport {
  const folder = mkdtempSync(join(tmpdir(), 'dispatcher-drill-'));
  try {
    const copy = join(folder, 'copy.sqlite');
    copyForDrill(file, copy);
    const seq = options.seq ?? middleOf(copy);
    const column = options.column ?? 'detail';
    if (seq === null)
      throw new Refusal(refuse('not_found', 'There is no audit row to tamper with yet.', { hint: 'Dispatch something first.' }));
    if (!flipBit(copy, seq, column)) throw new Refusal(refuse('conflict', `Row ${seq} has no byte to change in column ${column}.`));
    return { changed: { seq, column }, report: verifyDatabase(copy) };
  } catch (caught) {
    throw new Refusal(storeFailure(caught, file));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function middleOf(copy: string): number | null {
  const chain = openChain(copy);
  try {
    const edges = chain.edges();
    return edges && Math.ceil((edges.first + edges.last) / 2);
  } finally {
    chain[Symbol.dispose]();
  }
}

/** The same in a thread of its own: a copy of a long chain takes seconds. */
export async function tamperDrillInThread(file: string, options: DrillOptions = {}): Promise<DrillReport> {
  const worker = new Worker(new URL('./drill-thread.ts', import.meta.url), { workerData: { file, options } });
  const [answer] = (await once(worker, 'message')) as [{ report: DrillReport } | { error: WireError }];
  if ('error' in answer) throw new Refusal(answer.error);
  return answer.report;
}
