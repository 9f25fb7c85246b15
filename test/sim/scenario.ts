/** What a seed stands for: everything about a run that is decided before it begins. */
import type { CoreLimits } from '../../consensus/core/index.ts';
import { faultsTolerated, NO_SHARED_CHECKS } from '../../consensus/core/index.ts';
import { LIE_NAMES, type LieName } from './byzantine/index.ts';
import type { FaultRates } from './faults.ts';
import type { MachineProfile } from './machine.ts';
import type { NetworkProfile } from './network.ts';
import type { Protocol } from './protocol.ts';
import { Random } from './random.ts';

export interface LoadProfile {
  /** Transactions per second of virtual time and channel while clients are busy, without bursts. */
  readonly perSecond: number;
  /** Mean time that clients are busy, and that they are not. */
  readonly busyMs: number;
  readonly idleMs: number;
  readonly burstEveryMs: number;
  readonly burstTransactionsMax: number;
  /** Chance that a transaction goes to several replicas, and that it is submitted again later. */
  readonly manyChance: number;
  readonly againChance: number;
}

/** What most of a run's trouble is about. */
export const FOCUSES = ['calm', 'mixed', 'views', 'restarts', 'joins'] as const;
export type Focus = (typeof FOCUSES)[number];

export interface Scenario {
  readonly seed: number;
  readonly focus: Focus;
  readonly replicas: number;
  readonly channels: number;
  readonly durability: 'wal' | 'memory';
  /** Lie in every channel; at most f. */
  readonly byzantine: readonly number[];
  readonly lies: readonly LieName[];
  readonly limits: CoreLimits;
  /** What looking at the signatures of a batch takes at most: some attestations are late. */
  readonly signatureCheckMs: number;
  readonly batchTimeoutMs: number;
  readonly blockTransactionsMax: number;
  readonly batchTransactionsMax: number;
  readonly network: NetworkProfile;
  readonly machines: readonly MachineProfile[];
  readonly faults: FaultRates;
  readonly load: LoadProfile;
  /** Faults happen this long; then everything heals. */
  readonly disturbedMs: number;
  /** Processes start within this time. */
  readonly startSpreadMs: number;
}

/** What the command line may fix. */
export interface Overrides {
  readonly replicas?: number;
  readonly focus?: Focus;
  /** As many liars as may be, who tell just these lies. */
  readonly lies?: readonly LieName[];
}

const SCENARIO_STREAM = 1;
/** Drawn apart, so that a seed stands for the same story as before there were shared checks. */
const SHARING_STREAM = 3;
/** Small clusters more often: they run faster, and have the tightest quorums. */
const SIZES = [4, 4, 4, 4, 4, 4, 5, 5, 6, 6, 7, 7, 7, 8, 9, 10];

export function scenarioOf(protocol: Protocol, seed: number, overrides: Overrides = {}): Scenario {
  const random = new Random(seed, SCENARIO_STREAM);
  const sharing = new Random(seed, SHARING_STREAM);
  const drawn = random.pick(SIZES);
  const replicas = overrides.replicas ?? drawn;
  const drawnFocus = focusOf(random);
  const focus = overrides.focus ?? drawnFocus;
  const calm = focus === 'calm';
  const byzantine = byzantineOf(random, replicas, focus, overrides.lies !== undefined);
  const network = networkOf(random, calm);
  const isLong = focus === 'mixed' || focus === 'calm';
  const disturbedMs = isLong ? random.magnitude(1_500, 15_000) : random.magnitude(1_000, 6_000);
  return {
    seed,
    focus,
    replicas,
    channels: random.chance(0.15) ? 2 : 1,
    durability: focus === 'restarts' || random.chance(0.7) ? 'wal' : 'memory',
    byzantine,
    lies: byzantine.length > 0 ? (overrides.lies ?? liesOf(random, focus)) : [],
    limits: limitsOf(random, sharing, protocol),
    signatureCheckMs: sharing.pick([0.3, 0.3, 3, 30]),
    batchTimeoutMs: random.pick([50, 200, 2_000]),
    blockTransactionsMax: random.pick([1, 5, 10, 50]),
    batchTransactionsMax: random.pick([1, 3, 20]),
    network,
    machines: Array.from({ length: replicas }, () => machineOf(random, calm, network.latencyMs)),
    faults: faultsOf(random, focus, disturbedMs),
    load: loadOf(random, replicas, focus),
    disturbedMs,
    startSpreadMs: random.pick([0, 20, 300, 2_000]),
  };
}

