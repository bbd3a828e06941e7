/**
 * Recomputes the audit chain from its columns. Needs no running core, and a running one may write meanwhile: the rows looked at are those that
 * were there when it began, and committed rows never change.
 */
import { hash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Refusal } from '../../../shared/errors.ts';
import type { VerifyReport } from '../../../shared/model.ts';
import { type ChainReader, openChain, type StoredRow } from '../store/chain-reader.ts';
import { storeFailure } from '../store/failures.ts';
import { CHAIN_COLUMNS, type ChainValue, createHasher, GENESIS } from './chain.ts';
import { type Checkpoint, readCheckpoints, signatureHolds } from './checkpoint.ts';
import { askThread } from './thread.ts';

export interface VerifyOptions {
  /** Checkpoints to hold the chain against; without them a cut tail cannot be seen. */
  checkpointFile?: string;
  /** Raw Ed25519 public key, base64url, that must have signed them; without it, each line's own. */
  key?: string;
}

interface Fault {
  seq: number | null;
  message: string;
}

/** What one thread found in its part of the chain. The links to the parts before and behind are checked afterwards. */
export interface RangeReport {
  rows: number;
  /** `previous` of the first row and `hash` of the last; null without rows. */
  firstPrevious: ChainValue;
  lastHash: ChainValue;
  fault: Fault | null;
}

/** Checkpoints whose signatures are all checked; older ones are held against the rows, which the newer ones vouch for. */
const SIGNATURES_MAX = 2000;
/** Below this many rows a second thread costs more than it saves. */
const ROWS_PER_THREAD = 50_000;

const INDEX = Object.fromEntries(CHAIN_COLUMNS.map((column, i) => [column, i])) as Record<(typeof CHAIN_COLUMNS)[number], number>;
const HASH = CHAIN_COLUMNS.length;

/**
 * Verifies on the calling thread. The report's fault names the first bad row; throws Refusal `store_unavailable` or `database_newer` when the
 * chain cannot be read at all.
 */
export function verifyDatabase(file: string, options: VerifyOptions = {}): VerifyReport {
  const begin = prepare(file, options);
  try {
    return conclude(
      begin,
      begin.ranges(1).map(([from, to]) => verifyRange(begin.chain, from, to)),
    );
  } finally {
    begin.chain[Symbol.dispose]();
  }
}

/** The same in threads of its own, one per core for long chains. */
export async function verifyInThread(file: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const begin = prepare(file, options);
  try {
    const module = new URL('./verify-thread.ts', import.meta.url);
    const { source } = begin.chain;
    const parts = begin.ranges(availableParallelism()).map(([from, to]) => askThread<RangeReport>(module, { source, from, to }));
    return conclude(begin, await Promise.all(parts));
  } finally {
    begin.chain[Symbol.dispose]();
  }
}

function prepare(file: string, options: VerifyOptions) {
  const startedAt = performance.now();
  let signed: ReturnType<typeof readCheckpoints>;
  try {
    // Read first: a checkpoint is written behind its row, so every row it names is in what is read next.
    signed = options.checkpointFile === undefined ? { checkpoints: [], fault: null } : readCheckpoints(options.checkpointFile);
  } catch (caught) {
    throw new Refusal(storeFailure(caught, options.checkpointFile!));
  }
  const chain = openChain(file);
  try {
    const edges = chain.edges();
    return {
      startedAt,
      chain,
      edges,
      ...signed,
      key: options.key,
      /** The rows from 1 to the last, in at most `threads` parts. */
      ranges(threads: number): [from: number, to: number][] {
        if (edges === null || edges.last < 1) return [];
        const parts = Math.max(1, Math.min(threads, Math.ceil(edges.last / ROWS_PER_THREAD)));
        const size = Math.ceil(edges.last / parts);
        return Array.from({ length: parts }, (_, i) => [i * size + 1, Math.min(edges.last, (i + 1) * size)]);
      },
    };
  } catch (caught) {
    chain[Symbol.dispose]();
    throw new Refusal(storeFailure(caught, file));
  }
}

/** Checks every row of a part: its number, its hash, and that it follows the row before it. Stops at the first fault. */
export function verifyRange(chain: ChainReader, from: number, to: number): RangeReport {
  const hasher = createHasher();
  const report: RangeReport = { rows: 0, firstPrevious: null, lastHash: null, fault: null };
  let expected = from;
  const fault = (seq: number, message: string): RangeReport => ({ ...report, fault: { seq, message } });
  try {
    for (const row of chain.rows(from, to)) {
      const seq = row[0] as number;
      if (seq !== expected) return fault(expected, missing(expected, seq - 1));
      const previous = row[INDEX.previous]!;
      const computed = hasher.hash(row);
      const wrongLink = report.rows > 0 && previous !== report.lastHash;
      if (computed !== row[HASH]) return fault(seq, changed(row, report.rows > 0 ? report.lastHash : null, computed, chain));
      if (wrongLink) return fault(seq, `Row ${seq} does not follow row ${seq - 1}: column previous is not that row's hash.`);
      if (hasher.replaced && !chain.isUtf8(seq)) return fault(seq, `Row ${seq} was changed: a text holds bytes that are not UTF-8.`);
      if (report.rows === 0) report.firstPrevious = previous;
      report.lastHash = row[HASH]!;
      report.rows++;
      expected++;
    }
  } catch (caught) {
    return fault(expected, `Row ${expected} cannot be read: ${(caught as Error).message}.`);
  }
  return expected <= to ? fault(expected, missing(expected, to)) : report;
}

