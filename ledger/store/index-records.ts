/**
 * The index records of a whole block, in one buffer: an array of its own for each key and each value costs more than
 * what is in it, and LevelDB's binding would move each of them out of V8's heap.
 */
import { crc32 } from 'node:zlib';
import { writeHex } from '../format/index.ts';
import type { Operation } from './database.ts';
import {
  CHECKSUM_BYTES,
  KIND,
  LOCATION_BYTES,
  TRANSACTION_KEY_BYTES,
  writeLocation,
} from './records.ts';

/** Key and location lie together, as the checksum covers them; then comes the value: checksum and location. */
const LOCATION_OFFSET = TRANSACTION_KEY_BYTES;
const VALUE_OFFSET = LOCATION_OFFSET + LOCATION_BYTES;
const VALUE_BYTES = CHECKSUM_BYTES + LOCATION_BYTES;
const RECORD_BYTES = VALUE_OFFSET + VALUE_BYTES;

/** Records as `put(transactionKey(txId), encodeLocation(...))` makes them; undefined ids have none. */
export function indexRecords(
  txIds: readonly (string | undefined)[],
  blockNumber: number,
): Operation[] {
  const bytes = new Uint8Array(txIds.length * RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  const operations: Operation[] = [];
  for (const [index, txId] of txIds.entries()) {
    if (txId === undefined) continue;
    const at = index * RECORD_BYTES;
    bytes[at] = KIND.TRANSACTION;
    writeHex(bytes, at + 1, TRANSACTION_KEY_BYTES - 1, txId);
    writeLocation(view, at + LOCATION_OFFSET, blockNumber, index);
    const valueAt = at + VALUE_OFFSET;
    view.setUint32(valueAt, crc32(bytes.subarray(at, valueAt)));
    writeLocation(view, valueAt + CHECKSUM_BYTES, blockNumber, index);
    const key = bytes.subarray(at, at + TRANSACTION_KEY_BYTES);
    operations.push({ type: 'put', key, value: bytes.subarray(valueAt, valueAt + VALUE_BYTES) });
  }
  return operations;
}
