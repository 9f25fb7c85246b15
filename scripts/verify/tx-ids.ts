/**
 * The transaction ids seen so far and the block where each stood first: an open-addressing table over one typed array, 24 bytes a slot,
 * because millions of strings in a Set would cost ten times that.
 *
 * Keys are the first 16 bytes of the id, itself a SHA-256: two different ids that agree in them would take 2^64 tries to make.
 */
const WORDS_PER_SLOT = 6;
const KEY_WORDS = 4;
const SLOTS_MIN = 1024;

export interface TxIdTable {
  readonly size: number;
  /** Adds the id; when it was there already, answers the number of the block where it stood and changes nothing. */
  add(txId: Uint8Array, blockNumber: number): number | undefined;
  clone(): TxIdTable;
}

/** Makes a table. Ids are at least 16 bytes and uniformly distributed; block numbers are safe integers. */
export function createTxIdTable(): TxIdTable {
  return tableOver(new Uint32Array(SLOTS_MIN * WORDS_PER_SLOT), 0);
}

function tableOver(initial: Uint32Array, initialSize: number): TxIdTable {
  let words = initial;
  let size = initialSize;

  /** First word of the slot that holds the key, or of the free slot where it belongs. */
  function find(table: Uint32Array, a: number, b: number, c: number, d: number): number {
    const slots = table.length / WORDS_PER_SLOT;
    for (let slot = a % slots; ; slot = (slot + 1) % slots) {
      const at = slot * WORDS_PER_SLOT;
      // The block number is stored plus one, so that an empty slot is all zero there.
      if (table[at + 4] === 0 && table[at + 5] === 0) return at;
      const same =
        table[at] === a && table[at + 1] === b && table[at + 2] === c && table[at + 3] === d;
      if (same) return at;
    }
  }

  function grow(): void {
    const larger = new Uint32Array(words.length * 2);
    for (let at = 0; at < words.length; at += WORDS_PER_SLOT) {
      if (words[at + 4] === 0 && words[at + 5] === 0) continue;
      const key = words.subarray(at, at + KEY_WORDS) as unknown as [number, number, number, number];
      larger.set(words.subarray(at, at + WORDS_PER_SLOT), find(larger, ...key));
    }
    words = larger;
  }

  return {
    get size() {
      return size;
    },
    add(txId, blockNumber) {
      const view = new DataView(txId.buffer, txId.byteOffset, 16);
      const key = [0, 4, 8, 12].map((offset) => view.getUint32(offset));
      const at = find(words, key[0]!, key[1]!, key[2]!, key[3]!);
      const low = words[at + 4]!;
      const high = words[at + 5]!;
      if (low !== 0 || high !== 0) return high * 2 ** 32 + low - 1;
      words.set(key, at);
      words[at + 4] = (blockNumber + 1) % 2 ** 32;
      words[at + 5] = Math.floor((blockNumber + 1) / 2 ** 32);
      size++;
      if (size * 4 > (words.length / WORDS_PER_SLOT) * 3) grow();
      return undefined;
    },
    clone: () => tableOver(words.slice(), size),
  };
}
