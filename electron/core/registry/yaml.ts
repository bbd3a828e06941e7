/**
 * YAML text into nodes that know where they stand. The parser is js-yaml's event stream (YAML 1.2); what is built here is smaller
 * than YAML on purpose: no anchors, aliases, tags, merge keys, directives or second documents, and every key is a string. So a
 * text has one meaning, cannot grow while it is read (alias bombs), and a file of 15,000 entries is read in a tenth of a second.
 */
import { EVENT_ID, getScalarValue, parseEvents, SCALAR_STYLE, type ScalarEvent, YAMLException } from 'js-yaml';
import { scan } from './scan.ts';

export type Scalar = string | number | boolean | null;

/** `at` is the offset of the node in the text, in UTF-16 units. */
export type Node =
  | { kind: 'map'; at: number; entries: Entry[] }
  | { kind: 'list'; at: number; items: Node[] }
  | { kind: 'scalar'; at: number; value: Scalar };

export interface Entry {
  key: string;
  at: number;
  value: Node;
}

/** Why a text is not the YAML we read. */
export interface Fault {
  at: number;
  message: string;
  hint: string | null;
}

/** Collections inside collections; the registry itself needs 7. */
const maxDepth = 32;
const maxFaults = 100;

// Everything the next three look for, and tabs and carriage returns: most texts have none of it.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const unusual = /[\u0000-\u0009\u000b-\u001f\u007f-\u00a0\u1680\u2000-\u200b\u2028-\u202f\u205f\u2060\u3000\ufeff\ufffe\uffff]/;
// Control characters other than tab, line feed and carriage return; U+FEFF anywhere but at the start; unpaired surrogates.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
const unprintable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufeff\ufffe\uffff]|\r(?!\n)|[\u2028\u2029]|\p{Surrogate}/u;
const tabbed = /^ *\t/m;
const falseSpace = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000]/;

/**
 * Reads `source`, which has no byte order mark. `root` is null when it is empty or has a fault; a text that is not YAML has one
 * fault, the first.
 */
export function readYaml(source: string): { root: Node | null; faults: Fault[] } {
  let plain = true;
  if (unusual.test(source) || !source.isWellFormed()) {
    const fault = unfit(source);
    if (fault) return { root: null, faults: [fault] };
    plain = !falseSpace.test(source);
  }
  const root = plain ? scan(source, resolve) : null;
  return root ? { root, faults: [] } : parseYaml(source);
}

/** The same by way of the full parser; `readYaml` is it, only faster. */
export function parseYaml(source: string): { root: Node | null; faults: Fault[] } {
  try {
    return build(source);
  } catch (caught) {
    if (!(caught instanceof YAMLException)) throw caught;
    return { root: null, faults: [explain(caught, source)] };
  }
}

/** A character that may not be there, before anything is parsed. */
function unfit(source: string): Fault | null {
  const bad = unprintable.exec(source);
  if (bad) {
    const code = bad[0].charCodeAt(0);
    const name =
      code === 0 ? 'a NUL character' : code === 13 ? 'a carriage return without a line feed' : `the character ${codePoint(code)}`;
    return { at: bad.index, message: `There is ${name} here.`, hint: 'Remove it; the file is plain UTF-8 text.' };
  }
  const tab = tabbed.exec(source);
  if (tab) {
    return {
      at: source.indexOf('\t', tab.index),
      message: 'A tab is at the start of this line.',
      hint: 'Write two spaces instead of each tab.',
    };
  }
  const space = /^[ \t]*[\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000]/m.exec(source);
  if (space) return falseSpaceFault(space.index + space[0].length - 1, space[0].at(-1) ?? '');
  return null;
}

