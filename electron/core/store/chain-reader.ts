/** The chain as it is in a file, for those who check it: read-only, beside a running core, and from media that cannot be written. */
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Refusal } from '../../../shared/errors.ts';
import { CHAIN_COLUMNS, type ChainRow, type ChainValue } from '../audit/chain.ts';
import type { Prune, Segment } from '../audit/segment.ts';
import { storeFailure } from './failures.ts';
import { refuseNewer } from './migrations.ts';

/** Values of CHAIN_COLUMNS, then the stored hash. */
export type StoredRow = readonly [...columns: ChainValue[], hash: ChainValue];

export interface ChainReader extends Disposable {
  /** What another thread gives to `openChainCopy` to read the same file the same way. */
  readonly source: string;
  /** Lowest and highest `seq` now, null without rows. */
  edges(): { first: number; last: number } | null;
  /** The links of a row as stored, null without it. */
  links(seq: number): { previous: string; hash: string } | null;
  /** As they are in the database, oldest first. */
  segments(): Segment[];
  prunes(): Prune[];
  /** What a row of the chain says of a change, null when it is no such row. */
  change(seq: number): { outcome: string; caller: string; detail: string } | null;
  /** Rows with `from <= seq <= to`, ascending. */
  rows(from: number, to: number): Iterable<StoredRow>;
  /** Whether the texts of a row are UTF-8: other bytes read as U+FFFD, so a change among them would not show. */
  isUtf8(seq: number): boolean;
}

/**
 * Opens the chain of a database; a running core may write meanwhile. On media that cannot be written, where SQLite cannot open a database with a
 * log, it reads a copy in the temporary folder. Throws Refusal `store_unavailable` or `database_newer`.
 */
export function openChain(file: string): ChainReader {
  try {
    refuseNewer(file);
    try {
      return openChainCopy(file);
    } catch (caught) {
      const { code = '' } = caught as { code?: string };
      if (!/^SQLITE_(CANTOPEN|READONLY|IOERR)/.test(code) || statSync(file).size === 0) throw caught;
    }
    const folder = mkdtempSync(join(tmpdir(), 'dispatcher-verify-'));
    try {
      const copy = join(folder, 'copy.sqlite');
      copyFileSync(file, copy);
      if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${copy}-wal`);
      const chain = openChainCopy(copy);
      const remove = () => rmSync(folder, { recursive: true, force: true });
      return {
        ...chain,
        [Symbol.dispose]() {
          chain[Symbol.dispose]();
          remove();
        },
      };
    } catch (caught) {
      rmSync(folder, { recursive: true, force: true });
      throw caught;
    }
  } catch (caught) {
    throw new Refusal(storeFailure(caught, file));
  }
}

/** Opens the `source` of another reader as it is. Throws what SQLite throws. */
export function openChainCopy(source: string): ChainReader {
  const db = new Database(source, { readonly: true, fileMustExist: true, timeout: 1000 });
  try {
    db.pragma('trusted_schema = OFF');
    const edges = db.prepare('SELECT (SELECT min(seq) FROM audit), (SELECT max(seq) FROM audit)').raw();
    const links = db.prepare('SELECT previous, hash FROM audit WHERE seq = ?');
    const rows = db.prepare(`SELECT ${CHAIN_COLUMNS.join(', ')}, hash FROM audit WHERE seq BETWEEN ? AND ? ORDER BY seq`).raw();
    const pairs = CHAIN_COLUMNS.map((column) => `${column}, CAST(${column} AS BLOB)`).join(', ');
    const bytes = db.prepare(`SELECT ${pairs} FROM audit WHERE seq = ?`).raw();
    const change = db.prepare("SELECT outcome, caller, detail FROM audit WHERE seq = ? AND kind = 'change'");
    edges.get();
    // Older versions have none.
    const all = <T>(table: string, order: string) =>
      db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table) === undefined
        ? []
        : (db.prepare(`SELECT * FROM ${table} ORDER BY ${order}`).all() as T[]);
    return {
      source,
      segments: () => all<Segment>('audit_segment', 'day'),
      prunes: () => all<Prune>('audit_prune', 'last'),
      change: (seq) => (change.get(seq) as { outcome: string; caller: string; detail: string } | undefined) ?? null,
      edges() {
        const [first, last] = edges.get() as [number | null, number | null];
        return first === null || last === null ? null : { first, last };
      },
      links: (seq) => (links.get(seq) as { previous: string; hash: string } | undefined) ?? null,
      rows: (from, to) => rows.iterate(from, to) as Iterable<StoredRow>,
      isUtf8(seq) {
        const row = bytes.get(seq) as ChainRow | undefined;
        if (!row) return false;
        for (let i = 0; i < row.length; i += 2) {
          const text = row[i];
          if (typeof text === 'string' && !Buffer.from(text).equals(row[i + 1] as Buffer)) return false;
        }
        return true;
      },
      [Symbol.dispose]: () => db.close(),
    };
  } catch (caught) {
    db.close();
    throw caught;
  }
}

/** Writes a copy of the database, log included, that can be tampered with: the rows that forbid changes are gone. */
export function copyForDrill(file: string, copy: string): void {
  try {
    refuseNewer(file);
    const source = new Database(file, { readonly: true, fileMustExist: true, timeout: 1000 });
    try {
      source.prepare('VACUUM INTO ?').run(copy);
    } finally {
      source.close();
    }
    const db = new Database(copy);
    try {
      db.exec('DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;');
    } finally {
      db.close();
    }
  } catch (caught) {
    throw new Refusal(storeFailure(caught, file));
  }
}

/** Changes the lowest bit of one byte of one column of one row, type kept, in a copy made by `copyForDrill`. False if the column is null. */
export function flipBit(copy: string, seq: number, column: (typeof CHAIN_COLUMNS)[number] | 'hash'): boolean {
  const db = new Database(copy);
  try {
    const value = db.prepare(`SELECT ${column} FROM audit WHERE seq = ?`).pluck().get(seq) as ChainValue | undefined;
    if (value === null || value === undefined || value === '') return false;
    let changed: ChainValue;
    if (typeof value === 'string') {
      const bytes = Buffer.from(value);
      const at = bytes.findIndex((byte) => byte > 0x20 && byte < 0x7f);
      if (at < 0) return false;
      bytes[at] = bytes[at]! ^ 1;
      changed = bytes.toString();
    } else changed = Number(value) + (Number(value) % 2 === 0 ? 1 : -1);
    if (column === 'seq') db.prepare('DELETE FROM audit WHERE seq = ?').run(changed);
    db.prepare(`UPDATE audit SET ${column} = ? WHERE seq = ?`).run(changed, seq);
    return true;
  } finally {
    db.close();
  }
}
