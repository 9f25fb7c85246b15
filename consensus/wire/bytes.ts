/**
 * Fixed-layout reading and writing. Little-endian; a u64 is a JavaScript number and must not exceed 2^53 - 1.
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

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const TWO_POW_32 = 0x1_0000_0000;

/** Throws RangeError when `value` is not an unsigned integer that a number holds exactly: a bug of the caller. */
export function writeU64(view: DataView, offset: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`not an unsigned safe integer: ${value}`);
  }
  view.setUint32(offset, value % TWO_POW_32, true);
  view.setUint32(offset + 4, Math.floor(value / TWO_POW_32), true);
}

/** Undefined when the value exceeds 2^53 - 1. */
export function readU64(view: DataView, offset: number): number | undefined {
  const high = view.getUint32(offset + 4, true);
  if (high > 0x1f_ffff) return undefined;
  return high * TWO_POW_32 + view.getUint32(offset, true);
}

export function isZero(bytes: Uint8Array, from = 0): boolean {
  for (let i = from; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}