function codePoint(code: number): string {
  return `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
}

function falseSpaceFault(at: number, char: string): Fault {
  return {
    at,
    message: `There is a ${codePoint(char.charCodeAt(0))} here that only looks like a space.`,
    hint: 'Write a plain space, or put the text in quotes if it belongs there.',
  };
}

interface Open {
  node: Node & { kind: 'map' | 'list' };
  key: { text: string; at: number } | null;
  /** Keys in NFC, for maps. */
  seen: Set<string> | null;
}

function build(source: string): { root: Node | null; faults: Fault[] } {
  const events = parseEvents(source, { maxDepth });
  const faults: Fault[] = [];
  const report = (at: number, message: string, hint: string | null) => {
    if (faults.length < maxFaults) faults.push({ at, message, hint });
  };
  const hasFalseSpace = falseSpace.test(source);
  const stack: Open[] = [];
  let top: Open | null = null;
  let root: Node | null = null;
  let documents = 0;
  let last = 0;

  const place = (node: Node) => {
    if (top === null) root = node;
    else if (top.node.kind === 'list') top.node.items.push(node);
    else if (top.key === null) {
      // A key that is a list, a map or an alias.
      report(node.at, 'This key is not a name.', 'Write a plain name before the colon.');
      top.key = { text: '', at: node.at };
    } else {
      top.node.entries.push({ key: top.key.text, at: top.key.at, value: node });
      top.key = null;
    }
  };

  for (const event of events) {
    switch (event.type) {
      case EVENT_ID.DOCUMENT:
        documents++;
        if (documents > 1) {
          report(last, 'A second document starts after this.', 'Keep one document: remove the line `---`.');
          return { root: null, faults };
        }
        if (event.directives.some((directive) => directive.kind === 'tag')) {
          report(0, 'The directive %TAG is not used here.', 'Remove the line that starts with %TAG.');
        }
        stack.push({ node: { kind: 'list', at: 0, items: [] }, key: null, seen: null });
        break;
      case EVENT_ID.SEQUENCE:
      case EVENT_ID.MAPPING: {
        last = event.start;
        if (event.tagStart >= 0) tagFault(event.tagStart, source, report);
        if (event.anchorStart >= 0) anchorFault(event.anchorStart, report);
        const map = event.type === EVENT_ID.MAPPING;
        const node: Open['node'] = map ? { kind: 'map', at: event.start, entries: [] } : { kind: 'list', at: event.start, items: [] };
        place(node);
        top = { node, key: null, seen: map ? new Set() : null };
        stack.push(top);
        break;
      }
      case EVENT_ID.SCALAR: {
        const quoted = event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED;
        if (event.valueStart >= 0) last = quoted ? event.valueStart - 1 : event.valueStart;
        if (event.tagStart >= 0) tagFault(event.tagStart, source, report);
        if (event.anchorStart >= 0) anchorFault(event.anchorStart, report);
        const raw = read(source, event);
        if (hasFalseSpace && event.style === SCALAR_STYLE.PLAIN) {
          const found = falseSpace.exec(raw);
          if (found) {
            const fault = falseSpaceFault(Math.max(last, source.indexOf(found[0], last)), found[0]);
            report(fault.at, fault.message, fault.hint);
          }
        }
        if (top?.node.kind === 'map' && top.key === null) {
          const key = raw;
          const folded = key.normalize('NFC');
          if (top.seen?.has(folded) && faults.length < maxFaults) {
            const twin = top.node.entries.find((entry) => entry.key.normalize('NFC') === folded);
            const spelled = twin && twin.key !== key ? ', spelled with other code points,' : '';
            report(last, `The key "${key}"${spelled} is here twice.`, 'Keep one of the two.');
          } else if (key === '') {
            report(last, 'There is no name before this colon.', 'Write a name before the colon, or put the text in quotes.');
          } else if (key === '<<') {
            report(last, 'Merge keys (<<) are not used here.', 'Write the values out.');
          }
          top.seen?.add(folded);
          top.key = { text: key, at: last };
        } else {
          place({ kind: 'scalar', at: last, value: event.style === SCALAR_STYLE.PLAIN ? resolve(raw) : raw });
        }
        break;
      }
      case EVENT_ID.ALIAS:
        last = event.anchorStart - 1;
        report(
          last,
          'Anchors and aliases (&name, *name) are not used here.',
          'Write the value out, or put a text that starts with * in quotes.',
        );
        place({ kind: 'scalar', at: last, value: null });
        break;
      case EVENT_ID.POP:
        stack.pop();
        top = stack.length > 1 ? (stack.at(-1) ?? null) : null;
        break;
    }
  }
  return { root: faults.length > 0 ? null : root, faults };
}

function read(source: string, event: ScalarEvent): string {
  if (event.valueStart < 0) return '';
  return event.fast ? source.slice(event.valueStart, event.valueEnd) : getScalarValue(source, event);
}

function tagFault(at: number, source: string, report: (at: number, message: string, hint: string) => void): void {
  const tag = /^\S+/.exec(source.slice(at, at + 60))?.[0] ?? '!';
  report(at, `Tags such as ${tag} are not used here.`, 'Remove the tag, or put a text that starts with ! in quotes.');
}

function anchorFault(at: number, report: (at: number, message: string, hint: string) => void): void {
  report(
    at - 1,
    'Anchors and aliases (&name, *name) are not used here.',
    'Write the value out, or put a text that starts with & in quotes.',
  );
}

/** A plain scalar by the YAML 1.2 core schema (section 10.3.2): `yes`, `off` and `012:30` are texts, `0x1F` is a number. */
function resolve(raw: string): Scalar {
  if (raw === '') return null;
  const first = raw.charCodeAt(0);
  // Most texts start with a letter none of the words below starts with.
  if (first > 0x60 && first !== 0x74 && first !== 0x66 && first !== 0x6e && first !== 0x7e) return raw;
  switch (raw) {
    case '~':
    case 'null':
    case 'Null':
    case 'NULL':
      return null;
    case 'true':
    case 'True':
    case 'TRUE':
      return true;
    case 'false':
    case 'False':
    case 'FALSE':
      return false;
  }
  if (/^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/.test(raw)) return Number(raw);
  if (/^0o[0-7]+$/.test(raw) || /^0x[\da-fA-F]+$/.test(raw)) return Number(raw);
  if (/^[-+]?\.(?:inf|Inf|INF)$/.test(raw)) return raw.startsWith('-') ? -Infinity : Infinity;
  if (/^\.(?:nan|NaN|NAN)$/.test(raw)) return NaN;
  return raw;
}

/** What js-yaml found, in words that say what to write instead. */
function explain(caught: YAMLException, source: string): Fault {
  const at = Math.min(caught.mark?.position ?? 0, source.length);
  const reason = caught.reason;
  const start = source.lastIndexOf('\n', Math.max(0, at - 1)) + 1;
  const stop = source.indexOf('\n', at);
  const line = source.slice(start, Math.min(stop < 0 ? source.length : stop, start + 2000));
  // A space that is none is seen as part of a word, and what is wrong is then found a line later.
  const before = source.lastIndexOf('\n', start - 2) + 1;
  const odd = falseSpace.exec(source.slice(before, start + line.length));
  if (odd) return falseSpaceFault(before + odd.index, odd[0]);
  if (reason.includes('maxDepth')) {
    return { at, message: `This is nested deeper than ${maxDepth} levels.`, hint: 'A registry needs no more than seven.' };
  }
  if (/:\s+[@`%]/.test(line)) {
    return { at, message: 'A text may not start with @, ` or %.', hint: 'Put it in quotes, such as "@ollama".' };
  }
  if (reason.includes('bad indentation') && /:\s.*:\s/.test(line) && !/["'{[]/.test(line)) {
    return { at, message: 'There is a second ": " in this line.', hint: 'Put the text after the first colon in quotes.' };
  }
  if (reason.includes('bad indentation') || reason.includes('document separator')) {
    return {
      at,
      message: `This line does not fit the lines above it (${reason}).`,
      hint: 'Keys of one thing start in the same column; what belongs to a key is two spaces further in.',
    };
  }
  if (reason.includes('unexpected end of the stream')) {
    return {
      at,
      message: `The text ends too early (${reason}).`,
      hint: 'Close the quote or bracket; if the file is being written, it is read again once it is whole.',
    };
  }
  return { at, message: `This is not YAML: ${reason}.`, hint: null };
}

/** Offsets into lines and columns, both 1-based; columns count UTF-16 units. */
export function createLines(text: string): (at: number) => { line: number; column: number } {
  let starts: number[] | null = null;
  return (at) => {
    if (starts === null) {
      starts = [0];
      for (let next = text.indexOf('\n'); next >= 0; next = text.indexOf('\n', next + 1)) starts.push(next + 1);
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: at - (starts[low] ?? 0) + 1 };
  };
}
