import { expect } from 'chai';
import fc from 'fast-check';
import { RecentCreators } from '../../orderer/msp/recent-creators.ts';

describe('orderer/msp: creators seen lately', () => {
  it('are known by all of their bytes, however many share a place (property)', () => {
    // Short ones and few different bytes, so that places and beginnings are shared.
    const creator = fc.array(fc.constantFrom(0, 1, 255), { maxLength: 60 });
    fc.assert(
      fc.property(fc.array(creator, { maxLength: 40 }), (creators) => {
        const recent = new RecentCreators<string>();
        for (const numbers of creators) {
          const bytes = Uint8Array.from(numbers);
          const found = recent.get(bytes);
          if (found !== undefined) expect(found).to.equal(numbers.join());
          recent.set(bytes, numbers.join());
          expect(recent.get(bytes)).to.equal(numbers.join());
        }
      }),
    );
  });

  it('are remembered as they were, whatever becomes of the bytes', () => {
    const recent = new RecentCreators<string>();
    // A Buffer's `slice` copies nothing.
    const bytes = Buffer.alloc(800, 7);
    recent.set(bytes, 'seven');
    const same = new Uint8Array(bytes);
    bytes[400] = 8;
    expect(recent.get(bytes)).to.equal(undefined);
    expect(recent.get(same)).to.equal('seven');
    for (let at = 0; at < same.length; at += 1) {
      const changed = same.slice();
      changed[at] = 9;
      expect(recent.get(changed), `byte ${at}`).to.equal(undefined);
      expect(recent.get(same.subarray(0, at)), `${at} bytes`).to.equal(undefined);
    }
  });

  it('keep their places when another has nothing in common but the length', () => {
    const recent = new RecentCreators<number>();
    const creators = Array.from({ length: 64 }, (_, writer) => {
      const bytes = new Uint8Array(800).fill(65);
      new DataView(bytes.buffer).setUint32(760, Math.imul(writer + 1, 0x9e37_79b1) >>> 0);
      return bytes;
    });
    for (const [writer, creator] of creators.entries()) recent.set(creator, writer);
    const kept = creators.filter((creator, writer) => recent.get(creator) === writer);
    // 64 in 256 places, by chance: some 57 alone in theirs.
    expect(kept.length).to.be.above(40);
  });
});
