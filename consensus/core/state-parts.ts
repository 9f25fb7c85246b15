/** The parts of a replica's state, each with what it begins as. Who changes them: the files named after them. */
import type { HeldBatch } from './lane-store.ts';
import type { DigestTable } from './slots.ts';
import type {
  BatchRef,
  BatchSeq,
  Cell,
  Checkpoint,
  CheckpointCertificate,
  CheckpointState,
  CoreLimits,
  Digest32,
  Frontier,
  NewView,
  ReplicaIndex,
  Slot,
  View,
  ViewChange,
} from './types.ts';
import type { Outcome } from './view-change.ts';

/** What the next slot builds on. */
export interface SlotContent {
  readonly slot: Slot;
  readonly timeMs: number;
  readonly frontier: Frontier;
}

export interface PeerState {
  open: boolean;
  /** Turns as a checker that were late since it last attested anything (A5). */
  missedAttests: number;
  /**
   * Highest that it has reported; a lie is bounded by taking the (f+1)-th or q-th highest of all.
   */
  appliedSlot: Slot;
  held: BatchRef[];
  /** Of its newest progress cell in this session. */
  beat: number | undefined;
  /** As its newest progress cell and VIEW-CHANGE say. */
  view: View;
  changing: boolean;
  wish: View;
  mute: boolean;
  /** It is mute and waits for a new view only (J4). */
  ready: boolean;
  /** When this replica next wishes for one on its behalf, and the pause after that. */
  letInAtMs: number;
  letInBackoffMs: number;
  /** New lives that it has told of in this session. */
  lifeChanges: number;
  /** Its newest VIEW-CHANGE; checked when it is needed. */
  viewChange: ViewChange | undefined;
  viewChangeCheck: 'unchecked' | 'valid' | 'invalid';
  /** Cells of views that this replica has not entered yet, by place: at most three for each slot of the window (W7). */
  readonly early: Map<string, EarlyCell>;
  /** When a NEW-VIEW and a checkpoint certificate of its were last checked: each costs many signatures. */
  newViewCheckedMs: number;
  certificateCheckedMs: number;
  /** Its newest CHECKPOINTs, by ascending slot; a handful. */
  checkpoints: Checkpoint[];
  /** P8: when empty slots are next proposed for its sake, and the pause after that. */
  pushAtMs: number;
  pushBackoffMs: number;
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
  readonly batchRepair: BatchRepair;
}

/** Back-off of R2, R3 and R5: fires at `atMs` unless what it watches has moved. */
export interface Repair {
  /** Infinity: nothing is pending. */
  atMs: number;
  backoffMs: number;
  watched: number;
}

/** R5: and how long the peer's reports take. */
export interface BatchRepair extends Repair {
  /** When the oldest batch that the peer has to report was spread, or its last report came. */
  sinceMs: number;
  /** Something was sent again since. */
  isRepeated: boolean;
  /** The longest that a report has taken of late; 0: none has come. */
  reportMs: number;
  /** Before the next first repetition. */
  waitMs: number;
}

/** What a slot executes of a lane, newest first. */
export type Advance = readonly HeldBatch[];

export type EarlyCell = Extract<Cell, { kind: 'proposal' | 'vote' | 'commit' }>;

/** Where this replica stands between views (W1 to W8). */
export interface ViewState {
  /** It has sent VIEW-CHANGE for `state.view` and waits for the NEW-VIEW. */
  changing: boolean;
  /** The view that it would rather be in; `state.view` when it is content. */
  wish: View;
  /** NEW-VIEW by which the current view was entered; undefined in view 0, while changing, after a restart. */
  newView: NewView | undefined;
  /** Own VIEW-CHANGE for the current view, while changing. */
  own: ViewChange | undefined;
  /** The slots base + 1 to top of the current view are settled by its NEW-VIEW; later ones are free. */
  top: Slot;
  /** All VIEW-CHANGEs of the view's NEW-VIEW know this replica's life (J4). */
  knowsLife: boolean;
  readonly outcomes: Map<Slot, Outcome>;
  /** Content that an outcome lacks is asked for again at this time. */
  contentAskMs: number;
  contentAttempts: number;
  /** How often the view timeout is doubled: once more for each view that was left soon, once less for each time of peace. */
  failed: number;
  peaceSinceMs: number;
  /** While changing: when the view counts as failed, and when the VIEW-CHANGE is sent again. */
  deadlineMs: number;
  resendMs: number;
  resendBackoffMs: number;
  entered: number;
  /** VIEW-CHANGEs and NEW-VIEWs in the log since it was last written anew (D3). */
  logged: number;
}

/** A lane whose tip no proposal names. */
export interface Uncovered {
  sinceMs: number;
  /** Since when the leader says that it holds more of the lane than it has proposed. */
  heldMs: number;
  /** How far the lane was proposed at `sinceMs`, and the highest slot that was known. */
  proposedSeq: BatchSeq;
  knownSlot: Slot;
}

