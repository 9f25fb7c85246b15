/**
 * Vocabulary of the consensus core: what goes in (`Input`) and what comes out (`Effect`).
 *
 * The core is a value with `step(input): Effect[]`. It reads no clock (time arrives
 * with every input as `nowMs`), draws no randomness, imports nothing from Node, and
 * never throws on what a peer sent.
 *
 * Contract of the effects: they are executed in the order in which they are returned, and the
 * effects of one step are finished before those of the next begin. A cell or message that depends
 * on a state change is always returned after the effect that makes the change lasting.
 */
import type {
  Batch,
  BatchRef,
  BatchSeq,
  Cell,
  CheckpointState,
  Digest32,
  LogRecord,
  Message,
  ReplicaIndex,
  Slot,
  View,
} from './content.ts';
import type { Evidence } from './evidence-types.ts';
import type { CoreLimits } from './limits.ts';

export type * from './content.ts';
export type { CoreLimits, Evidence };

export type Input =
  | { readonly kind: 'tick' }
  /** The payload of a new batch for this replica's own lane; already checked by the orderer. */
  | { readonly kind: 'submit'; readonly payload: Uint8Array }
  /** A vote or a COMMIT, its digest included, is the caller's again when `take` returns; so is the input. */
  | { readonly kind: 'cell'; readonly from: ReplicaIndex; readonly cell: Cell }
  /**
   * A batch from its owner's lane ring; `frameSha256` (32 bytes) is SHA-256 of
   * the lane frame, if known already.
   */
  | {
      readonly kind: 'lane-batch';
      readonly from: ReplicaIndex;
      readonly batch: Batch;
      readonly frameSha256?: Uint8Array;
    }
  | { readonly kind: 'message'; readonly from: ReplicaIndex; readonly message: Message }
  /** Something undecodable from a peer; counted, reported once per kind. */
  | { readonly kind: 'malformed'; readonly from: ReplicaIndex; readonly reason: string }
  /** The orderer's answer to `check-batch`. */
  | {
      readonly kind: 'batch-checked';
      readonly lane: ReplicaIndex;
      readonly ref: BatchRef;
      readonly valid: boolean;
      /** The verdict covers the clients' signatures. */
      readonly signatures: boolean;
    }
  /**
   * The orderer has applied every delivery up to this slot and has so
   * many blocks still uncertified.
   */
  | { readonly kind: 'applied'; readonly slot: Slot; readonly blocksUncertified: number }
  /**
   * Everything up to this slot, which was delivered with `checkpoint`, is on disk, and the ledger
   * ends so. Comes once for each such slot, in order, before the `applied` that covers it.
   */
  | {
      readonly kind: 'checkpointed';
      readonly slot: Slot;
      readonly height: number;
      readonly tipHash: Digest32;
    }
  /** The answer to `transfer`: the ledger has the state of that checkpoint. */
  | { readonly kind: 'transferred'; readonly slot: Slot }
  | { readonly kind: 'session'; readonly peer: ReplicaIndex; readonly open: boolean };

export type Effect =
  /**
   * In `wal` mode: every effect after this one waits until the record is on disk, synced. Effects
   * before it need not wait. Records of many steps may share one sync.
   */
  | { readonly kind: 'persist'; readonly record: LogRecord }
  /** The same for a whole new log that takes the place of the old one; `records` starts with `checkpoint`. */
  | { readonly kind: 'rotate-log'; readonly records: readonly LogRecord[] }
  /** Seal and write to every open peer. `quiet`: no peer needs to be woken for it (C1). */
  | { readonly kind: 'write-cell'; readonly cell: Cell; readonly quiet?: boolean }
  /** Rewrite the current cells of the window to one peer (its session has just opened). */
  | { readonly kind: 'rewrite-cells'; readonly to: ReplicaIndex }
  /** Put the own batch into every open peer's lane ring. */
  | { readonly kind: 'write-batch'; readonly batch: Batch; readonly ref: BatchRef }
  | { readonly kind: 'send'; readonly to: ReplicaIndex; readonly message: Message }
  /** Ask the orderer whether every envelope of a peer's batch is valid. */
  | {
      readonly kind: 'check-batch';
      readonly batch: Batch;
      readonly ref: BatchRef;
      readonly extent: CheckExtent;
    }
  /**
   * Slot decided and its turn: deliver these batches, in this order. Every slot is delivered
   * exactly once, in slot order, empty ones too (they may carry `cut`). Every batch was answered by
   * `batch-checked` before (own ones excepted), but not always with `valid: true`, nor of its
   * signatures: what is decided is delivered (docs/protocol.md, L3, A6).
   */
  | {
      readonly kind: 'deliver';
      readonly slot: Slot;
      readonly timeMs: number;
      readonly cut: boolean;
      readonly batches: readonly { readonly lane: ReplicaIndex; readonly ref: BatchRef }[];
      readonly path: 'fast' | 'slow' | 'fetched';
      /**
       * The orderer answers with `checkpointed` when everything up to here is on disk. `cut` is set
       * too, so nothing is pending in the cutter after it (K1).
       */
      readonly checkpoint: boolean;
    }
  /**
   * The peers hold no longer what this replica lacks: the orderer finishes what was delivered,
   * fetches the certified blocks below `state.height`, checks that they end in `state.tipHash`,
   * goes on from there (nothing pending, nothing in flight) and answers `transferred`. The state is
   * proven by q signatures. Nothing is delivered until then, and no other `transfer` comes.
   */
  | { readonly kind: 'transfer'; readonly state: CheckpointState }
  /**
   * The orderer may forget this batch: it was never ordered and never will be, or a transfer has
   * passed it, ordered or not. When it is of the own lane, the orderer submits those of its transactions
   * again that are not on the chain (docs/protocol.md, L7, T3).
   */
  | { readonly kind: 'drop-batch'; readonly lane: ReplicaIndex; readonly ref: BatchRef }
  /**
   * The core is done with an executed batch (E5): no effect after this one has its bytes. Of others that it lets go
   * nothing is said.
   */
  | { readonly kind: 'forget-batch'; readonly batch: Batch }
  | { readonly kind: 'evidence'; readonly evidence: Evidence };

