/**
 * CRC-32C (Castagnoli; RFC 3720 appendix B.4), as LevelDB masks and stores it, and CRC-32 as zlib computes it.
 *
 * Four lanes at once: a CRC is a chain of look-ups each of which waits for the one before, and four chains wait together. A lane
 * starts at zero; `P0` to `P3` move the CRC of what lies before a lane across the lane's bytes, and the sum of the two is the CRC
 * of both. The tables are constants of the module, because only of such V8 knows that a byte is always within them.
 */

const CRC_MASK_DELTA = 0xa282ead8;
const LANE_WORDS = 128;
const LANES_WORDS = 4 * LANE_WORDS;
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

type Tables = readonly [Int32Array, Int32Array, Int32Array, Int32Array];

/** `tables[n][byte]`: the CRC, from zero on, of the byte and n zero bytes behind it. */
function makeTables(polynomial: number): Tables {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1;
    }
    return value;
  });
  const behind = (table: Int32Array): Int32Array =>
    table.map((value) => (value >>> 8) ^ first[value & 0xff]!);
  const second = behind(first);
  const third = behind(second);
  return [first, second, third, behind(third)];
}

/** `tables[n][byte]`: the CRC, from the byte at place n on, of a lane of zeros. It is the sum of what its bits give. */
function makePast(first: Int32Array): Tables {
  const ofBit = (bit: number): number => {
    let value = 1 << bit;
    for (let zero = 0; zero < 4 * LANE_WORDS; zero += 1) {
      value = (value >>> 8) ^ first[value & 0xff]!;
    }
    return value;
  };
  const ofPlace = (place: number): Int32Array => {
    const table = new Int32Array(256);
    for (let bit = 0; bit < 8; bit += 1) {
      const value = ofBit(8 * place + bit);
      for (let byte = 0; byte < 256; byte += 1) if (byte & (1 << bit)) table[byte]! ^= value;
    }
    return table;
  };
  return [ofPlace(0), ofPlace(1), ofPlace(2), ofPlace(3)];
}

const [C0, C1, C2, C3] = makeTables(0x82f63b78);
const [P0, P1, P2, P3] = makePast(C0);
const [Z0, Z1, Z2, Z3] = makeTables(0xedb88320);

/** CRC-32C of bytes[start, end); both within the bytes. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let value = -1;
  let index = start;
  if (LITTLE_ENDIAN && end - start >= 4 * LANES_WORDS + 3) {
    // To the first whole word.
    for (; ((bytes.byteOffset + index) & 3) !== 0; index += 1) {
      value = C0[(value ^ bytes[index]!) & 0xff]! ^ (value >>> 8);
    }
    const count = Math.floor((end - index) / (4 * LANES_WORDS)) * LANES_WORDS;
    value = overLanes(new Int32Array(bytes.buffer, bytes.byteOffset + index, count), value);
    index += 4 * count;
  }
  for (; index + 4 <= end; index += 4) {
    value =
      C3[(value ^ bytes[index]!) & 0xff]! ^
      C2[((value >>> 8) ^ bytes[index + 1]!) & 0xff]! ^
      C1[((value >>> 16) ^ bytes[index + 2]!) & 0xff]! ^
      C0[(value >>> 24) ^ bytes[index + 3]!]!;
  }
  for (; index < end; index += 1) value = C0[(value ^ bytes[index]!) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}

/** `words` is a whole number of four lanes. */
function overLanes(words: Int32Array, before: number): number {
  // V8 looks at what is not local anew in every round, and at what comes out of a pattern, too.
  const c0 = C0;
  const c1 = C1;
  const c2 = C2;
  const c3 = C3;
  let a = before;
  for (let from = 0; from < words.length; from += LANES_WORDS) {
    let b = 0;
    let c = 0;
    let d = 0;
    for (let at = from; at < from + LANE_WORDS; at += 1) {
      a ^= words[at]!;
      b ^= words[at + LANE_WORDS]!;
      c ^= words[at + 2 * LANE_WORDS]!;
      d ^= words[at + 3 * LANE_WORDS]!;
      a = c3[a & 0xff]! ^ c2[(a >>> 8) & 0xff]! ^ c1[(a >>> 16) & 0xff]! ^ c0[a >>> 24]!;
      b = c3[b & 0xff]! ^ c2[(b >>> 8) & 0xff]! ^ c1[(b >>> 16) & 0xff]! ^ c0[b >>> 24]!;
      c = c3[c & 0xff]! ^ c2[(c >>> 8) & 0xff]! ^ c1[(c >>> 16) & 0xff]! ^ c0[c >>> 24]!;
      d = c3[d & 0xff]! ^ c2[(d >>> 8) & 0xff]! ^ c1[(d >>> 16) & 0xff]! ^ c0[d >>> 24]!;
    }
    a = past(past(past(a) ^ b) ^ c) ^ d;
  }
  return a;
}

function past(crc: number): number {
  return P0[crc & 0xff]! ^ P1[(crc >>> 8) & 0xff]! ^ P2[(crc >>> 16) & 0xff]! ^ P3[crc >>> 24]!;
}

/**
 * zlib's CRC-32 of bytes[start, end) behind bytes whose CRC is `previous`; 0 at first. For a few bytes, for which a call to zlib
 * costs more than they do. A loop of its own: over tables that are handed in it takes half as long again.
 */
export function crc32(bytes: Uint8Array, start: number, end: number, previous: number): number {
  let value = ~previous;
  let index = start;
  for (; index + 4 <= end; index += 4) {
    value =
      Z3[(value ^ bytes[index]!) & 0xff]! ^
      Z2[((value >>> 8) ^ bytes[index + 1]!) & 0xff]! ^
      Z1[((value >>> 16) ^ bytes[index + 2]!) & 0xff]! ^
      Z0[(value >>> 24) ^ bytes[index + 3]!]!;
  }
  for (; index < end; index += 1) value = Z0[(value ^ bytes[index]!) & 0xff]! ^ (value >>> 8);
  return ~value >>> 0;
}

/**
 * What LevelDB stored for a checksum: rotated and shifted, so that a CRC over CRCs stays useful.
 */
export function unmaskCrc(stored: number): number {
  const rotated = (stored - CRC_MASK_DELTA) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}
