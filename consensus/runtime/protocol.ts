/**
 * Messages between the main thread and a channel's consensus worker.
 *
 * Everything that crosses is plain data or a transferred buffer. Each side says in one message what it has to say in
 * one turn of its loop (`WorkerEvents`, `ToWorkerMessages`).
 */
import type {
  DeviceChoice,
  ProviderName,
  RegionOffer,
  SessionKeys,
  WaitMode,
} from '../../rdma/contract.ts';
import type {
  BatchRef,
  CheckExtent,
  CheckpointState,
  CoreLimits,
  CoreStatus,
  Effect,
  ReplicaIndex,
  Slot,
} from '../core/types.ts';

/** Everything the worker needs to build transport and core; structured-cloned at start. */
export interface WorkerOptions {
  readonly channel: string;
  readonly self: ReplicaIndex;
  readonly replicas: number;
  /** 32 bytes; see docs/protocol.md. */
  readonly runId: Uint8Array;
  readonly firstSlot: Slot;
  readonly baseTimeMs: number;
  readonly baseHeight: number;
  readonly baseHash: Uint8Array;
  /** `restore` needs `wal`, with a log of this run. */
  readonly entry: 'begin' | 'restore' | 'join';
  /** Undefined: `memory`, nothing is written. */
  readonly wal: { readonly directory: string; readonly reserveBytes: number } | undefined;
  readonly batchTimeoutMs: number;
  readonly limits: CoreLimits;
  readonly provider: ProviderName;
  readonly rdma: DeviceChoice;
  readonly waitMode: WaitMode;
  readonly spinUs: number;
  /** Ed25519 seed of this replica's consenter key, 32 bytes. */
  readonly signingSeed: Uint8Array;
  /** Ed25519 public keys of all consenters, 32 bytes each, by replica index. */
  readonly consenterKeys: readonly Uint8Array[];
  /** Decimal u64. */
  readonly incarnation: string;
}

/** Transport calls that the bootstrap makes across the thread border. */
export type TransportCall =
  | { readonly op: 'offer'; readonly peer: ReplicaIndex; readonly keys: SessionKeys }
  | { readonly op: 'accept'; readonly peer: ReplicaIndex; readonly offer: RegionOffer }
  | { readonly op: 'confirm'; readonly peer: ReplicaIndex }
  | { readonly op: 'close'; readonly peer: ReplicaIndex };

export type ToWorker =
  | { readonly kind: 'transport'; readonly id: number; readonly call: TransportCall }
  /** One batch for the own lane: an encoded envelope list whose envelopes have all been checked. */
  | { readonly kind: 'submit'; readonly payload: Uint8Array }
  | {
      readonly kind: 'batch-checked';
      readonly lane: ReplicaIndex;
      readonly ref: BatchRef;
      readonly valid: boolean;
      readonly signatures: boolean;
    }
  | { readonly kind: 'applied'; readonly slot: Slot; readonly blocksUncertified: number }
  | {
      readonly kind: 'checkpointed';
      readonly slot: Slot;
      readonly height: number;
      readonly tipHash: Uint8Array;
    }
  | { readonly kind: 'transferred'; readonly slot: Slot }
  /** Opaque to consensus; `to` undefined means every open peer. */
  | {
      readonly kind: 'application';
      readonly to: ReplicaIndex | undefined;
      readonly body: Uint8Array;
    }
  /** What a peer's transport has shipped, and how much of ours a link has taken (`tcp`). */
  | { readonly kind: 'writes'; readonly from: ReplicaIndex; readonly frames: Uint8Array }
  | { readonly kind: 'shipped'; readonly to: ReplicaIndex; readonly bytes: number }
  | { readonly kind: 'stop' };

/** What the main thread said in one turn of its event loop, in order. */
export type ToWorkerMessages = readonly ToWorker[];

export type Delivery = Extract<Effect, { kind: 'deliver' }>;

/** What the core says to the orderer goes to it as it is. */
type ToldEffect = Extract<Effect, { kind: 'deliver' | 'transfer' | 'drop-batch' | 'evidence' }>;

export type WorkerEvent =
  | ToldEffect
  | { readonly kind: 'ready'; readonly wakeHandle: number }
  | {
      readonly kind: 'transport-reply';
      readonly id: number;
      readonly offer: RegionOffer | undefined;
      readonly error: { readonly code: string; readonly message: string } | undefined;
    }
  | { readonly kind: 'session'; readonly peer: ReplicaIndex; readonly open: boolean }
  /** The submitted payload became this batch; answers come in the order of the submits. */
  | { readonly kind: 'own-batch'; readonly ref: BatchRef }
  | {
      readonly kind: 'check-batch';
      readonly lane: ReplicaIndex;
      readonly ref: BatchRef;
      readonly payload: Uint8Array;
      readonly extent: CheckExtent;
    }
  /** What `restore` found: where the log stands, and what was cut off its end. */
  | {
      readonly kind: 'restored';
      readonly checkpoint: CheckpointState;
      readonly torn: string | undefined;
    }
  /** The disk has no room, so the replica takes part in nothing until it has; `ok` again later. */
  | { readonly kind: 'disk'; readonly state: 'full' | 'ok'; readonly message: string }
  | { readonly kind: 'application'; readonly from: ReplicaIndex; readonly body: Uint8Array }
  /** The peer's ring is broken: nothing more is read from it until its session is opened anew. */
  | { readonly kind: 'transport-fault'; readonly peer: ReplicaIndex; readonly reason: string }
  /** To be carried to the peer's transport; answered by `shipped`. */
  | { readonly kind: 'writes'; readonly to: ReplicaIndex; readonly frames: Uint8Array }
  | { readonly kind: 'status'; readonly status: CoreStatus }
  /** The last event of a worker that was asked to stop. */
  | { readonly kind: 'stopped' };

export type WorkerEvents = readonly WorkerEvent[];
