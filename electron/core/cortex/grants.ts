/**
 * Grants: permission to use some models for one task. A grant holds a lease for as long as it lasts, and its key is kept as a digest only. It
 * ends with its task, its time, its models, the sovereign switch or the core, or when somebody says so; then its key is worthless at once and
 * every call under it is cut off.
 */
import { randomBytes } from 'node:crypto';
import type { Grant, Resolved, World } from '../../../shared/cortex.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import { hasEnded } from '../../../shared/job.ts';
import type { CortexSettings, JobState, Principal } from '../../../shared/model.ts';
import type { Loop } from '../jobs/loop.ts';
import type { ParsedOf } from '../operations.ts';
import { hashToken } from '../principals.ts';
import type { Store } from '../store/store.ts';
import type { Asking } from './asking.ts';
import type { Bound } from './bound.ts';
import { isCalled, newGrant, toolsOf, wordsFor } from './grant.ts';

export interface GrantParts {
  store: Pick<Store, 'saveGrant'> & { read: Pick<Store['read'], 'grants'> };
  loop: Pick<Loop, 'release'>;
  asking: Asking;
  world(): World;
  settings(): Pick<CortexSettings, 'grantMs'>;
  need(ask: ParsedOf<'OS.grants.create'>['need']): Resolved['need'];
  bound(plan: Resolved): Bound[];
  /** Calls that a provider answers right now. */
  calls(provider: string): number;
  /** A route of this name can be called. */
  hasRoute(name: string): boolean;
  /** null: there is no such job. */
  job(id: string): { state: JobState } | null;
  /** Of the HTTP door; null when it is shut. */
  url(): string | null;
  clock(): number;
  /** A step as a signal and as a row of the audit; resolves when the row is durable. */
  tell(step: string, detail: Record<string, string | number | null>): Promise<void>;
}

export interface Grants extends AsyncDisposable {
  /** Throws Refusal: conflict, core_unreachable, what the schedule refuses with, wait_expired, cancelled, store_unavailable. */
  create(asked: ParsedOf<'OS.grants.create'>, by: Principal, signal: AbortSignal): Promise<Grant>;
  /** False: there is none of this id that still holds. */
  revoke(id: string, why: string): boolean;
  /** Without keys: those that hold, then those that ended, newest first. */
  list(): Grant[];
  get(id: string): Grant | null;
  /** Whose key this is, while it holds. The digest is looked up, so that nothing of a key can be learnt from how long that takes. */
  authenticate(secret: string): { grant: Grant; principal: Principal } | null;
  /** The grant whose key this was; null: nobody's, or it still holds. */
  ended(secret: string): Grant | null;
  granted(id: string, model: string | null): Bound | WireError;
  under(id: string, cut: (reason: WireError) => void): () => void;
  /** A job ended. */
  taskEnded(job: string): void;
  /** The world or the registry changed: what lost its models, or may not leave the machine any more, ends. */
  review(): void;
  /** What the core before this one granted ends. */
  start(): void;
}

/** Ended ones that can be looked at. */
const SHOWN = 50;
/** Of one caller at one time. */
const MOST_EACH = 100;
const SLEEP_MOST_MS = 3_600_000;
/** A grant ends by itself; so much later its models are taken back from one that did not. */
const LATE_MS = 10_000;
/** When to try again at a provider that takes no more calls: nobody knows when one ends. */
const FULL_RETRY_MS = 1000;

interface Held {
  grant: Grant;
  hash: string;
  lease: string;
  principal: Principal;
  plan: Resolved;
  /** As it was when it was granted. */
  bound: Bound[];
  cuts: Set<(reason: WireError) => void>;
}

