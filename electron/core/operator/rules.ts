/**
 * Rules: patterns in RE2 syntax, each for one route, tried on a text in a fixed order.
 *
 * Case never counts, text and patterns are compared in NFC. A pattern matches whole words: the characters before and after
 * the match are no letter, mark, digit or underscore. A pattern that has an anchor or a boundary of its own (`^ $ \A \z \b
 * \B`) is taken as written. RE2 knows ASCII word boundaries only, so `\b` beside `ü` is not one.
 *
 * Order: mentions (patterns that begin with `@`) before all others; then priority, high first; then specificity, high
 * first; then place in the file. Specificity is what every match must contain: 2 for a literal character, 1 for a
 * character class, 1 for an anchor or boundary, 0 for `.` and for whatever may be left out; of alternatives the least.
 *
 * Speed: an Aho-Corasick automaton over literals that the patterns require finds the few patterns that can match at all.
 * Patterns that are nothing but literals are decided by it alone; the others run on a linear-time engine, compiled at
 * first use. Engine time grows with text length times program size, so both are bounded: a pattern sees the first
 * `ENGINE_WORK / size` characters, and no rule sees more than `TEXT_LIMIT`.
 */
import { RE2JS } from 're2js';

export interface RuleSource {
  pattern: string;
  /** High wins. 0 when absent. */
  priority?: number;
  /** Position in the file, 0-based; the index in the list when absent. */
  order?: number;
}

export interface PatternFault {
  message: string;
  hint: string;
}

export interface RuleHit {
  /** Index in the list given to `compileRules`. */
  index: number;
  /** The part of the text (in NFC) that matched. */
  matched: string;
}

export interface RuleSet {
  /** Patterns that cannot be used; they never match. */
  problems: ({ index: number } & PatternFault)[];
  /** The rule that wins for `text`, or null. */
  match(text: string): RuleHit | null;
  /** Every rule that matches, the winner first. */
  matchAll(text: string): RuleHit[];
}

const PATTERN_LIMIT = 1_000;
const SIZE_LIMIT = 300;
const TEXT_LIMIT = 4_000;
const ENGINE_WORK = 60_000;
const LITERAL_LIMIT = 32;
const EXACT_LIMIT = 256;
const CROSS_LIMIT = 16;

/** Whether a pattern is a mention such as `@ollama`, which wins over every rule that is none. */
export function isMention(pattern: string): boolean {
  return pattern.startsWith('@');
}

/** What is wrong with a pattern and what to write instead; null when it can be used. */
export function checkPattern(pattern: string): PatternFault | null {
  const facts = analyse(pattern);
  return 'message' in facts ? facts : null;
}

export function compileRules(rules: readonly RuleSource[]): RuleSet {
  const problems: RuleSet['problems'] = [];
  const entries: Entry[] = [];
  for (const [index, rule] of rules.entries()) {
    const facts = analyse(rule.pattern);
    if ('message' in facts) {
      problems.push({ index, ...facts });
      continue;
    }
    entries.push({
      index,
      pattern: rule.pattern.normalize('NFC'),
      facts,
      mention: isMention(rule.pattern) ? 1 : 0,
      priority: rule.priority ?? 0,
      order: rule.order ?? index,
      ascii: null,
      full: null,
    });
  }
  entries.sort(
    (a, b) => b.mention - a.mention || b.priority - a.priority || b.facts.weight - a.facts.weight || a.order - b.order || a.index - b.index,
  );

  const { automaton, always } = prefilter(entries);
  // Per rank: the number of the query that saw it last, and where a literal pattern matched in that query.
  const seen = new Float64Array(entries.length);
  const from = new Int32Array(entries.length);
  const to = new Int32Array(entries.length);
  let query = 0;

  const run = (text: string, all: boolean): RuleHit[] => {
    const hits: RuleHit[] = [];
    if (entries.length === 0) return hits;
    const cut = text.length > TEXT_LIMIT ? text.slice(0, TEXT_LIMIT) : text;
    const ascii = isAscii(cut);
    const plain = ascii ? cut : cut.normalize('NFC');
    const folded = fold(plain);
    query += 1;
    const candidates: number[] = always.slice();
    automaton.scan(folded, (rank, start, literal) => {
      const entry = entries[rank] as Entry;
      if (entry.facts.exact !== null) {
        if (seen[rank] === query) return;
        const end = start + literal.length;
        if (literal.length > LITERAL_LIMIT && !folded.startsWith(literal, start)) return;
        if (!entry.facts.asWritten && (wordBefore(plain, start) || wordAfter(plain, end))) return;
        from[rank] = start;
        to[rank] = end;
      }
      if (seen[rank] === query) return;
      seen[rank] = query;
      candidates.push(rank);
    });
    if (candidates.length > 1) candidates.sort((a, b) => a - b);
    for (const rank of candidates) {
      const entry = entries[rank] as Entry;
      if (entry.facts.exact !== null) hits.push({ index: entry.index, matched: plain.slice(from[rank], to[rank]) });
      else {
        const matched = runEngine(entry, plain, ascii);
        if (matched === null) continue;
        hits.push({ index: entry.index, matched });
      }
      if (!all) break;
    }
    return hits;
  };

  return { problems, match: (text) => run(text, false)[0] ?? null, matchAll: (text) => run(text, true) };
}

