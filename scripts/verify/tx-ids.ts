/**
 * The transaction ids seen so far and the block where each stood first: an open-addressing table over one typed array, 24 bytes a slot,
 * because millions of strings in a Set would cost ten times that.
 *
 * Keys are the first 16 bytes of the id, itself a SHA-256: two different ids that agree in them would take 2^64 tries to make.
 */
import { wordAt } from '../../ledger/format/index.ts';

const WORDS_PER_SLOT = 6;
/** A power of two, as every later number of slots. */
const SLOTS_MIN = 1024;
const TWO_POW_32 = 2 ** 32;

export interface TxIdTable {
  readonly size: number;
  /** Adds the id; when it was there already, answers the number of the block where it stood and changes nothing. */
  add(txId: Uint8Array, blockNumber: number): number | undefined;
  /** The same for an id in words, from `at` on: the first four of them. */
  addWords(words: Uint32Array, at: number, blockNumber: number): number | undefined;
  clone(): TxIdTable;
}

/**
 * Makes a table with room for `expected` ids; more will do, too, but a table that grows is filled anew. Ids are at least 16 bytes and
 * uniformly distributed; block numbers are safe integers.
 */
export function createTxIdTable(expected = 0): TxIdTable {
  let slots = SLOTS_MIN;
  while (isCrowded(expected, slots)) slots *= 2;
  // Zero as it is, but a page that is read before it is written costs two faults, and here most are.
  return tableOver(new Uint32Array(slots * WORDS_PER_SLOT).fill(0), 0);
}

function isCrowded(ids: number, slots: number): boolean {
  return ids * 4 > slots * 3;
}

/** First word of the slot that holds the key, or of the free slot where it belongs. */
function find(table: Uint32Array, a: number, b: number, c: number, d: number): number {
  const mask = table.length / WORDS_PER_SLOT - 1;
  for (let slot = a & mask; ; slot = (slot + 1) & mask) {
    const at = slot * WORDS_PER_SLOT;
    // The block number is stored plus one, so that an empty slot is all zero there.
    if (table[at + 4] === 0 && table[at + 5] === 0) return at;
    if (table[at] === a && table[at + 1] === b && table[at + 2] === c && table[at + 3] === d) {
      return at;
    }
  }
}

function enlarged(words: Uint32Array): Uint32Array {
  const larger = new Uint32Array(words.length * 2);
  for (let at = 0; at < words.length; at += WORDS_PER_SLOT) {
    if (words[at + 4] === 0 && words[at + 5] === 0) continue;
    const to = find(larger, words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
    for (let word = 0; word < WORDS_PER_SLOT; word++) larger[to + word] = words[at + word]!;
  }
  return larger;
}

function tableOver(initial: Uint32Array, initialSize: number): TxIdTable {
  let words = initial;
  let size = initialSize;

  function addKey(a: number, b: number, c: number, d: number, block: number): number | undefined {
    const at = find(words, a, b, c, d);
    const low = words[at + 4]!;
    const high = words[at + 5]!;
    if (low !== 0 || high !== 0) return high * TWO_POW_32 + low - 1;
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    words[at + 4] = (block + 1) % TWO_POW_32;
    words[at + 5] = Math.floor((block + 1) / TWO_POW_32);
    size++;
    if (isCrowded(size, words.length / WORDS_PER_SLOT)) words = enlarged(words);
    return undefined;
  }

  return {
    get size() {
      return size;
    },
    add(txId, blockNumber) {
      const [a, b, c, d] = [wordAt(txId, 0), wordAt(txId, 4), wordAt(txId, 8), wordAt(txId, 12)];
      return addKey(a, b, c, d, blockNumber);
    },
    addWords: (key, at, blockNumber) =>
      addKey(key[at]!, key[at + 1]!, key[at + 2]!, key[at + 3]!, blockNumber),
    clone: () => tableOver(words.slice(), size),
  };
}