/**
 * How much of a batch the orderer looks at. `all`. `form`: all but the clients' signatures, which others look at (A2).
 * `late`: of a batch whose form was found good before, the signatures; it may be delivered meanwhile (A5). `restored`: it
 * is from the own log, where only valid ones are, and has to be parsed again, not judged.
 */
export type CheckExtent = 'all' | 'form' | 'late' | 'restored';

/** Deterministic functions that the core needs but must not choose. */
export interface CoreCrypto {
  /**
   * Of `first`, followed by `second` if given: the first `bytes` (at most 32, which they are when it is left out), an array
   * of its own and no part of a larger one.
   */
  sha256(first: Uint8Array, second?: Uint8Array, bytes?: number): Uint8Array;
  /** Ed25519 over `message` with this replica's consenter key; 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
  /** Strict RFC 8032 check with the consenter key of `signer`. */
  verify(signer: ReplicaIndex, message: Uint8Array, signature: Uint8Array): boolean;
}

/** Sizes and times; defaults and cross-checks in `limits.ts`. */
export interface CoreOptions {
  readonly self: ReplicaIndex;
  readonly replicas: number;
  /** 32 bytes: names channel and starting block; part of every digest and signature. */
  readonly runId: Uint8Array;
  /** First slot of this run. */
  readonly firstSlot: Slot;
  /** Ordered time must stay above this (time of the last block). */
  readonly baseTimeMs: number;
  /** The ledger at the run's beginning: number of blocks, and header hash of the last (32 bytes). */
  readonly baseHeight: number;
  readonly baseHash: Uint8Array;
  readonly batchTimeoutMs: number;
  readonly limits: CoreLimits;
  /**
   * How this replica comes into the run. `begin`: with the others, from its beginning, without having
   * voted in it ever. `restore`: from its log (`wal` mode). `join`: without memory of what it may
   * have voted (a lost disk; `memory` mode), so it is mute until that cannot matter any more (J2).
   */
  readonly entry:
    | { readonly kind: 'begin' }
    | { readonly kind: 'restore'; readonly records: readonly LogRecord[] }
    | { readonly kind: 'join' };
}

/** What `status` prints; plain data. */
export interface CoreStatus {
  readonly view: View;
  readonly leader: ReplicaIndex;
  /** It has asked for the view and waits for its NEW-VIEW. */
  readonly changing: boolean;
  /** Views entered since this process began. */
  readonly viewChanges: number;
  /** Why this replica itself last wished for another view; undefined: it never has. */
  readonly wishReason: string | undefined;
  /** It does not vote yet (J2). */
  readonly mute: boolean;
  /** Last slot of the stable checkpoint; slots up to `stableSlot + windowSlots` may be voted for. */
  readonly stableSlot: Slot;
  readonly windowSlots: number;
  /** Waits for the orderer to install a checkpoint. */
  readonly transferring: boolean;
  readonly nextSlot: Slot;
  readonly executedSlot: Slot;
  readonly appliedSlot: Slot;
  readonly path: 'fast' | 'slow';
  readonly fastCommits: number;
  readonly slowCommits: number;
  readonly fetchedCommits: number;
  /** The peers' logs no longer hold what this replica lacks: it needs state transfer. */
  readonly behind: boolean;
  /** What was ignored, by reason. */
  readonly ignored: Readonly<Record<string, number>>;
  readonly peers: readonly {
    readonly peer: ReplicaIndex;
    readonly open: boolean;
    readonly appliedSlot: Slot;
    readonly faults: number;
  }[];
  readonly lanes: readonly {
    readonly lane: ReplicaIndex;
    readonly heldSeq: BatchSeq;
    readonly executedSeq: BatchSeq;
    readonly trusted: boolean;
  }[];
}

/**
 * The state machine. What comes in at one time may be taken one after the other and settled once: what a replica
 * may do then depends on all of it, not on the order in which it was looked at.
 */
export interface ConsensusCore {
  /** Notes the input; `settle` must follow before anything is waited for. `nowMs`: the wall clock. */
  take(input: Input, nowMs: number): void;
  /** Does all that the rules allow now; answers the effects since the last `settle`, in their order. */
  settle(): Effect[];
  /** `take` of one input, and `settle`. */
  step(input: Input, nowMs: number): Effect[];
  /**
   * Milliseconds (same clock as `nowMs`) at which a `tick` is next needed; Infinity when none is.
   */
  nextTickMs(): number;
  /** Slots whose cells matter now; given to the transport's poll. */
  interest(): { fromSlot: Slot; toSlot: Slot };
  /** Dear beside what a slot takes: for telling now and then. */
  status(): CoreStatus;
  /** Whether a status has another view, or says otherwise of what the replica does in it. */
  isAnotherView(told: CoreStatus): boolean;
}
