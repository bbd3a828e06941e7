/** What makes a crossing a record: its ids, its canonical text and its signature. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject, randomFillSync, sign, verify } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Refusal, refuse } from '../../shared/errors.ts';
import type { Crossing, Signature } from '../../shared/model.ts';

const MAX_DEPTH = 200;
/** Longest a crossing waits for others to share its signature, and only while many come, milliseconds. */
const PATIENCE_MS = 1;
const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz';

/** Ids that sort by the time they were made: 48 bits of milliseconds, then 80 random bits, in Crockford's base 32 (as ULIDs). */
export function createIds(clock: () => number): { next(prefix: string): string; hex(bytes: number): string } {
  const pool = Buffer.allocUnsafe(8192);
  let at = pool.length;
  let stampedAt = -1;
  let stamp = '';
  const take = (bytes: number) => {
    if (at + bytes > pool.length) {
      randomFillSync(pool);
      at = 0;
    }
    at += bytes;
    return at - bytes;
  };
  return {
    next(prefix) {
      const now = clock();
      if (now !== stampedAt) {
        stampedAt = now;
        stamp = '';
        for (let rest = now, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) stamp = CROCKFORD[rest % 32] + stamp;
      }
      const from = take(16);
      let random = '';
      for (let i = from; i < from + 16; i++) random += CROCKFORD[pool[i]! & 31];
      return prefix + stamp + random;
    },
    hex(bytes) {
      const from = take(bytes);
      return pool.toString('hex', from, from + bytes);
    },
  };
}

/** Trace id of a W3C traceparent (Trace Context level 1, version 00), or null when it is not one. */
export function traceIdOf(traceparent: string | undefined): string | null {
  const match = traceparent === undefined ? null : /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-|$)/.exec(traceparent);
  if (!match || traceparent!.startsWith('ff') || /^0+$/.test(match[1]!) || /^0+$/.test(match[2]!)) return null;
  return match[1]!;
}

/**
 * Canonical JSON (RFC 8785): members sorted by UTF-16 code units, no white space, numbers and strings as ECMAScript
 * writes them. Throws `Refusal input_invalid` for values nested deeper than 200.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (depth > MAX_DEPTH)
    throw new Refusal(refuse('input_invalid', `The value is nested deeper than ${MAX_DEPTH} levels.`, { hint: 'Flatten it.' }));
  // What is in order already, as most of what we make ourselves, is written by the engine.
  if (inOrder(value, MAX_DEPTH - depth)) return JSON.stringify(value);
  if (Array.isArray(value)) {
    let text = '[';
    for (let i = 0; i < value.length; i++) text += (i === 0 ? '' : ',') + canonicalJson(value[i], depth + 1);
    return `${text}]`;
  }
  const object = value as Record<string, unknown>;
  let text = '';
  for (const key of Object.keys(object).sort()) {
    const member = object[key];
    if (member !== undefined) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(member, depth + 1)}`;
  }
  return `{${text}}`;
}

/** Every object in it has its members in canonical order, and nothing is nested deeper than `left`. */
function inOrder(value: object, left: number): boolean {
  if (left < 0) return false;
  if (Array.isArray(value)) {
    for (const item of value) if (typeof item === 'object' && item !== null && !inOrder(item, left - 1)) return false;
    return true;
  }
  let before: string | null = null;
  for (const key in value) {
    if (before !== null && before > key) return false;
    before = key;
    const member = (value as Record<string, unknown>)[key];
    if (typeof member === 'object' && member !== null && !inOrder(member, left - 1)) return false;
  }
  return true;
}

/** Depth of nesting is within what canonical JSON takes; stops at the first value that is too deep. */
export function tooDeep(value: unknown, left = MAX_DEPTH - 20): boolean {
  if (value === null || typeof value !== 'object') return false;
  if (left === 0) return true;
  for (const member of Array.isArray(value) ? value : Object.values(value))
    if (typeof member === 'object' && tooDeep(member, left - 1)) return true;
  return false;
}

