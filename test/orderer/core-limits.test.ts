import { expect } from 'chai';
import { DEFAULT_LIMITS, NO_SHARED_CHECKS } from '../../consensus/core/limits.ts';
import { DEFAULT_SLUICE_OPTIONS } from '../../orderer/channel-config/index.ts';
import { coreLimitsOf } from '../../orderer/core-limits.ts';
import { NETWORK_DEFAULTS } from '../../orderer/network/index.ts';

describe('the limits of consensus in a channel', () => {
  const { batchSize } = NETWORK_DEFAULTS;

  it('are those that the core has by itself, in a channel as `sluice init` makes it', () => {
    const limits = coreLimitsOf(DEFAULT_SLUICE_OPTIONS, batchSize);
    for (const name of [
      'windowSlots',
      'laneAdvanceBatchesMax',
      'laneAdvanceBytesMax',
      'clockSkewMsMax',
      'slowPathAfterMsMin',
      'slowPathAfterMsMax',
      'checkpointSlots',
      'viewTimeoutMs',
      'heartbeatMs',
      'sharedCheckBytesMin',
    ] as const) {
      expect(limits[name], name).to.equal(DEFAULT_LIMITS[name]);
    }
  });

  it('share no checks in a channel that wants every replica to check everything', () => {
    const limits = coreLimitsOf({ ...DEFAULT_SLUICE_OPTIONS, signatureChecks: 'all' }, batchSize);
    expect(limits.sharedCheckBytesMin).to.equal(NO_SHARED_CHECKS);
  });

  it('fit together at the ends of what a channel may choose', () => {
    for (const viewTimeoutMs of [20, 60_000]) {
      for (const windowSlots of [8, 4_096]) {
        const options = { ...DEFAULT_SLUICE_OPTIONS, viewTimeoutMs, windowSlots };
        const limits = coreLimitsOf(options, batchSize);
        expect(limits).to.include({ viewTimeoutMs, windowSlots, checkpointSlots: windowSlots / 2 });
      }
    }
  });
});
