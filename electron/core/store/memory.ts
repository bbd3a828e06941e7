/**
 * What principals keep: texts with tags, in namespaces of their own, found by their words (SQLite FTS5). The index holds no copy of
 * the texts. Whose a text is, its namespace and its tags stand in the index as digests, so that a search looks only at what is its
 * principal's, and no word of a caller ever becomes a part of a query's syntax.
 */
import { createHash } from 'node:crypto';
import type Database from 'better-sqlite3';
import { Refusal, refuse } from '../../../shared/errors.ts';

/** Step of the schema. */
export const memorySchema = `
  CREATE TABLE memory (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    namespace TEXT NOT NULL,
    text TEXT NOT NULL,
    tags TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX memory_by_owner ON memory (owner, namespace, n);
  CREATE VIRTUAL TABLE memory_index USING fts5 (text, tags, keys, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2');
`;

/** Texts in one page at most. */
const PAGE_MAX = 100;
/** Longer texts are cut in pages; one text alone comes whole. */
const SHOWN_CHARS = 4000;
const WORDS_MAX = 32;
/** Where more texts match, the words say little, and the newest come first instead of the best. */
const RANKED_MAX = 2000;

export interface Memory {
  id: string;
  namespace: string;
  /** The whole, or its first 4000 characters in a page. */
  text: string;
  textLength: number;
  tags: string[];
  at: number;
}

/** One text to keep. `at` is milliseconds since the epoch. */
export interface NewMemory {
  id: string;
  /** Id of the principal it belongs to. */
  owner: string;
  namespace: string;
  text: string;
  tags: readonly string[];
  at: number;
}

export interface MemoryFilter {
  owner: string;
  /** All of them if absent. */
  namespace?: string | undefined;
  /** All of these. */
  tags?: readonly string[] | undefined;
  cursor?: string | undefined;
  limit: number;
}

export interface MemoryReader {
  /** Newest first. Throws Refusal `input_invalid` for a cursor that is none. */
  memories(filter: MemoryFilter): { items: Memory[]; cursor: string | null };
  /**
   * Best first (BM25); newest first, and without a score, where more than 2000 match. All words have to be there, as beginnings of words; where nothing has them all, any of them will do.
   * Null when the text has no word in it.
   */
  searchMemories(
    filter: Omit<MemoryFilter, 'cursor'> & { q: string },
  ): { items: (Memory & { score: number | null })[]; matched: 'all' | 'any' } | null;
  /** Whole; null when there is none of this owner. */
  memory(owner: string, id: string): Memory | null;
  memoryCount(owner: string): number;
  /** How many texts each namespace of an owner has, at most 1000 namespaces. */
  memoryNamespaces(owner: string): { namespace: string; count: number }[];
}

/** A word that the tokenizer leaves whole and that stands for these values and no others. */
function key(kind: 'o' | 'n' | 't', ...values: string[]): string {
  const hash = createHash('sha256');
  for (const value of values) hash.update(`${value.length}:${value}`);
  return `${kind}${hash.digest('hex').slice(0, 32)}`;
}

/** The writer's half. Runs inside the transaction of the caller. */
export function createMemoryWriter(db: Database.Database) {
  const insert = db.prepare('INSERT INTO memory (id, owner, namespace, text, tags, at) VALUES (?,?,?,?,?,?)');
  const insertIndex = db.prepare('INSERT INTO memory_index (rowid, text, tags, keys) VALUES (?,?,?,?)');
  const find = db.prepare('SELECT n FROM memory WHERE id = ? AND owner = ?').pluck();
  const remove = db.prepare('DELETE FROM memory WHERE n = ?');
  const removeIndex = db.prepare('DELETE FROM memory_index WHERE rowid = ?');
  return {
    /** `tags` is a JSON list of texts. */
    remember(row: { id: string; owner: string; namespace: string; text: string; tags: string; at: number }): void {
      const { id, owner, namespace, text, tags, at } = row;
      const list = JSON.parse(tags) as string[];
      const { lastInsertRowid } = insert.run(id, owner, namespace, text, tags, at);
      const keys = [key('o', owner), key('n', owner, namespace), ...list.map((tag) => key('t', tag))];
      insertIndex.run(lastInsertRowid, text, list.join('\n'), keys.join(' '));
    },
    forget(id: string, owner: string): void {
      const n = find.get(id, owner);
      if (n === undefined) return;
      removeIndex.run(n);
      remove.run(n);
    },
  };
}

interface Row {
  n: number;
  id: string;
  namespace: string;
  text: string;
  length: number;
  tags: string;
  at: number;
}

