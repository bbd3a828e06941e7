/**
 * Signed checkpoints, one JSON line each, in a file outside the database: `{seq, hash, at, key, signature}`. They hold the chain's head as it
 * was, so that a cut tail, an old copy and a rewritten chain are found. `key` is the raw Ed25519 public key and `signature` is over
 * `dispatcher checkpoint v1\n<seq>\n<hash>\n<at>\n`, both base64url. `at` is the time of the row sealed.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';

export interface Checkpoint {
  seq: number;
  hash: string;
  at: number;
  key: string;
  signature: string;
}

export interface CheckpointWriter extends Disposable {
  /** Signs and appends; durable when it returns. Throws what the file system throws. */
  write(head: { seq: number; hash: string; at: number }): void;
  /** `seq` of the newest checkpoint in the file, 0 without one. */
  readonly lastSeq: number;
}

const message = (seq: number, hash: string, at: number) => Buffer.from(`dispatcher checkpoint v1\n${seq}\n${hash}\n${at}\n`);

/** The raw public half of an Ed25519 key, base64url. */
export function publicKeyText(key: KeyObject): string {
  return (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'jwk' }).x as string;
}

export function openCheckpoints(file: string, key: KeyObject): CheckpointWriter {
  let fd = openSync(file, 'a+', 0o600);
  const keyText = publicKeyText(key);
  let lastSeq = 0;
  try {
    dropTornLine(fd);
    lastSeq = readCheckpoints(file).checkpoints.at(-1)?.seq ?? 0;
  } catch (caught) {
    closeSync(fd);
    throw caught;
  }
  return {
    write: ({ seq, hash, at }) => {
      // Of a file that was moved or deleted nobody would ever read the rest.
      if (statSync(file, { throwIfNoEntry: false })?.ino !== fstatSync(fd).ino) {
        const next = openSync(file, 'a+', 0o600);
        closeSync(fd);
        fd = next;
      }
      dropTornLine(fd);
      const signature = sign(null, message(seq, hash, at), key).toString('base64url');
      const line = Buffer.from(`${JSON.stringify({ seq, hash, at, key: keyText, signature } satisfies Checkpoint)}\n`);
      const before = fstatSync(fd).size;
      try {
        if (writeSync(fd, line) !== line.length) throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
        fdatasyncSync(fd);
      } catch (caught) {
        ftruncateSync(fd, before);
        throw caught;
      }
      lastSeq = seq;
    },
    get lastSeq() {
      return lastSeq;
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

/** All complete lines of the file; `fault` names the first that is not a checkpoint. No file: none. */
export function readCheckpoints(file: string): { checkpoints: Checkpoint[]; fault: string | null } {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === 'ENOENT') return { checkpoints: [], fault: null };
    throw caught;
  }
  const checkpoints: Checkpoint[] = [];
  let fault: string | null = null;
  const lines = text.split('\n');
  // Behind the last newline is nothing, or a line that is being written.
  for (let i = 0; i < lines.length - 1; i++) {
    const checkpoint = parse(lines[i]!);
    if (checkpoint) checkpoints.push(checkpoint);
    else fault ??= `line ${i + 1} of the checkpoint file is not a checkpoint`;
  }
  return { checkpoints, fault };
}

function parse(line: string): Checkpoint | null {
  try {
    const { seq, hash, at, key, signature } = JSON.parse(line) as Checkpoint;
    const fits = Number.isSafeInteger(seq) && Number.isSafeInteger(at) && [hash, key, signature].every((text) => typeof text === 'string');
    return fits ? { seq, hash, at, key, signature } : null;
  } catch {
    return null;
  }
}

/** Whether the checkpoint was signed by the key it names. */
export function signatureHolds({ seq, hash, at, key, signature }: Checkpoint): boolean {
  try {
    const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key }, format: 'jwk' });
    return verify(null, message(seq, hash, at), publicKey, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}
