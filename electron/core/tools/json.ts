/** Where a text stops being JSON (RFC 8259). V8 names no place for most faults, and none that can be relied on. */

export interface JsonFault {
  /** 1-based; columns count UTF-16 units. */
  line: number;
  column: number;
  message: string;
}

const token =
  /[ \t\n\r]*(?:([[\]{}:,])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4})|[\u007f-\u009f])*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])|$)/uy;

type Expected =
  | 'a value'
  | 'a value or ]'
  | 'a name in double quotes'
  | 'a name in double quotes or }'
  | 'a colon'
  | 'a comma or ]'
  | 'a comma or }'
  | 'nothing more';

/** null when the text is JSON. Takes no recursion, so depth is no matter. */
export function jsonFault(source: string): JsonFault | null {
  const open: ('[' | '{')[] = [];
  let expected: Expected = 'a value';
  let at = 0;
  const after = (): Expected => (open.length === 0 ? 'nothing more' : open.at(-1) === '[' ? 'a comma or ]' : 'a comma or }');
  for (;;) {
    const before = at;
    const start = () => before + /^[ \t\n\r]*/.exec(source.slice(before))![0].length;
    token.lastIndex = at;
    const match = token.exec(source);
    if (match === null) return fault(source, start(), `expected ${expected}${hint(source, start())}`);
    at = token.lastIndex;
    const [, sign, string, scalar] = match;
    const value = expected === 'a value' || expected === 'a value or ]';
    const name = expected === 'a name in double quotes' || expected === 'a name in double quotes or }';
    if (sign === undefined && string === undefined && scalar === undefined) {
      return expected === 'nothing more' ? null : fault(source, source.trimEnd().length, `it ends where ${expected} is missing`);
    }
    if (value && (string !== undefined || scalar !== undefined)) expected = after();
    else if (value && (sign === '[' || sign === '{')) {
      open.push(sign);
      expected = sign === '[' ? 'a value or ]' : 'a name in double quotes or }';
    } else if (name && string !== undefined) expected = 'a colon';
    else if (expected === 'a colon' && sign === ':') expected = 'a value';
    else if (sign === ']' && (expected === 'a value or ]' || expected === 'a comma or ]')) {
      open.pop();
      expected = after();
    } else if (sign === '}' && (expected === 'a name in double quotes or }' || expected === 'a comma or }')) {
      open.pop();
      expected = after();
    } else if (sign === ',' && expected === 'a comma or ]') expected = 'a value';
    else if (sign === ',' && expected === 'a comma or }') expected = 'a name in double quotes';
    else return fault(source, start(), `expected ${expected}`);
  }
}

function hint(source: string, at: number): string {
  const rest = source.slice(at, at + 20);
  if (rest.startsWith('"')) return '; the string is not closed, or has a bad escape or a line break in it';
  if (rest.startsWith("'")) return '; strings take double quotes';
  if (/^(\/\/|\/\*|#)/.test(rest)) return '; JSON has no comments';
  if (/^(True|False|None|undefined|NaN|-?Infinity)\b/.test(rest)) return `; JSON has true, false, null and plain numbers`;
  return '';
}

function fault(source: string, at: number, message: string): JsonFault {
  const before = source.slice(0, at).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1, message };
}
