/**
 * Everything a replica knows of one channel's agreement, in one place;
 * the rules are in the other files.
 */
import type { Unattested } from './attest.ts';
import { DIGEST32_BYTES } from './bytes.ts';
import { createDecidedLog, type DecidedLog } from './decided-log.ts';
import { createDigests, type Digests } from './digests.ts';
import { CoreError } from './errors.ts';
import { createLane, EMPTY_LANE, type HeldBatch, type LaneState } from './lane-store.ts';
import { checkLimits } from './limits.ts';
import { fastQuorum, faultsTolerated, leaderOf, quorum } from './quorum.ts';
import { SignatureMemory } from './signature-memory.ts';
import { createSlotRing, type SlotRing } from './slots.ts';
import {
  type Advance,
  type CatchUp,
  type CheckpointsState,
  type Counters,
  createBatchRepair,
  createCatchUp,
  createMute,
  createRepair,
  createSuspicion,
  createViews,
  type LeaderState,
  type Mute,
  type PathState,
  type PeerState,
  type ProgressState,
  type Repair,
  type SlotContent,
  type Suspicion,
  type Transfer,
  type ViewState,
  type Want,
} from './state-parts.ts';
import type {
  BatchRef,
  CoreCrypto,
  CoreLimits,
  CoreOptions,
  Effect,
  Frontier,
  ReplicaIndex,
  Slot,
  View,
} from './types.ts';

export type * from './state-parts.ts';

export interface CoreState {
  readonly options: CoreOptions;
  readonly limits: CoreLimits;
  readonly crypto: CoreCrypto;
  readonly digests: Digests;
  readonly self: ReplicaIndex;
  readonly replicas: number;
  /** f, q and n of the quorum rules; tests of the tests change `quorum`. */
  readonly faults: number;
  quorum: number;
  fastQuorum: number;
  /** The view that this replica is in, or has asked to enter (`views.changing`). */
  view: View;
  readonly views: ViewState;
  readonly suspicion: Suspicion;
  /** `views.entered` when the early cells were last looked through. */
  earlyTaken: number;
  readonly checkpoints: CheckpointsState;
  transfer: Transfer | undefined;
  mute: Mute | undefined;
  /** Per replica: the newest life known of; `lives[self]` is the own one (J4). */
  readonly lives: number[];
  /** It has no memory of the lane that it spread before: batches in it are judged as a peer's (L7). */
  readonly joined: boolean;
  readonly signatures: SignatureMemory;

  /** The caller's clock, for ordered time. */
  wallMs: number;
  /** Time that has passed by the same clock, without its steps back, for timers; 0: long ago. */
  timerMs: number;

  readonly lanes: LaneState[];
  readonly slots: SlotRing;
  readonly peers: PeerState[];
  /** Last executed slot. */
  executed: SlotContent;
  appliedSlot: Slot;
  blocksUncertified: number;
  /** Every slot up to this one was voted for in this view, or needs no vote (V3). */
  lastVoted: Slot;
  /** Highest slot that the leader of this view, or f + 1 others, have named in it. */
  highestKnown: Slot;
  /** Highest slot that this replica has ever heard of: nobody's vote was for a later one that it knows of (J2). */
  highestNamed: Slot;
  /**
   * When the next proposal's time comes within the allowed skew (V4);
   * Infinity: not waiting for that.
   */
  tooEarlyUntilMs: number;
  readonly leader: LeaderState;
  readonly path: PathState;
  readonly progress: ProgressState;
  readonly wants: Want[];
  /** Batches that were read, in that order; some do not wait any more (A5). */
  readonly unattested: Unattested[];
  /** Moving average of how long that takes. */
  attestMs: number;
  readonly catchUp: CatchUp;
  readonly repair: Repair;
  /** Executed batches in order of execution, for those who fetch. */
  readonly retained: {
    batches: HeldBatch[];
    /** Those before it are forgotten; those from `stable` on lie above the stable checkpoint. */
    first: number;
    stable: number;
    bytes: number;
    unstableBytes: number;
  };
  readonly decidedLog: DecidedLog;
  readonly counters: Counters;
  /** One number per replica, for a moment's use. */
  readonly scratch: Float64Array;
  /** One list for each lane, while a slot is executed. */
  readonly advances: Advance[];
  /** Something was taken, or has happened, that a rule may follow from. */
  unsettled: boolean;
  effects: Effect[];
}

