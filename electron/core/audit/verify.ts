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
import { type Checkpoint, readCheckpoints, type SignedFile, signatureHolds } from './checkpoint.ts';
import { createTree, type Segment, type Subtree } from './segment.ts';
import { askThread } from './thread.ts';
import { checkPrune, checkRoots, checkSegments, type Fault, type Pruned } from './verify-segments.ts';

export interface VerifyOptions {
  /** Checkpoints to hold the chain against; without them a cut tail cannot be seen. */
  checkpointFile?: string;
  /** Raw Ed25519 public key, base64url, that must have signed them; without it, each line's own. */
  key?: string;
}

/** A part of the chain, and the segments that have rows in it. */
export interface Part {
  from: number;
  to: number;
  segments: Pick<Segment, 'first' | 'last'>[];
}

/** What one thread found in its part of the chain. The links to the parts before and behind are checked afterwards. */
export interface RangeReport {
  rows: number;
  /** `previous` of the first row and `hash` of the last; null without rows. */
  firstPrevious: ChainValue;
  lastHash: ChainValue;
  /** Of each segment of the part, what of its tree is in it. */
  trees: Subtree[][];
  fault: Fault | null;
}

/** Checkpoints whose signatures are all checked; older ones are held against the rows, which the newer ones vouch for. */
const SIGNATURES_MAX = 2000;
/** Below this many rows a second thread costs more than it saves. */
const ROWS_PER_THREAD = 50_000;
/** A prune while the chain is read takes rows away that were there; then it is read again. */
const TRIES = 3;

const INDEX = Object.fromEntries(CHAIN_COLUMNS.map((column, i) => [column, i])) as Record<(typeof CHAIN_COLUMNS)[number], number>;
const HASH = CHAIN_COLUMNS.length;

/**
 * Verifies on the calling thread. The report's fault names the first bad row; throws Refusal `store_unavailable` or `database_newer` when the
 * chain cannot be read at all.
 */
export function verifyDatabase(file: string, options: VerifyOptions = {}): VerifyReport {
  for (let tries = 1; ; tries++) {
    const begin = prepare(file, options);
    try {
      const report = conclude(
        begin,
        begin.parts(1).map((part) => verifyRange(begin.chain, part)),
      );
      if (report.fault === null || tries === TRIES || !begin.movedOn()) return report;
    } finally {
      begin.chain[Symbol.dispose]();
    }
  }
}

/** The same in threads of its own, one per core for long chains. */
export async function verifyInThread(file: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const module = new URL('./verify-thread.ts', import.meta.url);
  for (let tries = 1; ; tries++) {
    const begin = prepare(file, options);
    try {
      const { source } = begin.chain;
      const parts = begin.parts(availableParallelism()).map((part) => askThread<RangeReport>(module, { source, ...part }));
      const report = conclude(begin, await Promise.all(parts));
      if (report.fault === null || tries === TRIES || !begin.movedOn()) return report;
    } finally {
      begin.chain[Symbol.dispose]();
    }
  }
}

const unsigned = (): SignedFile => ({ checkpoints: [], segments: [], prunes: [], fault: null });

function prepare(file: string, options: VerifyOptions) {
  const startedAt = performance.now();
  const read = () => (options.checkpointFile === undefined ? unsigned() : readCheckpoints(options.checkpointFile));
  let signed: SignedFile;
  try {
    // Read first: a checkpoint is written behind its row, so every row it names is in what is read next.
    signed = read();
  } catch (caught) {
    throw new Refusal(storeFailure(caught, options.checkpointFile!));
  }
  const chain = openChain(file);
  try {
    const edges = chain.edges();
    const segments = chain.segments();
    // Where there are signatures, only what is signed may be gone.
    const noted = (held: SignedFile) => (options.checkpointFile === undefined ? chain.prunes().at(-1) : held.prunes.at(-1)?.prune) ?? null;
    const prune = noted(signed);
    const first = (prune?.last ?? 0) + 1;
    return {
      startedAt,
      chain,
      edges,
      signed,
      segments,
      prune,
      first,
      key: options.key,
      /** Something was pruned since, so that rows went that were there. */
      movedOn: () => noted(read())?.last !== prune?.last,
      /** The rows from the first that has to be there to the last, in at most `threads` parts. */
      parts(threads: number): Part[] {
        if (edges === null || edges.last < first) return [];
        const rows = edges.last - first + 1;
        const count = Math.max(1, Math.min(threads, Math.ceil(rows / ROWS_PER_THREAD)));
        const size = Math.ceil(rows / count);
        return Array.from({ length: count }, (_, i) => {
          const from = first + i * size;
          const to = Math.min(edges.last, from + size - 1);
          return { from, to, segments: segments.filter((segment) => segment.first <= to && segment.last >= from) };
        });
      },
    };
  } catch (caught) {
    chain[Symbol.dispose]();
    throw new Refusal(storeFailure(caught, file));
  }
}