// --- the engine -----------------------------------------------------------------------------------------------------

interface Entry {
  index: number;
  pattern: string;
  facts: Facts;
  mention: number;
  priority: number;
  order: number;
  /** Compiled at first use; `ascii` for texts of ASCII only, because Unicode classes take long to compile. */
  ascii: RE2JS | null;
  full: RE2JS | null;
}

function runEngine(entry: Entry, text: string, ascii: boolean): string | null {
  const seen = text.slice(0, Math.floor(ENGINE_WORK / entry.facts.size));
  let engine = ascii ? entry.ascii : entry.full;
  if (engine === null) {
    const word = ascii ? '[^0-9A-Za-z_]' : '[^\\pL\\pM\\pN_]';
    const source = entry.facts.asWritten ? `(${entry.pattern})` : `(?:^|(?-i:${word}))(${entry.pattern})(?:$|(?-i:${word}))`;
    engine = RE2JS.compile(source, RE2JS.CASE_INSENSITIVE);
    if (ascii) entry.ascii = engine;
    else entry.full = engine;
  }
  // `test` stays on the automaton; the place of the match is worked out only when there is one.
  if (!engine.test(seen)) return null;
  const matcher = engine.matcher(seen);
  return matcher.find() ? (matcher.group(1) ?? '') : '';
}

const WORD = /[\p{L}\p{M}\p{N}_]/u;

