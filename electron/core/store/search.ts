/**
 * Finding jobs by their words. They are indexed (SQLite FTS5) up to a mark that is kept in the database, when the writer has nothing else to do.
 * What the index does not have yet is looked at row by row: jobs beyond the mark, running ones, and those that ended since they were indexed.
 * Every page looks at so much and no more.
 */
import { createHash } from 'node:crypto';
import type Database from 'better-sqlite3';
import { RECORD } from './records.ts';

/**
 * Step of the schema. The words of each 32,768 jobs have an index of their own, made when its first job is indexed, because a word's beginning is
 * looked up in time that grows with the jobs that have such a word, whatever the page shows of them. `job_late`: jobs that ended since they were indexed.
 */
export const searchSchema = `
  CREATE TABLE job_slice (k INTEGER PRIMARY KEY) STRICT;
  CREATE TABLE job_late (n INTEGER PRIMARY KEY) STRICT;
  INSERT INTO mark VALUES ('indexed', 0), ('pruned', 0);
`;

const SLICE_JOBS = 32_768;
const sliceOf = (n: number) => Math.floor(n / SLICE_JOBS);
const sliceStart = (k: number) => k * SLICE_JOBS;
const tableOf = (k: number) => `job_words_${k}`;

/** The mark does not pass a job that has not ended, unless so many came after it: most end soon, and are indexed once. */
const PATIENCE_JOBS = 128;
/** Jobs that one step indexes, and how long it goes on; records are large now and then, so that few are read at once. */
const STEP_JOBS = 64;
const STEP_MS = 2;
const READ_JOBS = 8;
/** Characters of the result that are indexed. */
const RESULT_CHARS = 2000;
const WORD_CHARS = 64;
const QUERY_WORDS = 16;
/** How long one page looks for matches; what it has by then is the page. */
const PAGE_MS = 15;
/** More ids than this that begin with a query are not what was meant. */
const ID_MATCHES = 100;
/** Rows looked at between two looks at the clock. */
const ROWS_A_LOOK = 8;

const OPEN_STATES = ['running', 'queued', 'waiting'];
const WORDS = `text, route, why, error_code, error_message, progress_note, lane, subject,
  (SELECT CASE WHEN json_valid(record) THEN substr(json_extract(record, '$.result'), 1, ${RESULT_CHARS}) END FROM (SELECT ${RECORD} AS record))`;
const BESIDE = 'LEFT JOIN job_more USING (n)';

/** Case, accents and everything that is neither letter nor digit make no difference. */
function wordsOf(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: plain ASCII needs neither of the slower steps.
  const plain = /^[\x00-\x7f]*$/.test(text) ? text : text.normalize('NFKD').replaceAll(/\p{M}+/gu, '');
  return plain.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, ' ');
}

/** A word that stands for one value of a column; nobody can type one, since letters of private use are in no query. */
function keyWord(kind: 's' | 'r' | 'l', value: string): string {
  return `\u{e000}${kind}${createHash('sha256').update(value).digest('hex').slice(0, 24)}`;
}

/** What stands for a state: one word for those that have not ended, since they go from one to the other. */
const stateWord = (state: string) => keyWord('s', OPEN_STATES.includes(state) ? 'open' : state);

/** The words of a query, all of which a job has to have as beginnings of its own; empty when there are none in it. */
function queryWords(q: string): string[] {
  const words = wordsOf(q.slice(0, 500).toWellFormed()).split(' ').filter(Boolean);
  return [...new Set(words.map((word) => word.slice(0, WORD_CHARS)))].slice(0, QUERY_WORDS);
}

type Columns = (string | null)[];
type Indexed = [n: number, state: string, ...columns: Columns];
/** ` word word ...` of the columns WORDS. */
const lineOf = (columns: Columns) => ` ${wordsOf(columns.join(' '))}`;

export interface Indexer {
  /** A job ended; runs inside the transaction that ends it. */
  ended(n: number): void;
  /** Indexes some jobs in a transaction of its own; false when there is nothing to do. */
  step(): boolean;
  /** Inside the transaction that deletes the job. */
  forget(n: number): void;
  /** Drops what is left of indexes whose jobs are all gone; `first` is the number of the oldest job. */
  dropBefore(first: number): void;
}

