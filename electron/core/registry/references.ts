/**
 * References in the parameters of a grid's steps: `$.params.text`, `$.text`, `$.steps.fetch.result.items[0]['odd key']`. They are
 * read alike when the registry loads (grids.ts), where a wrong one is an error, and when the grid runs (runners/grid.ts).
 */

export interface Reference {
  /** As it was written. */
  written: string;
  root: 'params' | 'text' | 'steps';
  /** The step whose result it reads. */
  step: string | null;
  /** What is looked up one after the other, from the parameters or the result. */
  keys: (string | number)[];
}

/** What references are looked up in. */
export interface Scope {
  params: Record<string, unknown>;
  text: string | null;
  /** Results of the steps that succeeded. */
  results: ReadonlyMap<string, unknown>;
}

export type Filled = { ok: true; value: unknown } | { ok: false; missing: Reference };

const name = '[A-Za-z_](?:-*\\w)*';
const written = new RegExp(`\\$\\$(?=\\.)|\\$\\.${name}(?:\\.${name}|\\[\\d{1,9}\\]|\\['[^']*'\\]|\\["[^"]*"\\])*`, 'g');
const part = new RegExp(`\\.(${name})|\\[(\\d+)\\]|\\['([^']*)'\\]|\\["([^"]*)"\\]`, 'g');

/** The pieces of a text in their order, `$$.` as the plain `$.` it stands for. `fault`: a reference that cannot be one. */
export function readReferences(text: string): (string | Reference | { written: string; fault: string; hint: string })[] {
  if (!text.includes('$')) return [text];
  const pieces: ReturnType<typeof readReferences> = [];
  let from = 0;
  let plain = '';
  for (const match of text.matchAll(written)) {
    plain += text.slice(from, match.index);
    from = match.index + match[0].length;
    if (match[0] === '$$') plain += '$';
    else {
      if (plain !== '') pieces.push(plain);
      plain = '';
      pieces.push(readOne(match[0]));
    }
  }
  plain += text.slice(from);
  if (plain !== '' || pieces.length === 0) pieces.push(plain);
  return pieces;
}

function readOne(text: string): Exclude<ReturnType<typeof readReferences>[number], string> {
  const keys = [...text.matchAll(part)].map(([, plain, index, single, double]) =>
    index === undefined ? (plain ?? single ?? double ?? '') : Number(index),
  );
  const [root, step, member, ...rest] = keys;
  if (root === 'params') return { written: text, root, step: null, keys: keys.slice(1) };
  if (root === 'text' && keys.length === 1) return { written: text, root, step: null, keys: [] };
  if (root !== 'steps')
    return {
      written: text,
      fault: `${text} points at nothing.`,
      hint: 'References start with $.params, $.steps.<name>.result, or are $.text; write $$. for a plain $.',
    };
  if (typeof step !== 'string' || member !== 'result')
    return {
      written: text,
      fault: `${text} does not read a result.`,
      hint: 'Write $.steps.<name>.result, and what is wanted of it after that.',
    };
  return { written: text, root, step, keys: rest };
}

/** Every reference in the texts of `value`. */
export function referencesIn(value: unknown): Reference[] {
  if (typeof value === 'string')
    return readReferences(value).filter((piece) => typeof piece === 'object' && 'root' in piece) as Reference[];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(referencesIn);
}

/**
 * `value` with every reference replaced: one that is a whole text by what it points at, as it is; one inside a longer text by its words,
 * or its JSON. Only own members are looked up.
 */
export function fill(value: unknown, scope: Scope): Filled {
  if (typeof value === 'string') return fillText(value, scope);
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value) {
      const filled = fill(item, scope);
      if (!filled.ok) return filled;
      items.push(filled.value);
    }
    return { ok: true, value: items };
  }
  if (typeof value !== 'object' || value === null) return { ok: true, value };
  const members: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    const filled = fill(member, scope);
    if (!filled.ok) return filled;
    members[key] = filled.value;
  }
  return { ok: true, value: members };
}

function fillText(text: string, scope: Scope): Filled {
  const pieces = readReferences(text);
  const values: unknown[] = [];
  for (const piece of pieces) {
    // A fault is an error when the registry loads, so none comes here.
    if (typeof piece === 'string' || 'fault' in piece) values.push(piece);
    else {
      const found = lookUp(piece, scope);
      if (found === undefined) return { ok: false, missing: piece };
      values.push(found);
    }
  }
  if (values.length === 1) return { ok: true, value: values[0] };
  return { ok: true, value: values.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))).join('') };
}

/** What a reference points at; undefined when there is nothing. */
export function lookUp({ root, step, keys }: Reference, { params, text, results }: Scope): unknown {
  let value: unknown = root === 'params' ? params : root === 'text' ? (text ?? undefined) : results.get(step!);
  for (const key of keys) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}