function isWord(code: number): boolean {
  if (code < 128) return (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || code === 95;
  return WORD.test(String.fromCodePoint(code));
}

function wordBefore(text: string, at: number): boolean {
  if (at === 0) return false;
  const unit = text.charCodeAt(at - 1);
  const low = unit >= 0xdc00 && unit < 0xe000 && at > 1;
  return isWord(low ? (text.codePointAt(at - 2) as number) : unit);
}

function wordAfter(text: string, at: number): boolean {
  return at < text.length && isWord(text.codePointAt(at) as number);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** One representative of all cases of a character, of the same length, so that positions stay. */
function foldCharacter(character: string): string {
  const upper = character.toUpperCase();
  const lower = (upper.length === character.length ? upper : character).toLowerCase();
  return lower.length === character.length ? lower : character;
}

function fold(text: string): string {
  if (isAscii(text)) return text.toLowerCase();
  let folded = '';
  for (const character of text) folded += foldCharacter(character);
  return folded;
}

// --- the prefilter --------------------------------------------------------------------------------------------------

interface Automaton {
  /** Calls `found` for every literal that occurs, with the rank it belongs to. Long literals are found by their beginning. */
  scan(text: string, found: (rank: number, start: number, literal: string) => void): void;
}

/** Picks one set of required literals per pattern, the rarest, and builds the automaton over all of them. */
function prefilter(entries: Entry[]): { automaton: Automaton; always: number[] } {
  const always: number[] = [];
  const shared = new Map<string, number>();
  for (const { facts } of entries) {
    if (facts.exact !== null) continue;
    for (const option of facts.options) for (const literal of option) shared.set(literal, (shared.get(literal) ?? 0) + 1);
  }
  const wanted: { literal: string; rank: number }[] = [];
  for (const [rank, { facts }] of entries.entries()) {
    let chosen = facts.exact;
    if (chosen === null) {
      let best = Number.POSITIVE_INFINITY;
      for (const option of facts.options) {
        // How many patterns wake up when this set is used; long literals are rarer in texts.
        let cost = 0;
        let shortest = LITERAL_LIMIT;
        for (const literal of option) {
          cost += shared.get(literal) ?? 1;
          if (literal.length < shortest) shortest = literal.length;
        }
        cost /= 4 ** Math.min(shortest, 6);
        if (cost < best) {
          best = cost;
          chosen = option;
        }
      }
    }
    if (chosen === null) always.push(rank);
    else for (const literal of chosen) wanted.push({ literal, rank });
  }
  return { automaton: buildAutomaton(wanted), always };
}

/** Aho and Corasick, "Efficient string matching" (1975), over UTF-16 code units, edges in one open-addressing table. */
function buildAutomaton(wanted: { literal: string; rank: number }[]): Automaton {
  const classOf = new Uint16Array(65_536);
  let classes = 1;
  let units = 0;
  for (const { literal } of wanted) {
    const end = Math.min(literal.length, LITERAL_LIMIT);
    units += end;
    for (let i = 0; i < end; i++) {
      const unit = literal.charCodeAt(i);
      if (classOf[unit] === 0 && classes < 65_535) classOf[unit] = classes++;
    }
  }
  let capacity = 16;
  while (capacity < units * 2 + 2) capacity *= 2;
  const mask = capacity - 1;
  const keyNode = new Int32Array(capacity).fill(-1);
  const keyClass = new Uint16Array(capacity);
  const target = new Int32Array(capacity);
  const slot = (node: number, unitClass: number): number => {
    let at = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unitClass, 0x85ebca6b)) >>> 0;
    at = (at ^ (at >>> 15)) & mask;
    while (keyNode[at] !== -1 && (keyNode[at] !== node || keyClass[at] !== unitClass)) at = (at + 1) & mask;
    return at;
  };

  const parent = new Int32Array(units + 1);
  const via = new Uint16Array(units + 1);
  const depth = new Uint8Array(units + 1);
  const firstOutput = new Int32Array(units + 1).fill(-1);
  const nextOutput = new Int32Array(wanted.length);
  let nodes = 1;
  for (const [output, { literal }] of wanted.entries()) {
    let node = 0;
    const end = Math.min(literal.length, LITERAL_LIMIT);
    for (let i = 0; i < end; i++) {
      const unitClass = classOf[literal.charCodeAt(i)] as number;
      const at = slot(node, unitClass);
      if (keyNode[at] === -1) {
        keyNode[at] = node;
        keyClass[at] = unitClass;
        target[at] = nodes;
        parent[nodes] = node;
        via[nodes] = unitClass;
        depth[nodes] = i + 1;
        nodes += 1;
      }
      node = target[at] as number;
    }
    nextOutput[output] = firstOutput[node] as number;
    firstOutput[node] = output;
  }

  // Breadth first: a node's fallback is shallower than the node.
  const byDepth: number[][] = Array.from({ length: LITERAL_LIMIT + 1 }, () => []);
  for (let node = 1; node < nodes; node++) (byDepth[depth[node] as number] as number[]).push(node);
  const fallback = new Int32Array(nodes);
  // The nearest node on the fallback chain that has an output, itself included; 0 for none.
  const outputAt = new Int32Array(nodes);
  for (const level of byDepth) {
    for (const node of level) {
      const above = parent[node] as number;
      const unitClass = via[node] as number;
      let back = 0;
      if (above !== 0) {
        let from = fallback[above] as number;
        for (;;) {
          const at = slot(from, unitClass);
          if (keyNode[at] !== -1) {
            back = target[at] as number;
            break;
          }
          if (from === 0) break;
          from = fallback[from] as number;
        }
      }
      fallback[node] = back;
      outputAt[node] = firstOutput[node] === -1 ? (outputAt[back] as number) : node;
    }
  }
  const fromRoot = new Int32Array(classes);
  for (let unitClass = 1; unitClass < classes; unitClass++) {
    const at = slot(0, unitClass);
    if (keyNode[at] !== -1) fromRoot[unitClass] = target[at] as number;
  }

  return {
    scan(text, found) {
      let node = 0;
      for (let i = 0; i < text.length; i++) {
        const unitClass = classOf[text.charCodeAt(i)] as number;
        if (unitClass === 0) {
          node = 0;
          continue;
        }
        while (node !== 0) {
          const at = slot(node, unitClass);
          if (keyNode[at] !== -1) {
            node = target[at] as number;
            break;
          }
          node = fallback[node] as number;
          if (node === 0) {
            node = -1;
            break;
          }
        }
        if (node <= 0) node = fromRoot[unitClass] as number;
        for (let hit = outputAt[node] as number; hit !== 0; hit = outputAt[fallback[hit] as number] as number) {
          for (let output = firstOutput[hit] as number; output !== -1; output = nextOutput[output] as number) {
            const { rank, literal } = wanted[output] as { rank: number; literal: string };
            found(rank, i + 1 - Math.min(literal.length, LITERAL_LIMIT), literal);
          }
        }
      }
    },
  };
}

