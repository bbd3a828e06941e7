/** How far two words are apart, for hints that name what was probably meant. */

/**
 * Edit distance in characters, where swapping two neighbours counts one (optimal string alignment). Only cells within `most` of the
 * diagonal are looked at; a distance above it is `most + 1`.
 */
export function editDistance(a: string, b: string, most = Math.max(a.length, b.length)): number {
  const far = most + 1;
  if (Math.abs(a.length - b.length) > most) return far;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  let row = new Array<number>(b.length + 1).fill(far);
  for (let i = 1; i <= a.length; i++) {
    const from = Math.max(1, i - most);
    const to = Math.min(b.length, i + most);
    let least = from === 1 ? i : far;
    row[from - 1] = least;
    for (let j = from; j <= to; j++) {
      const same = a.charCodeAt(i - 1) === b.charCodeAt(j - 1);
      // The cell above the last one of a row is outside the band of the row before.
      const above = j === i + most ? far : previous[j]! + 1;
      let value = Math.min(above, row[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a.charCodeAt(i - 1) === b.charCodeAt(j - 2) && a.charCodeAt(i - 2) === b.charCodeAt(j - 1))
        value = Math.min(value, before[j - 2]! + 1);
      row[j] = value;
      if (value < least) least = value;
    }
    if (least > most) return far;
    [before, previous, row] = [previous, row, before.length > 0 ? before : new Array<number>(b.length + 1).fill(far)];
  }
  return Math.min(far, previous[b.length]!);
}
