/**
 * The short way through a registry file. Most of them, and all the large ones that programs write, use little of YAML: blocks of
 * `key: value` on one line each, plain or quoted, lists, and flow collections that end in their line. That is read here straight
 * into nodes, four times as fast as by a parser of all of YAML. Whatever is not certainly of that kind, and every error, gives
 * null, and the full parser decides; a test holds the two against each other.
 */
import type { Entry, Node, Scalar } from './yaml.ts';

const maxDepth = 16;
const key = /[A-Za-z0-9_][A-Za-z0-9_./-]*(?=:(?:[ \r\n]|$))/y;
/** First characters that make a text something else than plain. `-`, `?` and `:` are plain when no space follows; too rare to care. */
const indicators = new Set([...'-?:,[]{}#&*!|>\'"%@`'].map((char) => char.charCodeAt(0)));

const LF = 10;
const CR = 13;
const SPACE = 32;
const HASH = 35;
const COLON = 58;

class NotPlain extends Error {}
const notPlain = new NotPlain();

/** The root of `source`, or null where this reader is not sure. `resolve` gives plain scalars their type. */
export function scan(source: string, resolve: (raw: string) => Scalar): Node | null {
  const end = source.length;
  let pos = 0;
  /** Column of what `pos` points at; -1 at the end of the text. */
  let column = 0;

  /** From the end of a value: nothing but a comment may follow in the line. Then on to the next line that has something. */
  function toNextLine(): void {
    while (source.charCodeAt(pos) === SPACE) pos++;
    if (pos < end) {
      const char = source.charCodeAt(pos);
      if (char === HASH) {
        if (pos > 0 && source.charCodeAt(pos - 1) !== SPACE && source.charCodeAt(pos - 1) !== LF) throw notPlain;
        toLineEnd();
      } else if (char === CR) pos++;
      if (pos < end && source.charCodeAt(pos) !== LF) throw notPlain;
      pos++;
    }
    toContent();
  }

  function toLineEnd(): void {
    pos = source.indexOf('\n', pos);
    if (pos < 0) pos = end;
  }

  /** From the start of a line to the first thing that is neither blank nor comment. */
  function toContent(): void {
    while (pos < end) {
      const start = pos;
      while (source.charCodeAt(pos) === SPACE) pos++;
      const char = source.charCodeAt(pos);
      if (char === HASH) toLineEnd();
      else if (char === CR && source.charCodeAt(pos + 1) === LF) pos++;
      else if (char !== LF && pos < end) {
        column = pos - start;
        return;
      }
      pos++;
    }
    pos = end;
    column = -1;
  }

  const atDash = () => source.charCodeAt(pos) === 45 && (pos + 1 >= end || isBreakOrSpace(source.charCodeAt(pos + 1)));

  function block(depth: number): Node {
    if (depth > maxDepth) throw notPlain;
    return atDash() ? list(depth) : map(depth);
  }

  function map(depth: number): Node {
    const mine = column;
    const entries: Entry[] = [];
    const seen = new Set<string>();
    const node: Node = { kind: 'map', at: pos, entries };
    do {
      const at = pos;
      key.lastIndex = pos;
      const name = key.exec(source)?.[0];
      if (name === undefined || seen.has(name)) throw notPlain;
      seen.add(name);
      pos += name.length + 1;
      while (source.charCodeAt(pos) === SPACE) pos++;
      let value: Node;
      if (pos >= end || isBreakOrHash(source.charCodeAt(pos))) {
        toNextLine();
        if (column > mine || (column === mine && atDash())) value = block(depth + 1);
        else value = { kind: 'scalar', at, value: null };
      } else value = valueOfLine(mine, depth);
      entries.push({ key: name, at, value });
      if (column > mine) throw notPlain;
    } while (column === mine && !atDash());
    return node;
  }

  function list(depth: number): Node {
    const mine = column;
    const items: Node[] = [];
    const node: Node = { kind: 'list', at: pos, items };
    do {
      const dash = pos++;
      while (source.charCodeAt(pos) === SPACE) pos++;
      if (pos >= end || isBreakOrHash(source.charCodeAt(pos))) {
        toNextLine();
        if (column <= mine) throw notPlain;
        items.push(block(depth + 1));
      } else {
        key.lastIndex = pos;
        if (atDash() || key.test(source)) {
          column = mine + pos - dash;
          items.push(block(depth + 1));
        } else items.push(valueOfLine(mine, depth));
      }
      if (column > mine) throw notPlain;
    } while (column === mine && atDash());
    return node;
  }

  /** A value that starts in the line of its key or dash, which stands in column `mine`; then on to the next line. */
  function valueOfLine(mine: number, depth: number): Node {
    const char = source.charCodeAt(pos);
    const text = char === 124 || char === 62 ? blockText(mine, char === 62) : null;
    const value = text ?? inline(depth);
    if (text) toContent();
    else toNextLine();
    return value;
  }

  /** A text after `|` or `>`, without an indentation indicator, leading blank lines or, when folded, lines further in than the rest. */
  function blockText(mine: number, folded: boolean): Node {
    pos++;
    const strip = source.charCodeAt(pos) === 45;
    if (strip) pos++;
    if (source.charCodeAt(pos) === CR) pos++;
    if (source.charCodeAt(pos) !== LF) throw notPlain;
    const at = ++pos;
    let indent = -1;
    let blank = 0;
    let value = '';
    for (;;) {
      const start = pos;
      while (source.charCodeAt(pos) === SPACE) pos++;
      const spaces = pos - start;
      let stop = source.indexOf('\n', pos);
      if (stop < 0) {
        // The end of the text: a break after the last line would have been kept.
        if (pos < end && spaces > mine) throw notPlain;
        pos = start;
        break;
      }
      const next = stop + 1;
      if (source.charCodeAt(stop - 1) === CR) stop--;
      if (pos >= stop) {
        if (indent < 0 || spaces > indent) throw notPlain;
        blank++;
      } else {
        if (indent < 0) {
          if (spaces <= mine) throw notPlain;
          indent = spaces;
        } else if (spaces < indent) {
          if (spaces > mine) throw notPlain;
          pos = start;
          break;
        } else value += '\n'.repeat(folded && blank > 0 ? blank - 1 : blank) + (folded && blank === 0 ? ' ' : '\n');
        if (folded && (spaces > indent || source.charCodeAt(pos) === 9)) throw notPlain;
        value += source.slice(start + indent, stop);
        blank = 0;
      }
      pos = next;
    }
    if (indent < 0) throw notPlain;
    return { kind: 'scalar', at, value: strip ? value : `${value}\n` };
  }

  /** A value that ends in its line. */
  function inline(depth: number): Node {
    const char = source.charCodeAt(pos);
    if (char === 34) return doubleQuoted();
    if (char === 39) return singleQuoted();
    if (char === 91 || char === 123) return flow(depth + 1);
    if (indicators.has(char)) throw notPlain;
    const at = pos;
    let last = pos;
    for (; pos < end; pos++) {
      const next = source.charCodeAt(pos);
      if (next === LF) break;
      if (next === SPACE || next === CR) continue;
      if (next === HASH && pos > last + 1) break;
      if (next === COLON && (pos + 1 >= end || isBreakOrSpace(source.charCodeAt(pos + 1)))) throw notPlain;
      if (next < SPACE) throw notPlain;
      last = pos;
    }
    pos = last + 1;
    return { kind: 'scalar', at, value: resolve(source.slice(at, pos)) };
  }

  function doubleQuoted(): Node {
    const at = pos++;
    let escaped = false;
    for (; ; pos++) {
      const char = source.charCodeAt(pos);
      if (char === 34) break;
      if (!(char >= SPACE)) throw notPlain;
      if (char === 92) {
        // Escapes that mean the same in JSON; the rest is for the full parser.
        if (!'"\\/nrtbf'.includes(source[++pos] ?? '?')) throw notPlain;
        escaped = true;
      }
    }
    pos++;
    const value: string = escaped ? JSON.parse(source.slice(at, pos)) : source.slice(at + 1, pos - 1);
    return { kind: 'scalar', at, value };
  }

  function singleQuoted(): Node {
    const at = pos++;
    let doubled = false;
    for (; ; pos++) {
      const char = source.charCodeAt(pos);
      if (!(char >= SPACE)) throw notPlain;
      if (char !== 39) continue;
      if (source.charCodeAt(pos + 1) !== 39) break;
      doubled = true;
      pos++;
    }
    const raw = source.slice(at + 1, pos++);
    return { kind: 'scalar', at, value: doubled ? raw.replaceAll("''", "'") : raw };
  }

  const skipSpaces = () => {
    while (source.charCodeAt(pos) === SPACE) pos++;
  };

  function flow(depth: number): Node {
    if (depth > maxDepth) throw notPlain;
    const at = pos;
    const isMap = source.charCodeAt(pos++) === 123;
    const close = isMap ? 125 : 93;
    const entries: Entry[] = [];
    const items: Node[] = [];
    const seen = isMap ? new Set<string>() : null;
    skipSpaces();
    if (source.charCodeAt(pos) === close) pos++;
    else {
      for (;;) {
        if (isMap) {
          key.lastIndex = pos;
          const name = key.exec(source)?.[0];
          if (name === undefined || seen?.has(name)) throw notPlain;
          seen?.add(name);
          const keyAt = pos;
          pos += name.length + 1;
          skipSpaces();
          entries.push({ key: name, at: keyAt, value: flowValue(depth) });
        } else items.push(flowValue(depth));
        skipSpaces();
        const char = source.charCodeAt(pos++);
        if (char === close) break;
        if (char !== 44) throw notPlain;
        skipSpaces();
      }
    }
    return isMap ? { kind: 'map', at, entries } : { kind: 'list', at, items };
  }

  function flowValue(depth: number): Node {
    const char = source.charCodeAt(pos);
    if (char === 34) return doubleQuoted();
    if (char === 39) return singleQuoted();
    if (char === 91 || char === 123) return flow(depth + 1);
    if (indicators.has(char)) throw notPlain;
    const at = pos;
    let last = pos;
    for (; ; pos++) {
      const next = source.charCodeAt(pos);
      if (next === 44 || next === 93 || next === 125) break;
      if (next === SPACE) continue;
      // A break, the end of the text, a comment, a key or another collection inside a plain text.
      if (!(next > SPACE) || next === HASH || next === COLON || next === 91 || next === 123) throw notPlain;
      last = pos;
    }
    pos = last + 1;
    return { kind: 'scalar', at, value: resolve(source.slice(at, pos)) };
  }

  try {
    toContent();
    if (column !== 0 || source.startsWith('---', pos)) return null;
    const root = block(0);
    return pos >= end ? root : null;
  } catch (caught) {
    if (caught === notPlain) return null;
    throw caught;
  }
}

const isBreakOrSpace = (char: number) => char === SPACE || char === LF || char === CR;
const isBreakOrHash = (char: number) => char === LF || char === CR || char === HASH;
