/**
 * The entries of the transaction index in what LevelDB has written: in blocks of its tables, and in its log.
 *
 * An entry of a table that LevelDB itself would not find is worth nothing, so the order by which LevelDB searches is checked:
 * keys ascend, the restart points are entries that stand for themselves, and all keys are in the range for which LevelDB looks
 * here; they are not of a later time than it sees. The filter, which may keep LevelDB from looking, is asked as LevelDB does. That
 * the search gets to the block is nevertheless asked of LevelDB, for the first and the last entry of each (snapshot.ts).
 *
 * Formats: LevelDB doc/table_format.md; table/block_builder.cc (shared, unshared and value length, rest of the key, value; then
 * the offsets of the restart points, and their number); db/write_batch.cc.
 */
import { type IndexImage, isIndexKey } from './index-image.ts';
import { TRANSACTION_KEY_BYTES } from './records.ts';
import type { TableFilter } from './table-filter.ts';
import { readVarint } from './varint.ts';

/** Sequence number and type, which LevelDB puts behind each key in a table. */
export const KEY_SUFFIX_BYTES = 8;
/** Longer than any key of a ledger. */
const KEY_BYTES_MAX = 64;
const TYPE_DELETION = 0;
const TYPE_VALUE = 1;
const BATCH_HEADER_BYTES = 12;

/** Which keys LevelDB looks for in a block, both ends included, and up to which sequence number it sees them. */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly sequenceMax: number;
}

/**
 * Takes the entries of an intact block of a table, and asks the table's filter for each key. False when the block is not as LevelDB
 * writes and searches it.
 */
export function readTableBlock(
  content: Uint8Array,
  image: IndexImage,
  range: KeyRange,
  filter?: TableFilter,
): boolean {
  return new BlockWalk(content).walk(image, range, filter);
}

class BlockWalk {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #key = new Uint8Array(KEY_BYTES_MAX);
  readonly #keyView = new DataView(this.#key.buffer);
  #keyBytes = 0;
  #position = 0;
  /** The number that `#length` has read. */
  #value = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  walk(image: IndexImage, range: KeyRange, filter: TableFilter | undefined): boolean {
    const size = this.#bytes.length;
    if (size < 4) return false;
    const restarts = this.#view.getUint32(size - 4, true);
    const end = size - 4 - 4 * restarts;
    if (end < 0) return false;
    let restart = 0;
    let indexed = false;
    while (this.#position < end) {
      const isRestart =
        restart < restarts && this.#view.getUint32(end + 4 * restart, true) === this.#position;
      if (isRestart) restart += 1;
      const isFirst = this.#position === 0;
      if ((isFirst && !isRestart) || !this.#readKey(end, isRestart)) return false;
      const valueStart = this.#position - this.#value;
      const userBytes = this.#keyBytes - KEY_SUFFIX_BYTES;
      if (userBytes < 0) return false;
      if (isFirst && this.#compare(range.from) < 0) return false;
      filter?.ask(this.#key, userBytes);
      if (!isIndexKey(this.#key, userBytes)) {
        // Nothing of a ledger comes behind its index.
        if (indexed) return false;
        continue;
      }
      // The lowest byte of the suffix, which comes first.
      const isValue = this.#key[TRANSACTION_KEY_BYTES] === TYPE_VALUE;
      if (isValue && this.#sequence() <= range.sequenceMax) {
        image.add(this.#key, this.#bytes, valueStart, this.#value);
      } else image.doubt(this.#key);
      if (!indexed) image.probes.push(this.#key.slice(0, TRANSACTION_KEY_BYTES));
      indexed = true;
    }
    if (indexed) image.probes.push(this.#key.slice(0, TRANSACTION_KEY_BYTES));
    return this.#position === end && restart === restarts && this.#compare(range.to) <= 0;
  }

  /** Our key with another. */
  #compare(other: Uint8Array): number {
    return Buffer.compare(
      this.#key.subarray(0, Math.max(0, this.#keyBytes - KEY_SUFFIX_BYTES)),
      other,
    );
  }

  /** Of an entry of the index: seven bytes, the lowest first, behind the type. */
  #sequence(): number {
    const view = this.#keyView;
    const low = view.getUint32(TRANSACTION_KEY_BYTES, true) >>> 8;
    return view.getUint32(TRANSACTION_KEY_BYTES + 4, true) * 2 ** 24 + low;
  }

  /** Reads the next entry up to its end: the key, which comes after the one before it, and the value's length. */
  #readKey(end: number, isRestart: boolean): boolean {
    if (!this.#length()) return false;
    const shared = this.#value;
    if (!this.#length()) return false;
    const unshared = this.#value;
    if (!this.#length() || shared > this.#keyBytes || (isRestart && shared > 0)) return false;
    const keyBytes = shared + unshared;
    if (keyBytes > KEY_BYTES_MAX || this.#position + unshared + this.#value > end) return false;
    const before = this.#keyBytes;
    const key = this.#key;
    let order = 0;
    for (let at = shared; at < keyBytes; at += 1) {
      const byte = this.#bytes[this.#position + at - shared] as number;
      // Versions of one key, of which the image takes none, differ in the suffix alone.
      if (order === 0 && at < before && at < keyBytes - KEY_SUFFIX_BYTES) {
        order = byte - (key[at] as number);
      }
      key[at] = byte;
    }
    this.#keyBytes = keyBytes;
    this.#position += unshared + this.#value;
    return order >= 0;
  }

  #length(): boolean {
    const first = this.#bytes[this.#position];
    if (first !== undefined && first < 0x80) {
      this.#value = first;
      this.#position += 1;
      return true;
    }
    const varint = readVarint(this.#bytes, this.#position);
    if (varint === undefined) return false;
    this.#value = varint.value;
    this.#position = varint.end;
    return true;
  }
}

/** What the log says of a key comes after all that tables say, so the image leaves it to LevelDB. False when the batch is none. */
export function readLoggedBatch(batch: Uint8Array, image: IndexImage): boolean {
  let position = BATCH_HEADER_BYTES;
  if (batch.length < position) return false;
  while (position < batch.length) {
    const type = batch[position];
    const key = readVarint(batch, position + 1);
    if (key === undefined || (type !== TYPE_VALUE && type !== TYPE_DELETION)) return false;
    const keyEnd = key.end + key.value;
    const value = type === TYPE_VALUE ? readVarint(batch, keyEnd) : { value: 0, end: keyEnd };
    if (keyEnd > batch.length || value === undefined) return false;
    position = value.end + value.value;
    if (position > batch.length) return false;
    const bytes = batch.subarray(key.end, keyEnd);
    if (isIndexKey(bytes, bytes.length)) image.doubt(bytes);
  }
  return true;
}
