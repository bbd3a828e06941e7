/** Arithmetic out of words: "what is 2+2", "15% of 80", "sqrt(2)*3". A recursive-descent parser of its own; nothing is evaluated as code. */

export interface Calculation {
  expression: string;
  value: number;
}

type Token = { kind: 'number'; value: number; at: number; end: number } | { kind: 'name' | 'sign'; value: string; at: number; end: number };

/** What `calculate` throws: one sentence for the person. */
export class CalcError extends Error {}

const functions: Record<string, { least: number; most: number; of: (...values: number[]) => number }> = {
  sqrt: { least: 1, most: 1, of: Math.sqrt },
  cbrt: { least: 1, most: 1, of: Math.cbrt },
  abs: { least: 1, most: 1, of: Math.abs },
  round: { least: 1, most: 2, of: (value, digits = 0) => Math.round(value * 10 ** digits) / 10 ** digits },
  floor: { least: 1, most: 1, of: Math.floor },
  ceil: { least: 1, most: 1, of: Math.ceil },
  sin: { least: 1, most: 1, of: Math.sin },
  cos: { least: 1, most: 1, of: Math.cos },
  tan: { least: 1, most: 1, of: Math.tan },
  asin: { least: 1, most: 1, of: Math.asin },
  acos: { least: 1, most: 1, of: Math.acos },
  atan: { least: 1, most: 1, of: Math.atan },
  exp: { least: 1, most: 1, of: Math.exp },
  ln: { least: 1, most: 1, of: Math.log },
  log: { least: 1, most: 1, of: Math.log10 },
  log2: { least: 1, most: 1, of: Math.log2 },
  min: { least: 1, most: 100, of: Math.min },
  max: { least: 1, most: 100, of: Math.max },
  pow: { least: 2, most: 2, of: (base, exponent) => base ** exponent! },
  hypot: { least: 1, most: 100, of: Math.hypot },
};
const constants: Record<string, number> = { pi: Math.PI, π: Math.PI, tau: 2 * Math.PI, e: Math.E };
const operand = String.raw`(-?(?:\d[\d,]*)?\.?\d+%?)`;
const phrases: [RegExp, string][] = [
  [new RegExp(String.raw`\b(?:add|sum)\s+${operand}\s+(?:and|to|with)\s+${operand}(?![\d.])`, 'g'), ' $1 + $2 '],
  [new RegExp(String.raw`\bsubtract\s+${operand}\s+from\s+${operand}(?![\d.])`, 'g'), ' $2 - $1 '],
  [new RegExp(String.raw`\bmultiply\s+${operand}\s+(?:by|with|and)\s+${operand}(?![\d.])`, 'g'), ' $1 * $2 '],
  [new RegExp(String.raw`\bdivide\s+${operand}\s+by\s+${operand}(?![\d.])`, 'g'), ' $1 / $2 '],
  [/\bsquare root of\b/g, ' sqrt '],
  [/\bcube root of\b/g, ' cbrt '],
  [/\bto the power of\b|\braised to\b/g, ' ^ '],
  [/\bmultiplied by\b|\btimes\b|×|·/g, ' * '],
  [/\bdivided by\b|\bover\b|÷/g, ' / '],
  [/\bmodulo\b|\bmod\b/g, ' mod '],
  [/\bplus\b/g, ' + '],
  [/\bminus\b|−|–/g, ' - '],
  [/\bsquared\b/g, ' ^ 2 '],
  [/\bcubed\b/g, ' ^ 3 '],
  [/\bper ?cent\b/g, ' % '],
  [/√/g, ' sqrt '],
  [/\*\*/g, '^'],
];
const verbs = new Set(['calculate', 'compute', 'calc', 'evaluate', 'solve', 'is', 'what']);
const maxLength = 2000;
const maxDepth = 100;

/**
 * The one expression in a text and its value. Throws CalcError: no expression, more than one, a bad one, no finite result.
 * `%` is per cent, except between two operands, where it is the remainder; `^` binds to the right and before a minus sign.
 */
