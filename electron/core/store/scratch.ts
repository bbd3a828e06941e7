/** A store in a temporary folder, for the tests of everything that keeps something. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import Database from 'better-sqlite3';
import { publicKeyText } from '../audit/checkpoint.ts';
import { type Entry, type Intent, type Outcome, openStore, type Store, type StoreOptions } from './store.ts';

export interface Scratch {
  folder: string;
  file: string;
  checkpointFile: string;
  key: KeyObject;
  publicKey: string;
  /** Closed when the test ends, at the latest. */
  open(more?: Partial<StoreOptions>): Promise<Store>;
  /** Works on the file behind the store's back. */
  raw<T>(work: (db: Database.Database) => T): T;
  /** The same without the triggers that forbid changes, as somebody with the file in hands would. */
  tamper(sql: string, ...values: unknown[]): void;
}

export function createScratch(t: TestContext): Scratch {
  const folder = mkdtempSync(join(tmpdir(), 'dispatcher-store-'));
  const file = join(folder, 'dispatcher.sqlite');
  const checkpointFile = join(folder, 'checkpoints.jsonl');
  const { privateKey: key } = generateKeyPairSync('ed25519');
  const opened: Store[] = [];
  t.after(async () => {
    for (const store of opened) await store[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  const raw: Scratch['raw'] = (work) => {
    const db = new Database(file);
    try {
      return work(db);
    } finally {
      db.close();
    }
  };
  return {
    folder,
    file,
    checkpointFile,
    key,
    publicKey: publicKeyText(key),
    async open(more) {
      const store = await openStore({ file, checkpointFile, key, ...more });
      opened.push(store);
      return store;
    },
    raw,
    tamper: (sql, ...values) =>
      raw((db) => {
        db.exec('DROP TRIGGER IF EXISTS audit_no_update; DROP TRIGGER IF EXISTS audit_no_delete;');
        db.prepare(sql).run(...values);
      }),
  };
}

export function anIntent(job: string, more: Partial<Intent> = {}): Intent {
  return {
    at: 1_700_000_000_000,
    crossing: `x_${job}`,
    job,
    caller: 'owner',
    door: 'http',
    route: 'FND.salesforce',
    detail: '{"text":"sync salesforce contacts"}',
    jobRow: { text: 'sync salesforce contacts', params: '{"limit":5}', confidence: 0.95, why: 'rule salesforce' },
    ...more,
  };
}

export function anOutcome(job: string, more: Partial<Outcome> = {}): Outcome {
  return {
    at: 1_700_000_000_040,
    crossing: `x_${job}`,
    job,
    caller: 'owner',
    door: 'http',
    route: 'FND.salesforce',
    outcome: 'ok',
    detail: '{"durationMs":40}',
    jobEnd: { state: 'succeeded', durationMs: 40, errorCode: null, errorMessage: null, record: '{"ok":true}' },
    ...more,
  };
}

export function anEntry(n: number, more: Partial<Entry> = {}): Entry {
  return {
    at: 1_700_000_000_000 + n,
    kind: 'rejected',
    caller: 'nobody',
    door: 'http',
    route: null,
    outcome: 'unauthenticated',
    detail: `{"n":${n}}`,
    ...more,
  };
}
