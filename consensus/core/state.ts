/**
 * Everything a replica knows of one channel's agreement, in one place;
 * the rules are in the other files.
 */
import { DIGEST32_BYTES } from './bytes.ts';
import { createDecidedLog, type DecidedLog } from './decided-log.ts';
import { createDigests, type Digests } from './digests.ts';
import { CoreError } from './errors.ts';
import { createLane, EMPTY_LANE, type HeldBatch, type LaneState } from './lane-store.ts';
import { checkLimits } from './limits.ts';
import { fastQuorum, faultsTolerated, leaderOf, quorum } from './quorum.ts';
import { createSlotRing, type DigestTable, type SlotRing } from './slots.ts';
import type {
  BatchRef,
  BatchSeq,
  CoreCrypto,
  CoreLimits,
  CoreOptions,
  Effect,
  Frontier,
  ReplicaIndex,
  Slot,
  View,
} from './types.ts';

/** What the next slot builds on. */
export interface SlotContent {
  readonly slot: Slot;
  readonly timeMs: number;
  readonly frontier: Frontier;
}

export interface PeerState {
  open: boolean;
  /**
   * Highest that it has reported; a lie is bounded by taking the (f+1)-th or q-th highest of all.
   */
  appliedSlot: Slot;
  held: BatchRef[];
  /** Highest slot that it has named in a cell or PREPARE, when that was news. */
  namedSlot: Slot;
  /** Per lane: highest seq of this replica's chain that the peer has reported exactly (P1). */
  readonly coveredSeq: Float64Array;
  /** Faults counted; evidence effects emitted; reasons of malformed input seen. */
  faults: number;
  evidenceEmitted: number;
  readonly malformedReasons: Set<string>;
  /** Answers given since `answersSinceMs` (C5). */
  answersSinceMs: number;
  answers: number;
  answerBytes: number;
  readonly repair: Repair;
}

/** Back-off of R2 and R3: fires at `atMs` unless what it watches has moved. */
export interface Repair {
  /** Infinity: nothing is pending. */
  atMs: number;
  backoffMs: number;
  watchedA: number;
  watchedB: number;
}

/** A batch that is needed and not held (V8, E3). */
export interface Want {
  readonly lane: ReplicaIndex;
  readonly ref: BatchRef;
  /** The batches after this one are needed, too, if not held. */
  readonly after: BatchSeq;
  /** Slot whose proposal names it: its voters are asked. */
  slot: Slot;
  nextMs: number;
  attempts: number;
  lastAsked: ReplicaIndex;
}

export interface CatchUp {
  /** Since when others are ahead and `stalledAt` has not moved; Infinity: not behind. */
  stalledSinceMs: number;
  stalledAt: Slot;
  /** Last slot asked for; below the next slot to execute: nothing is asked. */
  askedTo: Slot;
  nextAskMs: number;
  readonly answers: Map<Slot, DecidedAnswers>;
}

export interface DecidedAnswers {
  readonly table: DigestTable;
}

export interface LeaderState {
  /** Content of the last proposed slot. */
  head: SlotContent;
  /** Since when (timer) proposed batches are uncut; undefined: none are. */
  uncutSinceMs: number | undefined;
  /** Slots proposed with `cut` that the own orderer has not applied, ascending. */
  cutSlots: Slot[];
}

export interface PathState {
  slowMode: boolean;
  slowStreak: number;
  /** Moving average of vote-to-commit, ms. */
  commitMs: number;
}

export interface ProgressState {
  appliedMoved: boolean;
  /** Since when a held tip has moved unreported; Infinity: none has. */
  heldSinceMs: number;
}

export interface Counters {
  fastCommits: number;
  slowCommits: number;
  fetchedCommits: number;
  readonly ignored: Map<string, number>;
}

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
  readonly view: View;

  /** The caller's clock, for ordered time. */
  wallMs: number;
  /** The same clock without its steps back, for timers. */
  timerMs: number;

  readonly lanes: LaneState[];
  readonly slots: SlotRing;
  readonly peers: PeerState[];
  /** Last executed slot. */
  executed: SlotContent;
  appliedSlot: Slot;
  blocksUncertified: number;
  /** Highest slot voted for in this view; votes are contiguous from the executed slot on (V3). */
  lastVoted: Slot;
  /** Highest slot that the leader, or f + 1 others, have named. */
  highestKnown: Slot;
  /**
   * When the next proposal's time comes within the allowed skew (V4);
   * Infinity: not waiting for that.
   */
  tooEarlyUntilMs: number;
  readonly leader: LeaderState;
  readonly path: PathState;
  readonly progress: ProgressState;
  readonly wants: Want[];
  readonly catchUp: CatchUp;
  readonly repair: Repair;
  /** Executed batches in order of execution, for those who fetch. */
  readonly retained: { batches: HeldBatch[]; first: number; bytes: number };
  readonly decidedLog: DecidedLog;
  readonly counters: Counters;
  /** One number per replica, for a moment's use. */
  readonly scratch: Float64Array;
  effects: Effect[];
}