export function createGrants(parts: GrantParts): Grants {
  const { store, loop, asking, clock, tell } = parts;
  const held = new Map<string, Held>();
  const byHash = new Map<string, Held>();
  const over: { grant: Grant; hash: string }[] = [];
  const endedByHash = new Map<string, Grant>();
  const saving = new Set<Promise<unknown>>();
  let timer: NodeJS.Timeout | null = null;

  const rowOf = ({ grant, hash }: { grant: Grant; hash: string }) => ({
    id: grant.id,
    json: JSON.stringify({ ...grant, api_key: null }),
    keyHash: hash,
    expiresAt: grant.expires_at,
    revokedAt: grant.revoked?.at ?? null,
  });

  function inBackground(work: Promise<unknown>): void {
    const done = work
      .catch((caught: unknown) => {
        if (!(caught instanceof Refusal)) throw caught;
      })
      .finally(() => saving.delete(done));
    saving.add(done);
  }

  // --- making one ------------------------------------------------------------------------------------------------------

  async function create(
    { need, task, wait_ms: waitMs, ttl_ms }: ParsedOf<'OS.grants.create'>,
    by: Principal,
    signal: AbortSignal,
  ): Promise<Grant> {
    const url = parts.url();
    if (url === null)
      throw new Refusal(
        refuse('core_unreachable', 'No HTTP door is open here, so nobody could use the grant.', {
          hint: 'Start it with `dispatcher serve`.',
        }),
      );
    refuseEnded(task);
    const own = [...held.values()].filter(({ grant }) => grant.caller === by.id).length + asking.count(by.id);
    if (own >= MOST_EACH)
      throw new Refusal(
        refuse('limited', `${by.name} has ${own} grants or waits for them, which is as many as one may.`, { hint: 'Revoke some.' }),
      );

    const id = `grant_${randomBytes(8).toString('hex')}`;
    const lease = `lease_${randomBytes(8).toString('hex')}`;
    const key = `dgk_${randomBytes(32).toString('base64url')}`;
    const ttlMs = ttl_ms ?? parts.settings().grantMs;
    // With limits of its own every grant would be another way around those of its caller.
    const principal: Principal = { id, name: task, capabilities: ['dispatch'], countsAs: by.id };
    await asking.ask(
      { id: lease, holder: { kind: 'grant', id }, caller: by.id, need: parts.need(need), waitMs, lastsMs: ttlMs + LATE_MS, task, signal },
      {
        held(plan) {
          const now = clock();
          const about = { id, task, caller: by.id, base_url: `${url}/v1`, created_at: now, expires_at: now + ttlMs };
          const bound = parts.bound(plan);
          const grant = newGrant(about, plan, bound);
          held.set(id, { grant, hash: hashToken(key), lease, principal, plan, bound, cuts: new Set() });
        },
        lost: (error) => void revoke(id, error.message.replace(/\.$/, ''), error),
      },
    );
    return await handOver(id, key, signal);
  }

  /** The key works from when it is on record; what ended before that never had one that did. */
  async function handOver(id: string, key: string, signal: AbortSignal): Promise<Grant> {
    const entry = held.get(id);
    if (entry === undefined) throw new Refusal(endedError(find(id)));
    const still = () => {
      if (held.get(id) === entry && signal.aborted) revoke(id, 'whoever asked for it went away');
      if (held.get(id) !== entry) throw new Refusal(endedError(entry.grant));
    };
    try {
      await store.saveGrant(rowOf(entry), clock());
      still();
      byHash.set(entry.hash, entry);
      arm();
      const { task, caller, expires_at } = entry.grant;
      await tell('grant_made', { grant: id, task, caller, models: wordsFor(entry.grant), until: expires_at });
      still();
    } catch (caught) {
      revoke(id, 'it could not be put on record');
      throw caught;
    }
    return { ...shown(entry), api_key: key };
  }

  function refuseEnded(task: string): void {
    const job = parts.job(task);
    if (job !== null && hasEnded(job.state))
      throw new Refusal(refuse('conflict', `The job ${task} has ended, so nothing is granted for it.`, { hint: 'Name a job that runs.' }));
  }

  // --- as it stands ----------------------------------------------------------------------------------------------------

  const shown = ({ grant }: Held): Grant => ({ ...grant, tools: toolsOf(grant, parts.world()).filter(parts.hasRoute) });

  const find = (id: string): Grant | null => over.find(({ grant }) => grant.id === id)?.grant ?? null;

  const current = (id: string): Held | null => {
    const entry = held.get(id);
    if (entry === undefined || !byHash.has(entry.hash)) return null;
    if (entry.grant.expires_at > clock()) return entry;
    // The timer is on its way.
    revoke(id, 'its time was over');
    return null;
  };

  // --- ending one ------------------------------------------------------------------------------------------------------

  function revoke(id: string, why: string, error: WireError | null = null): boolean {
    const entry = held.get(id);
    if (entry === undefined) return false;
    held.delete(id);
    byHash.delete(entry.hash);
    entry.grant = { ...entry.grant, tools: [], revoked: { at: clock(), why } };
    keepEnded(entry);
    const reason = error?.code === 'sovereign_refused' ? error : endedError(entry.grant);
    for (const cut of [...entry.cuts]) cut(reason);
    entry.cuts.clear();
    loop.release(entry.lease);
    inBackground(store.saveGrant(rowOf(entry), clock()));
    inBackground(
      tell('grant_ended', { grant: id, task: entry.grant.task, caller: entry.grant.caller, why, requests: entry.grant.requests }),
    );
    arm();
    return true;
  }

  function keepEnded({ grant, hash }: { grant: Grant; hash: string }): void {
    over.unshift({ grant, hash });
    endedByHash.set(hash, grant);
    // Enough that whoever comes late hears why; after that it hears what strangers hear.
    for (const { hash: old } of over.splice(10_000)) endedByHash.delete(old);
  }

  function arm(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (byHash.size === 0) return;
    const next = Math.min(...Array.from(byHash.values(), ({ grant }) => grant.expires_at));
    timer = setTimeout(expire, Math.min(SLEEP_MOST_MS, Math.max(0, next - clock()))).unref();
  }

  function expire(): void {
    timer = null;
    const now = clock();
    for (const { grant } of [...byHash.values()]) if (grant.expires_at <= now) revoke(grant.id, 'its time was over');
    arm();
  }

  function review(): void {
    const { sovereign, providers } = parts.world();
    for (const { grant, bound } of [...held.values()]) {
      const remote = grant.models.find(({ egress }) => egress === 'remote');
      // What was promised of it, such as that it is not remote, says nothing of another server under its name.
      const lost = bound.find(
        ({ provider: was, tier }) =>
          !providers.some(
            ({ name, endpoint, egress, tiers }) =>
              name === was.name &&
              endpoint === was.endpoint &&
              egress === was.egress &&
              tiers.some((one) => one.name === tier.name && one.model === tier.model),
          ),
      );
      if (sovereign && remote !== undefined) {
        const why = `sovereign was switched on, and ${remote.provider} is remote`;
        revoke(
          grant.id,
          why,
          refuse('sovereign_refused', `The grant ${grant.id} ended: ${why}.`, { hint: 'Nothing leaves the machine until it is off.' }),
        );
      } else if (lost !== undefined) revoke(grant.id, `${lost.provider.name} as it was granted is not there any more`);
    }
  }

  return {
    create,
    revoke: (id, why) => revoke(id, why),
    list: () => [
      ...[...held.values()]
        .filter(({ hash }) => byHash.has(hash))
        .map(shown)
        .reverse(),
      ...over.slice(0, SHOWN).map(({ grant }) => grant),
    ],
    get(id) {
      const entry = current(id);
      return entry === null ? find(id) : shown(entry);
    },
    authenticate(secret) {
      const entry = byHash.get(hashToken(secret));
      const now = entry === undefined ? null : current(entry.grant.id);
      return now && { grant: shown(now), principal: now.principal };
    },
    ended: (secret) => endedByHash.get(hashToken(secret)) ?? null,
    granted(id, model) {
      const entry = current(id);
      if (entry === null) return endedError(find(id));
      const bound = parts.bound(entry.plan);
      const found = model === null ? bound[0] : bound.find((one) => isCalled(one, model));
      if (found === undefined)
        return refuse('forbidden', `The grant ${id} is not for the model ${JSON.stringify((model ?? '').slice(0, 100))}.`, {
          hint: `It is for ${wordsFor(entry.grant)}.`,
        });
      entry.grant = { ...entry.grant, requests: entry.grant.requests + 1 };
      // A lease counts as one of its calls; what is called under a grant is bounded here.
      const { name, concurrency } = found.provider;
      if (concurrency !== null && parts.calls(name) >= concurrency)
        return refuse('limited', `${name} takes ${concurrency} calls at a time, and answers so many.`, {
          hint: 'Send it again when one of them is over.',
          retryAfterMs: FULL_RETRY_MS,
        });
      return found;
    },
    under(id, cut) {
      const entry = current(id);
      if (entry === null) {
        cut(endedError(find(id)));
        return () => undefined;
      }
      // Of its own, so that the same function may stand there twice.
      const mine = (reason: WireError) => cut(reason);
      entry.cuts.add(mine);
      return () => void entry.cuts.delete(mine);
    },
    taskEnded(job) {
      for (const { grant } of [...held.values()]) if (grant.task === job) revoke(grant.id, `its task ${job} ended`);
      asking.giveUp((task) => task === job, refuse('conflict', `The job ${job} ended before its grant was there.`));
    },
    review,
    start() {
      const at = clock();
      for (const { id, json, keyHash, revokedAt } of store.read.grants().toReversed()) {
        const before = JSON.parse(json) as Grant;
        const grant = revokedAt === null ? { ...before, tools: [], revoked: { at, why: 'Dispatcher was started again' } } : before;
        keepEnded({ grant, hash: keyHash });
        if (revokedAt !== null) continue;
        inBackground(store.saveGrant(rowOf({ grant, hash: keyHash }), at));
        inBackground(
          tell('grant_ended', {
            grant: id,
            task: grant.task,
            caller: grant.caller,
            why: 'Dispatcher was started again',
            requests: grant.requests,
          }),
        );
      }
    },
    async [Symbol.asyncDispose]() {
      asking.giveUp(() => true, refuse('shutting_down', 'Dispatcher shuts down.'));
      for (const id of [...held.keys()]) revoke(id, 'Dispatcher shut down');
      if (timer !== null) clearTimeout(timer);
      await Promise.all(saving);
    },
  };
}

const endedError = (grant: Grant | null) =>
  refuse('unauthenticated', grant?.revoked ? `The grant ${grant.id} ended: ${grant.revoked.why}.` : 'There is no such grant.', {
    hint: 'Ask for another with POST /grants.',
  });
