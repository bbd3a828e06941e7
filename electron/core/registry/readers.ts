/** What reads the nodes of the registry file and writes the JSON Schema of what it reads: one definition for both. */
import { editDistance } from '../nearest.ts';
import type { Node } from './yaml.ts';

/** What to write instead; a function where finding it takes time, because only problems that are shown need it. */
export type Hint = string | null | (() => string | null);

export interface Report {
  error(at: number, message: string, hint?: Hint): void;
  warning(at: number, message: string, hint?: Hint): void;
  /** Keys from the root to what is being read. */
  readonly path: (string | number)[];
}

export interface Reader<T> {
  schema: Record<string, unknown>;
  /** The value of the node; undefined after an error, or when there is nothing. */
  read(node: Node, report: Report): T | undefined;
}

export interface Located<T> {
  value: T;
  at: number;
}

export type Values<F extends Record<string, Reader<unknown>>> = { [K in keyof F]?: F[K] extends Reader<infer T> ? T : never };

const nothingThere = (node: Node) => node.kind === 'scalar' && node.value === null;

const describeNode = (node: Node): string =>
  node.kind === 'map' ? 'a block of keys' : node.kind === 'list' ? 'a list' : node.value === null ? 'nothing' : JSON.stringify(node.value);

export function text(description: string, more: { max?: number; pattern?: RegExp; say?: string; empty?: boolean } = {}): Reader<string> {
  const max = more.max ?? 2000;
  return {
    schema: {
      type: 'string',
      description,
      ...(!more.empty && { minLength: 1 }),
      maxLength: max,
      ...(more.pattern && { pattern: more.pattern.source }),
    },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'scalar') {
        report.error(node.at, `A text belongs here, not ${describeNode(node)}.`, more.say ?? null);
      } else if (typeof node.value !== 'string') {
        report.error(
          node.at,
          `A text belongs here; ${String(node.value)} is read as a ${typeof node.value}.`,
          `Write "${String(node.value)}" in quotes.`,
        );
      } else if (node.value.length > max) {
        report.error(node.at, `This text is longer than ${max} characters.`, 'Shorten it.');
      } else if (node.value.trim() === '' && !more.empty) {
        report.error(node.at, 'This text is empty.', more.say ?? 'Write something, or remove the key.');
      } else if (more.pattern && !more.pattern.test(node.value)) {
        report.error(node.at, `"${node.value.slice(0, 80)}" does not fit here.`, more.say ?? `It has to match ${more.pattern.source}.`);
      } else return node.value;
      return undefined;
    },
  };
}

export function choice<const C extends readonly string[]>(description: string, choices: C): Reader<C[number]> {
  return {
    schema: { description, enum: [...choices] },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar' && choices.includes(String(node.value))) return String(node.value) as C[number];
      const meant = node.kind === 'scalar' ? nearest(String(node.value), choices) : null;
      report.error(
        node.at,
        `${describeNode(node)} does not fit here.`,
        meant
          ? `Did you mean ${meant}? The choices are ${choices.join(', ')}.`
          : `Write ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}.`,
      );
      return undefined;
    },
  };
}

export function whole(description: string, bounds: { min: number; max: number }): Reader<number> {
  return {
    schema: { type: 'integer', description, minimum: bounds.min, maximum: bounds.max },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar' && Number.isInteger(node.value)) {
        const value = node.value as number;
        if (value >= bounds.min && value <= bounds.max) return value;
      }
      report.error(node.at, `A whole number belongs here, not ${describeNode(node)}.`, `Write one from ${bounds.min} to ${bounds.max}.`);
      return undefined;
    },
  };
}

export function truth(description: string): Reader<boolean> {
  return {
    schema: { type: 'boolean', description },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
      report.error(node.at, `true or false belongs here, not ${describeNode(node)}.`, 'Write true or false.');
      return undefined;
    },
  };
}

/** A number in a base unit, or a text with a unit: `30`, `30s`, `500ms`; `8388608`, `8MB`. Reads into `units[base]` = 1 multiples. */
export function amount(
  description: string,
  about: { units: Record<string, number>; bare: number; min: number; max: number; say: string },
): Reader<number> {
  const names = Object.keys(about.units).sort((a, b) => b.length - a.length);
  const form = new RegExp(`^(\\d+(?:\\.\\d+)?) ?(${names.join('|')})$`);
  return {
    schema: {
      description,
      anyOf: [
        about.min > 0 ? { type: 'number', exclusiveMinimum: 0 } : { type: 'number', minimum: 0 },
        { type: 'string', pattern: form.source },
      ],
    },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar') {
        const parts = typeof node.value === 'string' ? form.exec(node.value) : null;
        const value =
          typeof node.value === 'number' ? node.value * about.bare : parts ? Number(parts[1]) * (about.units[parts[2] ?? ''] ?? NaN) : NaN;
        const rounded = Math.round(value);
        if (rounded >= about.min && rounded <= about.max) return rounded;
      }
      report.error(node.at, `${describeNode(node)} does not fit here.`, about.say);
      return undefined;
    },
  };
}

