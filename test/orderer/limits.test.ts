import { expect } from 'chai';
import { OrdererError } from '../../orderer/errors.ts';
import { checkOrdererLimits, ORDERER_LIMITS } from '../../orderer/limits.ts';

const CHANNEL = {
  maxMessageCount: 500,
  absoluteMaxBytes: 10_485_760,
  preferredMaxBytes: 2_097_152,
};

describe('orderer limits', () => {
  it('hold for the default channel', () => {
    checkOrdererLimits(ORDERER_LIMITS, CHANNEL);
  });

  it('name both sides of a relation that does not hold', () => {
    const cases: [Partial<typeof ORDERER_LIMITS>, Partial<typeof CHANNEL>, RegExp][] = [
      [{ nonceBytesMax: 0 }, {}, /nonceBytesMax is 0/],
      [{ nonceBytesMax: 23 }, {}, /nonce of Fabric's clients \(24\) is above nonceBytesMax \(23\)/],
      [{ verifyJobItemsMax: 9000 }, {}, /verifyJobItemsMax \(9000\) is above verifyQueueItemsMax/],
      [{ retryAfterMs: 1.5 }, {}, /retryAfterMs is 1.5/],
      [{}, { preferredMaxBytes: 10_485_761 }, /PreferredMaxBytes .* is above AbsoluteMaxBytes/],
      [{}, { absoluteMaxBytes: 2 ** 30 }, /an envelope \(1073741836\) is above/],
      [{}, { maxMessageCount: 40_000 }, /twice MaxMessageCount \(80000\) is above/],
    ];
    for (const [limits, channel, message] of cases) {
      expect(() => checkOrdererLimits({ ...ORDERER_LIMITS, ...limits }, { ...CHANNEL, ...channel }))
        .to.throw(OrdererError, message)
        .with.property('code', 'bad_limits');
    }
  });
});
