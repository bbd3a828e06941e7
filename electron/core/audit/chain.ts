/**
 * The audit chain: every row's hash covers all its columns and the hash of the row before it.
 *
 * Encoding, version 1, so that a verifier can be written in any language:
 *
 *     byte 0      0x01, the version
 *     byte 1      0x0c, the number of fields
 *     per field   tag (1 byte), length (4 bytes, big-endian), that many bytes
 *
 * Tags: 0 null (length 0), 1 integer (8 bytes, two's complement, big-endian), 2 text (UTF-8), 3 blob, 4 real (8 bytes, IEEE 754,
 * big-endian). A healthy row has 0, 1 and 2 only; 3 and 4 keep a row whose column was given another type from encoding like a healthy one.
 * Fields in order: seq, at, kind, crossing, job, caller, door, route, outcome, detail, digest, previous. Hash and previous are lowercase hex
 * text; the hash is SHA-256 of the encoding. Text is made well-formed before it is stored or hashed: a lone surrogate, which UTF-8 cannot
 * say, becomes U+FFFD. In `detail` nothing is lost by that, because JSON text writes lone surrogates as escapes.
 */
import { hash } from 'node:crypto';

/** `previous` of the first row: SHA-256 of `dispatcher audit chain v1`. */
export const GENESIS = hash('sha256', 'dispatcher audit chain v1', 'hex');

/** Columns of the chain in encoding order; `hash` follows them in the table. */
export const CHAIN_COLUMNS = [
  'seq',
  'at',
  'kind',
  'crossing',
  'job',
  'caller',
  'door',
  'route',
  'outcome',
  'detail',
  'digest',
  'previous',
] as const;

export type ChainValue = null | number | bigint | string | Uint8Array;
/** The twelve columns of CHAIN_COLUMNS; further values are ignored, so that a row may carry its hash behind them. */
export type ChainRow = readonly ChainValue[];

export interface ChainHasher {
  /** SHA-256 of the encoding, lowercase hex. */
  hash(row: ChainRow): string;
  /** A copy of the encoding. */
  encode(row: ChainRow): Buffer;
  /** Whether the last row had U+FFFD in a text. Bytes that are not UTF-8 read as that, so its raw bytes must be looked at. */
  readonly replaced: boolean;
}

const FIELDS = CHAIN_COLUMNS.length;

/** One hasher per thread; it reuses its buffer. */
export function createHasher(): ChainHasher {
  let buffer = Buffer.allocUnsafeSlow(64 * 1024);
  /** The beginnings of the buffer by length: rows have few lengths, and a view costs as much as a field. */
  let views: (Buffer | undefined)[] = [];
  let replaced = false;

  function room(from: number, bytes: number): void {
    if (from + bytes <= buffer.length) return;
    const larger = Buffer.allocUnsafeSlow((from + bytes) * 2);
    buffer.copy(larger, 0, 0, from);
    buffer = larger;
    views = [];
  }

  /** Writes ASCII of up to 20 letters, where a call into the runtime would cost more; -1 for anything else. */
  function putShort(text: string, start: number): number {
    const { length } = text;
    if (length > 20) return -1;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code > 127) return -1;
      buffer[start + i] = code;
    }
    return length;
  }

  function put(row: ChainRow): number {
    buffer[0] = 1;
    buffer[1] = FIELDS;
    replaced = false;
    let end = 2;
    for (let i = 0; i < FIELDS; i++) {
      const value = row[i] as ChainValue;
      let tag = 0;
      let length = 0;
      const start = end + 5;
      if (typeof value === 'string') {
        tag = 2;
        room(start, value.length * 3);
        length = putShort(value, start);
        if (length < 0) length = buffer.write(value, start);
        if (length !== value.length && value.includes('\uFFFD')) replaced = true;
      } else if (typeof value === 'number') {
        length = 8;
        room(start, 8);
        if (Number.isSafeInteger(value)) {
          tag = 1;
          buffer.writeInt32BE(Math.floor(value / 0x1_0000_0000), start);
          buffer.writeUInt32BE(value >>> 0, start + 4);
        } else {
          tag = 4;
          buffer.writeDoubleBE(value, start);
        }
      } else if (typeof value === 'bigint') {
        tag = 1;
        length = 8;
        room(start, 8);
        buffer.writeBigInt64BE(BigInt.asIntN(64, value), start);
      } else if (value instanceof Uint8Array) {
        tag = 3;
        length = value.length;
        room(start, length);
        buffer.set(value, start);
      } else {
        room(start, 0);
      }
      buffer[end] = tag;
      buffer[end + 1] = length >>> 24;
      buffer[end + 2] = length >>> 16;
      buffer[end + 3] = length >>> 8;
      buffer[end + 4] = length;
      end = start + length;
    }
    return end;
  }

  return {
    hash: (row) => {
      const end = put(row);
      let view = views[end];
      if (view === undefined) {
        view = buffer.subarray(0, end);
        views[end] = view;
      }
      return hash('sha256', view, 'hex');
    },
    encode: (row) => {
      const end = put(row);
      return Buffer.from(buffer.subarray(0, end));
    },
    get replaced() {
      return replaced;
    },
  };
}

/** Largest `detail` kept in a row, in bytes of UTF-8. */
export const DETAIL_MAX_BYTES = 8192;

/**
 * The detail as it is stored: as given up to 8 KiB, with an empty digest, because the row's own hash covers it; else JSON text
 * `{"cut":{"bytes":…},"head":"…"}` of at most that size and the SHA-256 of the whole. Older rows have that digest always.
 */
export function sealDetail(given: string): { detail: string; digest: string } {
  const detail = given.toWellFormed();
  // UTF-8 has at most three bytes for a unit of UTF-16, so most texts need no count.
  if (detail.length * 3 <= DETAIL_MAX_BYTES) return { detail, digest: '' };
  const bytes = Buffer.byteLength(detail);
  if (bytes <= DETAIL_MAX_BYTES) return { detail, digest: '' };
  return { detail: cutJson(detail, bytes, DETAIL_MAX_BYTES), digest: hash('sha256', detail, 'hex') };
}

/** JSON text that says how long `text` was and holds as much of its beginning as fits into `max` bytes. */
export function cutJson(text: string, bytes: number, max: number): string {
  const frame = (head: string) => `{"cut":{"bytes":${bytes}},"head":${JSON.stringify(head.toWellFormed())}}`;
  let low = 0;
  let high = Math.min(text.length, max);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (Buffer.byteLength(frame(text.slice(0, middle))) <= max) low = middle;
    else high = middle - 1;
  }
  return frame(text.slice(0, low));
}