export const duration = (description: string, bounds: { min: number; max: number; say: string }) =>
  amount(description, { units: { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }, bare: 1000, ...bounds });

export function listOf<T>(description: string, item: Reader<T>, max: number): Reader<T[]> {
  return {
    schema: { type: 'array', description, items: item.schema, maxItems: max },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'list') {
        report.error(node.at, `A list belongs here, not ${describeNode(node)}.`, 'Write each entry on a line of its own, after "- ".');
        return undefined;
      }
      if (node.items.length > max) {
        report.error(node.at, `There are ${node.items.length} entries here; ${max} are the most.`, 'Remove some.');
        return undefined;
      }
      const values: T[] = [];
      node.items.forEach((entry, index) => {
        report.path.push(index);
        if (nothingThere(entry))
          report.error(entry.at, 'An entry of this list is empty.', 'Write something after "- ", or remove the line.');
        const value = item.read(entry, report);
        if (value !== undefined) values.push(value);
        report.path.pop();
      });
      return values;
    },
  };
}

/** A block of keys that are all known. Unknown ones are errors with the nearest known one as the hint. */
export function record<F extends Record<string, Reader<unknown>>>(
  description: string,
  fields: F,
  more: { required?: (keyof F & string)[]; later?: readonly string[] } = {},
): Reader<Values<F>> {
  const known = new Map(Object.entries(fields));
  const required = more.required ?? [];
  const later = new Set(more.later);
  const reader: Reader<Values<F>> = {
    schema: {
      type: 'object',
      description,
      properties: {
        ...Object.fromEntries([...known].map(([key, field]) => [key, field.schema])),
        ...Object.fromEntries([...later].map((key) => [key, { description: 'Not used by this version.' }])),
      },
      additionalProperties: false,
      ...(required.length > 0 && { required }),
    },
    read(node, report) {
      const values: Record<string, unknown> = {};
      if (node.kind !== 'map') {
        if (!nothingThere(node)) {
          report.error(node.at, `A block of keys belongs here, not ${describeNode(node)}.`, `Its keys are ${sample([...known.keys()])}.`);
          return undefined;
        }
      } else {
        for (const entry of node.entries) {
          const field = known.get(entry.key);
          report.path.push(entry.key);
          if (field) {
            const value = field.read(entry.value, report);
            if (value !== undefined) values[entry.key] = value;
          } else if (later.has(entry.key)) {
            report.warning(entry.at, `The section "${entry.key}" is not used by this version.`);
          } else {
            const meant = nearest(entry.key, [...known.keys()]);
            report.error(
              entry.at,
              `The key "${entry.key.slice(0, 80)}" means nothing here.`,
              meant ? `Did you mean "${meant}"?` : `The keys here are ${sample([...known.keys()])}.`,
            );
          }
          report.path.pop();
        }
      }
      for (const key of required) {
        const there = node.kind === 'map' ? node.entries.find((entry) => entry.key === key) : undefined;
        if (there ? nothingThere(there.value) : true) {
          report.error(there?.at ?? node.at, `"${key}" is missing.`, `Add ${key}: ${hintOf(fields[key])}`);
        }
      }
      return values as Values<F>;
    },
  };
  return reader;
}

const hintOf = (field: Reader<unknown> | undefined) => `(${String(field?.schema.description ?? '').replace(/\.$/, '')}).`;
const sample = (keys: string[]) => (keys.length > 14 ? `${keys.slice(0, 14).join(', ')} ...` : keys.join(', '));

export interface Named<T> {
  name: string;
  at: number;
  value: T;
}

/** A block whose keys are names. */
export function named<T>(description: string, about: { name: RegExp; say: string; max: number }, value: Reader<T>): Reader<Named<T>[]> {
  return {
    schema: { type: 'object', description, propertyNames: { pattern: about.name.source }, additionalProperties: value.schema },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'map') {
        report.error(node.at, `A block of names belongs here, not ${describeNode(node)}.`, about.say);
        return undefined;
      }
      if (node.entries.length > about.max) {
        report.error(node.at, `There are ${node.entries.length} entries here; ${about.max} are the most.`, 'Remove some.');
        return undefined;
      }
      const values: Named<T>[] = [];
      for (const entry of node.entries) {
        report.path.push(entry.key);
        if (!about.name.test(entry.key)) report.error(entry.at, `"${entry.key.slice(0, 80)}" is not a name.`, about.say);
        const read = value.read(entry.value, report);
        if (read !== undefined) values.push({ name: entry.key, at: entry.at, value: read });
        report.path.pop();
      }
      return values;
    },
  };
}

/** The value with its place, for checks that come later. */
export function located<T>(reader: Reader<T>): Reader<Located<T>> {
  return {
    schema: reader.schema,
    read(node, report) {
      const value = reader.read(node, report);
      return value === undefined ? undefined : { value, at: node.at };
    },
  };
}

