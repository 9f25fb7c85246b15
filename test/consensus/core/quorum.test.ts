import { expect } from 'chai';
import {
  CoreError,
  checkLimits,
  DEFAULT_LIMITS,
  faultsTolerated,
  leaderOf,
  quorum,
} from '../../../consensus/core/index.ts';
import { kthHighest } from '../../../consensus/core/quorum.ts';

describe('quorums', () => {
  for (let n = 1; n <= 40; n++) {
    it(`of ${n} replicas intersect in a correct one and do not need the faulty`, () => {
      const f = faultsTolerated(n);
      const q = quorum(n);
      expect(3 * f + 1).to.be.at.most(n);
      expect(2 * q - n).to.be.at.least(f + 1);
      expect(q).to.be.at.most(n - f);
      // No smaller number would do.
      expect(2 * (q - 1) - n).to.be.below(f + 1);
    });
  }

  it('rotate the leader', () => {
    expect([0, 1, 2, 3, 4, 5].map((view) => leaderOf(view, 4))).to.eql([0, 1, 2, 3, 0, 1]);
  });

  it('count from the top', () => {
    expect(kthHighest(Float64Array.of(5, 100, 9, 10, 1_000), 4, 3)).to.equal(9);
  });
});

describe('limits', () => {
  it('hold by default', () => expect(checkLimits(DEFAULT_LIMITS)).to.equal(DEFAULT_LIMITS));

  const wrong: [string, Partial<typeof DEFAULT_LIMITS>][] = [
    ['pipelineSlotsMax < windowSlots', { pipelineSlotsMax: 256 }],
    ['batchBytesMax <= laneAdvanceBytesMax', { batchBytesMax: 13 * 1024 * 1024 }],
    ['laneAdvanceBytesMax <= laneBytesHeldMax', { laneBytesHeldMax: 12 * 1024 * 1024 - 1 }],
    ['laneAdvanceBatchesMax <= laneBatchesHeldMax', { laneAdvanceBatchesMax: 257 }],
    ['ownBatchesPendingMax <= laneBatchesHeldMax', { ownBatchesPendingMax: 257 }],
    ['windowSlots <= decidedLogSlotsMax', { decidedLogSlotsMax: 255 }],
    ['fetchSlotsMax <= windowSlots', { fetchSlotsMax: 257 }],
    ['slowPathAfterMsMin <= slowPathAfterMsMax', { slowPathAfterMsMin: 51 }],
    ['repairAfterMsMin <= repairAfterMsMax', { repairAfterMsMin: 2_001 }],
    ['slowPathAfterMsMax <= repairAfterMsMin', { slowPathAfterMsMax: 101 }],
    ['wantsMax is an integer >= 1', { wantsMax: 0 }],
    ['fetchRetryMs is an integer >= 1', { fetchRetryMs: 1.5 }],
  ];
  for (const [relation, change] of wrong) {
    it(`refuse what breaks: ${relation}`, () => {
      expect(() => checkLimits({ ...DEFAULT_LIMITS, ...change }))
        .to.throw(CoreError, relation)
        .with.property('code', 'invalid_options');
    });
  }
});
