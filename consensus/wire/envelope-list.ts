/**
 * Payload of a batch as the orderer writes it: count u32, then per envelope length u32 and bytes.
 * The core never looks inside.
 */
import { type Decoded, malformed, ok, readU32, writeU32 } from './bytes.ts';

/**
 * No list holds more, so that a peer's batch of empty envelopes does not become millions of objects. All
 * replicas must agree on it: a longer list is malformed, and a batch of it invalid.
 */
export const ENVELOPES_PER_LIST_MAX = 16_384;
const COUNT_BYTES = 4;
const LENGTH_BYTES = 4;

/** Size of a list of `count` envelopes that have `contentBytes` bytes together. */
export function encodedListBytes(count: number, contentBytes: number): number {
  return COUNT_BYTES + count * LENGTH_BYTES + contentBytes;
}

/** Throws RangeError for an empty list, and for one that is too long: neither has an encoding. */
export function encodeEnvelopeList(envelopes: readonly Uint8Array[]): Uint8Array {
  if (envelopes.length === 0) throw new RangeError('a batch holds at least one envelope');
  if (envelopes.length > ENVELOPES_PER_LIST_MAX) throw new RangeError('too many envelopes');
  let contentBytes = 0;
  for (const envelope of envelopes) contentBytes += envelope.length;
  const payload = new Uint8Array(encodedListBytes(envelopes.length, contentBytes));
  writeU32(payload, 0, envelopes.length);
  let at = COUNT_BYTES;
  for (const envelope of envelopes) {
    writeU32(payload, at, envelope.length);
    payload.set(envelope, at + LENGTH_BYTES);
    at += LENGTH_BYTES + envelope.length;
  }
  return payload;
}

/** The envelopes are views into `payload`. */
export function decodeEnvelopeList(payload: Uint8Array): Decoded<Uint8Array[]> {
  if (payload.length < COUNT_BYTES) return malformed('envelope list too short');
  const count = readU32(payload, 0);
  if (count === 0) return malformed('empty envelope list');
  // Checked before the loop, so that a false count costs nothing.
  if (count > (payload.length - COUNT_BYTES) / LENGTH_BYTES) {
    return malformed('envelope count exceeds the list');
  }
  if (count > ENVELOPES_PER_LIST_MAX) return malformed('too many envelopes in a list');
  const envelopes: Uint8Array[] = [];
  let at = COUNT_BYTES;
  for (let i = 0; i < count; i++) {
    if (payload.length - at < LENGTH_BYTES) return malformed('envelope list cut off');
    const length = readU32(payload, at);
    at += LENGTH_BYTES;
    if (length > payload.length - at) return malformed('envelope exceeds the list');
    envelopes.push(payload.subarray(at, at + length));
    at += length;
  }
  if (at !== payload.length) return malformed('bytes after the envelope list');
  return ok(envelopes);
}