export function calculate(text: string): Calculation {
  if (text.length > maxLength) throw new CalcError(`That is longer than ${maxLength} characters.`);
  let plain = text.normalize('NFKC').toLowerCase();
  for (const [phrase, sign] of phrases) plain = plain.replace(phrase, sign);
  plain = plain.replace(/\s+/g, ' ').trim();
  const spans = expressions(plain);
  if (spans.length === 0) throw new CalcError('There is no calculation in that.');
  if (spans.length > 1)
    throw new CalcError(`There is more than one calculation in that: ${spans.map((tokens) => cut(plain, tokens)).join(' and ')}.`);
  const expression = cut(plain, spans[0]!);
  const value = evaluate(spans[0]!, expression);
  if (Number.isNaN(value)) throw new CalcError(`${expression} has no value among the real numbers.`);
  if (!Number.isFinite(value)) throw new CalcError(`${expression} is too large, or divides by zero.`);
  // 15 digits are what a double holds: 0.1 + 0.2 is 0.3 to a person. Where rounding does not end in a round number, nothing is cut.
  const rounded = Number(value.toPrecision(15));
  return { expression, value: String(rounded).length + 4 < String(value).length ? rounded : value };
}

function cut(text: string, tokens: Token[]): string {
  return text.slice(tokens[0]!.at, tokens.at(-1)!.end);
}

