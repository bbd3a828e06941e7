/** Reads what a request of the model door asks for, and where in its bytes the model stands, because the bytes go on as they are. */
import { isUtf8 } from 'node:buffer';
import { Refusal, refuse, type WireError } from '../../shared/errors.ts';
import { parseJson } from './input.ts';

export interface Asked {
  model: string;
  /** Where its value stands, quotes included. */
  at: { start: number; end: number };
  /** null: it does not say. */
  stream: boolean | null;
  /** The most tokens that any of its members asks for; null: it does not say. */
  maxTokens: number | null;
}

/** Longest name of a model that is looked for. */
const NAME_MOST = 200;
const limits = ['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'options'];
/** What is read here must be there once: two readers of a body with two must not take different ones. */
const read: ReadonlySet<string> = new Set(['model', 'stream', ...limits]);

/** Codes: input_invalid, with the member that does not fit. */
export function readAsked(bytes: Buffer): Asked | WireError {
  if (!isUtf8(bytes)) return bad('', 'The body is not UTF-8.');
  let body: unknown;
  try {
    body = parseJson(bytes.toString());
  } catch (caught) {
    if (caught instanceof Refusal) return caught.wire;
    throw caught;
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return bad('', 'The body is not a JSON object.');
  const members = membersOf(bytes);
  if ('twice' in members) return bad(members.twice, `${members.twice} is there twice.`);
  const { model, stream = null } = body as Record<string, unknown>;
  const unnamed = unfitName(model);
  if (unnamed !== null) return bad('model', unnamed);
  if (stream !== null && typeof stream !== 'boolean') return bad('stream', 'stream is true or false.');
  const call = unfitCall(body as Record<string, unknown>);
  if (call !== null) return bad(call, `${call} is not JSON.`);
  return { model: model as string, at: members.found.get('model')!, stream, maxTokens: mostTokens(body as Record<string, unknown>) };
}

function unfitName(model: unknown): string | null {
  if (typeof model !== 'string' || model === '') return 'model names a model, a tier, or what it must be able to do (cap:text-generation).';
  if (model.length > NAME_MOST) return `model is longer than ${NAME_MOST} characters.`;
  // Control characters, and paths: no name of a model has them, and what comes after us may not look.
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\\]|(^|\/)\.\.?(\/|$)/u.test(model) ? 'model has characters that no name has.' : null;
}

function mostTokens(body: Record<string, unknown>): number | null {
  const options = body.options as Record<string, unknown> | null | undefined;
  const said = [body.max_tokens, body.max_completion_tokens, body.max_output_tokens, options?.num_predict];
  const numbers = said.filter((one): one is number => typeof one === 'number');
  return numbers.length === 0 ? null : Math.max(...numbers);
}

/** The first tool call of a conversation whose arguments are not JSON, by its path; null: none. */
function unfitCall({ messages, input }: Record<string, unknown>): string | null {
  for (const [name, list] of [
    ['messages', messages],
    ['input', input],
  ] as const) {
    if (!Array.isArray(list)) continue;
    for (let i = 0; i < list.length; i++) {
      const item = list[i] as Record<string, unknown> | null;
      if (typeof item !== 'object' || item === null) continue;
      if (item.type === 'function_call' && !isJson(item.arguments)) return `${name}.${i}.arguments`;
      if (!Array.isArray(item.tool_calls)) continue;
      const at = item.tool_calls.findIndex((call) => !isJson((call as { function?: { arguments?: unknown } } | null)?.function?.arguments));
      if (at >= 0) return `${name}.${i}.tool_calls.${at}.function.arguments`;
    }
  }
  return null;
}

/** Text must be JSON, or empty, as some send for no arguments at all; anything else is the provider's to judge. */
function isJson(text: unknown): boolean {
  if (typeof text !== 'string' || text === '') return true;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function bad(path: string, message: string): WireError {
  return refuse('input_invalid', message, { hint: 'Correct it and send it again.', issues: [{ path, message }] });
}

// --- where things stand ----------------------------------------------------------------------------------------------------

const QUOTE = 34;
const BACKSLASH = 92;
const OPENS = [91, 123];
const CLOSES = [93, 125];

/** The places of the members that are read here, in the bytes of a valid JSON object. */
function membersOf(bytes: Buffer): { found: Map<string, { start: number; end: number }> } | { twice: string } {
  const found = new Map<string, { start: number; end: number }>();
  let at = bytes.indexOf(123) + 1;
  for (;;) {
    at = bytes.indexOf(QUOTE, at);
    if (at < 0) return { found };
    const keyEnd = stringEnd(bytes, at);
    const key = keyOf(bytes, at, keyEnd);
    let start = bytes.indexOf(58, keyEnd) + 1;
    while (isSpace(bytes[start]!)) start++;
    const end = valueEnd(bytes, start);
    if (key !== null) {
      if (found.has(key)) return { twice: key };
      found.set(key, { start, end });
    }
    at = end;
  }
}

/** The key between two quotes if it is one that is read here, however it is written. */
function keyOf(bytes: Buffer, from: number, to: number): string | null {
  // Written out in escapes, the longest of them has six bytes a character.
  if (to - from > 140) return null;
  const text = bytes.toString('utf8', from, to);
  const key = text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
  return read.has(key) ? key : null;
}

/** Behind the closing quote of the string that begins at `from`. */
function stringEnd(bytes: Buffer, from: number): number {
  for (let at = from; ; ) {
    at = bytes.indexOf(QUOTE, at + 1);
    let before = at;
    while (bytes[before - 1] === BACKSLASH) before--;
    if ((at - before) % 2 === 0) return at + 1;
  }
}

/** Behind the value that begins at `from`. */
function valueEnd(bytes: Buffer, from: number): number {
  if (bytes[from] === QUOTE) return stringEnd(bytes, from);
  let depth = 0;
  for (let at = from; ; at++) {
    const c = bytes[at]!;
    if (c === QUOTE) at = stringEnd(bytes, at) - 1;
    else if (OPENS.includes(c)) depth++;
    else if (CLOSES.includes(c)) {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (c === 44 || isSpace(c))) return at;
  }
}

const isSpace = (c: number) => c === 32 || c === 10 || c === 13 || c === 9;