export function createIndexer(db: Database.Database): Indexer {
  const getMark = db.prepare("SELECT value FROM mark WHERE name = 'indexed'").pluck();
  const setMark = db.prepare("UPDATE mark SET value = ? WHERE name = 'indexed'");
  const addLate = db.prepare('INSERT OR IGNORE INTO job_late VALUES (?)');
  const dropLate = db.prepare('DELETE FROM job_late WHERE n = ?');
  const addSlice = db.prepare('INSERT OR IGNORE INTO job_slice VALUES (?)');
  const dropSlice = db.prepare('DELETE FROM job_slice WHERE k = ?');
  const emptySlices = db.prepare('SELECT k FROM job_slice WHERE k < ? LIMIT 1').pluck();
  const newest = db.prepare('SELECT max(n) FROM job').pluck();
  const next = db.prepare(`SELECT n, state, ${WORDS} FROM job ${BESIDE} WHERE n > ? ORDER BY n LIMIT ?`).raw();
  const late = db.prepare(`SELECT n, state, ${WORDS} FROM job_late JOIN job USING (n) ${BESIDE} ORDER BY n LIMIT ?`).raw();
  const statements = new Map<string, Database.Statement>();
  const on = (k: number, text: string) => {
    const sql = text.replaceAll('%', tableOf(k));
    let statement = statements.get(sql);
    if (!statement) {
      // Few slices are written at one time.
      if (statements.size > 16) statements.clear();
      statement = db.prepare(sql);
      statements.set(sql, statement);
    }
    return statement;
  };
  let mark = getMark.get() as number;

  function index([n, state, ...columns]: Indexed): void {
    const k = sliceOf(n);
    // The words are cut and folded already, the same way for a row that is looked at; this tokenizer leaves them as they are.
    if (addSlice.run(k).changes === 1)
      db.exec(
        `CREATE VIRTUAL TABLE ${tableOf(k)} USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii')`,
      );
    const words = new Set(
      lineOf(columns)
        .split(' ')
        .map((word) => word.slice(0, WORD_CHARS)),
    );
    const [, route, , , , , lane] = columns;
    words.add(stateWord(state));
    if (typeof route === 'string') words.add(keyWord('r', route));
    if (typeof lane === 'string') words.add(keyWord('l', lane));
    on(k, 'INSERT INTO % (rowid, words) VALUES (?,?)').run(n, [...words].join(' '));
  }

  /** The next jobs behind the mark, up to the first that may still end soon. */
  function due(last: number): Indexed[] {
    const rows = next.all(mark, READ_JOBS) as Indexed[];
    const soon = rows.findIndex(([n, state]) => OPEN_STATES.includes(state) && last - n <= PATIENCE_JOBS);
    return soon < 0 ? rows : rows.slice(0, soon);
  }

  function unindex(n: number): void {
    on(sliceOf(n), 'DELETE FROM % WHERE rowid = ?').run(n);
  }

  return {
    ended(n) {
      if (n <= mark) addLate.run(n);
    },
    step() {
      const before = mark;
      let done = 0;
      const startedAt = performance.now();
      const more = () => done < STEP_JOBS && performance.now() - startedAt < STEP_MS;
      const work = db.transaction(() => {
        const last = (newest.get() as number | null) ?? 0;
        for (let rows = due(last); rows.length > 0; rows = more() ? due(last) : []) {
          for (const row of rows) index(row);
          mark = rows.at(-1)![0];
          done += rows.length;
        }
        if (mark > before) setMark.run(mark);
        const ended = () => late.all(READ_JOBS) as Indexed[];
        for (let rows = done === 0 || more() ? ended() : []; rows.length > 0; rows = more() ? ended() : []) {
          for (const row of rows) {
            unindex(row[0]);
            index(row);
            dropLate.run(row[0]);
          }
          done += rows.length;
        }
      });
      try {
        work.immediate();
      } catch (caught) {
        mark = before;
        throw caught;
      }
      return done > 0;
    },
    forget(n) {
      dropLate.run(n);
      if (n <= mark) unindex(n);
    },
    dropBefore(first) {
      const k = emptySlices.get(sliceOf(first)) as number | undefined;
      if (k === undefined) return;
      statements.clear();
      db.exec(`DROP TABLE ${tableOf(k)}`);
      dropSlice.run(k);
    },
  };
}

export interface SearchFilter {
  q: string;
  state?: string | undefined;
  route?: string | undefined;
  lane?: string | undefined;
  /** Only jobs with a lower number. */
  before: number;
  /** How many are wanted. */
  most: number;
}

export interface Matches {
  /** Numbers of jobs, highest first. */
  found: number[];
  /** Nothing below this number was looked at; 0 when all was. */
  floor: number;
}

