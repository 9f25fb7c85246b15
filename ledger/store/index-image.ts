/**
 * The transaction index as it lies in the tables, in memory: for the auditor, who asks for every transaction there is. A look-up
 * in LevelDB costs ten times what a look here does, and reading the index through LevelDB no less.
 *
 * Only an agreement is taken from here. Whatever is not known, known twice, deleted somewhere, damaged or in the log is left to
 * LevelDB, whose answer is what a replica would get: so an image that lacks something costs time and never hides a fault.
 */
import { ID_WORDS, wordAt, writeIdWords } from '../format/id-words.ts';
import { crc32 } from './crc32c.ts';
import { CHECKSUM_BYTES, KIND, LOCATION_BYTES, TRANSACTION_KEY_BYTES } from './records.ts';

/**
 * A slot is half a cache line: five words of the id, which are its first 160 bits, block number (high, low) and index. Two ids
 * that agree in so much would take 2^80 tries to make.
 */
const SLOT_WORDS = 8;
const KEY_WORDS = 5;
const HIGH = KEY_WORDS;
const LOW = HIGH + 1;
const INDEX = LOW + 1;
/** In the high word, of which a block number leaves eleven bits free. */
const BLOCK_HIGH_MAX = 2 ** 21 - 1;
const USED = 0x2000_0000;
/** `meet` has found it. */
const MET = 0x4000_0000;
/** LevelDB is to be asked. */
const DOUBT = 0x8000_0000;
const SLOTS_MIN = 8192;
const TWO_POW_32 = 2 ** 32;
const VALUE_BYTES = CHECKSUM_BYTES + LOCATION_BYTES;

export function isIndexKey(key: Uint8Array, length: number): boolean {
  return length === TRANSACTION_KEY_BYTES && key[0] === KIND.TRANSACTION;
}

export class IndexImage {
  /** Open addressing; a high word of 0 where there is none. */
  #slots: Uint32Array;
  #count = 0;
  #usable = true;
  readonly #countMax: number;
  /** Keys that LevelDB is asked for, to know that it finds what lies in the tables. */
  readonly probes: Uint8Array[] = [];
  readonly #id = new Uint32Array(ID_WORDS);

  /**
   * `countMax`: entries kept, 43 to 85 bytes each; those beyond are LevelDB's to find. `expected`: room is made for so many at once,
   * since whoever grows fills all anew.
   */
  constructor(countMax: number, expected = 0) {
    this.#countMax = countMax;
    let slots = SLOTS_MIN;
    while (isCrowded(Math.min(expected, countMax), slots)) slots *= 2;
    // Zero as it is, but a page that is read before it is written costs two faults, and here most are.
    this.#slots = new Uint32Array(slots * SLOT_WORDS).fill(0);
  }

  /** How many are kept, those in doubt included. */
  get count(): number {
    return this.#count;
  }

  /** An index record as stored: its key (33 bytes, perhaps more behind them), and its value within `bytes`. */
  add(key: Uint8Array, bytes: Uint8Array, start: number, length: number): void {
    const content = start + CHECKSUM_BYTES;
    if (length !== VALUE_BYTES || wordAt(bytes, start) !== checksum(key, bytes, content)) {
      this.doubt(key);
      return;
    }
    const high = wordAt(bytes, content);
    const low = wordAt(bytes, content + 4);
    const index = wordAt(bytes, content + 8);
    if (high > BLOCK_HIGH_MAX) this.doubt(key);
    else this.#put(key, (high | USED) >>> 0, low, index);
  }

  /** Of this key LevelDB is to be asked, whatever else is found of it. */
  doubt(key: Uint8Array): void {
    this.#put(key, DOUBT, 0, 0);
  }

  /** Nothing is to be taken from here. */
  discard(): void {
    this.#usable = false;
    this.#count = 0;
    // The fewest that bits of an id can tell apart.
    this.#slots = new Uint32Array(2 * SLOT_WORDS);
    this.probes.length = 0;
  }

