/**
 * The consensus limits of a channel: what its configuration says, and defaults that fit around it.
 */
import { type CoreLimits, checkLimits, DEFAULT_LIMITS } from '../consensus/core/limits.ts';
import { encodedListBytes } from '../consensus/wire/index.ts';
import type { BatchSize, SluiceOptions } from './channel-config/types.ts';
import { ENVELOPE_FRAMING_BYTES_MAX } from './limits.ts';

/** Throws CoreError `invalid_options` naming the relation that does not hold. */
export function coreLimitsOf(sluice: SluiceOptions, batchSize: BatchSize): CoreLimits {
  // A batch always takes one envelope, however large the channel allows it to be.
  const largestEnvelopeBytes = batchSize.absoluteMaxBytes + ENVELOPE_FRAMING_BYTES_MAX;
  const batchBytesMax = Math.max(sluice.batchBytesMax, encodedListBytes(1, largestEnvelopeBytes));
  const laneAdvanceBytesMax = Math.max(sluice.laneAdvanceBytesMax, batchBytesMax);
  return checkLimits({
    ...DEFAULT_LIMITS,
    windowSlots: sluice.windowSlots,
    laneAdvanceBatchesMax: sluice.laneAdvanceBatchesMax,
    laneAdvanceBytesMax,
    batchBytesMax,
    laneBytesHeldMax: Math.max(DEFAULT_LIMITS.laneBytesHeldMax, laneAdvanceBytesMax),
    laneBatchesHeldMax: Math.max(DEFAULT_LIMITS.laneBatchesHeldMax, sluice.laneAdvanceBatchesMax),
    decidedLogSlotsMax: Math.max(DEFAULT_LIMITS.decidedLogSlotsMax, sluice.windowSlots),
    fetchSlotsMax: Math.min(DEFAULT_LIMITS.fetchSlotsMax, sluice.windowSlots),
    pipelineSlotsMax: Math.min(DEFAULT_LIMITS.pipelineSlotsMax, sluice.windowSlots - 1),
    clockSkewMsMax: sluice.clockSkewMsMax,
    slowPathAfterMsMin: sluice.slowPathAfterMsMin,
    slowPathAfterMsMax: sluice.slowPathAfterMsMax,
    repairAfterMsMin: Math.max(DEFAULT_LIMITS.repairAfterMsMin, sluice.slowPathAfterMsMax),
  });
}
