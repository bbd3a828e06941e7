/**
 * Signed checkpoints, one JSON line each, in a file outside the database: `{seq, hash, at, key, signature}`. They hold the chain's head as it
 * was, so that a cut tail, an old copy and a rewritten chain are found. `key` is the raw Ed25519 public key and `signature` is over
 * `dispatcher checkpoint v1\n<seq>\n<hash>\n<at>\n`, both base64url. `at` is the time of the row sealed.
 *
 * Among them stand the daily segments, `{segment: {day, first, last, head, root, previous, hash}, key, signature}` over
 * `dispatcher segment checkpoint v1\n<hash>\n`, and what was pruned, `{prune: {first, last, head, row, at}, key, signature}` over
 * `dispatcher prune checkpoint v1\n<first>\n<last>\n<head>\n<row>\n<at>\n`: rows that are gone without such a line were taken away.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import type { Prune, Segment } from './segment.ts';

export interface Checkpoint {
  seq: number;
  hash: string;
  at: number;
  key: string;
  signature: string;
}

type Signed<T> = T & { key: string; signature: string };

export interface SignedFile {
  checkpoints: Checkpoint[];
  segments: Signed<{ segment: Segment }>[];
  prunes: Signed<{ prune: Prune }>[];
  /** The first line that is none of them. */
  fault: string | null;
}

/** What it writes is signed, and durable when the function returns. Throws what the file system throws. */
export interface CheckpointWriter extends Disposable {
  write(head: { seq: number; hash: string; at: number }): void;
  writeSegment(segment: Segment): void;
  writePrune(prune: Prune): void;
  /** `seq` of the newest checkpoint in the file, 0 without one. */
  readonly lastSeq: number;
  /** Last rows of the newest segment and of the newest prune in the file, 0 without one. */
  readonly sealedTo: number;
  readonly prunedTo: number;
}

const message = ({ seq, hash, at }: Pick<Checkpoint, 'seq' | 'hash' | 'at'>) => `dispatcher checkpoint v1\n${seq}\n${hash}\n${at}\n`;
const segmentMessage = ({ hash }: Segment) => `dispatcher segment checkpoint v1\n${hash}\n`;
const pruneMessage = ({ first, last, head, row, at }: Prune) =>
  `dispatcher prune checkpoint v1\n${first}\n${last}\n${head}\n${row}\n${at}\n`;

/** The raw public half of an Ed25519 key, base64url. */
export function publicKeyText(key: KeyObject): string {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' }).x as string;
}

export function openCheckpoints(file: string, key: KeyObject): CheckpointWriter {
  let fd = openSync(file, 'a+', 0o600);
  const keyText = publicKeyText(key);
  let lastSeq = 0;
  let sealedTo = 0;
  let prunedTo = 0;
  try {
    dropTornLine(fd);
    const { checkpoints, segments, prunes } = readCheckpoints(file);
    lastSeq = checkpoints.at(-1)?.seq ?? 0;
    sealedTo = segments.at(-1)?.segment.last ?? 0;
    prunedTo = prunes.at(-1)?.prune.last ?? 0;
  } catch (caught) {
    closeSync(fd);
    throw caught;
  }
  function append(said: object, signed: string): void {
    // Of a file that was moved or deleted nobody would ever read the rest.
    if (statSync(file, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
      const next = openSync(file, 'a+', 0o600);
      closeSync(fd);
      fd = next;
    }
    dropTornLine(fd);
    const signature = sign(null, Buffer.from(signed), key).toString('base64url');
    const line = Buffer.from(`${JSON.stringify({ ...said, key: keyText, signature })}\n`);
    const before = fstatSync(fd).size;
    try {
      if (writeSync(fd, line) !== line.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
      fdatasyncSync(fd);
    } catch (caught) {
      ftruncateSync(fd, before);
      throw caught;
    }
  }
  return {
    write: ({ seq, hash, at }) => {
      append({ seq, hash, at }, message({ seq, hash, at }));
      lastSeq = seq;
    },
    writeSegment(segment) {
      append({ segment }, segmentMessage(segment));
      sealedTo = segment.last;
    },
    writePrune(prune) {
      append({ prune }, pruneMessage(prune));
      prunedTo = prune.last;
    },
    get lastSeq() {
      return lastSeq;
    },
    get sealedTo() {
      return sealedTo;
    },
    get prunedTo() {
      return prunedTo;
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** A crash while a line was written leaves its beginning; what follows must start on a line of its own. */
function dropTornLine(fd: number): void {
  const { size } = fstatSync(fd);
  const tail = Buffer.alloc(Math.min(size, 64 * 1024));
  readSync(fd, tail, 0, tail.length, size - tail.length);
  const end = tail.lastIndexOf(0x0a) + 1;
  if (end < tail.length && (end > 0 || tail.length === size)) ftruncateSync(fd, size - tail.length + end);
}

/** All complete lines of the file. No file: none. */
export function readCheckpoints(file: string): SignedFile {
  const read: SignedFile = { checkpoints: [], segments: [], prunes: [], fault: null };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === 'ENOENT') return read;
    throw caught;
  }
  const lines = text.split('\n');
  // Behind the last newline is nothing, or a line that is being written.
  for (let i = 0; i < lines.length - 1; i++)
    if (!parse(lines[i]!, read)) read.fault ??= `line ${i + 1} of the checkpoint file is not a checkpoint`;
  return read;
}

/** Adds the line to what was read; false when it is nothing known. */
function parse(line: string, { checkpoints, segments, prunes }: SignedFile): boolean {
  try {
    const { seq, hash, at, segment, prune, key, signature } = JSON.parse(line) as Checkpoint & { segment?: Segment; prune?: Prune };
    const are = (is: (value: unknown) => boolean, ...values: unknown[]) => values.every(is);
    const isText = (value: unknown) => typeof value === 'string';
    if (!are(isText, key, signature)) return false;
    if (segment) {
      const { day, first, last, head, root, previous, hash: own } = segment;
      if (!are(Number.isSafeInteger, day, first, last) || !are(isText, head, root, previous, own)) return false;
      segments.push({ segment, key, signature });
      return true;
    }
    if (prune) {
      if (!are(Number.isSafeInteger, prune.first, prune.last, prune.row, prune.at) || !isText(prune.head)) return false;
      prunes.push({ prune, key, signature });
      return true;
    }
    if (!are(Number.isSafeInteger, seq, at) || !isText(hash)) return false;
    checkpoints.push({ seq, hash, at, key, signature });
    return true;
  } catch {
    return false;
  }
}

/** Whether the line was signed by the key it names. */
export function signatureHolds(line: Checkpoint | SignedFile['segments'][number] | SignedFile['prunes'][number]): boolean {
  try {
    const said = 'segment' in line ? segmentMessage(line.segment) : 'prune' in line ? pruneMessage(line.prune) : message(line);
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: line.key }, format: 'jwk' });
    return verify(null, Buffer.from(said), publicKey, Buffer.from(line.signature, 'base64url'));
  } catch {
    return false;
  }
}