/** Runs of tokens between words that mean nothing here. A bare number among words is no calculation. */
function expressions(text: string): Token[][] {
  const spans: Token[][] = [];
  let span: Token[] = [];
  let words = false;
  const close = () => {
    if (
      span.some(({ kind }) => kind === 'number') ||
      span.some(({ kind, value }) => kind === 'name' && Object.hasOwn(constants, String(value)))
    )
      spans.push(span);
    span = [];
  };
  const pattern =
    /(0x[\da-f]+|(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|([a-zπ][a-z0-9]*)|([-+*/^%(),!=])|(\s+)|(.)/gsu;
  for (const match of text.matchAll(pattern)) {
    const [whole, number, name, sign, space] = match;
    const place = { at: match.index, end: match.index + whole.length };
    if (number !== undefined) {
      const inCall = span.some(({ kind, value }) => kind === 'name' && Object.hasOwn(functions, String(value)));
      if (number.includes(',') && inCall) {
        // Inside a function a comma parts its arguments.
        let at = place.at;
        for (const [index, part] of number.split(',').entries()) {
          if (index > 0) span.push({ kind: 'sign', value: ',', at: at - 1, end: at });
          span.push({ kind: 'number', value: Number(part), at, end: at + part.length });
          at += part.length + 1;
        }
      } else span.push({ kind: 'number', value: Number(number.replaceAll(',', '')), ...place });
    } else if (sign !== undefined && sign !== '=') {
      if (sign === ',' && !span.some(({ kind, value }) => kind === 'name' && Object.hasOwn(functions, String(value)))) close();
      else span.push({ kind: 'sign', value: sign, ...place });
    } else if (
      name !== undefined &&
      (Object.hasOwn(functions, name) ||
        name === 'mod' ||
        name === 'of' ||
        (Object.hasOwn(constants, name) && (name !== 'e' || standsAlone(text, place))))
    ) {
      // "of" only parts a percentage from what it is taken of; elsewhere it is a word like any other.
      if (name === 'of' && !(span.at(-1)?.kind === 'sign' && span.at(-1)?.value === '%')) {
        words = true;
        close();
      } else span.push({ kind: 'name', value: name, ...place });
    } else if (space === undefined) {
      if (name !== undefined && text[place.end] === '(' && !verbs.has(name)) throw new CalcError(`"${name}" is no function known here.`);
      words ||= name !== undefined;
      close();
    }
  }
  close();
  const real = spans.map(trim).filter((tokens) => tokens.length > 0);
  const worked = real.filter((tokens) => tokens.length > 1);
  if (worked.length > 0) return worked;
  // "what is pi" asks for something; "I have 3 apples" does not.
  return words ? real.filter(([token]) => token?.kind === 'name').slice(0, 1) : real.slice(0, 1);
}

/** The letter e in "e mc" is no constant when a sentence surrounds it. */
function standsAlone(text: string, { at, end }: { at: number; end: number }): boolean {
  return !/[a-z]\s?$/.test(text.slice(Math.max(0, at - 2), at)) && !/^\s?[a-z]/.test(text.slice(end, end + 2));
}

/** Punctuation of the sentence around it is no part of the expression: a dash before, a full stop or an exclamation mark after words. */
function trim(tokens: Token[]): Token[] {
  let [from, to] = [0, tokens.length];
  while (from < to && tokens[from]!.kind === 'sign' && '*/^%,!'.includes(String(tokens[from]!.value))) from += 1;
  while (to > from && tokens[to - 1]!.kind === 'sign' && ','.includes(String(tokens[to - 1]!.value))) to -= 1;
  return tokens.slice(from, to);
}

function evaluate(tokens: Token[], expression: string): number {
  let index = 0;
  let depth = 0;

  const peek = () => tokens[index];
  const isSign = (token: Token | undefined, signs: string) => token?.kind === 'sign' && signs.includes(token.value);
  const isName = (token: Token | undefined, name: string) => token?.kind === 'name' && token.value === name;
  const startsOperand = (token: Token | undefined) =>
    token !== undefined &&
    (token.kind === 'number' || isSign(token, '(') || (token.kind === 'name' && token.value !== 'of' && token.value !== 'mod'));
  const fail = (): never => {
    const token = peek();
    throw new CalcError(
      token === undefined ? `"${expression}" stops in the middle.` : `"${expression}" does not fit together at "${token.value}".`,
    );
  };

  function sum(): number {
    let value = product();
    while (isSign(peek(), '+-')) {
      const sign = tokens[index++]!.value;
      const before = index;
      const right = product();
      // "200 + 10%" is what a pocket calculator makes of it: ten per cent of the 200.
      const share =
        isSign(tokens[index - 1], '%') && tokens.slice(before, index - 1).every(({ kind }) => kind === 'number') ? value * right : right;
      value = sign === '+' ? value + share : value - share;
    }
    return value;
  }

  function product(): number {
    let value = unary();
    for (;;) {
      const token = peek();
      if (isSign(token, '*/')) {
        index += 1;
        const right = unary();
        value = token!.value === '*' ? value * right : value / right;
      } else if (isName(token, 'mod') || (isSign(token, '%') && startsOperand(tokens[index + 1]))) {
        index += 1;
        value %= unary();
      } else if (isName(token, 'of') && isSign(tokens[index - 1], '%')) {
        index += 1;
        value *= unary();
      } else if (startsOperand(token) && token!.kind !== 'number')
        value *= power(); // 2pi, 3(4+1)
      else return value;
    }
  }

  function unary(): number {
    if (++depth > maxDepth) throw new CalcError('That is nested too deep.');
    const token = peek();
    let value: number;
    if (isSign(token, '+-')) {
      index += 1;
      value = token!.value === '-' ? -unary() : unary();
    } else value = power();
    depth -= 1;
    return value;
  }

  function power(): number {
    const base = postfix();
    if (!isSign(peek(), '^')) return base;
    index += 1;
    return base ** unary();
  }

  function postfix(): number {
    let value = primary();
    for (;;) {
      if (isSign(peek(), '!')) {
        index += 1;
        value = factorial(value);
      } else if (isSign(peek(), '%') && !startsOperand(tokens[index + 1])) {
        index += 1;
        value /= 100;
      } else return value;
    }
  }

  function primary(): number {
    if (++depth > maxDepth) throw new CalcError('That is nested too deep.');
    const token = peek();
    let value: number;
    if (token?.kind === 'number') {
      index += 1;
      value = token.value;
    } else if (isSign(token, '(')) {
      index += 1;
      value = sum();
      if (!isSign(peek(), ')')) fail();
      index += 1;
    } else if (token?.kind === 'name' && Object.hasOwn(constants, token.value)) {
      index += 1;
      value = constants[token.value]!;
    } else if (token?.kind === 'name' && Object.hasOwn(functions, token.value)) {
      index += 1;
      value = call(token.value);
    } else value = fail();
    depth -= 1;
    return value;
  }

  function call(name: string): number {
    const { least, most, of } = functions[name]!;
    if (!isSign(peek(), '(')) return of(power()); // sqrt 2
    index += 1;
    const values = [sum()];
    while (isSign(peek(), ',')) {
      index += 1;
      values.push(sum());
    }
    if (!isSign(peek(), ')')) fail();
    index += 1;
    if (values.length < least || values.length > most)
      throw new CalcError(`${name} takes ${least === most ? least : `${least} to ${most}`} values, not ${values.length}.`);
    return of(...values);
  }

  const value = sum();
  if (index < tokens.length) fail();
  return value;
}

function factorial(value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 170) throw new CalcError('A factorial is of a whole number from 0 to 170.');
  let product = 1;
  for (let factor = 2; factor <= value; factor++) product *= factor;
  return product;
}
