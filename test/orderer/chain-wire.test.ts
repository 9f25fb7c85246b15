import { expect } from 'chai';
import fc from 'fast-check';
import {
  decodeConsenterMetadata,
  encodeConsenterMetadata,
} from '../../orderer/chain/consenter-metadata.ts';
import {
  decodeSignatureMessage,
  encodeSignatureMessage,
} from '../../orderer/chain/signature-message.ts';
import { decodeStartMessage, encodeStartMessage } from '../../orderer/startup/wire.ts';

const number = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

describe('bytes that replicas exchange about blocks', () => {
  it('consenter metadata comes back as it went', () => {
    fc.assert(
      fc.property(number, number, (slot, timeMs) => {
        const decoded = decodeConsenterMetadata(encodeConsenterMetadata({ slot, timeMs }));
        expect(decoded).to.deep.equal({ kind: 'ok', value: { slot, timeMs } });
      }),
    );
  });

  it('block signatures and requests come back as they went', () => {
    fc.assert(
      fc.property(
        number,
        bytes(32),
        bytes(24),
        bytes(64),
        (blockNumber, headerHash, nonce, signature) => {
          for (const message of [
            { kind: 'signature', blockNumber, headerHash, nonce, signature },
            { kind: 'request', blockNumber },
            { kind: 'certificate', blockNumber, metadata: signature },
          ] as const) {
            const decoded = decodeSignatureMessage(encodeSignatureMessage(message));
            expect(decoded).to.deep.equal({ kind: 'ok', value: message });
          }
        },
      ),
    );
  });

  it('start-up frames come back as they went', () => {
    const hash = 'ab'.repeat(32);
    const report = {
      storedHeight: 3,
      certifiedHeight: 2,
      tipHash: hash,
      tail: [{ number: 2, hash }],
      base: undefined,
      ready: undefined,
    };
    const base = { height: 1, tipHash: hash, generation: 3, mute: true };
    for (const message of [
      { kind: 'report', report, wantsReply: true },
      {
        kind: 'report',
        report: { ...report, base },
        wantsReply: false,
      },
      { kind: 'report', report: { ...report, ready: 4 }, wantsReply: false },
      { kind: 'fetch', fromNumber: 7 },
      { kind: 'blocks', fromNumber: 9, blocks: [new Uint8Array([1]), new Uint8Array([2, 3])] },
    ] as const) {
      expect(decodeStartMessage(encodeStartMessage(message))).to.deep.equal({
        kind: 'ok',
        value: message,
      });
    }
  });

  it('no bytes make a decoder throw', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0, 1, 2, 0x7b),
        (garbage, first) => {
          if (garbage.length > 0) garbage[0] = first;
          for (const decode of [
            decodeConsenterMetadata,
            decodeSignatureMessage,
            decodeStartMessage,
          ]) {
            expect(decode(garbage).kind).to.be.oneOf(['ok', 'malformed']);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('a report that claims more certified than stored blocks is malformed', () => {
    const lie = encodeStartMessage({
      kind: 'report',
      wantsReply: false,
      report: {
        storedHeight: 2,
        certifiedHeight: 3,
        tipHash: '00'.repeat(32),
        tail: [],
        base: undefined,
        ready: undefined,
      },
    });
    expect(decodeStartMessage(lie).kind).to.equal('malformed');
  });
});
