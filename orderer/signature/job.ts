/**
 * What travels between the pool and a verify thread: one buffer, transferred there and back, never
 * an object per signature. Little-endian.
 *
 *   0       4                    4 + count
 *   +-------+--------------------+--------+--------+-----
 *   | count | verdict u8 x count | record | record | ...
 *   +-------+--------------------+--------+--------+-----
 *   record: algorithm u8 | signature length u8 | message length u32 | key | signature | message
 *
 * The key's length follows from the algorithm. The thread writes the verdicts (0 or 1) in place.
 */
import { ED25519_PUBLIC_KEY_BYTES } from '../../consensus/runtime/ed25519.ts';
import { P256_PUBLIC_KEY_BYTES } from './p256.ts';
import { type VerifyItem, verifySignature } from './verify.ts';

const COUNT_BYTES = 4;
const RECORD_HEADER_BYTES = 6;
const CODES = { ed25519: 1, p256: 2 } as const;
const KEY_BYTES = { ed25519: ED25519_PUBLIC_KEY_BYTES, p256: P256_PUBLIC_KEY_BYTES } as const;

/** Bytes of an empty job; each item adds `jobItemBytes`. */
export const JOB_OVERHEAD_BYTES = COUNT_BYTES;

/** Bytes that an item adds, its verdict included. */
export function jobItemBytes(item: VerifyItem): number {
  return (
    1 + RECORD_HEADER_BYTES + item.key.bytes.length + item.signature.length + item.message.length
  );
}

/** Writes the items, whose lengths must be plausible (`hasPlausibleLengths`), into `buffer`. */
export function writeJob(buffer: ArrayBuffer, items: readonly VerifyItem[]): void {
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  view.setUint32(0, items.length, true);
  let at = COUNT_BYTES + items.length;
  bytes.fill(0, COUNT_BYTES, at);
  for (const { key, message, signature } of items) {
    view.setUint8(at, CODES[key.algorithm]);
    view.setUint8(at + 1, signature.length);
    view.setUint32(at + 2, message.length, true);
    at += RECORD_HEADER_BYTES;
    bytes.set(key.bytes, at);
    at += key.bytes.length;
    bytes.set(signature, at);
    at += signature.length;
    bytes.set(message, at);
    at += message.length;
  }
}

/** Checks every item of the job and writes the verdicts into it. */
export function runJob(buffer: ArrayBuffer): void {
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  const count = view.getUint32(0, true);
  let at = COUNT_BYTES + count;
  for (let i = 0; i < count; i++) {
    const algorithm = view.getUint8(at) === CODES.ed25519 ? 'ed25519' : 'p256';
    const signatureAt = at + RECORD_HEADER_BYTES + KEY_BYTES[algorithm];
    const messageAt = signatureAt + view.getUint8(at + 1);
    const end = messageAt + view.getUint32(at + 2, true);
    const key = {
      algorithm,
      bytes: bytes.subarray(at + RECORD_HEADER_BYTES, signatureAt),
    } as const;
    const message = bytes.subarray(messageAt, end);
    const valid = verifySignature(key, message, bytes.subarray(signatureAt, messageAt));
    bytes[COUNT_BYTES + i] = valid ? 1 : 0;
    at = end;
  }
}

/** The thread's verdict on item `index`. */
export function readVerdict(buffer: ArrayBuffer, index: number): boolean {
  return new Uint8Array(buffer, COUNT_BYTES + index, 1)[0] === 1;
}