// --- what a pattern requires ----------------------------------------------------------------------------------------

interface Facts {
  /** All strings the pattern can match, folded, when they are few and it has no anchor: the automaton decides alone. */
  exact: string[] | null;
  /** Sets of folded literals; every match contains at least one literal of each set. */
  options: string[][];
  /** Specificity, as the head of this file defines it. */
  weight: number;
  /** Instructions of the compiled program, about. */
  size: number;
  /** Has an anchor or boundary of its own. */
  asWritten: boolean;
}

/** The facts about a part of a pattern. */
interface Part {
  exact: string[] | null;
  options: string[][];
  weight: number;
  size: number;
}

class Fault extends Error {
  readonly fault: PatternFault;
  constructor(message: string, hint: string) {
    super(message);
    this.fault = { message, hint };
  }
}

const SIMPLE = /^[\p{L}\p{N} _@:/#&,;=<>!%'"~-]+$/u;

function analyse(source: string): Facts | PatternFault {
  const name = `"${source.length > 60 ? `${source.slice(0, 57)}...` : source}"`;
  if (source.length > PATTERN_LIMIT)
    return {
      message: `The pattern ${name} has ${source.length} characters; ${PATTERN_LIMIT} are allowed.`,
      hint: 'Split it into several rules for the same service.',
    };
  if (source.trim() === '') return { message: 'The pattern is empty.', hint: 'Write the words to look for, such as "salesforce".' };
  const pattern = source.normalize('NFC');
  if (SIMPLE.test(pattern)) {
    const literal = fold(pattern);
    return { exact: [literal], options: [[literal]], weight: 2 * pattern.length, size: pattern.length + 4, asWritten: false };
  }
  try {
    const reader = new PatternReader(pattern);
    const part = reader.read();
    if (part.size > SIZE_LIMIT)
      throw new Fault(
        `is too large: about ${part.size} steps, ${SIZE_LIMIT} are allowed`,
        'Use smaller repetition counts or fewer alternatives, or split it into several rules.',
      );
    // What the reader does not know it leaves to the engine to judge.
    if (reader.exotic) RE2JS.compile(pattern, RE2JS.CASE_INSENSITIVE);
    return {
      exact: reader.asWritten || reader.exotic || part.exact?.includes('') ? null : part.exact,
      options: usable(part),
      weight: part.weight,
      size: part.size + 8,
      asWritten: reader.asWritten,
    };
  } catch (caught) {
    if (caught instanceof Fault) return { message: `The pattern ${name} ${caught.message}.`, hint: caught.fault.hint };
    const detail = caught instanceof Error ? caught.message.replace(/^error parsing regexp: /, '') : 'not understood';
    return {
      message: `The pattern ${name} is no valid RE2 pattern: ${detail}.`,
      hint: 'Put a backslash before a character that is meant literally, such as \\. \\( \\[ \\*.',
    };
  }
}

const EMPTY: Part = { exact: [''], options: [], weight: 0, size: 0 };

/** The sets of literals of a part that can serve as a filter: no empty literal, not too many. */
function usable(part: Part): string[][] {
  const all = part.exact === null ? part.options : [part.exact, ...part.options];
  return all.filter((option) => option.length > 0 && option.length <= EXACT_LIMIT && !option.includes(''));
}

/** The set with the longest shortest literal. */
function best(part: Part): string[] | null {
  let chosen: string[] | null = null;
  let length = 0;
  for (const option of usable(part)) {
    let shortest = Number.POSITIVE_INFINITY;
    for (const literal of option) if (literal.length < shortest) shortest = literal.length;
    if (shortest > length) {
      length = shortest;
      chosen = option;
    }
  }
  return chosen;
}

/**
 * Reads the common part of the RE2 syntax (https://github.com/google/re2/wiki/Syntax) and works out the facts on the way.
 * Whatever else it meets sets `exotic`: then it claims nothing about that place and the engine's parser has the say.
 */
class PatternReader {
  exotic = false;
  asWritten = false;
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): Part {
    const part = this.#alternatives();
    if (this.#at < this.#source.length) throw new Fault('has a ) too many', 'Remove it, or write \\) for the character itself.');
    return part;
  }

  #alternatives(): Part {
    if (++this.#depth > 50) throw new Fault('has groups nested more than 50 deep', 'Write it flatter.');
    const parts = [this.#sequence()];
    while (this.#source[this.#at] === '|') {
      this.#at += 1;
      parts.push(this.#sequence());
    }
    this.#depth -= 1;
    const [first] = parts as [Part];
    if (parts.length === 1) return first;
    let exact: string[] | null = [];
    let option: string[] | null = [];
    let weight = Number.POSITIVE_INFINITY;
    let size = 0;
    for (const part of parts) {
      exact = exact !== null && part.exact !== null ? [...exact, ...part.exact] : null;
      const chosen: string[] | null = best(part);
      option = option !== null && chosen !== null ? [...option, ...chosen] : null;
      weight = Math.min(weight, part.weight);
      size += part.size + 1;
    }
    if (exact !== null) exact = [...new Set(exact)];
    if (exact !== null && exact.length > EXACT_LIMIT) exact = null;
    return { exact, options: option === null ? [] : [[...new Set(option)]], weight, size };
  }

  #sequence(): Part {
    let run: string[] = [''];
    let whole = true;
    let weight = 0;
    let size = 0;
    const options: string[][] = [];
    while (this.#at < this.#source.length) {
      const next = this.#source[this.#at];
      if (next === '|' || next === ')') break;
      const part = this.#repeated();
      weight += part.weight;
      size += part.size;
      if (size > 100_000) throw new Fault('is too large', 'Use smaller repetition counts.');
      if (part.exact !== null && run.length * part.exact.length <= CROSS_LIMIT) {
        run = run.flatMap((head) => (part.exact as string[]).map((tail) => head + tail));
        continue;
      }
      if (run.length === 1 && run[0] === '' && part.exact !== null && whole) {
        run = part.exact;
        continue;
      }
      whole = false;
      options.push(run, ...usable(part));
      run = [''];
    }
    if (whole) return { exact: [...new Set(run)], options: [], weight, size };
    options.push(run);
    return { exact: null, options, weight, size };
  }

  #repeated(): Part {
    let part = this.#atom();
    const start = this.#at;
    const sign = this.#source[start];
    let least = 1;
    let most = 1;
    if (sign === '*') [least, most] = [0, Number.POSITIVE_INFINITY];
    else if (sign === '+') [least, most] = [1, Number.POSITIVE_INFINITY];
    else if (sign === '?') [least, most] = [0, 1];
    else if (sign === '{') {
      const counts = /^\{(\d{1,9})(,(\d{0,9}))?\}/.exec(this.#source.slice(start, start + 24));
      // A brace that is no count is a literal brace.
      if (counts === null) return part;
      least = Number(counts[1]);
      most = counts[2] === undefined ? least : counts[3] === '' ? Number.POSITIVE_INFINITY : Number(counts[3]);
      if (Math.max(least, Number.isFinite(most) ? most : 0) > 1000)
        throw new Fault('repeats more than 1000 times', 'Use a smaller count, or + or *.');
      if (most < least) throw new Fault('repeats from a larger count to a smaller one', 'Write {least,most}.');
      this.#at += counts[0].length - 1;
    } else return part;
    this.#at += 1;
    if (this.#source[this.#at] === '?') this.#at += 1;
    // A second repetition is for the engine's parser to judge.
    if (/[*+?{]/.test(this.#source[this.#at] ?? '')) this.exotic = true;
    const copies = Number.isFinite(most) ? Math.max(1, most) : Math.max(1, least);
    const size = copies * (part.size + 1);
    if (least === 0) part = { exact: null, options: [], weight: 0, size };
    else if (least === 1 && most === 1) part = { ...part, size };
    else part = { exact: null, options: usable(part), weight: least * part.weight, size };
    return part;
  }

  #atom(): Part {
    const source = this.#source;
    const character = String.fromCodePoint(source.codePointAt(this.#at) as number);
    this.#at += character.length;
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return this.#set();
      case '\\':
        return this.#escape();
      case '.':
        return { exact: null, options: [], weight: 0, size: 1 };
      case '^':
      case '$':
        return this.#boundary();
      case '*':
      case '+':
      case '?':
        throw new Fault(`has a ${character} with nothing before it`, `Write \\${character} for the character itself.`);
      default:
        return literal(character);
    }
  }

  #boundary(): Part {
    this.asWritten = true;
    return { exact: [''], options: [], weight: 1, size: 1 };
  }

  #group(): Part {
    const source = this.#source;
    if (source[this.#at] === '?') {
      const rest = source.slice(this.#at, this.#at + 3);
      if (rest.startsWith('?=') || rest.startsWith('?!'))
        throw new Fault('uses a lookahead, which RE2 does not have', 'Write what must follow as part of the pattern, or use two rules.');
      if (rest === '?<=' || rest === '?<!')
        throw new Fault('uses a lookbehind, which RE2 does not have', 'Write what must come before as part of the pattern, or use \\b.');
      if (rest.startsWith('?>')) throw new Fault('uses an atomic group, which RE2 does not have', 'Use (?: ) instead.');
      if (rest.startsWith('?:')) this.#at += 2;
      else {
        // Flags and names: the engine's parser judges them; what is inside is still read.
        this.exotic = true;
        const head = /^\?(?:P?<\w+>|[imsU-]*:|[imsU-]*(?=\)))/.exec(source.slice(this.#at, this.#at + 200));
        if (head === null) throw new Error(`invalid group (${source.slice(this.#at, this.#at + 8)}`);
        this.#at += head[0].length;
      }
    }
    const part = this.#alternatives();
    if (source[this.#at] !== ')') throw new Fault('lacks a )', 'Close the group, or write \\( for the character itself.');
    this.#at += 1;
    return { ...part, size: part.size + 2 };
  }

  #set(): Part {
    const source = this.#source;
    const simple = /^[\p{L}\p{N} _@:/#&,;=<>!%'"~.*+?(){}|$]{1,8}\]/u.exec(source.slice(this.#at, this.#at + 12));
    if (simple !== null) {
      this.#at += simple[0].length;
      return { exact: [...new Set(Array.from(simple[0].slice(0, -1), foldCharacter))], options: [], weight: 1, size: 1 };
    }
    let size = 1;
    this.exotic = true;
    if (source[this.#at] === '^') this.#at += 1;
    if (source[this.#at] === ']') this.#at += 1;
    for (;;) {
      const character = source[this.#at];
      if (character === undefined) throw new Fault('lacks a ]', 'Close the set, or write \\[ for the character itself.');
      this.#at += 1;
      if (character === ']') break;
      if (character === '[' && source[this.#at] === ':') {
        const end = source.indexOf(':]', this.#at);
        if (end > 0) this.#at = end + 2;
      } else if (character === '\\') {
        if (/[pP]/.test(source[this.#at] ?? '')) size += 20;
        this.#at += 1;
      }
    }
    return { exact: null, options: [], weight: 1, size };
  }

  #escape(): Part {
    const source = this.#source;
    const character = source[this.#at];
    if (character === undefined) throw new Fault('ends in a backslash', 'Write \\\\ for a backslash.');
    this.#at += 1;
    if (/[bBAz]/.test(character)) return this.#boundary();
    if (/[dwsDWS]/.test(character)) return { exact: null, options: [], weight: 1, size: 1 };
    if (/[1-9]/.test(character) || (character === 'k' && /[<{']/.test(source[this.#at] ?? '')))
      throw new Fault('uses a backreference, which RE2 does not have', 'Write the repeated part out.');
    if (character === 't') return literal('\t');
    if (character === 'n') return literal('\n');
    if (character === 'r') return literal('\r');
    if (character === 'p' || character === 'P') {
      this.exotic = true;
      if (source[this.#at] === '{') {
        const end = source.indexOf('}', this.#at);
        if (end < 0) throw new Fault('has a \\p{ without a }', 'Write \\p{Greek}, for example.');
        this.#at = end + 1;
      } else this.#at += 1;
      return { exact: null, options: [], weight: 1, size: 20 };
    }
    if (character === 'Q') {
      const end = source.indexOf('\\E', this.#at);
      const quoted = source.slice(this.#at, end < 0 ? undefined : end);
      this.#at = end < 0 ? source.length : end + 2;
      this.exotic = true;
      // A repetition after it binds to the last character only; so nothing is claimed.
      return { exact: null, options: [], weight: 2 * quoted.length, size: quoted.length };
    }
    if (/[!-/:-@[-`{-~]/.test(character)) return literal(character);
    this.exotic = true;
    if (character === 'x' && source[this.#at] === '{') {
      const end = source.indexOf('}', this.#at);
      this.#at = end < 0 ? source.length : end + 1;
    } else if (character === 'x') this.#at += 2;
    else if (character === '0') while (/[0-7]/.test(source[this.#at] ?? '')) this.#at += 1;
    return { exact: null, options: [], weight: 1, size: 1 };
  }
}

function literal(character: string): Part {
  return { ...EMPTY, exact: [foldCharacter(character)], weight: 2, size: 1 };
}
