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

/** Position of a replica in the channel's consenter list, 0..n-1. Leader of view v is v mod n. */
export type ReplicaIndex = number;
export type View = number & { readonly __brand?: 'View' };
export type Slot = number & { readonly __brand?: 'Slot' };
/** Sequence number of a batch in its lane: 1, 2, 3, ... in each run. */
export type BatchSeq = number & { readonly __brand?: 'BatchSeq' };

/** 32 bytes, SHA-256. */
export type Digest32 = Uint8Array;
/** First 24 bytes of a SHA-256; what vote and commit cells carry. */
export type Digest24 = Uint8Array;

/** A batch by name. `seq` 0 with an all-zero digest is the empty lane. */
export interface BatchRef {
  readonly seq: BatchSeq;
  readonly digest: Digest32;
}

/** One tip per lane, in lane order; length n. */
export type Frontier = readonly BatchRef[];

/** Content of a slot; its digest covers the run, the slot and all of this, not the view. */
export interface Proposal {
  readonly slot: Slot;
  readonly timeMs: number;
  readonly cut: boolean;
  readonly frontier: Frontier;
}

/** A batch as its owner spreads it: payload is opaque to the core (the orderer's envelope list). */
export interface Batch {
  readonly lane: ReplicaIndex;
  readonly seq: BatchSeq;
  readonly previous: Digest32;
  readonly payload: Uint8Array;
}

/** Signed by `signer`; transferable. */
export interface Prepare {
  readonly view: View;
  readonly slot: Slot;
  readonly digest: Digest24;
  readonly signer: ReplicaIndex;
  /**
   * Process incarnation of the signer, 8 bytes: an old run's signature proves nothing in this one.
   */
  readonly incarnation: Uint8Array;
  /** Ed25519, 64 bytes. */
  readonly signature: Uint8Array;
}

export type Message =
  | {
      readonly kind: 'prepare';
      /**
       * The sender lacks a decision and wants the receiver's own PREPARE; an
       * answer never asks. Not signed.
       */
      readonly request: boolean;
      readonly prepare: Prepare;
    }
  | {
      readonly kind: 'fetch-batch';
      readonly lane: ReplicaIndex;
      readonly ref: BatchRef;
      /** Predecessors are wanted too, down to this one (exclusive); below `ref.seq`. */
      readonly after: BatchSeq;
    }
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'fetch-decided'; readonly fromSlot: Slot; readonly toSlot: Slot }
  | { readonly kind: 'decided'; readonly proposal: Proposal };

/** Cells as decoded from the transport; `from` is the authenticated writer. */
export type Cell =
  | { readonly kind: 'proposal'; readonly view: View; readonly proposal: Proposal }
  | { readonly kind: 'vote'; readonly view: View; readonly slot: Slot; readonly digest: Digest24 }
  | { readonly kind: 'commit'; readonly view: View; readonly slot: Slot; readonly digest: Digest24 }
  | {
      readonly kind: 'progress';
      /** Highest slot whose effects the writer's orderer has applied. */
      readonly appliedSlot: Slot;
      /** What the writer holds and has checked, per lane. */
      readonly held: Frontier;
    };

export type Input =
  | { readonly kind: 'tick' }
  /** The payload of a new batch for this replica's own lane; already checked by the orderer. */
  | { readonly kind: 'submit'; readonly payload: Uint8Array }
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
    }
  /**
   * The orderer has applied every delivery up to this slot and has so
   * many blocks still uncertified.
   */
  | { readonly kind: 'applied'; readonly slot: Slot; readonly blocksUncertified: number }
  | { readonly kind: 'session'; readonly peer: ReplicaIndex; readonly open: boolean };

