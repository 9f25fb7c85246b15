/**
 * The transaction ids seen so far and the block where each stood first: an open-addressing table over one typed array, 24 bytes a slot,
 * because millions of strings in a Set would cost ten times that.
 *
 * Keys are the first 16 bytes of the id, itself a SHA-256: two different ids that agree in them would take 2^64 tries to make.
 */
const KEY_WORDS = 4;
/** Of the block number plus one, so that both are zero in an empty slot. */
const LOW = KEY_WORDS;
const HIGH = LOW + 1;
const WORDS_PER_SLOT = HIGH + 1;
/** A power of two, as every later number of slots. */
const SLOTS_MIN = 1024;
const TWO_POW_32 = 2 ** 32;

/** What an audit remembers of the ids that it has come across. */
export interface TxIdMemory {
  /** All of these, `ID_WORDS` words each, are about to be added: so the memory, which is far away, can be waited for once. */
  approach?(words: Uint32Array): void;
  /**
   * The id in `words` from `at` on stands in this block at this position: the number of the block where it stood before, of which
   * nothing is changed then, or undefined when it is new.
   */
  add(words: Uint32Array, at: number, blockNumber: number, position: number): number | undefined;
  clone(): TxIdMemory;
}

export interface TxIdTable extends TxIdMemory {
  readonly size: number;
  /** The position is not looked at. */
  add(words: Uint32Array, at: number, blockNumber: number): number | undefined;
  /** Where the id stood; undefined when it is not there. */
  blockOf(words: Uint32Array, at: number): number | undefined;
  clone(): TxIdTable;
}

/** Of an id, which is uniformly distributed, four words are looked at; block numbers are safe integers. */
export function createTxIdTable(): TxIdTable {
  return tableOver(new Uint32Array(SLOTS_MIN * WORDS_PER_SLOT), 0);
}

function isFree(table: Uint32Array, slot: number): boolean {
  return table[slot + LOW] === 0 && table[slot + HIGH] === 0;
}

/** First word of the slot that holds the key, or of the free slot where it belongs. */
function find(table: Uint32Array, key: Uint32Array, at: number): number {
  const mask = table.length / WORDS_PER_SLOT - 1;
  for (let slot = (key[at] as number) & mask; ; slot = (slot + 1) & mask) {
    const found = slot * WORDS_PER_SLOT;
    if (isFree(table, found)) return found;
    let word = 0;
    while (word < KEY_WORDS && table[found + word] === key[at + word]) word++;
    if (word === KEY_WORDS) return found;
  }
}

function enlarged(words: Uint32Array): Uint32Array {
  const larger = new Uint32Array(words.length * 2);
  for (let at = 0; at < words.length; at += WORDS_PER_SLOT) {
    if (isFree(words, at)) continue;
    larger.set(words.subarray(at, at + WORDS_PER_SLOT), find(larger, words, at));
  }
  return larger;
}

function tableOver(initial: Uint32Array, initialSize: number): TxIdTable {
  let words = initial;
  let size = initialSize;

  function blockAt(found: number): number | undefined {
    if (isFree(words, found)) return undefined;
    return words[found + HIGH]! * TWO_POW_32 + words[found + LOW]! - 1;
  }

  return {
    get size() {
      return size;
    },
    add(key, at, blockNumber) {
      const found = find(words, key, at);
      const first = blockAt(found);
      if (first !== undefined) return first;
      for (let word = 0; word < KEY_WORDS; word++) words[found + word] = key[at + word]!;
      words[found + LOW] = (blockNumber + 1) % TWO_POW_32;
      words[found + HIGH] = Math.floor((blockNumber + 1) / TWO_POW_32);
      size++;
      if (size * 4 > (words.length / WORDS_PER_SLOT) * 3) words = enlarged(words);
      return undefined;
    },
    blockOf: (key, at) => blockAt(find(words, key, at)),
    clone: () => tableOver(words.slice(), size),
  };
}
