/** The words of a command line, and words as a command line: the two ends of what a remote shell may see. */

export type Words = { words: string[] } | { problem: string; at: number };

const meta: Record<string, string> = {
  ...{ ';': 'a second command', '&': 'a second command', '|': 'a pipe', '>': 'a redirection', '<': 'a redirection' },
  ...{ '(': 'a subshell', ')': 'a subshell', '`': 'a command in a command', $: 'a variable or a command in a command' },
  ...{ '*': 'a pattern', '?': 'a pattern', '[': 'a pattern', ']': 'a pattern', '{': 'a pattern', '}': 'a pattern', '!': 'the history' },
};

/**
 * Splits as a POSIX shell does (XCU 2.3), but takes no text in which a shell would do more than split: every sign that would mean
 * something has to be quoted. `at` is the place in the text.
 */
export function splitWords(text: string): Words {
  const words: string[] = [];
  let word: string | null = null;
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]!;
    const code = text.charCodeAt(at);
    // Neither a shell nor a person sees where a control character ends a line or hides one.
    if (code === 127 || (code < 32 && sign !== '\t')) return { problem: 'a control character or a second line', at };
    if (/[\u0085\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2069\u3000\ufeff]/.test(sign))
      return { problem: 'an invisible or unusual space', at };
    if (sign === ' ' || sign === '\t') {
      if (word !== null) words.push(word);
      word = null;
    } else if (sign === "'") {
      const end = text.indexOf("'", at + 1);
      if (end === -1) return { problem: 'a quote without its end', at };
      const inside = text.slice(at + 1, end);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
      if (/[\x00-\x08\x0a-\x1f\x7f]/.test(inside)) return { problem: 'a control character or a second line', at };
      word = (word ?? '') + inside;
      at = end;
    } else if (sign === '"') {
      word ??= '';
      for (at++; ; at++) {
        const inner = text[at];
        if (inner === undefined) return { problem: 'a quote without its end', at };
        if (inner === '"') break;
        if (inner === '$' || inner === '`' || inner === '!') return { problem: `${meta[inner]}; use single quotes`, at };
        if (inner < ' ' && inner !== '\t') return { problem: 'a control character or a second line', at };
        if (inner !== '\\') word += inner;
        else if (/["\\$`]/.test(text[at + 1] ?? '')) word += text[++at];
        else word += inner;
      }
    } else if (sign === '\\') {
      const next = text[at + 1];
      if (next === undefined || next < ' ') return { problem: 'a backslash at the end', at };
      word = (word ?? '') + next;
      at++;
    } else if (meta[sign] !== undefined) {
      return { problem: meta[sign], at };
    } else if (word === null && (sign === '#' || sign === '~')) {
      return { problem: sign === '#' ? 'a comment' : 'a home folder', at };
    } else word = (word ?? '') + sign;
  }
  if (word !== null) words.push(word);
  return { words };
}

/**
 * One word that sh, bash, dash, zsh, ksh, csh and fish all read back as it is: what is certainly plain stays bare, the rest is in single
 * quotes, and the three signs that not all of them leave alone inside of those stand outside with a backslash.
 * Words have no control characters; where one has, this throws.
 */
export function quoteWord(word: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\x00-\x1f\x7f]/.test(word)) throw new Error('a word with a control character cannot be quoted');
  if (/^[A-Za-z0-9_./,:@+-]+$/.test(word)) return word;
  if (word === '') return "''";
  return word.replace(/[^'!\\]+|['!\\]/g, (part) => (part === "'" || part === '!' || part === '\\' ? `\\${part}` : `'${part}'`));
}