export function createState(options: CoreOptions, crypto: CoreCrypto): CoreState {
  checkOptions(options);
  const { replicas, limits, self } = options;
  const before = options.firstSlot - 1;
  const frontier: Frontier = new Array<BatchRef>(replicas).fill(EMPTY_LANE);
  const executed: SlotContent = { slot: before, timeMs: options.baseTimeMs, frontier };
  const beginning = { slot: before, certificate: undefined };
  return {
    options,
    limits,
    crypto,
    digests: createDigests(options.runId, replicas, crypto),
    self,
    replicas,
    faults: faultsTolerated(replicas),
    quorum: quorum(replicas),
    fastQuorum: fastQuorum(replicas),
    view: 0,
    views: createViews(before),
    suspicion: createSuspicion(replicas, before),
    earlyTaken: 0,
    checkpoints: {
      lastSlot: before,
      bytes: 0,
      open: [],
      stable: beginning,
      base: beginning,
      resendMs: Infinity,
    },
    transfer: undefined,
    mute: options.entry.kind === 'join' ? createMute(replicas) : undefined,
    lives: new Array<number>(replicas).fill(0),
    joined: options.entry.kind === 'join',
    signatures: new SignatureMemory(limits.verifiedSignaturesMax, crypto),
    wallMs: -Infinity,
    timerMs: 0,
    lanes: Array.from({ length: replicas }, (_, lane) => createLane(lane, replicas)),
    slots: createSlotRing(replicas, limits.windowSlots),
    peers: Array.from({ length: replicas }, () => createPeer(replicas, before)),
    executed,
    appliedSlot: before,
    blocksUncertified: 0,
    lastVoted: before,
    highestKnown: before,
    highestNamed: before,
    tooEarlyUntilMs: Infinity,
    leader: { head: executed, uncutSinceMs: undefined, cutSlots: [], pushTo: before },
    // Until measured, the fast path gets the longest wait.
    path: { slowMode: false, slowStreak: 0, commitMs: limits.slowPathAfterMsMax },
    progress: { urgent: false, beat: 0, writtenMs: -Infinity, newsSinceMs: Infinity },
    wants: [],
    unattested: [],
    attestMs: 0,
    catchUp: createCatchUp(before),
    repair: createRepair(),
    retained: { batches: [], first: 0, stable: 0, bytes: 0, unstableBytes: 0 },
    decidedLog: createDecidedLog(replicas, limits.decidedLogSlotsMax),
    counters: { fastCommits: 0, slowCommits: 0, fetchedCommits: 0, ignored: new Map() },
    scratch: new Float64Array(replicas),
    advances: [],
    unsettled: true,
    effects: [],
  };

  function createPeer(lanes: number, appliedSlot: Slot): PeerState {
    return {
      open: false,
      appliedSlot,
      held: new Array<BatchRef>(lanes).fill(EMPTY_LANE),
      beat: undefined,
      view: 0,
      changing: false,
      wish: 0,
      mute: false,
      ready: false,
      letInAtMs: -Infinity,
      letInBackoffMs: 0,
      lifeChanges: 0,
      viewChange: undefined,
      viewChangeCheck: 'unchecked',
      early: new Map(),
      newViewCheckedMs: -Infinity,
      certificateCheckedMs: -Infinity,
      checkpoints: [],
      pushAtMs: Infinity,
      pushBackoffMs: 0,
      namedSlot: appliedSlot,
      coveredSeq: new Float64Array(lanes),
      faults: 0,
      missedAttests: 0,
      evidenceEmitted: 0,
      malformedReasons: new Set(),
      answersSinceMs: -Infinity,
      answers: 0,
      answerBytes: 0,
      repair: createRepair(),
      batchRepair: createBatchRepair(limits),
    };
  }
}

