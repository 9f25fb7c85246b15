/**
 * The index records of a block. They are made when LevelDB takes them, in one place in memory: made before, each would wait as two
 * arrays and an object, and most of what a replica's heap had to get rid of was that.
 */
import { crc32 } from 'node:zlib';
import { writeHex } from '../format/index.ts';
import {
  CHECKSUM_BYTES,
  KIND,
  LOCATION_BYTES,
  TRANSACTION_KEY_BYTES,
  writeLocation,
} from './records.ts';

/** Key and location lie together, as the checksum covers them; then comes the value: checksum and location. */
const VALUE_OFFSET = TRANSACTION_KEY_BYTES + LOCATION_BYTES;
const VALUE_BYTES = CHECKSUM_BYTES + LOCATION_BYTES;

/** Bytes of a record, key and value. */
export const INDEX_RECORD_BYTES = TRANSACTION_KEY_BYTES + VALUE_BYTES;

const bytes = new Uint8Array(VALUE_OFFSET + VALUE_BYTES);
const view = new DataView(bytes.buffer);
const key = bytes.subarray(0, TRANSACTION_KEY_BYTES);
const keyAndLocation = bytes.subarray(0, VALUE_OFFSET);
const value = bytes.subarray(VALUE_OFFSET);

/** The transactions of one block. */
export interface BlockTransactions {
  readonly blockNumber: number;
  /** 64 lower-case hex digits, by position; undefined for what is not indexed. */
  readonly txIds: readonly (string | undefined)[];
}

/**
 * Hands over the records that `put(transactionKey(txId), encodeLocation(...))` would make. Both arrays are written again for the
 * next record: `take` copies what it keeps.
 */
export function eachIndexRecord(
  { blockNumber, txIds }: BlockTransactions,
  take: (key: Uint8Array, value: Uint8Array) => void,
): void {
  bytes[0] = KIND.TRANSACTION;
  for (let index = 0; index < txIds.length; index += 1) {
    const txId = txIds[index];
    if (txId === undefined) continue;
    writeHex(bytes, 1, TRANSACTION_KEY_BYTES - 1, txId);
    writeLocation(view, TRANSACTION_KEY_BYTES, blockNumber, index);
    view.setUint32(VALUE_OFFSET, crc32(keyAndLocation));
    writeLocation(view, VALUE_OFFSET + CHECKSUM_BYTES, blockNumber, index);
    take(key, value);
  }
}
