/** "Did you mean": the known word nearest to a mistyped one. */

const DISTANCE_MAX = 2;
/** Longer words are not compared: nobody mistypes those by two letters. */
const WORD_CHARACTERS_MAX = 40;

export function suggest(word: string, known: readonly string[]): string | undefined {
  if (word.length > WORD_CHARACTERS_MAX) return undefined;
  const plain = simplified(word);
  let best: { name: string; distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(plain, simplified(name));
    const near = distance <= DISTANCE_MAX && distance < Math.max(plain.length, name.length) / 2;
    if (near && (best === undefined || distance < best.distance)) best = { name, distance };
  }
  return best?.name;
}

/** `verify_threads`, `Verify-Threads` and `verifyThreads` are one mistake apart for the eye. */
function simplified(word: string): string {
  return word.toLowerCase().replace(/[_-]/g, '');
}

/** Levenshtein distance. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let at = 0; at < left.length; at++) {
    const next = [at + 1];
    for (let to = 0; to < right.length; to++) {
      const change = (row[to] ?? 0) + (left[at] === right[to] ? 0 : 1);
      next.push(Math.min(change, (row[to + 1] ?? 0) + 1, (next[to] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
