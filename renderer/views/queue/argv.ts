/** A command as a list of arguments: there is no shell between it and the program. Pure. */

/**
 * One argument a line where there are several lines; one line is split at its spaces, with '…', "…" and \ as in a shell. null: a quote
 * is not closed. Nothing else of a shell means anything: no variables, no pipes, no wildcards.
 */
export function argvOf(text: string): string[] | null {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length !== 1) return lines;
  const argv: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  const line = lines[0]!;
  for (let at = 0; at < line.length; at++) {
    const char = line[at]!;
    if (char === '\\' && quote !== "'" && at + 1 < line.length) word = (word ?? '') + line[++at]!;
    else if (char === quote) quote = null;
    else if (quote === null && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (quote === null && /\s/.test(char)) {
      if (word !== null) argv.push(word);
      word = null;
    } else word = (word ?? '') + char;
  }
  if (quote !== null) return null;
  return word === null ? argv : [...argv, word];
}
