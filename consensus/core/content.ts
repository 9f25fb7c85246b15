/**
 * What replicas agree on and say to each other: identifiers, batches, proposals, certificates, messages, cells, and
 * the records of the own log. Bytes: `consensus/wire`.
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
  /** Ed25519, 64 bytes. */
  readonly signature: Uint8Array;
}

/** A signature over something that the context names. */
export interface SignerSignature {
  readonly signer: ReplicaIndex;
  /** Ed25519, 64 bytes. */
  readonly signature: Uint8Array;
}

/** q PREPAREs of one (view, slot, digest), by ascending signer (S3). */
export interface PreparedCertificate {
  readonly view: View;
  readonly slot: Slot;
  readonly digest: Digest24;
  readonly signatures: readonly SignerSignature[];
}

/**
 * What a replica's state is after a checkpoint slot: the same at every correct replica (K1). Blocks
 * below `height` and these figures are all that is needed to go on from there: the slot has
 * emptied the block cutter, and the tx_ids of all blocks are the de-duplication.
 */
export interface CheckpointState {
  readonly slot: Slot;
  readonly timeMs: number;
  readonly frontier: Frontier;
  /** Number of blocks of the ledger, genesis included. */
  readonly height: number;
  /** Header hash of block `height - 1`, 32 bytes. */
  readonly tipHash: Digest32;
}

/** q signatures over one CheckpointState, by ascending signer. */
export interface CheckpointCertificate {
  readonly state: CheckpointState;
  readonly signatures: readonly SignerSignature[];
}

/** What a replica has to say of one slot above its stable checkpoint (W2). */
export interface SlotReport {
  readonly slot: Slot;
  /** Its vote of the highest view. */
  readonly vote: { readonly view: View; readonly digest: Digest24 } | undefined;
  /** The certificate of the highest view that it has seen. */
  readonly prepared: PreparedCertificate | undefined;
}

export interface ViewChange {
  /** The view that its signer asks to enter. */
  readonly view: View;
  readonly signer: ReplicaIndex;
  /**
   * Per replica: the newest life that the signer knows of; of itself, its own (J4). A life begins when a
   * replica joins without memory; 0 for one that has been there from the beginning.
   */
  readonly lives: readonly number[];
  /** Its stable checkpoint; undefined: the one that the run began with. */
  readonly checkpoint: CheckpointCertificate | undefined;
  /** By ascending slot; slots of which there is nothing to say are left out. */
  readonly reports: readonly SlotReport[];
  /** Ed25519 over `Digests.viewChange` of the encoded body; 64 bytes. */
  readonly signature: Uint8Array;
}

export interface NewView {
  readonly view: View;
  /** Exactly q, by ascending signer. */
  readonly changes: readonly ViewChange[];
  /** The leader's, Ed25519 over `Digests.newView` of the encoded body; 64 bytes. */
  readonly signature: Uint8Array;
}

/** CHECKPOINT: `signer` has applied the slot, and everything is on its disk. */
export interface Checkpoint {
  readonly state: CheckpointState;
  readonly signer: ReplicaIndex;
  /** Ed25519 over `Digests.checkpoint` of the state; 64 bytes. */
  readonly signature: Uint8Array;
}

/**
 * What must survive a crash of this replica, in `wal` mode. The log is read back in order; a
 * `checkpoint` record supersedes everything before it.
 */
export type LogRecord =
  /** A batch that this replica made, or that a vote of its covers. */
  | { readonly kind: 'batch'; readonly batch: Batch }
  /** This replica's vote, with the content that it voted for. */
  | { readonly kind: 'vote'; readonly view: View; readonly proposal: Proposal }
  /** Before the COMMIT that rests on it. */
  | { readonly kind: 'prepared'; readonly certificate: PreparedCertificate }
  /** Before the VIEW-CHANGE goes out: no vote, PREPARE or COMMIT of a lower view after it. */
  | { readonly kind: 'view-change'; readonly viewChange: ViewChange }
  /** The view was entered; before the first vote in it. Kept to the view's end, for those who come later (W8). */
  | { readonly kind: 'new-view'; readonly newView: NewView }
  /**
   * This replica's ledger has this state. Undefined: that of the run's beginning. First record
   * of every log; then comes what is alive above it.
   */
  | { readonly kind: 'checkpoint'; readonly certificate: CheckpointCertificate | undefined }
  /** A checkpoint that is stable, and not in this replica's ledger yet: votes lie above it. */
  | { readonly kind: 'stable'; readonly certificate: CheckpointCertificate }
  /** As in ViewChange; before anything is said that shows them. */
  | { readonly kind: 'lives'; readonly lives: readonly number[] };

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
  /** The sender has found this batch valid, clients' signatures included (A3). */
  | { readonly kind: 'attest'; readonly lane: ReplicaIndex; readonly ref: BatchRef }
  | { readonly kind: 'fetch-decided'; readonly fromSlot: Slot; readonly toSlot: Slot }
  | { readonly kind: 'decided'; readonly proposal: Proposal }
  /** The content of an outcome that the sender must vote for and does not hold (W6). */
  | { readonly kind: 'fetch-proposal'; readonly slot: Slot; readonly digest: Digest24 }
  | { readonly kind: 'proposal'; readonly proposal: Proposal }
  | { readonly kind: 'view-change'; readonly viewChange: ViewChange }
  | { readonly kind: 'new-view'; readonly newView: NewView }
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  /** The sender lacks a stable checkpoint, or wants to know how far this run has come (J2). */
  | {
      readonly kind: 'fetch-checkpoint';
      /** The sender's life. */
      readonly life: number;
      /** It is mute, and waits for nothing but a new view (J4). */
      readonly ready: boolean;
    }
  | {
      readonly kind: 'stable-checkpoint';
      /** Undefined: none is stable since the run's beginning. */
      readonly certificate: CheckpointCertificate | undefined;
      /** Highest slot that anybody has named to the sender. */
      readonly namedSlot: Slot;
      /** The newest life of the receiver that the sender knows of. */
      readonly life: number;
    };

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
      /** The view that the writer is in, or (`changing`) has asked to enter. */
      readonly view: View;
      readonly changing: boolean;
      /** The view that it would rather be in: above `view` when it suspects the leader (W1). */
      readonly wish: View;
      /** It does not vote yet (J2). */
      readonly mute: boolean;
      /** Counts up, so that a heartbeat is a new cell. u32, wraps. */
      readonly beat: number;
    };