function focusOf(random: Random): Focus {
  const roll = random.next();
  if (roll < 0.07) return 'calm';
  if (roll < 0.35) return 'views';
  if (roll < 0.47) return 'restarts';
  return roll < 0.57 ? 'joins' : 'mixed';
}

function byzantineOf(random: Random, replicas: number, focus: Focus, isCertain: boolean): number[] {
  const chance = focus === 'views' ? 0.85 : 0.5;
  if (!isCertain && (focus === 'calm' || !random.chance(chance))) return [];
  const all = Array.from({ length: replicas }, (_, replica) => replica);
  const most = faultsTolerated(replicas);
  // A joiner takes the place of a liar.
  const room = focus === 'joins' ? most - 1 : most;
  const least = isCertain ? 1 : Math.min(1, room);
  const count = focus === 'views' ? most : random.integer(least, Math.max(least, room));
  return random
    .shuffled(all)
    .slice(0, count)
    .sort((a, b) => a - b);
}

const VIEW_LIES: readonly LieName[] = [
  'twins',
  'two-faces',
  'lying-changes',
  'reports-other-face',
  'split-new-views',
  'stale-views',
  'worst-silence',
  'eager-commits',
  'favourites',
  'spoofed-cells',
  'betrayal',
  'other-contents',
  'forged-new-views',
  'lifted-certificates',
];

/** A few at a time, so that none drowns the others. */
function liesOf(random: Random, focus: Focus): LieName[] {
  const from = focus === 'views' ? VIEW_LIES : LIE_NAMES;
  return random.shuffled(from).slice(0, random.integer(1, 4));
}

/** Mostly windows so small that replicas fall out of them. */
function limitsOf(
  random: Random,
  sharing: Random,
  { defaultLimits, checkLimits }: Protocol,
): CoreLimits {
  const windowSlots = random.pick([8, 8, 16, 16, 32, 64]);
  const viewTimeoutMs = random.pick([100, 300, 300, 1_000]);
  return checkLimits({
    ...defaultLimits,
    windowSlots,
    viewTimeoutMs,
    heartbeatMs: Math.ceil(viewTimeoutMs / random.pick([3, 6])),
    checkpointSlots: windowSlots / 2,
    pipelineSlotsMax: random.integer(1, Math.min(4, windowSlots / 2 - 1)),
    laneAdvanceBatchesMax: random.pick([1, 2, 4, 16]),
    ownBatchesPendingMax: random.pick([4, 16]),
    laneBatchesHeldMax: random.pick([16, 64]),
    decidedLogSlotsMax: windowSlots * random.pick([1, 1, 2, 4]),
    fetchSlotsMax: random.pick([4, 8]),
    wantsMax: random.pick([8, 64]),
    retainedBytesMax: random.pick([4, 32, 1_024]) * 1_024,
    laneProbationBatches: random.pick([4, 64]),
    // Batches here are small: of the payloads, most are above the first two.
    sharedCheckBytesMin: sharing.pick([1, 1, 1, 1, 60, NO_SHARED_CHECKS]),
    attestAfterMs: sharing.pick([0, 2, 20, 20, 100]),
    attestAfterMsMax: sharing.pick([100, 500]),
  });
}