/** The words of a text as the tokenizer would find them; quotes, operators and columns are not among them. */
function wordsOf(text: string): string[] {
  const words =
    text
      .toWellFormed()
      .slice(0, 2000)
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? [];
  return [...new Set(words.map((word) => word.slice(0, 64)))].slice(0, WORDS_MAX);
}

/** One word of a query. A short one is meant whole, unless its script has no spaces between words. */
function termOf(word: string): string {
  return word.length < 3 && /^[\p{Script=Latin}\p{N}]+$/u.test(word) ? `"${word}"` : `"${word}" *`;
}

/** The reader's half, over statements that are made once. */
export function createMemoryReader(sql: (text: string) => Database.Statement): MemoryReader {
  const columns = `m.n, m.id, m.namespace, substr(m.text, 1, ${SHOWN_CHARS}) AS text, length(m.text) AS length, m.tags, m.at`;
  const shown = ({ id, namespace, text, length, tags, at }: Row): Memory => ({
    ...{ id, namespace, text: text.toWellFormed(), textLength: length, tags: JSON.parse(tags) as string[], at },
  });
  const keysOf = ({ owner, namespace, tags = [] }: Pick<MemoryFilter, 'owner' | 'namespace' | 'tags'>) =>
    [namespace === undefined ? key('o', owner) : key('n', owner, namespace), ...tags.map((tag) => key('t', tag.toWellFormed()))]
      .map((each) => `keys:"${each}"`)
      .join(' AND ');
  const size = (limit: number) => Math.min(PAGE_MAX, Math.max(1, Math.floor(limit)));

  return {
    memories({ cursor, limit, ...filter }) {
      if (cursor !== undefined && !/^\d{1,15}$/.test(cursor))
        throw new Refusal(
          refuse('input_invalid', 'This cursor is none.', { hint: 'Take the cursor of the page before, or leave it out.' }),
        );
      const wanted = size(limit);
      const rows = sql(
        `SELECT ${columns} FROM memory_index JOIN memory m ON m.n = memory_index.rowid
         WHERE memory_index MATCH :match AND memory_index.rowid < :before AND m.owner = :owner ORDER BY memory_index.rowid DESC LIMIT :size`,
      ).all({
        ...{
          match: keysOf(filter),
          before: cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(cursor),
          owner: filter.owner,
          size: wanted + 1,
        },
      }) as Row[];
      const page = rows.slice(0, wanted);
      return { items: page.map(shown), cursor: rows.length > wanted ? String(page.at(-1)!.n) : null };
    },
    searchMemories({ q, limit, ...filter }) {
      const words = wordsOf(q);
      if (words.length === 0) return null;
      const wanted = size(limit);
      const find = (joint: 'AND' | 'OR') => {
        const match = `${keysOf(filter)} AND {text tags} : (${words.map(termOf).join(` ${joint} `)})`;
        const found = sql('SELECT rowid FROM memory_index WHERE memory_index MATCH ? ORDER BY rowid DESC LIMIT ?');
        const many = found.all(match, RANKED_MAX + 1).length > RANKED_MAX;
        const rank = many ? 'NULL' : 'bm25(memory_index, 1.0, 2.0, 0.0)';
        return sql(
          `SELECT ${columns}, ${rank} AS rank FROM memory_index JOIN memory m ON m.n = memory_index.rowid
           WHERE memory_index MATCH :match AND m.owner = :owner ORDER BY ${many ? 'memory_index.rowid DESC' : 'rank'} LIMIT :size`,
        ).all({ match, owner: filter.owner, size: wanted }) as (Row & { rank: number | null })[];
      };
      const all = find('AND');
      const rows = all.length > 0 || words.length === 1 ? all : find('OR');
      return {
        items: rows.map((row) => ({ ...shown(row), score: row.rank === null ? null : Math.round(-row.rank * 1000) / 1000 })),
        matched: all.length > 0 || words.length === 1 ? 'all' : 'any',
      };
    },
    memory(owner, id) {
      const row = sql('SELECT n, id, namespace, text, length(text) AS length, tags, at FROM memory WHERE id = ? AND owner = ?').get(
        id,
        owner,
      );
      return row === undefined ? null : shown(row as Row);
    },
    memoryCount: (owner) => (sql('SELECT count(*) AS count FROM memory WHERE owner = ?').get(owner) as { count: number }).count,
    memoryNamespaces: (owner) =>
      sql('SELECT namespace, count(*) AS count FROM memory WHERE owner = ? GROUP BY namespace ORDER BY namespace LIMIT 1000').all(
        owner,
      ) as {
        namespace: string;
        count: number;
      }[],
  };
}