/** Proof, or strong sign, of a fault of `peer`; the runtime logs and counts it. */
export type Evidence =
  | {
      readonly kind: 'lane-equivocation';
      readonly peer: ReplicaIndex;
      readonly seq: BatchSeq;
      readonly digests: readonly [Digest32, Digest32];
    }
  /**
   * Two batches for one seq, one from the owner, one fetched from `source`: one of the two lied.
   */
  | {
      readonly kind: 'lane-conflict';
      readonly peer: ReplicaIndex;
      readonly source: ReplicaIndex;
      readonly seq: BatchSeq;
      readonly digests: readonly [Digest32, Digest32];
    }
  /** The leader proposed a batch in this replica's own lane that this replica never made. */
  | { readonly kind: 'lane-forgery'; readonly peer: ReplicaIndex; readonly ref: BatchRef }
  /** A proposal that no correct leader makes. */
  | {
      readonly kind: 'bad-proposal';
      readonly peer: ReplicaIndex;
      readonly view: View;
      readonly slot: Slot;
      readonly reason: string;
    }
  | {
      readonly kind: 'proposal-equivocation';
      readonly peer: ReplicaIndex;
      readonly view: View;
      readonly slot: Slot;
      readonly digests: readonly [Digest24, Digest24];
    }
  | {
      readonly kind: 'vote-equivocation';
      readonly peer: ReplicaIndex;
      readonly cell: 'vote' | 'commit';
      readonly view: View;
      readonly slot: Slot;
      readonly digests: readonly [Digest24, Digest24];
    }
  /**
   * `peer` is the lane's owner when the batch came from it, otherwise the leader that proposed it.
   */
  | {
      readonly kind: 'invalid-batch';
      readonly peer: ReplicaIndex;
      readonly lane: ReplicaIndex;
      readonly ref: BatchRef;
    }
  | { readonly kind: 'invalid-signature'; readonly peer: ReplicaIndex; readonly slot: Slot }
  | { readonly kind: 'malformed'; readonly peer: ReplicaIndex; readonly reason: string };

export type Effect =
  /** Seal and write to every open peer. */
  | { readonly kind: 'write-cell'; readonly cell: Cell }
  /** Rewrite the current cells of the window to one peer (its session has just opened). */
  | { readonly kind: 'rewrite-cells'; readonly to: ReplicaIndex }
  /** Put the own batch into every open peer's lane ring. */
  | { readonly kind: 'write-batch'; readonly batch: Batch; readonly ref: BatchRef }
  | { readonly kind: 'send'; readonly to: ReplicaIndex; readonly message: Message }
  /** Ask the orderer whether every envelope of a peer's batch is valid. */
  | { readonly kind: 'check-batch'; readonly batch: Batch; readonly ref: BatchRef }
  /**
   * Slot decided and its turn: deliver these batches, in this order. Every slot is delivered
   * exactly once, in slot order, empty ones too (they may carry `cut`). Every batch was answered by
   * `batch-checked` before (own ones excepted), but not always with `valid: true`: what is decided
   * is delivered (docs/protocol.md, L3).
   */
  | {
      readonly kind: 'deliver';
      readonly slot: Slot;
      readonly timeMs: number;
      readonly cut: boolean;
      readonly batches: readonly { readonly lane: ReplicaIndex; readonly ref: BatchRef }[];
      readonly path: 'fast' | 'slow' | 'fetched';
    }
  /**
   * The orderer may forget this batch: it was never ordered and never will be. When it is of the
   * own lane, the orderer submits its transactions again (docs/protocol.md, L7).
   */
  | { readonly kind: 'drop-batch'; readonly lane: ReplicaIndex; readonly ref: BatchRef }
  | { readonly kind: 'evidence'; readonly evidence: Evidence };

/** Deterministic functions that the core needs but must not choose. */
export interface CoreCrypto {
  /** 32 bytes. */
  sha256(...parts: Uint8Array[]): Uint8Array;
  /** Ed25519 over `message` with this replica's consenter key; 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
  /** Strict RFC 8032 check with the consenter key of `signer`. */
  verify(signer: ReplicaIndex, message: Uint8Array, signature: Uint8Array): boolean;
  /**
   * 8-byte process incarnation of a replica, from its session; undefined
   * while it has none. Own included.
   */
  incarnation(replica: ReplicaIndex): Uint8Array | undefined;
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
  readonly batchTimeoutMs: number;
  readonly limits: CoreLimits;
}

export interface CoreLimits {
  readonly windowSlots: number;
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
  /** Batches for which a lane stays without trust after its owner made others fetch. */
  readonly laneProbationBatches: number;
  /** The leader makes an idle cut only while fewer blocks than this are uncertified. */
  readonly idleCutBlocksMax: number;
}

/** What `status` prints; plain data. */
export interface CoreStatus {
  readonly view: View;
  readonly leader: ReplicaIndex;
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

/** The state machine. */
export interface ConsensusCore {
  step(input: Input, nowMs: number): Effect[];
  /**
   * Milliseconds (same clock as `nowMs`) at which a `tick` is next needed; Infinity when none is.
   */
  nextTickMs(): number;
  /** Slots whose cells matter now; given to the transport's poll. */
  interest(): { fromSlot: Slot; toSlot: Slot };
  status(): CoreStatus;
}
