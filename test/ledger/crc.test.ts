import { crc32 as zlibCrc32 } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { crc32, crc32c } from '../../ledger/store/crc32c.ts';

/** Bit by bit, as RFC 3720 appendix B.4 says it. */
function slowCrc32c(bytes: Uint8Array): number {
  let value = -1;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    }
  }
  return ~value >>> 0;
}

/** Around the sizes at which the four lanes begin and end, at any place in a buffer. */
const size = fc.oneof(
  fc.nat({ max: 70 }),
  fc.tuple(fc.nat({ max: 3 }), fc.integer({ min: -9, max: 9 })).map(([n, d]) => 2048 * (n + 1) + d),
);
const placed = fc
  .tuple(size, fc.nat({ max: 8 }), fc.nat({ max: 8 }), fc.nat())
  .map(([length, offset, start, seed]) => {
    const buffer = new Uint8Array(offset + start + length + 5);
    let state = seed | 1;
    for (let at = 0; at < buffer.length; at++) {
      state = Math.imul(state, 0x9e3779b1) ^ (state >>> 15);
      buffer[at] = state;
    }
    return { bytes: buffer.subarray(offset), start, end: start + length };
  });

describe('ledger/store: checksums', () => {
  it('CRC-32C is what it is bit by bit', () => {
    const property = fc.property(placed, ({ bytes, start, end }) => {
      expect(crc32c(bytes, start, end)).to.equal(slowCrc32c(bytes.subarray(start, end)));
    });
    fc.assert(property, { numRuns: 300 });
    // RFC 3720 appendix B.4.
    expect(crc32c(new Uint8Array(32), 0, 32)).to.equal(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff), 0, 32)).to.equal(0x62a8ab43);
  });

  it("CRC-32 is zlib's, in one piece and in two", () => {
    const property = fc.property(placed, fc.nat(), ({ bytes, start, end }, cut) => {
      const middle = start + (cut % (end - start + 1));
      const first = crc32(bytes, start, middle, 0);
      const expected = zlibCrc32(bytes.subarray(start, end));
      expect(crc32(bytes, start, end, 0)).to.equal(expected);
      expect(crc32(bytes, middle, end, first)).to.equal(expected);
    });
    fc.assert(property, { numRuns: 300 });
  });
});