/**
 * The reader's half, over statements that are made once: jobs that have every word of the query as the beginning of one of their words; if there
 * are ids that begin with the query, those jobs alone. Runs inside a transaction of the caller, so that the index and what it does not have yet fit
 * together.
 */
export function createSearch(sql: (text: string) => Database.Statement): (filter: SearchFilter) => Matches {
  return ({ q, state, route, lane, before, most }) => {
    const words = queryWords(q);
    const deadline = performance.now() + PAGE_MS;
    const mark = sql("SELECT value FROM mark WHERE name = 'indexed'").pluck().get() as number;
    const values = { state, route, lane, before, mark };
    const asked = [
      ...(state === undefined ? [] : ['state = :state']),
      ...(route === undefined ? [] : ['route = :route']),
      ...(lane === undefined ? [] : ['lane = :lane']),
    ];
    const also = asked.map((term) => ` AND ${term}`).join('');
    const found = new Set<number>();
    const looked = new Set<number>();
    let floor = 0;

    function withId(id: string): number[] {
      if (!/^[\w-]{5,100}$/.test(id)) return [];
      const ns = sql(`SELECT n FROM job WHERE id >= ? AND id < ? LIMIT ${ID_MATCHES + 1}`)
        .pluck()
        .all(id, `${id}\u{10ffff}`) as number[];
      // The beginning of every id says nothing.
      if (ns.length > ID_MATCHES) return [];
      const fits = sql(`SELECT 1 FROM job LEFT JOIN job_more USING (n) WHERE n = :n${also}`);
      return ns.filter((n) => n < before && fits.get({ ...values, n }));
    }

    /** Looks at jobs, highest number first, until the time is up. */
    function look(numbers: string, ...where: string[]): void {
      const ns = sql(`SELECT n FROM ${numbers} WHERE ${[...where, 'n < :before'].join(' AND ')} ORDER BY n DESC`)
        .pluck()
        .iterate(values);
      const row = sql(`SELECT ${WORDS} FROM job ${BESIDE} WHERE n = :n${also}`).raw();
      for (const n of ns as Iterable<number>) {
        if (n < floor) return;
        if (looked.has(n)) continue;
        const columns = row.get({ ...values, n }) as Columns | undefined;
        const line = columns === undefined ? '' : lineOf(columns);
        if (words.every((word) => line.includes(` ${word}`))) found.add(n);
        looked.add(n);
        if (looked.size % ROWS_A_LOOK === 0 && performance.now() > deadline) {
          floor = n;
          return;
        }
      }
    }

    function lookUp(): void {
      const still = sql('SELECT 1 FROM job WHERE n = ? AND state = ?');
      const open = state !== undefined && OPEN_STATES.includes(state);
      const keys = [
        ...(state === undefined ? [] : [stateWord(state)]),
        ...(route === undefined ? [] : [keyWord('r', route)]),
        ...(lane === undefined ? [] : [keyWord('l', lane)]),
      ].map((key) => `"${key}"`);
      const terms = words.map((word) => `"${word}" *`).sort((a, b) => b.length - a.length);
      const slices = sql('SELECT k FROM job_slice WHERE k <= ? ORDER BY k DESC')
        .pluck()
        .all(sliceOf(Math.min(before - 1, mark))) as number[];
      for (const [i, k] of slices.entries()) {
        const end = sliceStart(k + 1);
        if (end <= floor) return;
        if (i > 0 && (performance.now() > deadline || countFrom(found, end) >= most)) {
          floor = end;
          return;
        }
        const match = sql(`SELECT rowid FROM ${tableOf(k)} WHERE ${tableOf(k)} MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?`).pluck();
        // A common word costs the more the more jobs have it, so the longest is asked for first, alone.
        if (terms.length > 1 && match.get(terms[0], before, 1) === undefined) continue;
        const ns = match.all([...keys, ...terms].join(' AND '), before, most) as number[];
        for (const n of ns) if (!looked.has(n) && (!open || still.get(n, state))) found.add(n);
        if (ns.length === most) {
          floor = Math.max(floor, ns.at(-1)!);
          return;
        }
      }
    }

    const named = withId(q.trim());
    if (named.length > 0) return { found: named.sort((a, b) => b - a), floor: 0 };
    if (words.length > 0) {
      look('job', 'n > :mark');
      look('running');
      look('job_late');
      lookUp();
    }
    return { found: [...found].filter((n) => n >= floor).sort((a, b) => b - a), floor };
  };
}

function countFrom(numbers: Iterable<number>, least: number): number {
  let count = 0;
  for (const n of numbers) if (n >= least) count++;
  return count;
}
