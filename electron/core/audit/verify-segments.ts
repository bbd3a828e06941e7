/** What verify makes of daily segments and of what was pruned. */
import type { VerifyReport } from '../../../shared/model.ts';
import type { ChainReader } from '../store/chain-reader.ts';
import { type SignedFile, signatureHolds } from './checkpoint.ts';
import {
  createTree,
  KEPT_DAYS_LEAST,
  type Prune,
  prunableFrom,
  SEGMENTS_GENESIS,
  type Segment,
  type Subtree,
  sealSegment,
} from './segment.ts';

export interface Fault {
  seq: number | null;
  message: string;
}

export type Pruned = NonNullable<VerifyReport['pruned']>;

/**
 * Whether rows may be gone: up to the end of a sealed segment, when they were old enough, as a row of the chain and, where there are checkpoints, a
 * signature say.
 */
export function checkPrune(
  chain: ChainReader,
  {
    prune,
    line,
    segments,
    key,
    last,
  }: { prune: Prune; line: SignedFile['prunes'][number] | null; segments: Segment[]; key: string | undefined; last: number },
): Pruned | Fault {
  const rows = `Rows up to ${prune.last} were pruned, but`;
  const fault = (message: string): Fault => ({ seq: prune.last, message: `${rows} ${message}` });
  if (line !== null && key !== undefined && line.key !== key) return fault('that was signed with another key.');
  if (line !== null && !signatureHolds(line)) return fault('the signature of that is invalid.');
  const segment = segments.find((each) => each.last === prune.last);
  if (segment?.head !== prune.head) return fault('they are not the end of a sealed segment.');
  if (prune.at < prunableFrom(segment.day, KEPT_DAYS_LEAST)) return fault(`they had not been kept for ${KEPT_DAYS_LEAST} days.`);
  if (prune.row > last)
    return { seq: last + 1, message: `The chain was cut: it ends at row ${last}, but a prune is on record in row ${prune.row}.` };
  const change = chain.change(prune.row);
  if (change?.outcome !== 'audit.pruned' || lastSeqOf(change.detail) !== prune.last) return fault(`row ${prune.row} does not say so.`);
  return { segments: segments.filter((each) => each.last <= prune.last).length, lastSeq: prune.last, at: prune.at, by: change.caller };
}

function lastSeqOf(detail: string): unknown {
  try {
    return (JSON.parse(detail) as { lastSeq?: unknown }).lastSeq;
  } catch {
    return null;
  }
}

/** Whether each segment is what its hash says and follows the one before it, and those that were signed are there. */
export function checkSegments(segments: Segment[], signed: SignedFile['segments'], key: string | undefined): Fault | null {
  let before: Pick<Segment, 'day' | 'last' | 'hash'> = { day: -1, last: 0, hash: SEGMENTS_GENESIS };
  for (const segment of segments) {
    const { day, first, last, previous, hash } = segment;
    const follows = day > before.day && first === before.last + 1 && last >= first && previous === before.hash;
    if (!follows || sealSegment(segment).hash !== hash)
      return { seq: first, message: `The segment of rows ${first} to ${last} was changed, or the one before it is missing.` };
    before = segment;
  }
  // The newest signature vouches for all segments before it, since each has the hash of the one before it.
  const line = signed.at(-1);
  if (line === undefined) return null;
  const { first, last, day, hash } = line.segment;
  const words = `of the segment of rows ${first} to ${last}`;
  if (key !== undefined && line.key !== key) return { seq: first, message: `The checkpoint ${words} was signed with another key.` };
  if (!signatureHolds(line)) return { seq: first, message: `The signature ${words} is invalid.` };
  const found = segments.find((segment) => segment.day === day);
  return found?.hash === hash ? null : { seq: first, message: `The seal ${words} is not the one that was signed.` };
}

/** Whether the root of every segment is that of its rows, where those are all there. */
export function checkRoots(
  segments: Segment[],
  parts: { from: number; segments: Pick<Segment, 'first'>[] }[],
  reports: { trees: Subtree[][] }[],
): Fault | null {
  const first = parts[0]?.from ?? Number.POSITIVE_INFINITY;
  for (const segment of segments) {
    if (segment.first < first) continue;
    const tree = createTree();
    for (const [i, part] of parts.entries()) {
      const at = part.segments.findIndex((each) => each.first === segment.first);
      if (at >= 0) tree.append(reports[i]!.trees[at]!);
    }
    if (tree.parts().length === 0 || tree.root() !== segment.root)
      return {
        seq: segment.first,
        message: `The root of the segment of rows ${segment.first} to ${segment.last} is not that of its rows.`,
      };
  }
  return null;
}
