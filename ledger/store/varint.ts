/** LevelDB's numbers: seven bits a byte, the lowest first, the eighth says that more follow. */

/** Undefined when the bytes end in the middle, and for more than 49 bits: nothing here counts that far. */
export function readVarint(
  bytes: Uint8Array,
  position: number,
): { value: number; end: number } | undefined {
  let value = 0;
  for (let index = 0; index < 7; index += 1) {
    const byte = bytes[position + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: position + index + 1 };
  }
  return undefined;
}
