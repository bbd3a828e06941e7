/** The owner's words: a YAML map from a word to what it means, or plain text. */
import { readFileSync, statSync } from 'node:fs';
import { yaml } from '../yaml.ts';

/** Larger files are not read. */
const FILE_MAX_BYTES = 256 * 1024;
/** Of what goes into one prompt. */
const WORDS_MAX = 40;
const MEANING_MAX_CHARS = 200;
const TEXT_MAX_CHARS = 4000;

/** Reads the file again when it changed; null when there is none, or it is too large. */
export function createLexicon(file: () => string | null): () => string | null {
  let last: { key: string; text: string | null } | null = null;
  return () => {
    const path = file();
    if (path === null) return null;
    try {
      const found = statSync(path);
      // A pipe would hold everything up until somebody writes, and a device may never end.
      if (!found.isFile()) return null;
      const { size, mtimeMs } = found;
      const key = JSON.stringify([path, size, mtimeMs]);
      if (last?.key !== key) last = { key, text: size > FILE_MAX_BYTES ? null : readFileSync(path, 'utf8') };
      return last.text;
    } catch {
      return null;
    }
  };
}

/** What of a lexicon helps with a text: of a map the words that are in it, else the beginning of the whole; null: nothing. */
export function compileLexicon(lexicon: string): (text: string) => string | null {
  const map = mapIn(lexicon)?.map(([word, meaning]) => ({
    sought: ` ${plain(word)} `,
    line: `${word}: ${meaning.slice(0, MEANING_MAX_CHARS)}`,
  }));
  if (!map) {
    const beginning = lexicon.trim().slice(0, TEXT_MAX_CHARS) || null;
    return () => beginning;
  }
  return (text) => {
    const said = ` ${plain(text)} `;
    const found = map.filter(({ sought }) => sought.trim() !== '' && said.includes(sought)).slice(0, WORDS_MAX);
    return found.map(({ line }) => line).join('\n') || null;
  };
}

/** Lower case, with everything between words as one space. */
function plain(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

function mapIn(lexicon: string): [word: string, meaning: string][] | null {
  try {
    // Looking for keys that are there twice takes the square of their number, ten seconds of thousands of words; the last one counts.
    const parsed: unknown = yaml().parse(lexicon, { maxAliasCount: 10, logLevel: 'error', uniqueKeys: false });
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return null;
    return Object.entries(parsed).map(([word, meaning]) => [word, typeof meaning === 'string' ? meaning : JSON.stringify(meaning)]);
  } catch {
    // Also a meaning that has itself in it.
    return null;
  }
}
