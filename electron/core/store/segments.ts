/**
 * Daily segments of the audit chain, and the only way its rows ever go: whole sealed segments, oldest first, after they were kept for as long as
 * they have to be, and after the chain itself and the signed checkpoints say so.
 */
import type Database from 'better-sqlite3';
import type { CheckpointWriter } from '../audit/checkpoint.ts';
import {
  createTree,
  dayOf,
  KEPT_DAYS_LEAST,
  type Prune,
  prunableFrom,
  SEGMENTS_GENESIS,
  type Segment,
  sealSegment,
  type Tree,
} from '../audit/segment.ts';

/**
 * Step of the schema. Nothing of it is ever changed or deleted. A prune can only be noted of a sealed segment whose end a row of the chain names, and
 * rows of the chain can only be deleted up to a prune that was noted.
 */
export const segmentSchema = `
  CREATE TABLE audit_segment (
    day INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL UNIQUE,
    head TEXT NOT NULL,
    root TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;
  CREATE TABLE audit_prune (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, head TEXT NOT NULL, row INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
  ${['audit_segment', 'audit_prune']
    .flatMap((table) =>
      ['UPDATE', 'DELETE'].map(
        (change) =>
          `CREATE TRIGGER ${table}_no_${change.toLowerCase()} BEFORE ${change} ON ${table} BEGIN SELECT RAISE(ABORT, '${table} is append-only'); END;`,
      ),
    )
    .join('\n')}
  CREATE TRIGGER audit_prune_on_record BEFORE INSERT ON audit_prune
    WHEN NOT EXISTS (SELECT 1 FROM audit_segment WHERE last = NEW.last AND head = NEW.head)
      OR NOT EXISTS (SELECT 1 FROM audit WHERE seq = NEW.row AND kind = 'change' AND outcome = 'audit.pruned'
        AND iif(json_valid(detail), detail ->> '$.lastSeq', 0) = NEW.last)
    BEGIN SELECT RAISE(ABORT, 'only what the audit chain says was pruned may go'); END;
  DROP TRIGGER audit_no_delete;
  CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN OLD.seq > (SELECT coalesce(max(last), 0) FROM audit_prune)
    BEGIN SELECT RAISE(ABORT, 'the audit chain is append-only'); END;
`;

/** Rows that one step reads or deletes. */
const STEP_ROWS = 500;
/** Segments that one row tells of, so that its detail is whole. */
const PRUNE_SEGMENTS = 25;

export interface SegmentParts {
  checkpoints: CheckpointWriter;
  /** The newest row. */
  head(): { seq: number; at: number };
  /** Appends the row of a change and does `also` in one durable transaction; `row` is the number of the row. */
  change(at: number, outcome: string, detail: string, also: (row: number) => void): void;
  now: number;
}

export interface Segmenter {
  /** What time it is, and for how many days rows are kept; nothing is pruned before it was told. */
  keep(now: number, keptDays: number): void;
  /** Seals, signs, records a prune or deletes a little; false when there is nothing to do. */
  step(): boolean;
}