function networkOf(random: Random, calm: boolean): NetworkProfile {
  const latencyMs = random.pick([0.005, 0.02, 0.1, 0.1, 1, 8]);
  const rough = !calm && random.chance(0.7);
  return {
    latencyMs,
    jitterMs: latencyMs * random.pick([0.2, 1, 5]),
    spikeChance: rough ? random.pick([0, 0.001, 0.02]) : 0,
    spikeMs: random.magnitude(2, 500),
    lossChance: rough ? random.pick([0, 0, 0.002, 0.02, 0.15]) : 0,
    skipChance: rough ? random.pick([0, 0, 0.002, 0.05]) : 0,
    tearChance: rough ? random.pick([0, 0.01, 0.1]) : 0,
    tearMs: random.magnitude(0.01, 50),
    ringBytesMax: random.pick([2_048, 65_536, 1_048_576]),
  };
}

function machineOf(random: Random, calm: boolean, latencyMs: number): MachineProfile {
  const slowDisk = !calm && random.chance(0.15);
  return {
    clockOffsetMs: calm ? 0 : random.pick([0, 0, 1, 1]) * random.between(-700, 700),
    turnGapMsMax:
      !calm && random.chance(0.1)
        ? random.magnitude(1, 30)
        : Math.min(3, latencyMs * random.pick([0.5, 2, 5])),
    disk: {
      syncMs: slowDisk ? random.magnitude(2, 40) : 0.05,
      jitterMs: slowDisk ? random.magnitude(1, 40) : 0.2,
      spikeChance: random.pick([0, 0.01]),
      spikeMs: random.magnitude(5, 300),
    },
  };
}

/** Each kind of fault is there in some runs only, so that no one of them hides the others. */
function faultsOf(random: Random, focus: Focus, disturbedMs: number): FaultRates {
  const often = focus === 'mixed' ? 1 : 0.4;
  const every = (chance: number): number =>
    focus !== 'calm' && random.chance(chance * often)
      ? disturbedMs / random.magnitude(1, 12)
      : Infinity;
  const rates: FaultRates = {
    crashEveryMs: every(0.5),
    crashAllEveryMs: every(0.15),
    loseDiskEveryMs: every(0.2),
    pauseEveryMs: every(0.35),
    breakSessionEveryMs: every(0.35),
    partitionEveryMs: every(0.35),
    cutEveryMs: every(0.25),
    stallDiskEveryMs: every(0.25),
    fillDiskEveryMs: every(0.15),
    stepClockEveryMs: every(0.25),
    slowEveryMs: every(0.25),
    strikeLeaderEveryMs: every(0.5),
  };
  switch (focus) {
    case 'views':
      return { ...rates, strikeLeaderEveryMs: random.magnitude(150, 1_200) };
    case 'restarts':
      return {
        ...rates,
        crashEveryMs: random.magnitude(100, 1_000),
        crashAllEveryMs: random.pick([Infinity, 700, 2_000]),
      };
    case 'joins':
      return {
        ...rates,
        crashEveryMs: random.magnitude(200, 2_000),
        loseDiskEveryMs: random.magnitude(200, 2_000),
      };
    default:
      return rates;
  }
}

/** What a slot costs grows with the square of the replicas; larger clusters have fewer, so that all take about as long. */
function loadOf(random: Random, replicas: number, focus: Focus): LoadProfile {
  const share = (4 * 4) / replicas ** 2;
  const isSteady = focus === 'views' || focus === 'restarts';
  return {
    perSecond: random.magnitude(5, 50) * share,
    busyMs: isSteady ? 1_000 : random.magnitude(50, 600),
    idleMs: isSteady ? 300 : random.magnitude(300, 4_000),
    burstEveryMs: random.pick([Infinity, 2_000, 5_000]) / share,
    burstTransactionsMax: random.pick([5, 10, 40]),
    manyChance: random.pick([0, 0.1, 0.5]),
    againChance: random.pick([0, 0.2]),
  };
}
