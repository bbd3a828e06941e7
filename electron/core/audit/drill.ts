/** The tamper drill: changes one byte in a copy of the database and shows what verify says to it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { VerifyReport } from '../../../shared/model.ts';
import { copyForDrill, flipBit, openChain } from '../store/chain-reader.ts';
import { storeFailure } from '../store/failures.ts';
import type { CHAIN_COLUMNS } from './chain.ts';
import { askThread } from './thread.ts';
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
    if (edges === null) return null;
    // What was pruned and is not gone yet is not looked at any more.
    const first = Math.max(edges.first, (chain.prunes().at(-1)?.last ?? 0) + 1);
    return Math.ceil((first + edges.last) / 2);
  } finally {
    chain[Symbol.dispose]();
  }
}

/** The same in a thread of its own: a copy of a long chain takes seconds. */
export function tamperDrillInThread(file: string, options: DrillOptions = {}): Promise<DrillReport> {
  return askThread<DrillReport>(new URL('./drill-thread.ts', import.meta.url), { file, options });
}
