import { expect } from 'chai';
import fc from 'fast-check';
import { cellBodyBytes } from '../../rdma/index.ts';
import { LAYOUT, layoutDigest, regionLayout } from '../../rdma/layout.ts';
import { LIMITS } from '../../rdma/limits.ts';
import { loadNative } from '../../rdma/native.ts';
import { cmac } from '../attacks/support/forge.ts';

describe('layout', () => {
  it('has the same constants in TypeScript and in C++', () => {
    expect({ ...loadNative().layout }).to.deep.equal({ ...LAYOUT });
  });

  it('has bounds in C++ that are those of TypeScript', () => {
    const limits: Record<string, number> = LIMITS;
    for (const [name, value] of Object.entries(loadNative().limits)) {
      expect(limits[name], name).to.equal(value);
    }
  });

  const dimensions = fc.record({
    replicas: fc.integer({ min: LIMITS.replicasMin, max: LIMITS.replicasMax }),
    windowSlots: fc.integer({ min: LIMITS.windowSlotsMin, max: LIMITS.windowSlotsMax }),
    laneRingBytes: fc.integer({ min: 14, max: 26 }).map((bits) => 2 ** bits),
    controlRingBytes: fc.integer({ min: 14, max: 26 }).map((bits) => 2 ** bits),
    payloadBytesMax: fc.integer({ min: 1, max: LIMITS.payloadBytesMaxMax }),
  });

  it('puts everything at the same offsets in TypeScript and in C++ (property)', () => {
    fc.assert(
      fc.property(dimensions, (d) => {
        const native = loadNative().regionLayout(
          d.replicas,
          d.windowSlots,
          d.laneRingBytes,
          d.controlRingBytes,
        );
        expect({ ...native }).to.deep.equal({ ...regionLayout(d) });
      }),
    );
  });

  it('keeps the parts apart and aligned (property)', () => {
    fc.assert(
      fc.property(dimensions, (d) => {
        const l = regionLayout(d);
        expect(LAYOUT.HEADER_HINTS + 4 * LAYOUT.HINTS).to.be.at.most(l.proposalsOffset);
        expect(l.votesOffset - l.proposalsOffset).to.equal(d.windowSlots * l.proposalCellBytes);
        expect(l.laneRingOffset).to.be.at.least(l.progressOffset + l.progressCellBytes);
        for (const bytes of [l.proposalCellBytes, l.progressCellBytes, l.votesOffset]) {
          expect(bytes % LAYOUT.CELL_ALIGN).to.equal(0);
        }
        expect(l.laneRingOffset % LAYOUT.PAGE_BYTES).to.equal(0);
        const room = l.progressCellBytes - LAYOUT.CELL_OVERHEAD_BYTES - LAYOUT.PROGRESS_HEADS_BYTES;
        expect(room).to.be.at.least(cellBodyBytes('progress', d.replicas));
      }),
    );
  });

  it('has another digest for every other dimension', () => {
    const base = {
      replicas: 4,
      windowSlots: 64,
      laneRingBytes: 1 << 20,
      controlRingBytes: 1 << 18,
      payloadBytesMax: 1 << 20,
    };
    const digests = new Set([layoutDigest(base)]);
    for (const name of Object.keys(base) as (keyof typeof base)[]) {
      digests.add(layoutDigest({ ...base, [name]: base[name] * 2 }));
    }
    expect(digests.size).to.equal(6);
  });
});

describe('cell MAC', () => {
  it('is AES-128-CMAC: the vectors of RFC 4493 that are whole blocks', () => {
    const key = Buffer.from('2b7e151628aed2a6abf7158809cf4f3c', 'hex');
    const message = Buffer.from(
      '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
        '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
      'hex',
    );
    const vectors: [number, string][] = [
      [16, '070a16b46b4d4144f79bdd9dd04a287c'],
      [64, '51f0bebf7e3b9d92fc49741779363cfe'],
    ];
    for (const [bytes, tag] of vectors) {
      expect(
        Buffer.from(loadNative().aesCmac(key, message.subarray(0, bytes))).toString('hex'),
      ).to.equal(tag);
      expect(cmac(key, message.subarray(0, bytes)).toString('hex')).to.equal(tag);
    }
  });

  it('agrees with a second implementation (property)', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc
          .integer({ min: 1, max: 20 })
          .chain((blocks) => fc.uint8Array({ minLength: 16 * blocks, maxLength: 16 * blocks })),
        (key, message) => {
          expect(Buffer.from(loadNative().aesCmac(key, message))).to.deep.equal(cmac(key, message));
        },
      ),
    );
  });
});
