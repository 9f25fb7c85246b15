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

/** Insertions, deletions, changes and swaps of neighbors (optimal string alignment). */
function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let at = 0; at < left.length; at++) {
    const row = [at + 1];
    for (let to = 0; to < right.length; to++) {
      const change = (last[to] ?? 0) + (left[at] === right[to] ? 0 : 1);
      let best = Math.min(change, (last[to + 1] ?? 0) + 1, (row[to] ?? 0) + 1);
      const swapped = at > 0 && to > 0 && left[at] === right[to - 1] && left[at - 1] === right[to];
      if (swapped) best = Math.min(best, (beforeLast[to - 1] ?? 0) + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[right.length] ?? 0;
}
