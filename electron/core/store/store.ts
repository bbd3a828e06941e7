/** The record of everything: one SQLite file, one writer thread, readers on the caller's thread. */
import type { KeyObject } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { GpuSample } from '../../../shared/cortex.ts';
import { type ErrorCode, Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type {
  Attempt,
  Capability,
  Delivery,
  Door,
  HealthSample,
  JobEvent,
  JobState,
  KeyUse,
  VerifyReport,
  Waits,
} from '../../../shared/model.ts';
import { publicKeyText } from '../audit/checkpoint.ts';
import { type DrillReport, tamperDrillInThread } from '../audit/drill.ts';
import { verifyInThread } from '../audit/verify.ts';
import { storeFailure } from './failures.ts';
import type { NewKey } from './keys.ts';
import type { NewMemory } from './memory.ts';
import { refuseNewer } from './migrations.ts';
import type { Footprint, GrantRow } from './models.ts';
import { ANSWER, type Field, type FromWriter, OP, type ToWriter, type WriterData } from './protocol.ts';
import { openReader, type Reader } from './reader.ts';
import type { Retention } from './retention.ts';
import type { Found, Settled } from './tended.ts';

export interface AuditReceipt {
  seq: number;
  hash: string;
}

/** `detail`, `params`, `record` are JSON text with secrets redacted already; times are milliseconds since the epoch. */
export interface Intent {
  at: number;
  crossing: string;
  job: string | null;
  caller: string;
  door: Door;
  route: string | null;
  detail: string;
  /** `params` null: the member `params` of the detail has them. */
  jobRow: { text: string | null; params: string | null; confidence: number | null; why: string; more?: TendedJob | null } | null;
}

/** What a job has that is more than a call which runs at once. */
export interface TendedJob {
  state: 'running' | 'queued' | 'waiting';
  waits: Waits | null;
  lane: string | null;
  subject: string | null;
  /** Counts as one of the actions that `recentActions` tells. */
  action?: boolean;
  /** All that is needed to run it again, sealed; forgotten when the job ends. */
  call: string | null;
  /** The operation fails with `internal` when the key stands for a job that succeeded or has not ended. */
  key: NewKey | null;
  callbackUrl: string | null;
}

/** Why a job that ran or stood in line does not run now. */
export interface Wait {
  at: number;
  state: 'queued' | 'waiting';
  waits: Waits | null;
  /** All there were so far. */
  attempts: readonly Attempt[];
  /** What the timeline calls it, and one sentence. */
  why: JobEvent['kind'];
  detail: string;
}

export interface Outcome {
  at: number;
  crossing: string;
  job: string | null;
  caller: string;
  door: Door;
  route: string | null;
  outcome: 'ok' | ErrorCode;
  detail: string;
  jobEnd: {
    state: JobState;
    durationMs: number;
    errorCode: string | null;
    errorMessage: string | null;
    /** What the job keeps of its crossing; null: the detail is it. */
    record: string | null;
  } | null;
}

export interface Entry {
  at: number;
  kind: 'rejected' | 'replayed' | 'change';
  crossing?: string | null;
  job?: string | null;
  caller: string;
  door: Door;
  route: string | null;
  outcome: string | null;
  detail: string;
}

/**
 * Every promise resolves when what it stands for is durable, and rejects with Refusal `store_unavailable` when it is not: then nothing of it
 * was written, and the next operation tries again.
 */
export interface Store extends AsyncDisposable {
  /** One transaction: the intent's audit row and, with `jobRow`, its job: in state `running`, or as `more` says, with its idempotency key. */
  begin(intent: Intent): Promise<AuditReceipt>;
  /** One transaction: the outcome's audit row and, with `jobEnd`, the end of its job. A job that has ended stays as it ended. */
  finish(outcome: Outcome): Promise<AuditReceipt>;
  append(entry: Entry): Promise<AuditReceipt>;
  /** The job runs; `start` counts from 1. Nothing happens to a job that has ended. */
  start(job: string, at: number, start: number): Promise<void>;
  /** The job does not run now. Nothing happens to a job that has ended. */
  wait(job: string, wait: Wait): Promise<void>;
  /** What becomes of jobs that were found: `unknown` and `dead` end them, each in one transaction with a row in the chain. */
  settleFound(jobs: readonly { id: string; as: Settled }[], at: number): Promise<void>;
  /** A call came under the key of this job. Durable soon. */
  noteKeyUse(job: string, use: KeyUse['uses'][number]): void;
  /** Adds the delivery, or changes its state, attempts and next time. */
  saveDelivery(delivery: Delivery): Promise<void>;
  /** Deletes ended jobs by and by, when nothing else is to do. Asked again, it begins anew. */
  prune(retention: Retention): void;
  /**
   * Says what time it is, and for how many days rows of the audit chain are kept: never fewer than 90. Days that are over are sealed, and sealed days
   * that are older go by and by; the chain and the signed checkpoints say so before.
   */
  keepAudit(now: number, keptDays: number): void;
  /** Remembers the id of a callback that came in; false when it came within the last 24 hours already. */
  sawCallback(id: string, at: number): Promise<boolean>;
  progress(job: string, progress: number | null, note: string | null): void;
  cancelRequested(job: string, at: number): void;
  /** Kept for 24 hours. */
  saveHealth(route: string, sample: HealthSample): void;
  /** The newest 20 of a model are kept. */
  saveFootprint(footprint: Footprint): void;
  /** Kept for 24 hours. */
  saveGpuSamples(samples: readonly GpuSample[]): void;
  /** Adds the grant, or changes the one with its id. Seven days after they ended they are forgotten, when another is saved; `at` is now. */
  saveGrant(grant: GrantRow, at: number): Promise<void>;
  setSetting(key: string, jsonText: string): Promise<void>;
  addToken(token: { id: string; name: string; capabilities: readonly Capability[]; hash: string; createdAt: number }): Promise<void>;
  revokeToken(id: string): Promise<void>;
  touchToken(id: string, at: number): void;
  /** Keeps a text of a principal. */
  remember(memory: NewMemory): Promise<void>;
  /** Nothing happens when this owner has no such text. */
  forget(id: string, owner: string): Promise<void>;
  /** What the last core left. A job stays as it was found until it is settled. */
  readonly found: Found;
  readonly read: Reader;
  /** Recomputes the whole chain in threads of its own; the database may be written meanwhile. */
  verify(): Promise<VerifyReport>;
  /** Changes one byte in a copy and shows that verify finds it. */
  drill(): Promise<DrillReport>;
}

export interface StoreOptions {
  file: string;
  /** Signed checkpoints, outside the database. */
  checkpointFile: string;
  /** Ed25519 private key that signs them. */
  key: KeyObject;
  now?: () => number;
  /** Rows after which a checkpoint is due. */
  checkpointRows?: number;
  /** Largest size of the database in pages of 4 KiB; the disk's if absent. */
  maxPages?: number;
}

/** Longest that operations wait for others to share their commit, and only while many come. */
const PATIENCE_MS = 1;

interface Waiting {
  /** `seq` is that of the audit row, or one of ANSWER. */
  resolve(receipt: AuditReceipt): void;
  reject(error: Refusal): void;
}

/**
 * Opens or creates the database. Throws Refusal `database_newer` (the file is not touched) or `store_unavailable` (locked, read-only, full,
 * damaged, or another core has it).
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { file, checkpointFile, key, now = Date.now, checkpointRows = 10_000, maxPages = null } = options;
  try {
    refuseNewer(file);
  } catch (caught) {
    throw new Refusal(storeFailure(caught, file));
  }
  const workerData: WriterData = { file, checkpointFile, key, openedAt: now(), maxPages, checkpointRows };
  const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData });
  const { promise: started, resolve: start } = Promise.withResolvers<FromWriter>();
  worker.once('message', start);
  worker.once('error', (caught) => start({ t: 'refused', error: storeFailure(caught, file) }));
  const first = await started;
  if (first.t !== 'ready') {
    await worker.terminate();
    throw new Refusal(first.t === 'refused' ? first.error : refuse('store_unavailable', 'The writer did not start.'));
  }

  let read: Reader;
  try {
    read = openReader(file, now);
  } catch (caught) {
    await worker.terminate();
    throw caught;
  }

  // What is collected for the next message, and what the one under way still has to answer. Only one message is under way, so that
  // everything that comes meanwhile shares the next commit.
  let batch: Field[] = [];
  let waiting: Waiting[] = [];
  let sent: Waiting[] = [];
  let answered = 0;
  let scheduled = false;
  let patience: NodeJS.Timeout | null = null;
  let gone: WireError | null = null;
  const closed = Promise.withResolvers<void>();

  function flush(): void {
    scheduled = false;
    if (batch.length === 0 || patience !== null || answered < sent.length) return;
    // Under load a commit of a few rows costs as much as one of many: a little patience halves the commits.
    if (waiting.length * 2 < sent.length) patience = setTimeout(post, PATIENCE_MS);
    else post();
  }

  function post(): void {
    patience = null;
    if (batch.length === 0 || gone) return;
    worker.postMessage(batch satisfies ToWriter);
    batch = [];
    // What is still to be answered comes first; there is some only when the store closes.
    sent = answered < sent.length ? [...sent.slice(answered), ...waiting] : waiting;
    waiting = [];
    answered = 0;
  }

  /** After this tick, so that all it brought goes in one message. */
  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(flush);
  }

  function answer(): Promise<AuditReceipt> {
    return new Promise((resolve, reject) => {
      if (gone) return reject(new Refusal(gone));
      waiting.push({ resolve, reject });
      schedule();
    });
  }

  function done(): Promise<void> {
    return answer() as Promise<unknown> as Promise<void>;
  }

  function next(): Waiting {
    return sent[answered++]!;
  }

  function end(error: WireError): void {
    gone ??= error;
    batch = [];
    const open = [...sent.slice(answered), ...waiting];
    sent = [];
    waiting = [];
    answered = 0;
    for (const one of open) one.reject(new Refusal(error));
    closed.resolve();
  }

  worker.on('message', (message: FromWriter) => {
    switch (message.t) {
      case 'done': {
        let digits = 0;
        let failures = 0;
        for (const seq of message.seqs) {
          const one = next();
          if (seq === ANSWER.failed) one.reject(new Refusal(message.errors[failures++]!));
          else if (seq <= 0) one.resolve({ seq, hash: '' });
          else {
            one.resolve({ seq, hash: message.hashes.slice(digits, digits + 64) });
            digits += 64;
          }
        }
        if (batch.length > 0) schedule();
        return;
      }
      case 'failed':
        for (let i = 0; i < message.count; i++) next().reject(new Refusal(message.error));
        if (batch.length > 0) schedule();
        return;
      case 'ready':
      case 'refused':
      case 'closed':
        return;
    }
  });
  worker.on('error', (caught) => end(storeFailure(caught, file)));
  worker.on('exit', () => end(refuse('store_unavailable', 'The store is closed.', { hint: 'Start Dispatcher again.' })));

  return {
    found: first.found,
    read,
    begin({ at, crossing, job, caller, door, route, detail, jobRow }) {
      if (jobRow && job !== null) {
        const { text, params, confidence, why, more } = jobRow;
        batch.push(more ? OP.beginTended : OP.begin, at, crossing, job, caller, door, route, detail, 1, text, params, confidence, why);
        if (more) {
          const { state, waits, lane, subject, action, call, key, callbackUrl } = more;
          batch.push(state, waits && JSON.stringify(waits), lane, subject, action ? 1 : null, call);
          batch.push(key?.key ?? null, key?.content ? 1 : 0, key?.bodyHash ?? null, key?.asked ?? null, callbackUrl);
        }
      } else batch.push(OP.begin, at, crossing, job, caller, door, route, detail, 0, null, null, null, null);
      return answer();
    },
    finish({ at, crossing, job, caller, door, route, outcome, detail, jobEnd }) {
      if (jobEnd && job !== null) {
        const { state, durationMs, errorCode, errorMessage, record } = jobEnd;
        batch.push(OP.finish, at, crossing, job, caller, door, route, outcome, detail, state, durationMs, errorCode, errorMessage, record);
      } else batch.push(OP.finish, at, crossing, job, caller, door, route, outcome, detail, null, null, null, null, null);
      return answer();
    },
    append({ at, kind, crossing = null, job = null, caller, door, route, outcome, detail }) {
      batch.push(OP.append, at, kind, crossing, job, caller, door, route, outcome, detail);
      return answer();
    },
    start(job, at, start) {
      batch.push(OP.start, job, at, start);
      return done();
    },
    wait(job, { at, state, waits, attempts, why, detail }) {
      batch.push(OP.wait, job, at, state, waits && JSON.stringify(waits), JSON.stringify(attempts), why, detail);
      return done();
    },
    async settleFound(jobs, at) {
      await Promise.all(
        jobs.map(({ id, as }) => {
          batch.push(OP.settle, id, as, at);
          return done();
        }),
      );
    },
    noteKeyUse(job, { at, crossing, outcome, differed }) {
      batch.push(OP.noteKeyUse, job, at, crossing, outcome, JSON.stringify(differed));
      schedule();
    },
    saveDelivery({ id, job, url, state, attempts, createdAt, nextAt, body }) {
      batch.push(OP.saveDelivery, id, job, url, state, JSON.stringify(attempts), createdAt, nextAt, body);
      return done();
    },
    prune({ before, most }) {
      batch.push(OP.prune, before, most);
      schedule();
    },
    keepAudit(at, keptDays) {
      batch.push(OP.keepAudit, at, keptDays);
      schedule();
    },
    async sawCallback(id, at) {
      batch.push(OP.sawCallback, id, at);
      return (await answer()).seq !== ANSWER.known;
    },
    progress(job, progress, note) {
      batch.push(OP.progress, job, progress, note);
      schedule();
    },
    cancelRequested(job, at) {
      batch.push(OP.cancelRequested, job, at);
      schedule();
    },
    saveHealth(route, { at, status, latencyMs }) {
      batch.push(OP.health, route, at, status, latencyMs);
      schedule();
    },
    saveFootprint({ provider, tier, model, context, device, outcome, bytes, source, loadMs, at }) {
      batch.push(OP.footprint, provider, tier, model, context, device, outcome, bytes, source, loadMs, at);
      schedule();
    },
    saveGpuSamples(samples) {
      for (const { at, device, usedBytes, utilization, temperatureC, powerW } of samples)
        batch.push(OP.gpuSample, at, device, usedBytes, utilization, temperatureC, powerW);
      schedule();
    },
    saveGrant({ id, json, keyHash, expiresAt, revokedAt }, at) {
      batch.push(OP.saveGrant, id, json, keyHash, expiresAt, revokedAt, at);
      return done();
    },
    setSetting(key, jsonText) {
      batch.push(OP.setting, key, jsonText);
      return done();
    },
    addToken({ id, name, capabilities, hash, createdAt }) {
      batch.push(OP.addToken, id, name, JSON.stringify(capabilities), hash, createdAt);
      return done();
    },
    revokeToken(id) {
      batch.push(OP.revokeToken, id);
      return done();
    },
    remember({ id, owner, namespace, text, tags, at }) {
      batch.push(OP.remember, id, owner, namespace, text, JSON.stringify(tags), at);
      return done();
    },
    forget(id, owner) {
      batch.push(OP.forget, id, owner);
      return done();
    },
    touchToken(id, at) {
      batch.push(OP.touchToken, id, at);
      schedule();
    },
    verify: () => verifyInThread(file, { checkpointFile, key: publicKeyText(key) }),
    drill: () => tamperDrillInThread(file, {}),
    async [Symbol.asyncDispose]() {
      if (!gone) {
        if (patience !== null) clearTimeout(patience);
        post();
        gone = refuse('shutting_down', 'The store is closing.');
        // Closed first: the last connection to close folds the log into the file, and this one may not write.
        read[Symbol.dispose]();
        worker.postMessage(null satisfies ToWriter);
      }
      await closed.promise;
    },
  };
}
