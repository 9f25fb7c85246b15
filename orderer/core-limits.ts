/**
 * The consensus limits of a channel: what its configuration says, and defaults that fit around it.
 */
import {
  type CoreLimits,
  checkLimits,
  DEFAULT_LIMITS,
  NO_SHARED_CHECKS,
} from '../consensus/core/limits.ts';
import { ENVELOPES_PER_LIST_MAX, encodedListBytes } from '../consensus/wire/index.ts';
import type { BatchSize, SluiceOptions } from './channel-config/types.ts';
import { OrdererError } from './errors.ts';
import { ENVELOPE_FRAMING_BYTES_MAX, ORDERER_LIMITS } from './limits.ts';

/** A channel of slow machines, with a long time-out, does not wake them all the time. */
const HEARTBEATS_PER_VIEW_TIMEOUT = 6;

/** Throws CoreError `invalid_options` naming the relation that does not hold. */
export function coreLimitsOf(sluice: SluiceOptions, batchSize: BatchSize): CoreLimits {
  // A batch always takes one envelope, however large the channel allows it to be.
  const largestEnvelopeBytes = batchSize.absoluteMaxBytes + ENVELOPE_FRAMING_BYTES_MAX;
  const batchBytesMax = Math.max(sluice.batchBytesMax, encodedListBytes(1, largestEnvelopeBytes));
  const laneAdvanceBytesMax = Math.max(sluice.laneAdvanceBytesMax, batchBytesMax);
  return checkLimits({
    ...DEFAULT_LIMITS,
    windowSlots: sluice.windowSlots,
    checkpointSlots: Math.floor(sluice.windowSlots / 2),
    viewTimeoutMs: sluice.viewTimeoutMs,
    viewTimeoutMsMax: Math.max(DEFAULT_LIMITS.viewTimeoutMsMax, sluice.viewTimeoutMs),
    heartbeatMs: Math.max(1, Math.floor(sluice.viewTimeoutMs / HEARTBEATS_PER_VIEW_TIMEOUT)),
    leaderGoneMs: Math.min(DEFAULT_LIMITS.leaderGoneMs, sluice.viewTimeoutMs),
    laneAdvanceBatchesMax: sluice.laneAdvanceBatchesMax,
    laneAdvanceBytesMax,
    batchBytesMax,
    laneBytesHeldMax: Math.max(DEFAULT_LIMITS.laneBytesHeldMax, laneAdvanceBytesMax),
    laneBatchesHeldMax: Math.max(DEFAULT_LIMITS.laneBatchesHeldMax, sluice.laneAdvanceBatchesMax),
    decidedLogSlotsMax: Math.max(DEFAULT_LIMITS.decidedLogSlotsMax, sluice.windowSlots),
    fetchSlotsMax: Math.min(DEFAULT_LIMITS.fetchSlotsMax, sluice.windowSlots),
    pipelineSlotsMax: Math.min(DEFAULT_LIMITS.pipelineSlotsMax, sluice.windowSlots - 1),
    clockSkewMsMax: sluice.clockSkewMsMax,
    sharedCheckBytesMin:
      sluice.signatureChecks === 'shared' ? DEFAULT_LIMITS.sharedCheckBytesMin : NO_SHARED_CHECKS,
    slowPathAfterMsMin: sluice.slowPathAfterMsMin,
    slowPathAfterMsMax: sluice.slowPathAfterMsMax,
    repairAfterMsMin: Math.max(DEFAULT_LIMITS.repairAfterMsMin, sluice.slowPathAfterMsMax),
  });
}

/** The lane feeder stays within what consensus takes: beyond it `submit` throws in the worker. */
if (ORDERER_LIMITS.laneBatchesUndeliveredMax > DEFAULT_LIMITS.ownBatchesPendingMax) {
  throw new OrdererError('bad_limits', 'laneBatchesUndeliveredMax is above ownBatchesPendingMax');
}
if (ORDERER_LIMITS.laneBatchTransactionsMax > ENVELOPES_PER_LIST_MAX) {
  throw new OrdererError('bad_limits', 'laneBatchTransactionsMax is above ENVELOPES_PER_LIST_MAX');
}