function checkOptions(options: CoreOptions): void {
  const { self, replicas, runId, firstSlot, baseTimeMs, batchTimeoutMs } = options;
  const { baseHeight, baseHash } = options;
  const wrong = (message: string): never => {
    throw new CoreError('invalid_options', `consensus core: ${message}`);
  };
  checkLimits(options.limits);
  if (!Number.isInteger(replicas) || replicas < 1) wrong('replicas is a positive integer');
  if (!Number.isInteger(self) || self < 0 || self >= replicas) wrong('self is one of the replicas');
  if (runId.length !== DIGEST32_BYTES) wrong('runId has 32 bytes');
  if (!Number.isSafeInteger(firstSlot) || firstSlot < 1) wrong('firstSlot is at least 1');
  if (!Number.isSafeInteger(baseTimeMs) || baseTimeMs < 0) wrong('baseTimeMs is a time in ms');
  if (!Number.isSafeInteger(baseHeight) || baseHeight < 1) wrong('baseHeight is at least 1');
  if (baseHash.length !== DIGEST32_BYTES) wrong('baseHash has 32 bytes');
  if (!(batchTimeoutMs > 0)) wrong('batchTimeoutMs is positive');
}

/** A replica that has not been woken for longer than this was not awake, and counts so much only. */
export const AWAKE_MS_MAX = 50;

/**
 * Where timers begin, so that time 0 is hours ago. Not where the caller's clock is: for three weeks they stay integers that V8
 * keeps without an object for each.
 */
const FIRST_TIMER_MS = 2 ** 24;

/**
 * Sets the clock of this step. Steps back of the caller's clock do not count
 * as time passed, nor against it.
 */
export function setClock(state: CoreState, nowMs: number): void {
  if (state.wallMs === -Infinity) {
    state.timerMs = FIRST_TIMER_MS;
  } else if (nowMs > state.wallMs) {
    const passedMs = nowMs - state.wallMs;
    state.timerMs += passedMs;
    state.suspicion.patienceMs += Math.min(passedMs, AWAKE_MS_MAX);
  }
  state.wallMs = nowMs;
}

export function currentLeader(state: CoreState): ReplicaIndex {
  return leaderOf(state.view, state.replicas);
}

export function isLeader(state: CoreState): boolean {
  return currentLeader(state) === state.self;
}

/** In a view, with a voice: it may vote and propose. */
export function isActive(state: CoreState): boolean {
  return !state.views.changing && state.mute === undefined;
}

/**
 * What a fresh slot builds on is known once the outcomes of the view are executed (W6), or what is stable is taken
 * over (T3).
 */
export function buildsOnExecuted(state: CoreState): boolean {
  return state.executed.slot >= Math.max(state.views.top, state.checkpoints.stable.slot);
}

/** Last slot of the window (V2). A replica that lags has no room for slots far beyond its own. */
export function windowEnd(state: CoreState): Slot {
  const { windowSlots } = state.limits;
  return Math.min(
    state.checkpoints.stable.slot + windowSlots,
    state.executed.slot + 2 * windowSlots,
  );
}

/** The slot before the run's first. */
export function beginningOf(state: CoreState): Slot {
  return state.options.firstSlot - 1;
}

/** Counts what a handler ignores; the reason is a constant text, never a peer's. */
export function ignore(state: CoreState, reason: string): void {
  const { ignored } = state.counters;
  ignored.set(reason, (ignored.get(reason) ?? 0) + 1);
}

/** Is every peer's session open? Otherwise the fast path is impossible (S1). */
export function allOpen(state: CoreState): boolean {
  for (let peer = 0; peer < state.replicas; peer++) {
    if (peer !== state.self && !(state.peers[peer] as PeerState).open) return false;
  }
  return true;
}

/** The peer with this number, if its session is open; never this replica itself. For loops of every turn, which make no closure. */
export function openPeer(state: CoreState, index: ReplicaIndex): PeerState | undefined {
  const peer = state.peers[index];
  return index !== state.self && peer?.open === true ? peer : undefined;
}

/** Calls back for each peer with an open session. */
export function forOpenPeers(
  state: CoreState,
  visit: (peer: PeerState, index: ReplicaIndex) => void,
): void {
  for (let index = 0; index < state.replicas; index++) {
    const peer = openPeer(state, index);
    if (peer !== undefined) visit(peer, index);
  }
}
