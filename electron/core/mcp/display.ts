/** Text of strangers made fit to be shown: what a server calls itself, describes and complains about. */

/** Escape sequences of terminals (ECMA-48): CSI, OSC and other strings with their content, and the short ones. */
const escapes =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]?/g;

/**
 * One line of at most `most` characters: without escape sequences, control characters, and characters that have no width or turn the
 * direction of others. Markup stays, as text. Longer ones end in "…".
 */
export function inert(text: string, most: number): string {
  // No more than can count: what is left out of a text of a megabyte is not looked at.
  const line = text
    .slice(0, most * 4)
    .toWellFormed()
    .replace(escapes, '')
    .replace(/[\p{Cf}\p{Co}\p{Cn}\p{Default_Ignorable_Code_Point}]+/gu, '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  return line.length <= most && text.length <= most * 4 ? line : `${line.slice(0, most - 1).toWellFormed()}…`;
}

/** A program and its arguments, so that it can be seen where each begins and ends and what is in it. */
export function commandLine(argv: readonly string[]): string {
  return argv.map((word) => (/^[A-Za-z0-9_./,:@+=%-]+$/.test(word) ? word : visible(word))).join(' ');
}

/** A word in quotes, with an escape for every character that is not seen or could be taken for another. */
function visible(word: string): string {
  return JSON.stringify(word.toWellFormed()).replace(/[^\x20-\x7e]/gu, (sign) =>
    /^[\p{L}\p{N}]$/u.test(sign) ? sign : `\\u{${sign.codePointAt(0)!.toString(16)}}`,
  );
}
