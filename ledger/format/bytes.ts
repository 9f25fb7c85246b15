/**
 * Byte strings: hex, equality, joining. Runs anywhere. `consensus/core` has its own few, because it
 * imports nothing from other rooms.
 */

const HEX_PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

/** Lower-case hex. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX_PAIRS[byte];
  return text;
}

const HEX_DIGITS = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));

/** Whether `text` is `toHex(bytes)`, without making it. */
export function isHexOf(text: string, bytes: Uint8Array): boolean {
  if (text.length !== 2 * bytes.length) return false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (text.charCodeAt(2 * at) !== HEX_DIGITS[byte >> 4]) return false;
    if (text.charCodeAt(2 * at + 1) !== HEX_DIGITS[byte & 15]) return false;
  }
  return true;
}

/** Inverse of `toHex`; throws RangeError on anything else. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) {
    throw new RangeError('not lower-case hex of whole bytes');
  }
  const bytes = new Uint8Array(text.length / 2);
  writeHex(bytes, 0, bytes.length, text);
  return bytes;
}

/** Puts `count` bytes of lower-case hex at `offset`. The caller has checked the text. */
export function writeHex(bytes: Uint8Array, offset: number, count: number, text: string): void {
  for (let at = 0; at < count; at++) {
    bytes[offset + at] = (digitAt(text, 2 * at) << 4) | digitAt(text, 2 * at + 1);
  }
}

function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  // '0' is 48, 'a' is 97.
  return code < 58 ? code - 48 : code - 87;
}

/** Whether two byte strings are equal. Not constant-time: for hashes and public data. */
export function bytesEqual(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index += 1) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}

/** The parts one after the other, copied once; a single part is returned as it is. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  let size = 0;
  for (const part of parts) size += part.length;
  const joined = new Uint8Array(size);
  let position = 0;
  for (const part of parts) {
    joined.set(part, position);
    position += part.length;
  }
  return joined;
}