function missing(from: number, to: number): string {
  return from >= to ? `Row ${from} is missing.` : `Rows ${from} to ${to} are missing.`;
}

/** Names the column where the rest of the row, or the next row, gives it away. */
function changed(row: StoredRow, lastHash: ChainValue, computed: string, chain: ChainReader): string {
  const seq = row[0] as number;
  const hasher = createHasher();
  const holdsWith = (column: keyof typeof INDEX, value: ChainValue) => hasher.hash(row.with(INDEX[column], value)) === row[HASH];
  const said = `Row ${seq} was changed`;
  const detail = row[INDEX.detail];
  const digest = typeof detail === 'string' ? hash('sha256', detail, 'hex') : null;
  if (chain.links(seq + 1)?.previous === computed) return `${said}: column hash is not that of its columns.`;
  if (lastHash !== null && row[INDEX.previous] !== lastHash && holdsWith('previous', lastHash)) return `${said}: column previous.`;
  if (holdsWith('digest', digest) || holdsWith('digest', '')) return `${said}: column digest.`;
  const cut = typeof detail === 'string' && detail.startsWith('{"cut":{"bytes":');
  if (!cut && row[INDEX.digest] !== '' && digest !== row[INDEX.digest]) return `${said}: column detail.`;
  for (const kind of ['intent', 'outcome', 'rejected', 'replayed', 'change']) if (holdsWith('kind', kind)) return `${said}: column kind.`;
  return `${said}: its columns do not give its hash.`;
}

function conclude(begin: ReturnType<typeof prepare>, parts: RangeReport[]): VerifyReport {
  const { chain, edges, checkpoints } = begin;
  const ranges = begin.ranges(parts.length);
  let rows = 0;
  let lastHash: ChainValue = GENESIS;
  let fault: Fault | null = null;
  for (const [i, part] of parts.entries()) {
    const [from] = ranges[i]!;
    rows += part.rows;
    if (part.rows > 0 && part.firstPrevious !== lastHash) {
      const message = from === 1 ? 'Row 1 does not begin the chain: column previous is not the genesis value.' : null;
      fault = { seq: from, message: message ?? `Row ${from} does not follow row ${from - 1}: column previous is not that row's hash.` };
      break;
    }
    if (part.fault) {
      fault = part.fault;
      break;
    }
    lastHash = part.lastHash;
  }
  if (edges !== null && edges.first < 1)
    fault ??= { seq: edges.first, message: `Row ${edges.first} does not belong to the chain, which begins at 1.` };
  const last = edges === null ? 0 : edges.last;
  const signed = checkSigned(begin, last);
  // The lowest row is the first thing wrong; a checkpoint of a row behind it says nothing new.
  if (signed && (fault === null || (signed.seq !== null && fault.seq !== null && signed.seq < fault.seq))) fault = signed;
  return {
    ok: fault === null,
    rows,
    firstSeq: edges?.first ?? null,
    lastSeq: edges?.last ?? null,
    head: last > 0 ? hashOf(chain, last) : null,
    checkpoints: checkpoints.length,
    durationMs: performance.now() - begin.startedAt,
    fault,
  };
}

/** Null for a row that is not there or that cannot be read, which is what its part of the chain has reported. */
function hashOf(chain: ChainReader, seq: number): string | null {
  try {
    return chain.links(seq)?.hash ?? null;
  } catch {
    return null;
  }
}

function checkSigned({ chain, checkpoints, key, fault }: ReturnType<typeof prepare>, last: number): Fault | null {
  if (fault !== null) return { seq: null, message: `Checkpoints: ${fault}.` };
  let high = 0;
  for (const [i, checkpoint] of checkpoints.entries()) {
    const found = checkOne(chain, checkpoint, { last, key, signature: i >= checkpoints.length - SIGNATURES_MAX });
    if (found) return found;
    if (checkpoint.seq < high)
      return { seq: checkpoint.seq, message: `The checkpoint of row ${checkpoint.seq} stands behind that of row ${high}.` };
    high = checkpoint.seq;
  }
  return null;
}

function checkOne(
  chain: ChainReader,
  checkpoint: Checkpoint,
  how: { last: number; key: string | undefined; signature: boolean },
): Fault | null {
  const { seq } = checkpoint;
  if (how.key !== undefined && checkpoint.key !== how.key)
    return { seq, message: `The checkpoint of row ${seq} was signed with another key.` };
  const holds = seq > how.last || hashOf(chain, seq) === checkpoint.hash;
  if ((how.signature || !holds || seq > how.last) && !signatureHolds(checkpoint))
    return { seq, message: `The signature of the checkpoint of row ${seq} is invalid.` };
  if (seq > how.last)
    return { seq: how.last + 1, message: `The chain was cut: it ends at row ${how.last}, but a signed checkpoint has row ${seq}.` };
  return holds ? null : { seq, message: `Row ${seq} is not the row that was signed: its hash differs from the checkpoint.` };
}
