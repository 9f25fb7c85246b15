/**
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), as LevelDB masks and stores it. Eight bytes a step.
 */

const CRC_MASK_DELTA = 0xa282ead8;

const TABLES: readonly Int32Array[] = makeTables();
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

function makeTables(): Int32Array[] {
  const tables = Array.from({ length: 8 }, () => new Int32Array(256));
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    }
    tables[0]![byte] = value;
  }
  for (let index = 1; index < 8; index += 1) {
    for (let byte = 0; byte < 256; byte += 1) {
      const value = tables[index - 1]![byte]!;
      tables[index]![byte] = (value >>> 8) ^ tables[0]![value & 0xff]!;
    }
  }
  return tables;
}

/** CRC-32C of bytes[start, end); both within the bytes. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let value = -1;
  let index = start;
  for (; index + 8 <= end; index += 8) {
    value ^=
      bytes[index]! |
      (bytes[index + 1]! << 8) |
      (bytes[index + 2]! << 16) |
      (bytes[index + 3]! << 24);
    value =
      T7[value & 0xff]! ^
      T6[(value >>> 8) & 0xff]! ^
      T5[(value >>> 16) & 0xff]! ^
      T4[value >>> 24]! ^
      T3[bytes[index + 4]!]! ^
      T2[bytes[index + 5]!]! ^
      T1[bytes[index + 6]!]! ^
      T0[bytes[index + 7]!]!;
  }
  for (; index < end; index += 1) value = T0[(value ^ bytes[index]!) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}

/**
 * What LevelDB stored for a checksum: rotated and shifted, so that a CRC over CRCs stays useful.
 */
export function unmaskCrc(stored: number): number {
  const rotated = (stored - CRC_MASK_DELTA) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
