/** What can be held against a peer. */
import type {
  BatchRef,
  BatchSeq,
  Digest24,
  Digest32,
  Prepare,
  ReplicaIndex,
  Slot,
  View,
} from './content.ts';

/** Proof, or strong sign, of a fault of `peer`; the runtime logs and counts it. */
export type Evidence =
  | {
      readonly kind: 'lane-equivocation';
      readonly peer: ReplicaIndex;
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
  /** `peer` has spread it in its own lane. */
  | {
      readonly kind: 'invalid-batch';
      readonly peer: ReplicaIndex;
      readonly lane: ReplicaIndex;
      readonly ref: BatchRef;
    }
  | { readonly kind: 'invalid-signature'; readonly peer: ReplicaIndex; readonly slot: Slot }
  /** Two signed PREPAREs, VIEW-CHANGEs aside, that no correct replica makes both. */
  | {
      readonly kind: 'prepare-equivocation';
      readonly peer: ReplicaIndex;
      readonly prepares: readonly [Prepare, Prepare];
    }
  /** A signed VIEW-CHANGE or NEW-VIEW that does not stand recomputation. */
  | {
      readonly kind: 'invalid-view-change' | 'invalid-new-view';
      readonly peer: ReplicaIndex;
      readonly view: View;
      readonly reason: string;
    }
  /** A checkpoint of another state than this replica's, or a certificate that does not verify. */
  | {
      readonly kind: 'invalid-checkpoint';
      readonly peer: ReplicaIndex;
      readonly slot: Slot;
      readonly reason: string;
    }
  | { readonly kind: 'malformed'; readonly peer: ReplicaIndex; readonly reason: string };