  /**
   * The positions of those transactions of a block of which the index does not certainly say that they are in this block at this
   * position. `ids`: `ID_WORDS` words each.
   */
  unconfirmed(ids: Uint32Array, block: number): number[] {
    const count = ids.length / ID_WORDS;
    const left: number[] = [];
    for (let index = 0; index < count; index++) {
      if (this.#findPlace(ids, ID_WORDS * index, block, index) < 0) left.push(index);
    }
    return left;
  }

  /**
   * For whoever is about to `meet` all ids of a block: no part of this is in the processor's cache, and here several are waited for at
   * once.
   */
  approach(ids: Uint32Array): void {
    const slots = this.#slots;
    let near = 0;
    for (let at = 0; at < ids.length; at += ID_WORDS) {
      near ^= slots[this.#home(ids[at] as number) + HIGH] as number;
    }
    // Of no use but that it must have been read.
    this.#id[0] = near;
  }

  /**
   * Whether the index certainly says that the transaction whose id stands in `ids` from `at` on is there, in this block at this
   * position, and nobody has met it yet; it has been met from then on.
   */
  meet(ids: Uint32Array, at: number, block: number, index: number): boolean {
    const found = this.#findPlace(ids, at, block, index);
    if (found < 0) return false;
    const high = this.#slots[found + HIGH] as number;
    this.#slots[found + HIGH] = high | MET;
    return (high & MET) === 0;
  }

  /** The block in which `meet` has met the id. */
  metIn(ids: Uint32Array, at: number): number | undefined {
    const found = this.#find(ids, at);
    const high = this.#slots[found + HIGH] as number;
    return (high & MET) === 0 ? undefined : this.#blockAt(found);
  }

  /** All that has been met: the first words of each id, in memory that is used again, and the block. */
  forEachMet(use: (words: Uint32Array, block: number) => void): void {
    for (let slot = 0; slot < this.#slots.length; slot += SLOT_WORDS) {
      if (((this.#slots[slot + HIGH] as number) & MET) === 0) continue;
      use(this.#slots.subarray(slot, slot + KEY_WORDS), this.#blockAt(slot));
    }
  }

  /** Whether LevelDB's answer for the key is another than what would be taken from here. */
  contradicts(key: Uint8Array, answer: Uint8Array | undefined): boolean {
    if (!this.#usable) return false;
    writeIdWords(this.#id, 0, key, 1);
    const found = this.#find(this.#id, 0);
    const high = this.#slots[found + HIGH] as number;
    if (high === 0 || high === DOUBT) return false;
    return (
      answer?.length !== VALUE_BYTES ||
      wordAt(answer, CHECKSUM_BYTES) !== (high & BLOCK_HIGH_MAX) ||
      wordAt(answer, CHECKSUM_BYTES + 4) !== this.#slots[found + LOW] ||
      wordAt(answer, CHECKSUM_BYTES + 8) !== this.#slots[found + INDEX]
    );
  }

  #blockAt(slot: number): number {
    const high = (this.#slots[slot + HIGH] as number) & BLOCK_HIGH_MAX;
    return high * TWO_POW_32 + (this.#slots[slot + LOW] as number);
  }

  /** First word of the slot that certainly names this place for the id; negative when none does. */
  #findPlace(ids: Uint32Array, at: number, block: number, index: number): number {
    const slots = this.#slots;
    const found = this.#find(ids, at);
    const high = Math.floor(block / TWO_POW_32) | USED;
    const agrees =
      ((slots[found + HIGH] as number) & ~MET) === high &&
      slots[found + LOW] === block >>> 0 &&
      slots[found + INDEX] === index;
    return agrees ? found : -1;
  }

  #put(key: Uint8Array, high: number, low: number, index: number): void {
    if (!this.#usable) return;
    const id = this.#id;
    writeIdWords(id, 0, key, 1);
    let slot = this.#find(id, 0);
    const slots = this.#slots;
    if (slots[slot + HIGH] !== 0) {
      const same =
        slots[slot + HIGH] === high && slots[slot + LOW] === low && slots[slot + INDEX] === index;
      if (!same) slots[slot + HIGH] = DOUBT;
      return;
    }
    // All that is told of a key is told of one that is kept, or all of it is left out.
    if (this.#count === this.#countMax) return;
    this.#count++;
    if (isCrowded(this.#count, slots.length / SLOT_WORDS)) {
      this.#enlarge();
      slot = this.#find(id, 0);
    }
    for (let word = 0; word < KEY_WORDS; word++) this.#slots[slot + word] = id[word] as number;
    this.#slots[slot + HIGH] = high;
    this.#slots[slot + LOW] = low;
    this.#slots[slot + INDEX] = index;
  }

  /** First word of the slot of the id, or of the free one where it belongs. */
  #find(id: Uint32Array, at: number): number {
    const slots = this.#slots;
    const last = slots.length - 1;
    let slot = this.#home(id[at] as number);
    for (; ; slot = (slot + SLOT_WORDS) & last) {
      if (slots[slot + HIGH] === 0) return slot;
      let word = 0;
      while (word < KEY_WORDS && slots[slot + word] === id[at + word]) word++;
      if (word === KEY_WORDS) return slot;
    }
  }

  /**
   * Where to begin, by the first word of an id: by as many of its first bits as tell the slots apart. Any bits of a hash would do, but
   * a table's entries come in the order of these, and so are written one behind the other.
   */
  #home(first: number): number {
    const slots = this.#slots.length / SLOT_WORDS;
    return (first >>> Math.clz32(slots - 1)) * SLOT_WORDS;
  }

  #enlarge(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
    for (let from = 0; from < before.length; from += SLOT_WORDS) {
      if (before[from + HIGH] === 0) continue;
      this.#slots.set(before.subarray(from, from + SLOT_WORDS), this.#find(before, from));
    }
  }
}

function isCrowded(entries: number, slots: number): boolean {
  return entries * 4 > slots * 3;
}

/** As `seal` made it (records.ts): of key and content. */
function checksum(key: Uint8Array, bytes: Uint8Array, content: number): number {
  const ofKey = crc32(key, 0, TRANSACTION_KEY_BYTES, 0);
  return crc32(bytes, content, content + LOCATION_BYTES, ofKey);
}
