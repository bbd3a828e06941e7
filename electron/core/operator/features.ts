/**
 * A text as numbers: lightly stemmed words, pairs of words (with the ends of the text as words) and groups of four
 * characters within a word (with its ends as characters); and of words in the lexicon their kin, their topic, and pairs with
 * the kin in the word's place; each as a 32-bit hash. Nothing is allocated per text.
 */
import { LEXICON } from './lexicon.ts';

/** What a feature is; the value is its index in tables by kind. */
export const WORD = 0;
export const PAIR = 1;
export const GROUP = 2;
export const KIN = 3;
export const KIN_PAIR = 4;
export const TOPIC = 5;
export const KINDS = 6;

/** Texts are read up to this many UTF-16 code units and words. */
const TEXT_LIMIT = 2_000;
export const WORD_LIMIT = 160;
const FEATURE_LIMIT = 2_048;

const START = 0x51ed270b;
const FINISH = 0x2f0b4c47;

/** The features of one text; valid until the next `read`. */
export interface Reader {
  read(text: string): void;
  /** Features found. */
  count: number;
  readonly hashes: Int32Array;
  readonly kinds: Uint8Array;
  /** The word each feature begins in; a pair belongs to its first word. */
  readonly words: Uint8Array;
  /** Words found, and where each begins and ends in `folded`. */
  wordCount: number;
  readonly starts: Uint16Array;
  readonly ends: Uint16Array;
  /** The word, lowercased, as read; for reasons. */
  word(index: number): string;
}

export function createReader(): Reader {
  const units = new Uint16Array(TEXT_LIMIT + 2);
  const starts = new Uint16Array(WORD_LIMIT);
  const ends = new Uint16Array(WORD_LIMIT);
  const hashes = new Int32Array(FEATURE_LIMIT);
  const kinds = new Uint8Array(FEATURE_LIMIT);
  const words = new Uint8Array(FEATURE_LIMIT);
  const kins = readLexicon();

  const reader: Reader = {
    count: 0,
    hashes,
    kinds,
    words,
    wordCount: 0,
    starts,
    ends,
    word: (index) => String.fromCharCode(...units.subarray(starts[index], ends[index])),
    read(text) {
      let source = text.length > TEXT_LIMIT ? text.slice(0, TEXT_LIMIT) : text;
      for (let i = 0; i < source.length; i++) {
        if (source.charCodeAt(i) > 127) {
          // Accents of the Latin, Greek and Cyrillic scripts are often left out when typing.
          source = source
            .toLowerCase()
            .normalize('NFD')
            .replace(/[\u0300-\u036f]/g, '')
            .normalize('NFC')
            .slice(0, TEXT_LIMIT);
          break;
        }
      }

      // Words: runs of letters and digits; a character of a script without spaces is a word. An apostrophe ends a word, so that
      // "i'd" is not "id" and "what's" is "what", but not before a t: "don't" is one word.
      let size = 0;
      let found = 0;
      let open = -1;
      for (let i = 0; i < source.length && found < WORD_LIMIT; i++) {
        let unit = source.charCodeAt(i);
        if (unit >= 65 && unit <= 90) unit |= 32;
        if ((unit === 39 || unit === 0x2019) && (source.charCodeAt(i + 1) | 32) === 116 && open >= 0) continue;
        const kind = unit < 128 ? (unit >= 97 && unit <= 122) || (unit >= 48 && unit <= 57) : isLetter(unit);
        const alone = kind && unit >= 0x3040 && isAlone(unit);
        if (open >= 0 && (!kind || alone)) {
          starts[found] = open;
          ends[found++] = size;
          open = -1;
        }
        if (!kind) continue;
        if (open < 0) open = size;
        units[size++] = unit;
        if (alone && found < WORD_LIMIT) {
          starts[found] = open;
          ends[found++] = size;
          open = -1;
        }
      }
      if (open >= 0 && found < WORD_LIMIT) {
        starts[found] = open;
        ends[found++] = size;
      }
      reader.wordCount = found;

      let count = 0;
      let before = START;
      let kinBefore = START;
      let kinPaired = false;
      for (let word = 0; word < found; word++) {
        const start = starts[word] as number;
        const end = ends[word] as number;
        const hash = hashWord(units, start, end);
        if (count + 5 + end - start > FEATURE_LIMIT) break;
        hashes[count] = mix(hash, 0x3c6ef372);
        kinds[count] = WORD;
        words[count++] = word;
        hashes[count] = mix(Math.imul(before, 0x01000193) ^ hash, 0x7f4a7c15);
        kinds[count] = PAIR;
        words[count++] = word === 0 ? 0 : word - 1;
        before = hash;
        const lead = units[start] as number;
        const kin = lead >= 48 && lead <= 57 ? NUMBERS : kins.get(hash);
        const standsFor = kin === undefined ? hash : mix(kin & KIN_MASK, 0x2545f491);
        if (kin !== undefined) {
          hashes[count] = standsFor;
          kinds[count] = KIN;
          words[count++] = word;
          if (kin > KIN_MASK) {
            hashes[count] = mix(kin >>> TOPIC_SHIFT, 0x77f12345);
            kinds[count] = TOPIC;
            words[count++] = word;
          }
        }
        if (kin !== undefined || kinPaired) {
          hashes[count] = mix(Math.imul(kinBefore, 0x01000193) ^ standsFor, 0x3f4a7c77);
          kinds[count] = KIN_PAIR;
          words[count++] = word;
        }
        kinBefore = standsFor;
        kinPaired = kin !== undefined;
        if (end - start < 3) continue;
        let a = 32;
        let b = units[start] as number;
        let c = units[start + 1] as number;
        for (let i = start + 2; i <= end; i++) {
          const d = i === end ? 32 : (units[i] as number);
          hashes[count] = mix(Math.imul(Math.imul(Math.imul(a * 65_599 + b, 65_599) + c, 65_599) + d, 0x9e3779b1), 0x1b873593);
          kinds[count] = GROUP;
          words[count++] = word;
          a = b;
          b = c;
          c = d;
        }
      }
      if (found > 0 && count < FEATURE_LIMIT) {
        hashes[count] = mix(Math.imul(before, 0x01000193) ^ FINISH, 0x7f4a7c15);
        kinds[count] = PAIR;
        words[count++] = found - 1;
      }
      reader.count = count;
    },
  };
  return reader;
}