const inCanonicalOrder = (...keys: string[]): readonly string[] => keys.sort();
const CROSSING = inCanonicalOrder(
  ...['at', 'attempts', 'audit', 'boundaries', 'caller', 'confidence', 'door', 'durationMs', 'error', 'id', 'job', 'left'],
  ...['mock', 'ok', 'parent', 'result', 'route', 'text', 'traceparent', 'why'],
);
const ATTEMPT = inCanonicalOrder('durationMs', 'endpoint', 'error', 'id', 'route', 'startedAt', 'status');
const STEP = inCanonicalOrder('boundary', 'ms', 'outcome');
const AUDIT = inCanonicalOrder('hash', 'seq');

/** Has these members in this order and no others. Names are compared by identity, mostly: that is much faster than by order. */
function has(value: object, keys: readonly string[]): boolean {
  let at = 0;
  for (const key in value) if (key !== keys[at++]) return false;
  return at === keys.length;
}

/** In canonical order but for its result: made by the seam, without error, directives or anything that left. */
function isCommon(crossing: Crossing): boolean {
  if (!has(crossing, CROSSING)) return false;
  const { attempts, audit, boundaries, error, left, result } = crossing;
  if (error !== null || result === undefined || left.length !== 0 || (audit !== null && !has(audit, AUDIT))) return false;
  for (const attempt of attempts) if (!has(attempt, ATTEMPT)) return false;
  for (const step of boundaries) if (!has(step, STEP)) return false;
  return true;
}

const EMPTY_RESULT = ',"result":null,';

/** A service's answer is in no order, mostly; all around it is, and is written by the engine. */
function commonText(crossing: Crossing): string {
  const { result } = crossing;
  const answer = canonicalJson(result, 1);
  crossing.result = null;
  const text = JSON.stringify(crossing);
  crossing.result = result;
  // In a string its quotes would be escaped, so it is there once.
  const at = text.indexOf(EMPTY_RESULT) + EMPTY_RESULT.length - 1;
  return `${text.slice(0, at - 4)}${answer}${text.slice(at)}`;
}

/** Canonical text of a crossing without its signature: what is signed. */
function signedText(crossing: Crossing): string {
  if (isCommon(crossing)) return commonText(crossing);
  if (!('signature' in crossing)) return canonicalJson(crossing);
  const { signature: _, ...rest } = crossing as Crossing;
  return canonicalJson(rest);
}

/** Hashes are kept as base64url, as they are sent: that takes a quarter of the time of a Buffer of 32 bytes. */
const leafOf = (text: string): string => hash('sha256', `\0${text}`, 'base64url');

/** Where a signed crossing carries its own text: not enumerable, so that copies of it, which may differ, have none. */
const TEXT = Symbol('text');

/** JSON of a crossing as it was signed, signature last; what was written once is not written again. */
export function textOf(crossing: Crossing): string {
  return (crossing as { [TEXT]?: string })[TEXT] ?? JSON.stringify(crossing);
}

const pair = Buffer.alloc(65, 1);
function node(left: string, right: string): string {
  // What is not 32 bytes, as in a path that somebody made up, leaves nothing of the pair before in place.
  if (pair.write(left, 1, 32, 'base64url') !== 32 || pair.write(right, 33, 32, 'base64url') !== 32) return '';
  return hash('sha256', pair, 'base64url');
}

/** Where RFC 6962 splits a tree of n leaves: the largest power of two below n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** Root of RFC 6962's tree over the leaves, and each leaf's audit path, bottom up, in base64url. */
function tree(leaves: string[]): { root: string; paths: string[][] } {
  const paths: string[][] = leaves.map(() => []);
  const grow = (from: number, to: number): string => {
    if (to - from === 1) return leaves[from]!;
    const middle = from + split(to - from);
    const left = grow(from, middle);
    const right = grow(middle, to);
    for (let i = from; i < middle; i++) paths[i]!.push(right);
    for (let i = middle; i < to; i++) paths[i]!.push(left);
    return node(left, right);
  };
  return { root: grow(0, leaves.length), paths };
}

