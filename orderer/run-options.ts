/** What a run is given, and what it tells. */
import type { CoreLimits } from '../consensus/core/index.ts';
import type { ConsenterKey, Sha256 } from '../ledger/format/index.ts';
import type { Ledger } from '../ledger/store/index.ts';
import type { DeviceChoice, ProviderName, WaitMode } from '../rdma/contract.ts';
import type { StoredBlock } from './chain/sequencer.ts';
import type { CheckedTransaction, EnvelopeChecker } from './envelope/index.ts';
import type { LaneFeederOptions } from './lane-feeder.ts';
import type { Log } from './log.ts';
import type { VerifyPool } from './signature/index.ts';

export interface RunOptions {
  readonly channel: string;
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  readonly batchSize: {
    readonly maxMessageCount: number;
    readonly absoluteMaxBytes: number;
    readonly preferredMaxBytes: number;
  };
  readonly batchTimeoutMs: number;
  readonly limits: CoreLimits;
  readonly lane: LaneFeederOptions;
  readonly provider: ProviderName;
  readonly rdma: DeviceChoice;
  readonly waitMode: WaitMode;
  readonly spinUs: number;
  readonly incarnation: string;
  /** Undefined: nothing of consensus is written to disk (`durability: memory`). */
  readonly wal: { readonly directory: string; readonly reserveBytes: number } | undefined;
  /** Ed25519 seed of the consenter key. */
  readonly signingSeed: Uint8Array;
  /** Signs with the consenter key, on this thread. */
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export type RunEntry = 'begin' | 'restore' | 'join';

export interface RunDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly pool: VerifyPool;
  readonly checker: EnvelopeChecker;
  readonly log: Log;
  /** Asks a replica over its link for blocks; `onBlocks` brings them. */
  readonly askBlocks: (peer: number, fromNumber: number) => void;
  readonly isConnected: (peer: number) => boolean;
  /** The block and its certificate are in the ledger. In block order. */
  readonly onCertified: (block: StoredBlock, signaturesMetadata: Uint8Array) => void;
  readonly onDropped: (transaction: CheckedTransaction, why: 'expired' | 'duplicate') => void;
  /** Carries writes of the `tcp` provider to a peer; `onTaken` when they are out of this process, or lost with the link. */
  readonly sendWrites: (peer: number, frames: Uint8Array, onTaken: () => void) => void;
  /** What a peer wrote into a ring broke it: its session must be opened anew. */
  readonly onTransportFault: (peer: number, reason: string) => void;
  /** It has joined and may vote now. */
  readonly onMember: () => void;
  readonly onFatal: (error: Error) => void;
}