/** `off` (or false) in place of a block. */
export function orOff<T>(reader: Reader<T>): Reader<T | 'off'> {
  return {
    schema: { description: reader.schema.description, anyOf: [reader.schema, { enum: ['off', false] }] },
    read(node, report) {
      if (node.kind === 'scalar' && (node.value === 'off' || node.value === false)) return 'off';
      return reader.read(node, report);
    },
  };
}

/** A lone value in place of a block whose other keys are not given: it is the one of `key`. */
export function shorthand<T>(key: string, block: Reader<T>): Reader<T> {
  const { description, properties } = block.schema as { description: string; properties: Record<string, unknown> };
  return {
    schema: { description, anyOf: [properties[key], block.schema] },
    read(node, report) {
      if (node.kind !== 'scalar' || nothingThere(node)) return block.read(node, report);
      return block.read({ kind: 'map', at: node.at, entries: [{ key, at: node.at, value: node }] }, report);
    },
  };
}

/** Data of any form, and every text in it with its place. */
export interface Free {
  value: unknown;
  texts: { value: string; at: number; path: (string | number)[] }[];
}

/** A block of keys of the user's own, with any data in it. */
export function free(description: string): Reader<Free> {
  return {
    schema: { type: 'object', description },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'map') {
        report.error(node.at, `A block of keys belongs here, not ${describeNode(node)}.`, null);
        return undefined;
      }
      const texts: Free['texts'] = [];
      const within = (key: string | number, inner: Node): unknown => {
        report.path.push(key);
        const value = walk(inner);
        report.path.pop();
        return value;
      };
      const walk = (inner: Node): unknown => {
        if (inner.kind === 'list') return inner.items.map((item, index) => within(index, item));
        if (inner.kind === 'scalar') {
          if (typeof inner.value === 'string') texts.push({ value: inner.value, at: inner.at, path: [...report.path] });
          return inner.value;
        }
        const values: Record<string, unknown> = {};
        for (const { key, at, value } of inner.entries) {
          // The call would be refused for it (boundaries.ts), and assigning it would change the object itself.
          if (key === '__proto__' || key === 'constructor' || key === 'prototype')
            report.error(at, `${key} is not a name that can be used.`, 'Rename this key.');
          else values[key] = within(key, value);
        }
        return values;
      };
      return { value: walk(node), texts };
    },
  };
}

/** A list of blocks with a `name`, or a block of names: both read alike. Empty only after an error. */
export function namedOrListed<T>(
  description: string,
  about: { name: RegExp; say: string; max: number },
  value: Reader<T>,
): Reader<Named<T>[]> {
  const block = named(description, about, value);
  const item = value.schema as { properties: Record<string, unknown>; required?: string[] };
  const listed = {
    ...item,
    properties: { name: { type: 'string', pattern: about.name.source }, ...item.properties },
    required: ['name', ...(item.required ?? [])],
  };
  return {
    schema: { description, anyOf: [block.schema, { type: 'array', items: listed, maxItems: about.max }] },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      const empty = node.kind === 'list' ? node.items.length === 0 : node.kind === 'map' && node.entries.length === 0;
      if (empty) report.error(node.at, 'There is nothing here.', about.say);
      if (node.kind !== 'list') return block.read(node, report) ?? [];
      const values: Named<T>[] = [];
      if (node.items.length > about.max)
        report.error(node.at, `There are ${node.items.length} entries here; ${about.max} are the most.`, 'Remove some.');
      else {
        node.items.forEach((entry, index) => {
          report.path.push(index);
          const given = entry.kind === 'map' ? entry.entries.find(({ key }) => key === 'name') : undefined;
          const name = given?.value.kind === 'scalar' && typeof given.value.value === 'string' ? given.value.value : null;
          if (entry.kind !== 'map' || given === undefined) report.error(entry.at, '"name" is missing.', about.say);
          else if (name === null || !about.name.test(name))
            report.error(given.value.at, `${describeNode(given.value)} is not a name.`, about.say);
          else if (values.some((other) => other.name === name)) report.error(given.value.at, `There are two named ${name}.`, 'Rename one.');
          else {
            const read = value.read({ ...entry, entries: entry.entries.filter((each) => each !== given) }, report);
            if (read !== undefined) values.push({ name, at: entry.at, value: read });
          }
          report.path.pop();
        });
      }
      return values;
    },
  };
}

/** The one of `names` that was probably meant by `word`; null when none is near. */
export function nearest(word: string, names: readonly string[]): string | null {
  if (word.length > 100) return null;
  const folded = word
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/-/g, '_')
    .toLowerCase();
  let best: string | null = null;
  let least = Math.max(1, Math.floor(folded.length / 3)) + 1;
  for (const name of names) {
    if (Math.abs(name.length - folded.length) >= least) continue;
    const distance = editDistance(folded, name.toLowerCase(), least - 1);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}
