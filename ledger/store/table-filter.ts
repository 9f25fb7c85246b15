/**
 * The Bloom filter of a table, asked as LevelDB asks it before it looks for a key in a block. LevelDB believes a filter that says
 * no, and so one that was made for it hides what is stored: a replica would not know a transaction again.
 *
 * Whatever the bytes are, the answer is LevelDB's: stricter, it would find fault with what a replica reads well, and more lenient,
 * something could hide in the difference.
 *
 * Formats, as of LevelDB 1.20: doc/table_format.md ("filter" meta block); table/filter_block.cc, util/bloom.cc, util/hash.cc.
 */

/** Under which the meta index has the filters that LevelDB makes, and asks, unless told otherwise. */
export const FILTER_NAME = 'filter.leveldb.BuiltinBloomFilter2';

/** Where the offsets of the filters begin u32, and the logarithm of the bytes of table that one filter is for, u8. */
const TAIL_BYTES = 5;
/** With more of them LevelDB takes the filter for one of a later kind. */
const PROBES_MAX = 30;
const HASH_SEED = 0xbc9f1d34;
const HASH_FACTOR = 0xc6a4a793;

export class TableFilter {
  /** How many of the keys that were asked for LevelDB would not look for. */
  hidden = 0;
  /** Where it lies in the table. */
  readonly offset: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Where the offsets of the filters are, and how many there are. */
  #offsets = 0;
  #count = 0;
  #baseLog = 0;
  /** What is answered when nothing is probed. */
  #answer = true;
  #start = 0;
  #bits = 0;
  #probes = 0;

  constructor(content: Uint8Array, offset: number) {
    this.offset = offset;
    this.#bytes = content;
    this.#view = new DataView(content.buffer, content.byteOffset, content.byteLength);
    const tail = content.length - TAIL_BYTES;
    const offsets = tail < 0 ? 0 : this.#view.getUint32(tail, true);
    if (offsets > tail) return;
    this.#offsets = offsets;
    this.#count = Math.floor((tail - offsets) / 4);
    // A shift by more than there are bits is for the processor to decide, and those of 64 bits take these six.
    this.#baseLog = this.#view.getUint8(tail + 4) & 63;
  }

  /** To the filter for the keys of the block at this place of the table. */
  turnTo(blockOffset: number): void {
    this.#probes = 0;
    this.#answer = true;
    const index = Math.floor(blockOffset / 2 ** this.#baseLog);
    if (index >= this.#count) return;
    const at = this.#offsets + 4 * index;
    const start = this.#view.getUint32(at, true);
    // The last one ends where the offsets begin, which is the number behind them.
    const limit = this.#view.getUint32(at + 4, true);
    if (start > limit || (limit > this.#offsets && start < limit)) return;
    this.#answer = limit - start >= 2;
    if (!this.#answer) return;
    const probes = this.#view.getUint8(limit - 1);
    if (probes > PROBES_MAX) return;
    this.#start = start;
    this.#bits = 8 * (limit - start - 1);
    this.#probes = probes;
  }

  /** Asks for a key of the block. */
  ask(key: Uint8Array, length: number): void {
    if (!this.#mayHave(key, length)) this.hidden += 1;
  }

  #mayHave(key: Uint8Array, length: number): boolean {
    const probes = this.#probes;
    if (probes === 0) return this.#answer;
    const bytes = this.#bytes;
    const start = this.#start;
    const bits = this.#bits >>> 0;
    let hash = hashOf(key, length);
    const delta = (hash >>> 17) | (hash << 15);
    for (let probe = 0; probe < probes; probe += 1) {
      const bit = (hash >>> 0) % bits;
      if ((bytes[start + (bit >>> 3)]! & (1 << (bit & 7))) === 0) return false;
      hash = (hash + delta) | 0;
    }
    return true;
  }
}

function hashOf(key: Uint8Array, length: number): number {
  let hash = HASH_SEED ^ Math.imul(length, HASH_FACTOR);
  let at = 0;
  for (; at + 4 <= length; at += 4) {
    const word = key[at]! | (key[at + 1]! << 8) | (key[at + 2]! << 16) | (key[at + 3]! << 24);
    hash = Math.imul(hash + word, HASH_FACTOR);
    hash ^= hash >>> 16;
  }
  if (at === length) return hash;
  let rest = 0;
  for (let shift = 0; at < length; at += 1, shift += 8) rest |= key[at]! << shift;
  hash = Math.imul(hash + rest, HASH_FACTOR);
  return hash ^ (hash >>> 24);
}
