/** Two texts line by line: what stayed, what went, what came. Pure. */

export interface DiffLine {
  is: 'same' | 'gone' | 'new';
  text: string;
}

/** Texts with more lines than this are told apart as wholes. */
const MOST_LINES = 1000;

/** The shortest way from one to the other (longest common subsequence of lines). */
export function diffOf(before: string, after: string): DiffLine[] {
  const a = before.split('\n');
  const b = after.split('\n');
  if (a.length > MOST_LINES || b.length > MOST_LINES)
    return [...a.map((text) => ({ is: 'gone' as const, text })), ...b.map((text) => ({ is: 'new' as const, text }))];
  // common[i][j]: how many lines a from i and b from j have in common, in order.
  const common = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i]![j] = a[i] === b[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!);
  const lines: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ is: 'same', text: a[i]! });
      i++;
      j++;
    } else if (i < a.length && (j === b.length || common[i + 1]![j]! >= common[i]![j + 1]!)) lines.push({ is: 'gone', text: a[i++]! });
    else lines.push({ is: 'new', text: b[j++]! });
  }
  return lines;
}
