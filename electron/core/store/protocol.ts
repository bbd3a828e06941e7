/**
 * What the two ends of the store say to each other. Operations travel as one flat array a tick, code first and then its fields in the order
 * given here, because one array of strings and numbers crosses to another thread several times faster than as many objects.
 */
import type { KeyObject } from 'node:crypto';
import type { WireError } from '../../../shared/errors.ts';
import type { Found } from './tended.ts';

export const OP = {
  /** at, crossing, job, caller, door, route, detail, hasJobRow (0 or 1), text, params (null: the detail has them), confidence, why */
  begin: 1,
  /** at, crossing, job, caller, door, route, outcome, detail, state (null: no job to end), durationMs, errorCode, errorMessage, record */
  finish: 2,
  /** at, kind, crossing, job, caller, door, route, outcome, detail */
  append: 3,
  /** key, value */
  setting: 4,
  /** id, name, capabilities, hash, createdAt */
  addToken: 5,
  /** id */
  revokeToken: 6,
  /** id, owner, namespace, text, tags, at */
  remember: 7,
  /** id, owner */
  forget: 8,
  /** The fields of `begin`, then state, waits, lane, subject, action (1 or null), call, key, content (0 or 1), bodyHash, asked, callbackUrl */
  beginTended: 9,
  /** job, at, start */
  start: 10,
  /** job, at, state, waits, attempts, why, detail */
  wait: 11,
  /** job, as, at */
  settle: 12,
  /** id, job, url, state, attempts, createdAt, nextAt, body */
  saveDelivery: 13,
  /** id, at */
  sawCallback: 14,
  /** id, json, keyHash, expiresAt, revokedAt, at */
  saveGrant: 15,
  // From here on nobody waits for an answer.
  /** job, progress, note */
  progress: 16,
  /** job, at */
  cancelRequested: 17,
  /** route, at, status, latencyMs */
  health: 18,
  /** id, at */
  touchToken: 19,
  /** job, at, crossing, outcome, differed */
  noteKeyUse: 20,
  /** before, most */
  prune: 21,
  /** provider, tier, model, context, device, outcome, bytes, source, loadMs, at */
  footprint: 22,
  /** at, device, usedBytes, utilization, temperatureC, powerW */
  gpuSample: 23,
  /** now, keptDays */
  keepAudit: 24,
} as const;

/** Number of fields behind each code. */
export const ARITY: readonly number[] = [0, 12, 13, 9, 2, 5, 1, 6, 2, 23, 3, 7, 3, 8, 2, 6, 3, 2, 4, 2, 5, 2, 10, 6, 2];

/** Codes up to this one are answered, in order. */
export const LAST_ANSWERED = OP.saveGrant;

/** Answers that are no seq of an audit row. */
export const ANSWER = {
  done: 0,
  failed: -1,
  /** Of `sawCallback`: it came before. */
  known: -2,
} as const;

export type Field = string | number | null;

/** `null` asks the writer to finish what it has, sign a last checkpoint and close. */
export type ToWriter = Field[] | null;

export type FromWriter =
  | { t: 'ready'; found: Found }
  | { t: 'refused'; error: WireError }
  /**
   * One commit. For every answered operation in order: the seq of its audit row, or one of ANSWER. `hashes` holds 64 digits for each seq above 0,
   * `errors` one entry for each `failed`.
   */
  | { t: 'done'; seqs: number[]; hashes: string; errors: WireError[] }
  /** The commit failed: nothing of the next `count` answered operations was written. */
  | { t: 'failed'; count: number; error: WireError }
  | { t: 'closed' };

export interface WriterData {
  file: string;
  checkpointFile: string;
  key: KeyObject;
  /** When the store was opened, for what is found left running. */
  openedAt: number;
  /** Bound on the database's size in pages, for tests of a full disk. */
  maxPages: number | null;
  /** Rows after which a checkpoint is due. */
  checkpointRows: number;
}