export function createState(options: CoreOptions, crypto: CoreCrypto): CoreState {
  checkOptions(options);
  const { replicas, limits, self } = options;
  const before = options.firstSlot - 1;
  const frontier: Frontier = new Array<BatchRef>(replicas).fill(EMPTY_LANE);
  const executed: SlotContent = { slot: before, timeMs: options.baseTimeMs, frontier };
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
    tooEarlyUntilMs: Infinity,
    leader: { head: executed, uncutSinceMs: undefined, cutSlots: [] },
    // Until measured, the fast path gets the longest wait.
    path: { slowMode: false, slowStreak: 0, commitMs: limits.slowPathAfterMsMax },
    progress: { appliedMoved: false, heldSinceMs: Infinity },
    wants: [],
    catchUp: {
      stalledSinceMs: Infinity,
      stalledAt: before,
      askedTo: before,
      nextAskMs: 0,
      answers: new Map(),
    },
    repair: createRepair(limits),
    retained: { batches: [], first: 0, bytes: 0 },
    decidedLog: createDecidedLog(replicas, limits.decidedLogSlotsMax),
    counters: { fastCommits: 0, slowCommits: 0, fetchedCommits: 0, ignored: new Map() },
    scratch: new Float64Array(replicas),
    effects: [],
  };

  function createPeer(lanes: number, appliedSlot: Slot): PeerState {
    return {
      open: false,
      appliedSlot,
      held: new Array<BatchRef>(lanes).fill(EMPTY_LANE),
      namedSlot: appliedSlot,
      coveredSeq: new Float64Array(lanes),
      faults: 0,
      evidenceEmitted: 0,
      malformedReasons: new Set(),
      answersSinceMs: -Infinity,
      answers: 0,
      answerBytes: 0,
      repair: createRepair(limits),
    };
  }
}

function createRepair(limits: CoreLimits): Repair {
  return { atMs: Infinity, backoffMs: limits.repairAfterMsMin, watchedA: -1, watchedB: -1 };
}

function checkOptions(options: CoreOptions): void {
  const { self, replicas, runId, firstSlot, baseTimeMs, batchTimeoutMs } = options;
  const wrong = (message: string): never => {
    throw new CoreError('invalid_options', `consensus core: ${message}`);
  };
  checkLimits(options.limits);
  if (!Number.isInteger(replicas) || replicas < 1) wrong('replicas is a positive integer');
  if (!Number.isInteger(self) || self < 0 || self >= replicas) wrong('self is one of the replicas');
  if (runId.length !== DIGEST32_BYTES) wrong('runId has 32 bytes');
  if (!Number.isSafeInteger(firstSlot) || firstSlot < 1) wrong('firstSlot is at least 1');
  if (!Number.isSafeInteger(baseTimeMs) || baseTimeMs < 0) wrong('baseTimeMs is a time in ms');
  if (!(batchTimeoutMs > 0)) wrong('batchTimeoutMs is positive');
}

/**
 * Sets the clock of this step. Steps back of the caller's clock do not count
 * as time passed, nor against it.
 */
export function setClock(state: CoreState, nowMs: number): void {
  if (state.wallMs === -Infinity) state.timerMs = nowMs;
  else if (nowMs > state.wallMs) state.timerMs += nowMs - state.wallMs;
  state.wallMs = nowMs;
}

export function currentLeader(state: CoreState): ReplicaIndex {
  return leaderOf(state.view, state.replicas);
}

export function isLeader(state: CoreState): boolean {
  return currentLeader(state) === state.self;
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

/** Calls back for each peer with an open session. */
export function forOpenPeers(
  state: CoreState,
  visit: (peer: PeerState, index: ReplicaIndex) => void,
): void {
  for (let index = 0; index < state.replicas; index++) {
    const peer = state.peers[index] as PeerState;
    if (index !== state.self && peer.open) visit(peer, index);
  }
}