/** The kin of what begins with a digit. */
const NUMBERS = 1;

const TOPIC_SHIFT = 16;
const KIN_MASK = (1 << TOPIC_SHIFT) - 1;

/** By the hash of a word its kin, from 1, and in the upper bits its topic, 0 for none. */
function readLexicon(): Map<number, number> {
  const kins = new Map<number, number>();
  let kin = NUMBERS;
  for (const [topic, lines] of LEXICON.split('\n\n').entries()) {
    for (const line of lines.split('\n')) {
      for (const word of line.split(' ')) {
        const hash = hashWord(
          Uint16Array.from(word, (letter) => letter.charCodeAt(0)),
          0,
          word.length,
        );
        if (!kins.has(hash)) kins.set(hash, kin | (topic << TOPIC_SHIFT));
      }
      kin += 1;
    }
  }
  return kins;
}

const LETTER = /[\p{L}\p{M}\p{N}\p{So}\p{Cs}]/u;

function isLetter(unit: number): boolean {
  if (unit >= 0xc0 && unit < 0x2000) return unit !== 0xd7 && unit !== 0xf7 && (unit < 0x300 || LETTER.test(String.fromCharCode(unit)));
  if (unit >= 0x3041 && unit < 0xfb00) return true;
  return LETTER.test(String.fromCharCode(unit));
}

/** Kana, Han and Hangul are written without spaces between words. */
function isAlone(unit: number): boolean {
  return (unit <= 0x30ff && unit >= 0x3041) || (unit >= 0x3400 && unit <= 0x9fff) || (unit >= 0xac00 && unit <= 0xd7a3);
}

function mix(value: number, salt: number): number {
  let hash = value ^ salt;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Hash of a word without its English ending: plural s, -ies, -ing, -ed, a final e, and a consonant doubled by them. */
function hashWord(units: Uint16Array, start: number, end: number): number {
  let stop = end;
  let length = stop - start;
  let y = false;
  const last = units[stop - 1] as number;
  const second = length > 1 ? (units[stop - 2] as number) : 0;
  const third = length > 2 ? (units[stop - 3] as number) : 0;
  if (length > 4 && third === 105 && second === 101 && (last === 115 || last === 100)) {
    stop -= 3;
    y = true;
  } else if (length > 3 && last === 115 && second !== 115 && second !== 117 && second !== 105) stop -= 1;
  length = stop - start;
  if (!y && length > 4) {
    const a = units[stop - 1] as number;
    const b = units[stop - 2] as number;
    const c = units[stop - 3] as number;
    let cut = 0;
    if (length > 5 && a === 103 && b === 110 && c === 105) cut = 3;
    else if (a === 100 && b === 101) cut = 2;
    if (cut > 0) {
      stop -= cut;
      length = stop - start;
      const tail = units[stop - 1] as number;
      if (length > 3 && tail === units[stop - 2] && tail !== 115 && tail !== 122 && (tail !== 108 || length > 6)) stop -= 1;
    }
  }
  if (!y && stop - start > 3 && units[stop - 1] === 101) stop -= 1;
  let hash = 0x811c9dc5;
  for (let i = start; i < stop; i++) hash = Math.imul(hash ^ (units[i] as number), 0x01000193);
  return y ? Math.imul(hash ^ 121, 0x01000193) : hash;
}
