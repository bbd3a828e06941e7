/** How an answer is best shown: as text, as a table or as a tree. Pure; looks, never changes. */

export type Shape = 'text' | 'table' | 'json';

export interface Shaped {
  /** Best first; never empty. */
  shapes: Shape[];
  text: string | null;
  table: { columns: string[]; rows: Record<string, unknown>[]; from: string | null } | null;
}

const MOST_COLUMNS = 24;
const textKeys = ['text', 'content', 'message', 'answer', 'output', 'response', 'completion', 'result'];

export function shapeOf(result: unknown): Shaped {
  const text = textOf(result);
  const table = tableOf(result);
  const plain = typeof result === 'string' || result === null || typeof result !== 'object';
  const shapes: Shape[] = [];
  if (text !== null) shapes.push('text');
  if (table) shapes.push('table');
  if (!plain || shapes.length === 0) shapes.push('json');
  return { shapes, text, table };
}

/** The words in an answer: the answer itself, a chat completion's message, the texts of an MCP result, or a long string under a usual name. */
export function textOf(result: unknown): string | null {
  if (typeof result === 'string') return result;
  if (!isRecord(result)) return null;
  const choices = result.choices;
  if (Array.isArray(choices) && choices.length > 0 && isRecord(choices[0])) {
    const first = choices[0];
    if (isRecord(first.message) && typeof first.message.content === 'string') return first.message.content;
    if (typeof first.text === 'string') return first.text;
  }
  if (Array.isArray(result.content) && result.content.length > 0 && result.content.every(isTextPart))
    return result.content.map((part) => part.text).join('\n\n');
  for (const key of textKeys) {
    const value = result[key];
    // A short word beside other fields is a field, not the answer.
    if (typeof value === 'string' && (value.length > 60 || value.includes('\n') || Object.keys(result).length === 1)) return value;
  }
  return null;
}

/** Rows of flat objects: the answer itself, or the only such list in it. */
function tableOf(result: unknown): Shaped['table'] {
  if (isTable(result)) return { ...columnsOf(result), from: null };
  if (!isRecord(result)) return null;
  const lists = Object.entries(result).filter(
    (entry): entry is [string, Record<string, unknown>[]] => isTable(entry[1]) && entry[1].length > 1,
  );
  const only = lists.length === 1 ? lists[0]! : null;
  return only ? { ...columnsOf(only[1]), from: only[0] } : null;
}

function columnsOf(rows: Record<string, unknown>[]): { columns: string[]; rows: Record<string, unknown>[] } {
  const columns = new Set<string>();
  for (const row of rows) for (const key of Object.keys(row)) columns.add(key);
  return { columns: [...columns], rows };
}

function isTable(value: unknown): value is Record<string, unknown>[] {
  if (!Array.isArray(value) || value.length === 0) return false;
  const columns = new Set<string>();
  for (const row of value) {
    if (!isRecord(row)) return false;
    for (const [key, cell] of Object.entries(row)) {
      if (typeof cell === 'object' && cell !== null) return false;
      columns.add(key);
      if (columns.size > MOST_COLUMNS) return false;
    }
  }
  return columns.size > 0;
}

function isTextPart(value: unknown): value is { type: 'text'; text: string } {
  return isRecord(value) && value.type === 'text' && typeof value.text === 'string';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text cut at its code fences: what stands between them is code. */
export function blocksOf(text: string): { kind: 'prose' | 'code'; text: string }[] {
  const blocks: { kind: 'prose' | 'code'; text: string }[] = [];
  const parts = text.split(/^```[^\n]*\n?/m);
  parts.forEach((part, index) => {
    const body = part.replace(/^\n+|\s+$/g, '');
    if (body) blocks.push({ kind: index % 2 === 1 ? 'code' : 'prose', text: body });
  });
  return blocks;
}