export function createSegmenter(db: Database.Database, { checkpoints, head, change, now }: SegmentParts): Segmenter {
  const newest = db.prepare('SELECT * FROM audit_segment ORDER BY day DESC LIMIT 1');
  const unsigned = db.prepare('SELECT * FROM audit_segment WHERE last > ? ORDER BY day');
  const oldestKept = db.prepare('SELECT * FROM audit_segment WHERE last > ? ORDER BY last LIMIT ?');
  const lastPrune = db.prepare('SELECT * FROM audit_prune ORDER BY last DESC LIMIT 1');
  const insertSegment = db.prepare('INSERT INTO audit_segment VALUES (:day, :first, :last, :head, :root, :previous, :hash)');
  const insertPrune = db.prepare('INSERT INTO audit_prune VALUES (:last, :first, :head, :row, :at)');
  const rowsFrom = db.prepare(`SELECT seq, at, hash FROM audit WHERE seq >= ? ORDER BY seq LIMIT ${STEP_ROWS}`).raw();
  const firstRow = db.prepare('SELECT min(seq) FROM audit').pluck();
  const remove = db.prepare('DELETE FROM audit WHERE seq BETWEEN ? AND ?');
  // Jobs may be kept for longer than the chain, and have then what they had there.
  const ofJobs = 'FROM audit CROSS JOIN job ON job.id = audit.job WHERE seq BETWEEN ? AND ?';
  const keepRecords = db.prepare(`INSERT OR IGNORE INTO job_record SELECT n, detail ${ofJobs} AND outcome_seq = seq AND kind = 'outcome'`);
  const keepParams = db.prepare(
    `INSERT OR IGNORE INTO job_input SELECT n, detail -> '$.params' ${ofJobs} AND audit_seq = seq AND json_valid(detail) AND detail -> '$.params' IS NOT NULL`,
  );
  const removeRows = db.transaction((from: number, to: number) => {
    keepRecords.run(from, to);
    keepParams.run(from, to);
    remove.run(from, to);
  });

  let clock = now;
  let keptDays: number | null = null;
  let sealed = (newest.get() as Segment | undefined) ?? null;
  let pruned = (lastPrune.get() as Prune | undefined) ?? null;
  /** The segment that is read, up to the row before `next`. */
  let open: { day: number; first: number; next: number; head: string; tree: Tree } | null = null;

  /** The day whose rows begin with `first`, when it was last looked at. */
  let goesOn: { first: number; day: number } | null = null;
  /** The day that had begun when all rows there were had been sealed: what comes with an older time comes on that day. */
  let begun = 0;

  /** The day of a row that begins a segment, and of one that goes on with one. */
  const dayFor = (at: number, day: number | null) => Math.max(dayOf(at), day ?? Math.max(begun, sealed === null ? 0 : sealed.day + 1));
  const today = () => dayOf(Math.max(clock, head().at));

  /** Reads on; true while there was something to read or seal. */
  function seal(): boolean {
    const first = (sealed?.last ?? 0) + 1;
    if (first > head().seq) return false;
    if ((open?.day ?? (goesOn?.first === first ? goesOn.day : -1)) >= today()) return false;
    const rows = rowsFrom.all(open?.next ?? first) as [seq: number, at: number, hash: string][];
    if (open === null) {
      // Rows of a chain that somebody cut are not sealed: verify says what is missing.
      if (rows.length === 0 || rows[0]![0] !== first) return false;
      const day = dayFor(rows[0]![1], null);
      goesOn = { first, day };
      if (day >= today()) return false;
      open = { day, first, next: first, head: '', tree: createTree() };
    }
    for (const [seq, at, hash] of rows) {
      if (dayFor(at, open.day) > open.day) return close(open);
      open.tree.add(seq - open.first, hash);
      open.next = seq + 1;
      open.head = hash;
    }
    if (rows.length === STEP_ROWS) return true;
    begun = today();
    return close(open);
  }

  function close({ day, first, next, head, tree }: NonNullable<typeof open>): boolean {
    const previous = sealed?.hash ?? SEGMENTS_GENESIS;
    const segment = sealSegment({ day, first, last: next - 1, head, root: tree.root(), previous });
    open = null;
    // On the disk before it is signed: whoever reads the signed one finds it.
    db.pragma('synchronous = FULL');
    insertSegment.run(segment);
    sealed = segment;
    return true;
  }

  function mayGo({ last, at }: Prune): boolean {
    const { day } = oldestKept.get(last - 1, 1) as Segment;
    return at <= clock && prunableFrom(day, KEPT_DAYS_LEAST) <= at;
  }

  function signWhatIsNot(): boolean {
    let signed = false;
    if (sealed !== null && sealed.last > checkpoints.sealedTo)
      for (const segment of unsigned.all(checkpoints.sealedTo) as Segment[]) {
        checkpoints.writeSegment(segment);
        signed = true;
      }
    // What is gone already without a signature was not deleted here, and what may not go yet was not pruned here.
    if (pruned !== null && pruned.last > checkpoints.prunedTo && firstRow.get() === pruned.first && mayGo(pruned)) {
      checkpoints.writePrune(pruned);
      signed = true;
    }
    return signed;
  }

  function recordPrune(): boolean {
    if (keptDays === null || (pruned !== null && pruned.last > checkpoints.prunedTo)) return false;
    const days = Math.max(KEPT_DAYS_LEAST, keptDays);
    const oldest = oldestKept.all(pruned?.last ?? 0, PRUNE_SEGMENTS) as Segment[];
    const young = oldest.findIndex(({ day }) => prunableFrom(day, days) > clock);
    const due = young < 0 ? oldest : oldest.slice(0, young);
    const last = due.at(-1);
    // A first row that is another one was deleted by somebody else; it is not for us to make that right.
    if (last === undefined || due[0]!.first !== firstRow.get()) return false;
    const at = Math.floor(clock);
    const prune = { first: due[0]!.first, last: last.last, head: last.head, at };
    const segments = due.map(({ day, first, last, root }) => ({
      day: new Date(day * 86_400_000).toISOString().slice(0, 10),
      first,
      last,
      root,
    }));
    const said = JSON.stringify({ firstSeq: prune.first, lastSeq: prune.last, head: prune.head, keptDays: days, segments });
    let row = 0;
    change(at, 'audit.pruned', said, (seq) => {
      row = seq;
      insertPrune.run({ ...prune, row });
    });
    pruned = { ...prune, row };
    return true;
  }

  function deletePruned(): boolean {
    if (pruned === null || pruned.last > checkpoints.prunedTo) return false;
    const from = firstRow.get() as number | null;
    if (from === null || from > pruned.last) return false;
    removeRows.immediate(from, Math.min(from + STEP_ROWS - 1, pruned.last));
    return true;
  }

  return {
    keep(at, days) {
      clock = at;
      keptDays = days;
    },
    step: () => signWhatIsNot() || deletePruned() || seal() || recordPrune(),
  };
}