/** W1, in the order of its sentence. */
export const SUSPICION_REASONS = [
  'silent',
  'disconnected',
  'undecided',
  'uncut',
  'uncovered',
] as const;
export type SuspicionReason = (typeof SUSPICION_REASONS)[number];

/** What a follower holds against the leader, in `patienceMs` (W1); Infinity: nothing. */
export interface Suspicion {
  /** Time that this replica itself was awake for: its own pauses are not the leader's fault. */
  patienceMs: number;
  heardMs: number;
  /** The same in `timerMs`. */
  heardAtMs: number;
  goneSinceMs: number;
  /** What ended the patience last, for whoever reads the log. */
  reason: SuspicionReason | undefined;
  undecidedSinceMs: number;
  undecidedAt: Slot;
  uncutSinceMs: number;
  /** By reason: when it ends the patience, as found last. */
  readonly endsMs: Float64Array;
  /** Per lane: since when its tip waits for a proposal, and what was proposed then. */
  readonly uncovered: Uncovered[];
  /** Per lane: highest seq that a proposal of the current view has named. */
  readonly proposedSeq: Float64Array;
}

/** A checkpoint that was executed and is not stable. */
export interface OpenCheckpoint {
  readonly slot: Slot;
  readonly timeMs: number;
  readonly frontier: Frontier;
  /** Once the orderer has stored everything up to here. */
  state: CheckpointState | undefined;
  digest: Digest32 | undefined;
}

export interface CheckpointsState {
  /** The last slot that was a checkpoint here, and the bytes executed since: they say which is the next (K1). */
  lastSlot: Slot;
  bytes: number;
  /** By ascending slot. */
  open: OpenCheckpoint[];
  /** Proven by q signatures; the window starts above it. */
  stable: { readonly slot: Slot; readonly certificate: CheckpointCertificate | undefined };
  /** The newest stable one that this replica's own ledger has: where its log begins. */
  base: { readonly slot: Slot; readonly certificate: CheckpointCertificate | undefined };
  /** When the own newest CHECKPOINT is sent again while it is not stable. */
  resendMs: number;
}

/** The orderer is installing a checkpoint (T2). */
export interface Transfer {
  readonly certificate: CheckpointCertificate;
}

export interface MuteAnswer {
  readonly namedSlot: Slot;
  readonly life: number;
}

/** J2: this replica does not know what it may have voted for. */
export interface Mute {
  /** Per peer: highest slot that it knows of, and the newest life of this replica; undefined: no answer yet. */
  readonly answers: (MuteAnswer | undefined)[];
  /** A stable checkpoint at or above this slot ends it; Infinity: not known yet. */
  untilSlot: Slot;
  askMs: number;
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
  /** Requests since it last moved. */
  asks: number;
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
  /** Empty slots are proposed up to this one, for a replica that waits for a checkpoint (P8). */
  pushTo: Slot;
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
  /** Something that others wait for has changed: the cell goes out with this step. */
  urgent: boolean;
  beat: number;
  writtenMs: number;
  /** Since when a held tip has moved unreported; Infinity: none has. */
  newsSinceMs: number;
}

export interface Counters {
  fastCommits: number;
  slowCommits: number;
  fetchedCommits: number;
  readonly ignored: Map<string, number>;
}

export function createViews(before: Slot): ViewState {
  return {
    changing: false,
    wish: 0,
    newView: undefined,
    own: undefined,
    top: before,
    knowsLife: false,
    outcomes: new Map(),
    contentAskMs: Infinity,
    contentAttempts: 0,
    failed: 0,
    peaceSinceMs: 0,
    deadlineMs: Infinity,
    resendMs: Infinity,
    resendBackoffMs: 0,
    entered: 0,
    logged: 0,
  };
}

export function createSuspicion(replicas: number, before: Slot): Suspicion {
  return {
    patienceMs: 0,
    heardMs: 0,
    heardAtMs: 0,
    goneSinceMs: Infinity,
    reason: undefined,
    undecidedSinceMs: Infinity,
    undecidedAt: before,
    uncutSinceMs: Infinity,
    endsMs: new Float64Array(SUSPICION_REASONS.length),
    uncovered: Array.from({ length: replicas }, () => ({
      sinceMs: Infinity,
      heldMs: Infinity,
      proposedSeq: 0,
      knownSlot: 0,
    })),
    proposedSeq: new Float64Array(replicas),
  };
}

export function createCatchUp(before: Slot): CatchUp {
  return {
    stalledSinceMs: Infinity,
    stalledAt: before,
    askedTo: before,
    nextAskMs: 0,
    asks: 0,
    answers: new Map(),
  };
}

export function createMute(replicas: number): Mute {
  return {
    answers: new Array<MuteAnswer | undefined>(replicas).fill(undefined),
    untilSlot: Infinity,
    askMs: 0,
  };
}

export function createRepair(): Repair {
  return { atMs: Infinity, backoffMs: 0, watched: 0 };
}

export function createBatchRepair(limits: CoreLimits): BatchRepair {
  const waitMs = limits.repairAfterMsMin;
  return { ...createRepair(), sinceMs: 0, isRepeated: false, reportMs: 0, waitMs };
}