/** Checks every row of a part: its number, its hash, and that it follows the row before it. Stops at the first fault. */
export function verifyRange(chain: ChainReader, { from, to, segments }: Part): RangeReport {
  const hasher = createHasher();
  const trees = segments.map(() => createTree());
  const report: RangeReport = { rows: 0, firstPrevious: null, lastHash: null, trees: [], fault: null };
  let expected = from;
  let at = 0;
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
      while (at < segments.length && segments[at]!.last < seq) at++;
      if (at < segments.length && segments[at]!.first <= seq) trees[at]!.add(seq - segments[at]!.first, computed);
      report.rows++;
      expected++;
    }
  } catch (caught) {
    return fault(expected, `Row ${expected} cannot be read: ${(caught as Error).message}.`);
  }
  return expected <= to ? fault(expected, missing(expected, to)) : { ...report, trees: trees.map((tree) => tree.parts()) };
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

function conclude(begin: ReturnType<typeof prepare>, reports: RangeReport[]): VerifyReport {
  const { chain, edges, signed, prune, segments } = begin;
  const parts = begin.parts(reports.length);
  const last = edges === null ? 0 : edges.last;
  const faults: (Fault | null)[] = [
    checkRows(begin, reports),
    edges !== null && edges.first < 1
      ? { seq: edges.first, message: `Row ${edges.first} does not belong to the chain, which begins at 1.` }
      : null,
    checkSigned(begin, last),
  ];
  let pruned: Pruned | null = null;
  if (prune !== null) {
    const checked = checkPrune(chain, { prune, line: signed.prunes.at(-1) ?? null, segments, key: begin.key, last });
    if ('message' in checked) faults.push(checked);
    else pruned = checked;
  }
  faults.push(checkSegments(segments, signed.segments, begin.key));
  // Of rows that are not what they were, the root says nothing new.
  if (firstOf(faults) === null) faults.push(checkRoots(segments, parts, reports));
  const fault = firstOf(faults);
  return {
    ok: fault === null,
    rows: reports.reduce((rows, part) => rows + part.rows, 0),
    firstSeq: edges === null ? null : Math.max(edges.first, Math.min(begin.first, last)),
    lastSeq: edges?.last ?? null,
    head: last > 0 ? hashOf(chain, last) : null,
    checkpoints: signed.checkpoints.length,
    segments: segments.length,
    pruned,
    durationMs: performance.now() - begin.startedAt,
    fault,
  };
}

/** The lowest row is the first thing wrong; what comes later in the list of a row behind it says nothing new. */
function firstOf(faults: (Fault | null)[]): Fault | null {
  let first: Fault | null = null;
  for (const fault of faults)
    if (fault !== null && (first === null || (fault.seq !== null && first.seq !== null && fault.seq < first.seq))) first = fault;
  return first;
}

function checkRows({ chain, prune, edges, first, ...begin }: ReturnType<typeof prepare>, reports: RangeReport[]): Fault | null {
  const parts = begin.parts(reports.length);
  let lastHash: ChainValue = prune?.head ?? GENESIS;
  for (const [i, part] of reports.entries()) {
    const { from } = parts[i]!;
    if (part.rows > 0 && part.firstPrevious !== lastHash) {
      const genesis = from === 1 ? 'Row 1 does not begin the chain: column previous is not the genesis value.' : null;
      return { seq: from, message: genesis ?? `Row ${from} does not follow row ${from - 1}: column previous is not that row's hash.` };
    }
    if (part.fault && edges !== null && part.fault.seq === first && edges.first > first && chain.prunes().length > 0)
      return { seq: first, message: `${missing(first, edges.first - 1)} No signed checkpoint says that they were pruned.` };
    if (part.fault) return part.fault;
    lastHash = part.lastHash;
  }
  return null;
}

/** Null for a row that is not there or that cannot be read, which is what its part of the chain has reported. */
function hashOf(chain: ChainReader, seq: number): string | null {
  try {
    return chain.links(seq)?.hash ?? null;
  } catch {
    return null;
  }
}

function checkSigned({ chain, signed, first, key }: ReturnType<typeof prepare>, last: number): Fault | null {
  const { checkpoints, fault } = signed;
  if (fault !== null) return { seq: null, message: `Checkpoints: ${fault}.` };
  let high = 0;
  for (const [i, checkpoint] of checkpoints.entries()) {
    const found = checkOne(chain, checkpoint, { first, last, key, signature: i >= checkpoints.length - SIGNATURES_MAX });
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
  how: { first: number; last: number; key: string | undefined; signature: boolean },
): Fault | null {
  const { seq } = checkpoint;
  if (how.key !== undefined && checkpoint.key !== how.key)
    return { seq, message: `The checkpoint of row ${seq} was signed with another key.` };
  const holds = seq > how.last || seq < how.first || hashOf(chain, seq) === checkpoint.hash;
  if ((how.signature || !holds || seq > how.last) && !signatureHolds(checkpoint))
    return { seq, message: `The signature of the checkpoint of row ${seq} is invalid.` };
  if (seq > how.last)
    return { seq: how.last + 1, message: `The chain was cut: it ends at row ${how.last}, but a signed checkpoint has row ${seq}.` };
  return holds ? null : { seq, message: `Row ${seq} is not the row that was signed: its hash differs from the checkpoint.` };
}