/** Root that a leaf and its path lead to (RFC 9162, section 2.1.3.2); null when the path does not fit the place. */
function rootFrom(leaf: string, { index, size, path }: { index: number; size: number; path: string[] }): string | null {
  let fn = index;
  let sn = size - 1;
  if (index < 0 || index >= size) return null;
  let root = leaf;
  for (const sibling of path) {
    if (sn === 0) return null;
    if (fn % 2 === 1 || fn === sn) {
      root = node(sibling, root);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else root = node(root, sibling);
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 ? root : null;
}

export interface Signer {
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  /** First 16 hex digits of the SHA-256 of the raw public key. */
  readonly keyId: string;
  /** Sets `signature`. Crossings given in the same turn of the event loop, under load in the same millisecond, share one Ed25519 operation over their Merkle root. */
  sign(crossing: Crossing): Promise<Crossing>;
  verify(crossing: Crossing): { ok: boolean; reason: string };
}

/** Opens the Ed25519 key kept in `file` (PKCS 8 PEM, mode 0600), making it the first time. */
export function createSigner(file: string): Signer {
  const key = readOrMakeKey(file);
  const publicKey = createPublicKey(key);
  const raw = Buffer.from((publicKey.export({ format: 'jwk' }) as { x: string }).x, 'base64url');
  const keyId = hash('sha256', raw, 'hex').slice(0, 16);
  let waiting: { crossing: Crossing; text: string; done(crossing: Crossing): void }[] = [];
  let patience: NodeJS.Timeout | null = null;
  let last = 0;

  // Under load one more millisecond brings the crossings of a whole commit under one signature.
  const settle = () => {
    if (patience !== null) return;
    if (waiting.length * 2 < last) patience = setTimeout(flush, PATIENCE_MS);
    else flush();
  };
  const flush = () => {
    const batch = waiting;
    patience = null;
    waiting = [];
    last = batch.length;
    const { root, paths } = tree(batch.map((entry) => leafOf(entry.text)));
    const signed = sign(null, Buffer.from(root, 'base64url'), key).toString('base64url');
    for (let leaf = 0; leaf < batch.length; leaf++) {
      const { crossing, text, done } = batch[leaf]!;
      const path = paths[leaf]!;
      crossing.signature = { alg: 'Ed25519', key: keyId, leaf, path, size: batch.length, value: signed };
      // None of it needs escaping.
      const listed = path.length === 0 ? '' : `"${path.join('","')}"`;
      const value = `${text.slice(0, -1)},"signature":{"alg":"Ed25519","key":"${keyId}","leaf":${leaf},"path":[${listed}],"size":${batch.length},"value":"${signed}"}}`;
      Object.defineProperty(crossing, TEXT, { value, configurable: true });
      done(crossing);
    }
  };

  return {
    key,
    publicKey,
    keyId,
    sign(crossing) {
      const text = signedText(crossing);
      return new Promise((done) => {
        waiting.push({ crossing, text, done });
        if (waiting.length === 1) setImmediate(settle);
      });
    },
    verify: (crossing) => verifyCrossing(crossing, publicKey, keyId),
  };
}

function verifyCrossing(crossing: Crossing, publicKey: KeyObject, keyId: string): { ok: boolean; reason: string } {
  const signature = crossing.signature as Signature | null | undefined;
  if (!signature) return { ok: false, reason: 'It carries no signature.' };
  if (signature.key !== keyId) return { ok: false, reason: `It was signed with key ${signature.key}, not with ${keyId}.` };
  const root = rootFrom(leafOf(signedText(crossing)), { index: signature.leaf, size: signature.size, path: signature.path });
  const ok = root !== null && verify(null, Buffer.from(root, 'base64url'), publicKey, Buffer.from(signature.value, 'base64url'));
  return ok ? { ok, reason: `Signed with key ${keyId}.` } : { ok, reason: 'It is not what was signed: something in it was changed.' };
}

function readOrMakeKey(file: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(file));
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Refusal(
        refuse('store_unavailable', `The signing key ${file} cannot be read: ${(caught as Error).message}`, {
          hint: 'Restore it from a backup, or move it away to get a new one.',
        }),
      );
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  // wx: of two processes that start at once one wins, the other reads what it wrote.
  try {
    const handle = openSync(file, 'wx', 0o600);
    writeSync(handle, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    fsyncSync(handle);
    closeSync(handle);
    return privateKey;
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === 'EEXIST') return createPrivateKey(readFileSync(file));
    throw new Refusal(
      refuse('store_unavailable', `The signing key ${file} cannot be written: ${(caught as Error).message}`, {
        hint: 'Make the data folder writable.',
      }),
    );
  }
}
