/**
 * Daily segments of the chain. A segment is the rows of one UTC day, sealed when the day is over: the RFC 6962 Merkle root over the hashes of its
 * rows, and the hash of the segment before it. So what was pruned can still be spoken of, and a row be proved to have been there.
 *
 * Leaf: SHA-256(0x00, the row's hash as 32 bytes); node: SHA-256(0x01, left, right); split as in RFC 6962, section 2.1. The hash of a segment is
 * SHA-256 of `dispatcher segment v1\n<day>\n<first>\n<last>\n<root>\n<head>\n<previous>\n`, hex in lowercase; `previous` of the first segment is SHA-256
 * of `dispatcher audit segments v1`.
 */
import { hash } from 'node:crypto';

export const DAY_MS = 86_400_000;
/** Whatever is set, rows are kept for so many days. */
export const KEPT_DAYS_LEAST = 90;

export interface Segment {
  /** Days since 1 January 1970 (UTC). Rises from segment to segment, also when the clock went back: such rows belong to the day begun. */
  day: number;
  /** Its rows. */
  first: number;
  last: number;
  /** Hash of the last row. */
  head: string;
  root: string;
  /** Hash of the segment before it. */
  previous: string;
  hash: string;
}

/** Rows that were allowed to go: up to the end of a sealed segment. */
export interface Prune {
  /** All rows from 1 to `last` are gone, or going; `first` was the first one there until then. */
  first: number;
  last: number;
  /** Hash of the row `last`, which the next one follows. */
  head: string;
  /** The row of the chain that says so, and its time. */
  row: number;
  at: number;
}

export const SEGMENTS_GENESIS = hash('sha256', 'dispatcher audit segments v1', 'hex');

export const dayOf = (at: number): number => Math.floor(at / DAY_MS);

export function sealSegment(rows: Omit<Segment, 'hash'>): Segment {
  const { day, first, last, root, head, previous } = rows;
  const text = `dispatcher segment v1\n${day}\n${first}\n${last}\n${root}\n${head}\n${previous}\n`;
  return { ...rows, hash: hash('sha256', text, 'hex') };
}

/** Rows of a day may go from this time on, when they are kept for so many days. */
export const prunableFrom = (day: number, keptDays: number): number => (day + 1 + Math.max(KEPT_DAYS_LEAST, keptDays)) * DAY_MS;

/** A perfect subtree over the leaves from `index * 2 ** height` on; `hash` is its 32 bytes as latin1. */
export interface Subtree {
  height: number;
  index: number;
  hash: string;
}

const leaf = Buffer.alloc(33);
const pair = Buffer.alloc(65, 1);

function join(left: string, right: string): string {
  pair.write(left, 1, 32, 'latin1');
  pair.write(right, 33, 32, 'latin1');
  return hash('sha256', pair, 'binary');
}

/** Grows from left to right, from any leaf on, so that parts of one tree can be made apart and put together. */
export interface Tree {
  /** The next leaf: the hash of a row, hex. */
  add(index: number, rowHash: string): void;
  /** Subtrees of another part, which begins where this one ends. */
  append(part: readonly Subtree[]): void;
  parts(): Subtree[];
  /** Hex; of a tree that began at leaf 0. */
  root(): string;
}

export function createTree(): Tree {
  // Three lists instead of one of objects: a leaf takes a microsecond, most of it hashing, and there are millions.
  const heights: number[] = [];
  const indexes: number[] = [];
  const hashes: string[] = [];
  function push(height: number, index: number, hash: string): void {
    let top = heights.length;
    while (top > 0 && heights[top - 1] === height && index % 2 === 1) {
      top--;
      height++;
      index = (index - 1) / 2;
      hash = join(hashes[top]!, hash);
    }
    heights.length = top;
    indexes.length = top;
    hashes.length = top;
    heights.push(height);
    indexes.push(index);
    hashes.push(hash);
  }
  return {
    add(index, rowHash) {
      leaf.write(rowHash, 1, 32, 'hex');
      push(0, index, hash('sha256', leaf, 'binary'));
    },
    append: (part) => {
      for (const { height, index, hash } of part) push(height, index, hash);
    },
    parts: () => heights.map((height, i) => ({ height, index: indexes[i]!, hash: hashes[i]! })),
    root: () =>
      Buffer.from(
        hashes.reduceRight((right, left) => join(left, right)),
        'latin1',
      ).toString('hex'),
  };
}
