/** Every bound of the core, with the relations that must hold between them. */
import { CoreError } from './errors.ts';
import type { CoreLimits } from './types.ts';

export type { CoreLimits };

const KIB = 1024;
const MIB = 1024 * KIB;

/** Chosen so that a replica with four lanes stays well under 150 MB whatever its peers send. */
export const DEFAULT_LIMITS: CoreLimits = checkLimits({
  windowSlots: 256,
  pipelineSlotsMax: 4,
  laneAdvanceBatchesMax: 16,
  laneAdvanceBytesMax: 12 * MIB,
  // One envelope of Fabric's AbsoluteMaxBytes (10 MiB) with its framing.
  batchBytesMax: 10 * MIB + 512 * KIB,
  ownBatchesPendingMax: 64,
  laneBatchesHeldMax: 256,
  laneBytesHeldMax: 16 * MIB,
  retainedBytesMax: 4 * MIB,
  decidedLogSlotsMax: 1024,
  fetchSlotsMax: 64,
  wantsMax: 64,
  clockSkewMsMax: 2_000,
  slowPathAfterMsMin: 4,
  slowPathAfterMsMax: 50,
  slowModeAfterSlots: 3,
  fastProbeEverySlots: 256,
  fetchAfterMs: 5,
  fetchRetryMs: 50,
  fetchAttemptsMax: 40,
  catchUpAfterMs: 25,
  repairAfterMsMin: 100,
  repairAfterMsMax: 2_000,
  progressDelayMs: 2,
  laneProbationBatches: 64,
  idleCutBlocksMax: 2,
});

/**
 * Returns its argument. Throws CoreError `invalid_options` naming the relation that does not hold.
 */
export function checkLimits(limits: CoreLimits): CoreLimits {
  for (const [name, value] of Object.entries(limits)) {
    const least = name.endsWith('AfterMs') || name === 'progressDelayMs' ? 0 : 1;
    require(Number.isSafeInteger(value) && value >= least, `${name} is an integer >= ${least}`);
  }
  require(limits.pipelineSlotsMax < limits.windowSlots, 'pipelineSlotsMax < windowSlots');
  require(limits.batchBytesMax <=
    limits.laneAdvanceBytesMax, 'batchBytesMax <= laneAdvanceBytesMax');
  require(limits.laneAdvanceBytesMax <=
    limits.laneBytesHeldMax, 'laneAdvanceBytesMax <= laneBytesHeldMax: what one slot may name must fit');
  require(limits.laneAdvanceBatchesMax <=
    limits.laneBatchesHeldMax, 'laneAdvanceBatchesMax <= laneBatchesHeldMax');
  require(limits.ownBatchesPendingMax <=
    limits.laneBatchesHeldMax, 'ownBatchesPendingMax <= laneBatchesHeldMax: peers must be able to hold what a correct owner sends');
  require(limits.windowSlots <=
    limits.decidedLogSlotsMax, 'windowSlots <= decidedLogSlotsMax: whoever falls out of the window must find the slots in the log');
  require(limits.fetchSlotsMax <= limits.windowSlots, 'fetchSlotsMax <= windowSlots');
  require(limits.slowPathAfterMsMin <=
    limits.slowPathAfterMsMax, 'slowPathAfterMsMin <= slowPathAfterMsMax');
  require(limits.repairAfterMsMin <=
    limits.repairAfterMsMax, 'repairAfterMsMin <= repairAfterMsMax');
  require(limits.slowPathAfterMsMax <=
    limits.repairAfterMsMin, 'slowPathAfterMsMax <= repairAfterMsMin: the slow path must have been tried before cells are repeated');
  return limits;
}

function require(holds: boolean, relation: string): void {
  if (!holds) throw new CoreError('invalid_options', `limits of consensus: must hold: ${relation}`);
}
