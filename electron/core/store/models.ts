/** What is kept of models: what each load took, readings of the devices, and grants. */
import type Database from 'better-sqlite3';
import type { FigureSource, GpuSample } from '../../../shared/cortex.ts';

/** Loads that are kept of one model of one tier, and of all. */
const FOOTPRINTS_EACH = 20;
const FOOTPRINTS_MAX = 5000;
const SAMPLES_KEPT_MS = 24 * 3_600_000;
/** Samples of one device in one answer. */
const SAMPLES_MAX = 1000;
/** How long a grant that expired or was revoked can still be looked at. */
const GRANTS_KEPT_MS = 7 * 24 * 3_600_000;
const GRANTS_MAX = 10_000;

/** Step of the schema. Samples are ordered by time first, because all of them are pruned by it, whether their device is still there or not. */
export const modelSchema = `
  CREATE TABLE footprint (
    n INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    tier TEXT NOT NULL,
    model TEXT NOT NULL,
    context INTEGER,
    device TEXT,
    outcome TEXT NOT NULL,
    bytes INTEGER,
    source TEXT,
    load_ms INTEGER,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX footprint_by_model ON footprint (provider, tier, model, n);
  CREATE TABLE gpu_sample (
    at INTEGER NOT NULL,
    device TEXT NOT NULL,
    used_bytes INTEGER,
    utilization REAL,
    temperature_c REAL,
    power_w REAL,
    PRIMARY KEY (at, device)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE model_grant (
    id TEXT PRIMARY KEY,
    json TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
  ) STRICT;
  CREATE INDEX model_grant_by_end ON model_grant (min(expires_at, coalesce(revoked_at, expires_at)));
`;

/** What one load taught. */
export interface Footprint {
  provider: string;
  tier: string;
  model: string;
  context: number | null;
  device: string | null;
  /** `too_big`: it ran out of memory, so that it takes at least `bytes`. */
  outcome: 'loaded' | 'too_big';
  bytes: number | null;
  source: FigureSource | null;
  loadMs: number | null;
  at: number;
}

/** A grant as it is kept. */
export interface GrantRow {
  id: string;
  /** The grant without its key. */
  json: string;
  /** Of its key; no two grants have the same. */
  keyHash: string;
  expiresAt: number;
  revokedAt: number | null;
}

/** The writer's half. Runs inside the transaction of the caller. */
export function createModelWriter(db: Database.Database) {
  const addFootprint = db.prepare(
    'INSERT INTO footprint (provider, tier, model, context, device, outcome, bytes, source, load_ms, at) VALUES (?,?,?,?,?,?,?,?,?,?)',
  );
  const dropOlder = db.prepare(
    `DELETE FROM footprint WHERE provider = :provider AND tier = :tier AND model = :model AND n <= (
       SELECT n FROM footprint WHERE provider = :provider AND tier = :tier AND model = :model ORDER BY n DESC LIMIT 1 OFFSET ${FOOTPRINTS_EACH})`,
  );
  const dropOldest = db.prepare(`DELETE FROM footprint WHERE n <= (SELECT max(n) FROM footprint) - ${FOOTPRINTS_MAX}`);
  const addSample = db.prepare('INSERT OR REPLACE INTO gpu_sample VALUES (?,?,?,?,?,?)');
  const dropSamples = db.prepare('DELETE FROM gpu_sample WHERE at < ?');
  const saveGrant = db.prepare(
    `INSERT INTO model_grant VALUES (?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET
       json = excluded.json, key_hash = excluded.key_hash, expires_at = excluded.expires_at, revoked_at = excluded.revoked_at`,
  );
  const dropGrants = db.prepare('DELETE FROM model_grant WHERE min(expires_at, coalesce(revoked_at, expires_at)) < ?');
  return {
    addFootprint({ provider, tier, model, context, device, outcome, bytes, source, loadMs, at }: Footprint): void {
      addFootprint.run(provider, tier, model, context, device, outcome, bytes, source, loadMs, at);
      dropOlder.run({ provider, tier, model });
      dropOldest.run();
    },
    addSample({ at, device, usedBytes, utilization, temperatureC, powerW }: GpuSample): void {
      addSample.run(at, device, usedBytes, utilization, temperatureC, powerW);
      dropSamples.run(at - SAMPLES_KEPT_MS);
    },
    /** `at` is now: what ended long before it is forgotten. */
    saveGrant({ id, json, keyHash, expiresAt, revokedAt }: GrantRow, at: number): void {
      saveGrant.run(id, json, keyHash, expiresAt, revokedAt);
      dropGrants.run(at - GRANTS_KEPT_MS);
    },
  };
}

export interface ModelReader {
  /** What loads taught, oldest first. */
  footprints(): Footprint[];
  /** Oldest first, from `since` to `until`; where a device has more than a thousand, the fullest of each thousandth of that time. */
  gpuSamples(filter: { device?: string | undefined; since: number; until: number }): GpuSample[];
  /** At most 10,000: those nobody ended, then the others, those first that expire last; for seven days after their end. */
  grants(): GrantRow[];
}

/** The reader's half, over statements that are made once. */
export function createModelReader(sql: (text: string) => Database.Statement): ModelReader {
  return {
    footprints: () =>
      sql(
        'SELECT provider, tier, model, context, device, outcome, bytes, source, load_ms AS loadMs, at FROM footprint ORDER BY n',
      ).all() as Footprint[],
    gpuSamples({ device, since, until }) {
      const from = Math.floor(since);
      const width = Math.floor(Math.max(0, until - from) / SAMPLES_MAX) + 1;
      // With max(), SQLite takes the other columns from the row that has it.
      return sql(
        `SELECT at, device, usedBytes, utilization, temperatureC, powerW FROM (
           SELECT at, device, used_bytes AS usedBytes, utilization, temperature_c AS temperatureC, power_w AS powerW, max(coalesce(used_bytes, -1))
           FROM gpu_sample WHERE at >= :from AND at <= :until AND (:device IS NULL OR device = :device)
           GROUP BY device, (at - :from) / :width
         ) ORDER BY at, device`,
      ).all({ device: device ?? null, from: BigInt(from), until: Math.floor(until), width: BigInt(width) }) as GpuSample[];
    },
    grants: () =>
      sql(
        `SELECT id, json, key_hash AS keyHash, expires_at AS expiresAt, revoked_at AS revokedAt FROM model_grant
         ORDER BY revoked_at IS NOT NULL, expires_at DESC, id LIMIT ${GRANTS_MAX}`,
      ).all() as GrantRow[],
  };
}
