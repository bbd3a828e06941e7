/** Reading what came from outside: JSON text within bounds, and what zod found wrong as a value of the catalogue. */
import type { z } from 'zod';
import { Refusal, refuse, type WireError } from '../../shared/errors.ts';

/** Deeper input is refused: walking it (redaction, canonical JSON, a service's parser) recurses. */
const maxDepth = 100;

/** Parses JSON from outside. Throws `Refusal` input_invalid: not JSON, or nested over 100 levels. */
export function parseJson(text: string): unknown {
  // Before the parser, so that a deep body costs one scan and no objects. Too short to be deep: not looked at.
  if (text.length > maxDepth && isTooDeep(text)) throw invalid(`The JSON is nested deeper than ${maxDepth} levels.`, 'Send it flatter.');
  try {
    return JSON.parse(text);
  } catch (error) {
    // Only the position of V8's message: the rest quotes the input.
    const at = /position (\d+)/.exec(String(error))?.[1];
    throw invalid(`The text is not valid JSON${at ? ` at character ${at}` : ''}.`, 'Send one JSON object.');
  }
}

/** A zod error as `input_invalid` with the path of every field that does not fit; `what` names the input in the sentence. */
export function invalidInput(error: z.ZodError, what: string): WireError {
  const issues = error.issues.slice(0, 20).map((issue) => {
    const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] ?? ''] : issue.path;
    return {
      path: path.map(String).join('.'),
      message: issue.code === 'unrecognized_keys' ? 'There is no such field' : issue.message.replace(/^Invalid input: /, ''),
    };
  });
  const first = issues[0] ?? { path: '', message: 'not as expected' };
  return refuse('input_invalid', `${what} does not fit${first.path && ` at ${first.path}`}: ${first.message}.`, {
    hint: 'Correct that field and send it again; /openapi.json lists every field.',
    issues,
  });
}

function invalid(message: string, hint: string): Refusal {
  return new Refusal(refuse('input_invalid', message, { hint, issues: [{ path: '', message }] }));
}

function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 34) {
      do {
        i = text.indexOf('"', i + 1);
        if (i < 0) return false; // unterminated: the parser says so
      } while (isEscaped(text, i));
    } else if (c === 91 || c === 123) {
      if (++depth > maxDepth) return true;
    } else if (c === 93 || c === 125) depth--;
  }
  return false;
}

function isEscaped(text: string, quote: number): boolean {
  let i = quote;
  while (text.charCodeAt(i - 1) === 92) i--;
  return (quote - i) % 2 === 1;
}
