/**
 * Fixed-layout reading and writing. Little-endian; a u64 is a JavaScript number and must not exceed
 * 2^53 - 1. Plain byte access: a DataView per value costs more than the value.
 */

/** Outcome of every decoder in this folder: total, never throws on input. */
export type Decoded<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'malformed'; readonly reason: string };

export function ok<T>(value: T): Decoded<T> {
  return { kind: 'ok', value };
}

export function malformed(reason: string): { kind: 'malformed'; reason: string } {
  return { kind: 'malformed', reason };
}

const TWO_POW_32 = 0x1_0000_0000;
/** Upper half of 2^53 - 1. */
const HIGH_MAX = 0x1f_ffff;

export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}

export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

/**
 * Throws RangeError when `value` is not an unsigned integer that a number
 * holds exactly: a bug of the caller.
 */
export function writeU64(bytes: Uint8Array, offset: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`not an unsigned safe integer: ${value}`);
  }
  writeU32(bytes, offset, value % TWO_POW_32);
  writeU32(bytes, offset + 4, Math.floor(value / TWO_POW_32));
}

/** The caller has checked that the bytes are there; so below. */
export function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8);
}

export function readU32(bytes: Uint8Array, offset: number): number {
  const low = readU16(bytes, offset);
  return low + readU16(bytes, offset + 2) * 0x1_0000;
}

/** Undefined when the value exceeds 2^53 - 1. */
export function readU64(bytes: Uint8Array, offset: number): number | undefined {
  const high = readU32(bytes, offset + 4);
  if (high > HIGH_MAX) return undefined;
  return high * TWO_POW_32 + readU32(bytes, offset);
}

export function isZero(bytes: Uint8Array, from = 0, to = bytes.length): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** A copy of a short stretch; for these the engine's own `slice` is slower than a loop. */
export function copyShort(bytes: Uint8Array, offset: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  for (let i = 0; i < length; i++) copy[i] = bytes[offset + i] as number;
  return copy;
}

/** Memory for one encoding after the other: what was given before is given again, and grows with the longest. */
export function createRoom(): (bytes: number) => Uint8Array {
  let room = new Uint8Array(0);
  return (bytes) => {
    if (bytes > room.length) room = new Uint8Array(bytes);
    return room.subarray(0, bytes);
  };
}
