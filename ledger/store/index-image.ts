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

/** Id, block number (high, low), index. */
const RECORD_WORDS = ID_WORDS + 3;
const HIGH = ID_WORDS;
const LOW = HIGH + 1;
const INDEX = LOW + 1;
/** In the high word, of which a block number leaves eleven bits free: LevelDB is to be asked. */
const DOUBT = 0x8000_0000;
const RECORDS_MIN = 4096;
const TWO_POW_32 = 2 ** 32;
const VALUE_BYTES = CHECKSUM_BYTES + LOCATION_BYTES;

export function isIndexKey(key: Uint8Array, length: number): boolean {
  return length === TRANSACTION_KEY_BYTES && key[0] === KIND.TRANSACTION;
}

export class IndexImage {
  #records: Uint32Array;
  /** Open addressing, at most half full: number of the record plus one, 0 where there is none. */
  #slots: Uint32Array;
  #count = 0;
  #usable = true;
  readonly #countMax: number;
  /** Keys that LevelDB is asked for, to know that it finds what lies in the tables. */
  readonly probes: Uint8Array[] = [];
  readonly #id = new Uint32Array(ID_WORDS);

  /**
   * `countMax`: entries kept, 50 to 100 bytes each; those beyond are LevelDB's to find. `expected`: room is made for so many at once,
   * since whoever grows fills all anew.
   */
  constructor(countMax: number, expected = 0) {
    this.#countMax = countMax;
    let records = RECORDS_MIN;
    while (records < Math.min(expected, countMax)) records *= 2;
    this.#records = new Uint32Array(records * RECORD_WORDS);
    // Zero as it is, but a page that is read before it is written costs two faults, and here most are.
    this.#slots = new Uint32Array(2 * records).fill(0);
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
    if (high >= DOUBT) this.doubt(key);
    else this.#put(key, high, low, index);
  }

  /** Of this key LevelDB is to be asked, whatever else is found of it. */
  doubt(key: Uint8Array): void {
    this.#put(key, DOUBT, 0, 0);
  }

  /** Nothing is to be taken from here. */
  discard(): void {
    this.#usable = false;
    this.#count = 0;
    this.#records = new Uint32Array(RECORD_WORDS);
    this.#slots = new Uint32Array(1);
    this.probes.length = 0;
  }

  /**
   * The positions of those transactions of a block of which the index does not certainly say that they are in this block at this
   * position. `ids`: `ID_WORDS` words each.
   */
  unconfirmed(ids: Uint32Array, block: number): number[] {
    const count = ids.length / ID_WORDS;
    const left: number[] = [];
    if (!this.#usable) {
      for (let index = 0; index < count; index++) left.push(index);
      return left;
    }
    // All slots first, then all records: neither is in the processor's cache, and so several are waited for at once.
    const found = new Uint32Array(count);
    for (let index = 0; index < count; index++) {
      found[index] = this.#slots[this.#slotOf(ids, index * ID_WORDS)] as number;
    }
    const records = this.#records;
    const low = block % TWO_POW_32;
    const high = Math.floor(block / TWO_POW_32);
    for (let index = 0; index < count; index++) {
      const at = ((found[index] as number) - 1) * RECORD_WORDS;
      const agrees =
        at >= 0 &&
        records[at + LOW] === low &&
        records[at + HIGH] === high &&
        records[at + INDEX] === index;
      if (!agrees) left.push(index);
    }
    return left;
  }

  /** Whether LevelDB's answer for the key is another than what would be taken from here. */
  contradicts(key: Uint8Array, answer: Uint8Array | undefined): boolean {
    if (!this.#usable) return false;
    writeIdWords(this.#id, 0, key, 1);
    const found = this.#slots[this.#slotOf(this.#id, 0)] as number;
    const at = (found - 1) * RECORD_WORDS;
    if (found === 0 || this.#records[at + HIGH] === DOUBT) return false;
    return (
      answer?.length !== VALUE_BYTES ||
      wordAt(answer, CHECKSUM_BYTES) !== this.#records[at + HIGH] ||
      wordAt(answer, CHECKSUM_BYTES + 4) !== this.#records[at + LOW] ||
      wordAt(answer, CHECKSUM_BYTES + 8) !== this.#records[at + INDEX]
    );
  }

  #put(key: Uint8Array, high: number, low: number, index: number): void {
    if (!this.#usable) return;
    const id = this.#id;
    writeIdWords(id, 0, key, 1);
    let slot = this.#slotOf(id, 0);
    const found = this.#slots[slot] as number;
    if (found !== 0) {
      const at = (found - 1) * RECORD_WORDS;
      const records = this.#records;
      const same =
        records[at + HIGH] === high && records[at + LOW] === low && records[at + INDEX] === index;
      if (!same) records[at + HIGH] = DOUBT;
      return;
    }
    // All that is told of a key is told of one that is kept, or all of it is left out.
    if (this.#count === this.#countMax) return;
    const at = this.#count * RECORD_WORDS;
    if (at === this.#records.length) {
      this.#enlarge();
      slot = this.#slotOf(id, 0);
    }
    for (let word = 0; word < ID_WORDS; word++) this.#records[at + word] = id[word] as number;
    this.#records[at + HIGH] = high;
    this.#records[at + LOW] = low;
    this.#records[at + INDEX] = index;
    this.#count++;
    this.#slots[slot] = this.#count;
  }

  /** The slot of the id, or the free one where it belongs. Ids are hashes: any of their bits will do. */
  #slotOf(id: Uint32Array, at: number): number {
    const slots = this.#slots;
    const records = this.#records;
    const mask = slots.length - 1;
    for (let slot = (id[at] as number) & mask; ; slot = (slot + 1) & mask) {
      const found = slots[slot] as number;
      if (found === 0) return slot;
      const record = (found - 1) * RECORD_WORDS;
      let word = 0;
      while (word < ID_WORDS && records[record + word] === id[at + word]) word++;
      if (word === ID_WORDS) return slot;
    }
  }

  #enlarge(): void {
    const records = new Uint32Array(2 * this.#records.length);
    records.set(this.#records);
    this.#records = records;
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let record = 0; record < this.#count; record++) {
      this.#slots[this.#slotOf(records, record * RECORD_WORDS)] = record + 1;
    }
  }
}

/** As `seal` made it (records.ts): of key and content. */
function checksum(key: Uint8Array, bytes: Uint8Array, content: number): number {
  const ofKey = crc32(key, 0, TRANSACTION_KEY_BYTES, 0);
  return crc32(bytes, content, content + LOCATION_BYTES, ofKey);
}
