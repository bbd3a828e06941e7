/** The thread in which values are checked against schemas: a schema comes from anybody, and its patterns and references may never come to an end. */
import { parentPort } from 'node:worker_threads';
import { type Schema, Validator } from '@cfworker/json-schema';

/** Both as JSON text. */
export interface Question {
  id: number;
  schema: string;
  value: string;
}

/** `problems` null: the schema is none. */
export interface Verdict {
  id: number;
  problems: string[] | null;
}

const MOST_PROBLEMS = 8;
/** What only says that something inside it does not fit. */
const OUTER = new Set(['properties', 'items', 'prefixItems', '$ref', '$dynamicRef', '$recursiveRef', 'allOf', 'if', 'then', 'else']);

parentPort!.on('message', ({ id, schema, value }: Question) => {
  parentPort!.postMessage({ id, problems: problemsOf(schema, value) } satisfies Verdict);
});

parentPort!.postMessage('ready');

function problemsOf(schemaText: string, valueText: string): string[] | null {
  try {
    const schema = JSON.parse(schemaText) as Schema;
    const draft = /draft-0?([47])/.exec(schema.$schema ?? '')?.[1] as '4' | '7' | undefined;
    const { valid, errors } = new Validator(schema, draft ?? '2020-12', false).validate(JSON.parse(valueText));
    if (valid) return [];
    const inner = errors.filter(({ keyword }) => !OUTER.has(keyword));
    const told = (inner.length > 0 ? inner : errors).map(
      ({ instanceLocation, error }) => `${instanceLocation.replace(/^#\/?/, '') || 'it'}: ${error}`,
    );
    return [...new Set(told)].slice(0, MOST_PROBLEMS);
  } catch {
    // A reference to nowhere, a pattern that is none.
    return null;
  }
}
