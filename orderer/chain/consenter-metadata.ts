/**
 * What a Sluice block says about the ordered stream: `OrdererBlockMetadata.consenter_metadata`, covered by
 * the block's certificate. A start takes its first slot and its lower bound of time from the newest block.
 *
 *   0        1                 9                17
 *   +--------+-----------------+----------------+
 *   | ver u8 | slot u64 LE     | timeMs u64 LE  |
 *   +--------+-----------------+----------------+
 */
import type { Decoded } from '../../ledger/format/index.ts';

const VERSION = 1;
const BYTES = 17;

export interface ConsenterMetadata {
  /** Slot whose delivery cut the block. */
  readonly slot: number;
  /** Ordered time of that slot, milliseconds since the epoch. */
  readonly timeMs: number;
}

export function encodeConsenterMetadata(metadata: ConsenterMetadata): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setBigUint64(1, BigInt(metadata.slot), true);
  view.setBigUint64(9, BigInt(metadata.timeMs), true);
  return bytes;
}

export function decodeConsenterMetadata(bytes: Uint8Array): Decoded<ConsenterMetadata> {
  if (bytes.length !== BYTES) {
    return {
      kind: 'malformed',
      reason: `consenter metadata has ${bytes.length} bytes, not ${BYTES}`,
    };
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== VERSION) {
    return {
      kind: 'malformed',
      reason: `consenter metadata version ${view.getUint8(0)} is unknown`,
    };
  }
  const slot = view.getBigUint64(1, true);
  const timeMs = view.getBigUint64(9, true);
  const max = BigInt(Number.MAX_SAFE_INTEGER);
  if (slot > max || timeMs > max) {
    return { kind: 'malformed', reason: 'consenter metadata holds a number above 2^53' };
  }
  return { kind: 'ok', value: { slot: Number(slot), timeMs: Number(timeMs) } };
}
