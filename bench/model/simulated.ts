/** A cluster of real cores in the simulator's virtual time, without faults: what they do for a slot, and a recording of it. */
import { type CoreLimits, DEFAULT_LIMITS, NO_SHARED_CHECKS } from '../../consensus/core/limits.ts';
import { loadProtocol } from '../../test/sim/protocol.ts';
import type { Scenario } from '../../test/sim/scenario.ts';
import { START_MS, World } from '../../test/sim/world.ts';
import { CountingProtocol, type Recording } from './counting.ts';
import { type Counts, perSlot, type Tally } from './tally.ts';

export interface SimulatedOptions {
  readonly replicas: number;
  /** Batches of one small transaction, at random times; a slot orders one of them, now and then two. */
  readonly batchesPerSecond: number;
  readonly slots: number;
}

export interface Simulated {
  readonly replicas: number;
  /** Of one replica for one slot, on the average over all. */
  readonly counts: Counts;
  /** Of view 0's leader alone. */
  readonly leader: Counts;
  readonly leaderRecording: Recording;
  readonly followerRecording: Recording;
  /** What only slow paths and catching up say; 0 in a run that is what it should be. */
  readonly unexpected: number;
  /** One that was sent, encoded: nearly all are CHECKPOINTs. */
  readonly message: Uint8Array;
}

/** All sessions are open by then: a replica that comes later would have to catch up first. */
const OPENING_MS = 400;
const WARM_UP_MS = 50;
const STEP_MS = 5;
const NEVER = Infinity;
/** Virtual; what a turn takes costs nothing there, so it stands for that, too. */
const LATENCY_MS = 0.005;
const TURN_GAP_MS_MAX = 0.05;

const PATIENCE_MS = 10_000;
/** Clients do not wait until all sessions are open, so patience is what keeps the first leader; no clients' signatures are in the model. */
const LIMITS: CoreLimits = {
  ...DEFAULT_LIMITS,
  sharedCheckBytesMin: NO_SHARED_CHECKS,
  viewTimeoutMs: PATIENCE_MS,
  viewTimeoutMsMax: PATIENCE_MS,
  leaderGoneMs: PATIENCE_MS,
};

export async function simulate(options: SimulatedOptions): Promise<Simulated> {
  const { replicas, slots } = options;
  const protocol = new CountingProtocol(await loadProtocol(), replicas);
  const world = new World(scenarioOf(options), protocol);
  world.clients.calm();
  world.runUntil(START_MS + OPENING_MS);
  world.clients.begin();
  const startMs = START_MS + OPENING_MS + WARM_UP_MS;
  world.runUntil(startMs);
  protocol.begin();
  const { tallies, recordings } = protocol;
  for (let untilMs = startMs; slotsOf(tallies) < slots; untilMs += STEP_MS) {
    world.runUntil(untilMs);
    // `runUntil` comes back at once from then on.
    if (world.violations.length > 0) break;
  }
  protocol.end();
  const [violation] = world.violations;
  if (violation !== undefined) throw new Error(`the simulated cluster broke: ${violation.rule}`);
  const [leader, follower] = recordings;
  if (leader === undefined || follower === undefined) throw new Error('there are two replicas');
  const message = tallies.find((tally) => tally.message !== undefined)?.message;
  if (message === undefined) throw new Error('too few slots: no checkpoint was taken');
  return {
    replicas,
    message,
    counts: perSlot(tallies.map(({ counts }) => counts)),
    leader: perSlot(tallies.slice(0, 1).map(({ counts }) => counts)),
    leaderRecording: leader,
    followerRecording: follower,
    unexpected: tallies.reduce((sum, tally) => sum + tally.unexpected, 0),
  };
}

/** Of the leader: the others may be a little behind. */
function slotsOf([leader]: readonly Tally[]): number {
  return leader?.counts.slots ?? 0;
}

function scenarioOf({ replicas, batchesPerSecond }: SimulatedOptions): Scenario {
  return {
    seed: 1,
    focus: 'calm',
    replicas,
    channels: 1,
    durability: 'memory',
    byzantine: [],
    lies: [],
    limits: LIMITS,
    signatureCheckMs: 0.01,
    batchTimeoutMs: 2_000,
    blockTransactionsMax: 500,
    batchTransactionsMax: 1,
    network: {
      latencyMs: LATENCY_MS,
      jitterMs: LATENCY_MS,
      spikeChance: 0,
      spikeMs: 0,
      lossChance: 0,
      skipChance: 0,
      tearChance: 0,
      tearMs: 0,
      ringBytesMax: 1_048_576,
    },
    machines: Array.from({ length: replicas }, () => ({
      clockOffsetMs: 0,
      turnGapMsMax: TURN_GAP_MS_MAX,
      disk: { syncMs: 0.05, jitterMs: 0.05, spikeChance: 0, spikeMs: 0 },
    })),
    faults: {
      crashEveryMs: NEVER,
      crashAllEveryMs: NEVER,
      loseDiskEveryMs: NEVER,
      pauseEveryMs: NEVER,
      breakSessionEveryMs: NEVER,
      partitionEveryMs: NEVER,
      cutEveryMs: NEVER,
      stallDiskEveryMs: NEVER,
      fillDiskEveryMs: NEVER,
      stepClockEveryMs: NEVER,
      slowEveryMs: NEVER,
      strikeLeaderEveryMs: NEVER,
    },
    load: {
      perSecond: batchesPerSecond,
      busyMs: 1e12,
      idleMs: 1,
      burstEveryMs: NEVER,
      burstTransactionsMax: 2,
      manyChance: 0,
      againChance: 0,
    },
    disturbedMs: 0,
    startSpreadMs: 0,
  };
}
