/** Finds things by a few letters: word starts before middles, short names before long ones. Pure. */

/** The best `limit` of `items` for `query`, best first; all in their order (cut to `limit`) for an empty one. */
export function rank<T>(query: string, items: readonly T[], text: (item: T) => string, limit: number): T[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return items.slice(0, limit);
  const scored: { item: T; score: number }[] = [];
  for (const item of items) {
    const score = scoreOf(words, text(item).toLowerCase());
    if (score > 0) scored.push({ item, score });
  }
  return scored
    .sort((a, b) => b.score - a.score)
    .slice(0, limit)
    .map((one) => one.item);
}

function scoreOf(words: readonly string[], text: string): number {
  let score = 0;
  for (const word of words) {
    const at = text.indexOf(word);
    if (at >= 0) {
      const startsWord = at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1]!);
      score += (at === 0 ? 8 : startsWord ? 5 : 2) - Math.min(1, text.length / 400);
    } else if (isSubsequence(word, text.split(' ', 1)[0]!)) {
      score += 0.5 - Math.min(0.4, text.length / 1000);
    } else return 0;
  }
  return score;
}

function isSubsequence(word: string, text: string): boolean {
  let at = -1;
  for (const letter of word) {
    at = text.indexOf(letter, at + 1);
    if (at < 0) return false;
  }
  return true;
}
