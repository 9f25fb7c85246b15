/** Every bound of the core, with the relations that must hold between them. */
import { CoreError } from './errors.ts';

export interface CoreLimits {
  /** W: cells and records of this many slots above the stable checkpoint. */
  readonly windowSlots: number;
  /** A checkpoint is taken after this many slots, or this many bytes of batches, whichever is first (K1). */
  readonly checkpointSlots: number;
  readonly checkpointBytes: number;
  /** A replica that leads, or asks for another leader, shows so often that it lives. */
  readonly heartbeatMs: number;
  /** Patience with a leader that is silent, censors, or does not get slots decided; doubles with each view that fails (W1). */
  readonly viewTimeoutMs: number;
  readonly viewTimeoutMsMax: number;
  /** Patience with a leader whose session is closed. */
  readonly leaderGoneMs: number;
  /** Signatures found valid that are remembered. */
  readonly verifiedSignaturesMax: number;
  /** Slots proposed and not yet committed. */
  readonly pipelineSlotsMax: number;
  /**
   * Batches and bytes by which one lane may advance in one slot (at least one batch always may).
   */
  readonly laneAdvanceBatchesMax: number;
  readonly laneAdvanceBytesMax: number;
  readonly batchBytesMax: number;
  /** Own batches not yet executed; `submit` beyond it is a bug of the caller. */
  readonly ownBatchesPendingMax: number;
  /** Held and not yet executed batches, per lane. */
  readonly laneBatchesHeldMax: number;
  readonly laneBytesHeldMax: number;
  /** Executed batches kept for those who fetch. */
  readonly retainedBytesMax: number;
  readonly decidedLogSlotsMax: number;
  /** Slots asked for in one `fetch-decided`, and answers kept per peer. */
  readonly fetchSlotsMax: number;
  /** Batches that this replica is fetching at a time. */
  readonly wantsMax: number;
  readonly clockSkewMsMax: number;
  /** Bounds of the adaptive wait before a slot goes to the slow path. */
  readonly slowPathAfterMsMin: number;
  readonly slowPathAfterMsMax: number;
  /**
   * Consecutive slow commits after which slots start on the slow path, and
   * how often the fast one is probed.
   */
  readonly slowModeAfterSlots: number;
  readonly fastProbeEverySlots: number;
  /** Wait for a batch that can still come from its owner before asking others. */
  readonly fetchAfterMs: number;
  readonly fetchRetryMs: number;
  /** Requests for one batch after which the replica reports itself `behind`. */
  readonly fetchAttemptsMax: number;
  /** How long others may be ahead without this replica moving before it asks for decided slots. */
  readonly catchUpAfterMs: number;
  /** Bounds of the back-off with which unacknowledged cells and batches are written again. */
  readonly repairAfterMsMin: number;
  readonly repairAfterMsMax: number;
  /** How long a progress cell that only tells of new batches may wait for a better reason. */
  readonly progressDelayMs: number;
  /** After this it wakes for it, if nothing else has woken it. */
  readonly progressDelayMsMax: number;
  /** Batches for which a lane stays without trust after its owner made others fetch. */
  readonly laneProbationBatches: number;
  /** Batches of so many bytes are checked by f + 1 replicas, smaller ones by all (A1); NO_SHARED_CHECKS: all by all. */
  readonly sharedCheckBytesMin: number;
  /** Bounds of how long a batch that was read waits for the attestations of its checkers (A5). */
  readonly attestAfterMs: number;
  readonly attestAfterMsMax: number;
  /** The leader makes an idle cut only while fewer blocks than this are uncertified. */
  readonly idleCutBlocksMax: number;
}

/** As `sharedCheckBytesMin`: every replica checks every batch (A7). */
export const NO_SHARED_CHECKS: number = Number.MAX_SAFE_INTEGER;

const KIB = 1024;
const MIB = 1024 * KIB;

/** Chosen so that a replica with four lanes stays well under 150 MB whatever its peers send. */
export const DEFAULT_LIMITS: CoreLimits = checkLimits({
  windowSlots: 256,
  checkpointSlots: 128,
  checkpointBytes: 4 * MIB,
  heartbeatMs: 50,
  viewTimeoutMs: 300,
  viewTimeoutMsMax: 10_000,
  leaderGoneMs: 50,
  verifiedSignaturesMax: 4096,
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
  progressDelayMsMax: 20,
  laneProbationBatches: 64,
  // Less is a few signatures, which take about as long as one message.
  sharedCheckBytesMin: 8 * KIB,
  attestAfterMs: 20,
  attestAfterMsMax: 500,
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
  require(2 * limits.checkpointSlots <=
    limits.windowSlots, '2 * checkpointSlots <= windowSlots: slots go on while a checkpoint becomes stable');
  require(2 * limits.heartbeatMs <=
    limits.viewTimeoutMs, '2 * heartbeatMs <= viewTimeoutMs: one late heartbeat is no silence');
  require(limits.viewTimeoutMs <= limits.viewTimeoutMsMax, 'viewTimeoutMs <= viewTimeoutMsMax');
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
  require(limits.progressDelayMs <=
    limits.progressDelayMsMax, 'progressDelayMs <= progressDelayMsMax');
  require(limits.progressDelayMsMax <
    limits.repairAfterMsMin, 'progressDelayMsMax < repairAfterMsMin: what was told late is not lost');
  require(limits.attestAfterMs <= limits.attestAfterMsMax, 'attestAfterMs <= attestAfterMsMax');
  require(limits.slowPathAfterMsMax <=
    limits.repairAfterMsMin, 'slowPathAfterMsMax <= repairAfterMsMin: the slow path must have been tried before cells are repeated');
  return limits;
}

function require(holds: boolean, relation: string): void {
  if (!holds) throw new CoreError('invalid_options', `limits of consensus: must hold: ${relation}`);
}
