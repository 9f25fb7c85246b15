/** Transaction ids as words: who looks at millions of them keeps them in one typed array, without an object or a text for each. */

/** Words of 32 bits, big-endian, of an id. */
export const ID_WORDS = 8;

/** The big-endian word at `at`. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Puts the id whose 32 bytes begin at `start` into `words` from `at` on. */
export function writeIdWords(words: Uint32Array, at: number, bytes: Uint8Array, start = 0): void {
  for (let word = 0; word < ID_WORDS; word++) words[at + word] = wordAt(bytes, start + 4 * word);
}

/** The id at `at`, hex; undefined for zeros, which stand where there is none. */
export function idOfWords(words: Uint32Array, at: number): string | undefined {
  const own = words.subarray(at, at + ID_WORDS);
  if (own.every((word) => word === 0)) return undefined;
  return Array.from(own, (word) => word.toString(16).padStart(8, '0')).join('');
}
