/**
 * What the outside world may ask of a running replica. `api/` sees the
 * orderer through this file only.
 */

/** A block that may leave the replica: stored, and certified by a quorum of signatures. */
export interface CertifiedBlock {
  readonly number: number;
  /** Serialized `common.Block`, certificate in its SIGNATURES metadata. */
  readonly bytes: Uint8Array;
}

export interface TransactionLocation {
  /** Lower-case hex, 64 characters. */
  readonly txId: string;
  readonly blockNumber: number;
  /** Position in the block's data, from 0. */
  readonly index: number;
}

/** Proof that a transaction is ordered: where it is and the header, certified. */
export interface Receipt extends TransactionLocation {
  /** SHA-256 of the DER header, hex. */
  readonly blockHash: string;
  /** Serialized `common.BlockHeader`. */
  readonly header: Uint8Array;
  /** The SIGNATURES metadata entry of the block: serialized `common.Metadata`. */
  readonly certificate: Uint8Array;
}

/**
 * A refusal is data, not an exception: stable code, sentence for the reader. Codes in `errors.ts`.
 */
export interface Refusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  /** Says what is wrong and what to do. */
  readonly message: string;
  /** For `duplicate_transaction`: where it is, when it is in a certified block. */
  readonly location?: TransactionLocation;
  /** For `overloaded` and `not_ready`. */
  readonly retryAfterMs?: number;
}

export type RefusalCode =
  | 'empty_envelope'
  | 'envelope_too_large'
  | 'malformed_envelope'
  | 'not_canonical'
  | 'unsupported_type'
  | 'wrong_channel'
  | 'bad_tx_id'
  | 'unknown_writer'
  | 'expired_certificate'
  | 'revoked_certificate'
  | 'bad_signature'
  | 'policy_denied'
  | 'duplicate_transaction'
  | 'overloaded'
  | 'not_ready'
  | 'shutting_down';

/**
 * `duplicate`: the transaction was already queued here; nothing new
 * was queued, waiting for it works.
 */
export interface Accepted {
  readonly kind: 'accepted';
  readonly txId: string;
  readonly duplicate: boolean;
}

export interface ChannelInfo {
  readonly channel: string;
  /** Number of certified blocks, genesis included; the newest is `height - 1`. */
  readonly height: number;
  /** Hash of the newest certified block's header, hex. */
  readonly tipHash: string;
  readonly replica: number;
  readonly replicas: number;
  readonly faultsTolerated: number;
  readonly quorum: number;
  /** What it is doing, in a word. `joined`: it takes part, but does not vote yet. */
  readonly state: 'starting' | 'ordering' | 'changing' | 'joined' | 'transferring' | 'stopped';
  readonly view: number;
  /** Consenter number of the leader. */
  readonly leader: number;
  /** It has asked for the view, and waits for its leader to open it. */
  readonly changing: boolean;
  /** Views entered since the process began. */
  readonly viewChanges: number;
  /** It does not vote: it has joined without memory of its votes. */
  readonly mute: boolean;
  /** It is fetching blocks up to a checkpoint of the others. */
  readonly transferring: boolean;
  /** Path of the last commit: all n voted, or a signed quorum. */
  readonly path: 'fast' | 'slow';
  readonly executedSlot: number;
  /** Slot of the newest stable checkpoint; slots up to `stableSlot + windowSlots` may be voted for. */
  readonly stableSlot: number;
  readonly windowSlots: number;
  /** Whether votes are on disk before they are sent. */
  readonly durability: 'wal' | 'memory';
  readonly disk: 'ok' | 'full';
  readonly transactionsPending: number;
  readonly peers: readonly {
    readonly replica: number;
    readonly connected: boolean;
    /** Slots that it is behind this replica; undefined when it has reported nothing. */
    readonly lagSlots: number | undefined;
    /** Faults that this replica has seen of it since the process began. */
    readonly faults: number;
  }[];
}

export interface ChannelHealth {
  readonly channel: string;
  readonly canOrder: boolean;
  /** Sentence for the operator. */
  readonly reason: string;
}

export interface SubmissionOptions {
  /**
   * The caller waits by itself when it is refused as `overloaded`. It is refused a little earlier, so that there is
   * room left for those who come once and would be turned away.
   */
  readonly canWait?: boolean;
}

export interface ChannelService {
  readonly channel: string;
  /**
   * Largest envelope accepted, bytes: AbsoluteMaxBytes counts payload and
   * signature, their framing comes on top.
   */
  readonly envelopeBytesMax: number;
  info(): ChannelInfo;
  health(): ChannelHealth;
  /** Checks the envelopes and queues them in this replica's lane, each for itself; answers in the same order. */
  submit(
    envelopes: readonly Uint8Array[],
    options?: SubmissionOptions,
  ): Promise<readonly (Accepted | Refusal)[]>;
  /**
   * Settles when all of the transactions are in certified blocks here (at once when they already are), or when `signal`
   * aborts: with undefined for those that are not. `onReceipt` is called for each as soon as it is known. Rejects only
   * for bugs.
   */
  committed(
    txIds: readonly string[],
    signal: AbortSignal,
    onReceipt?: (index: number, receipt: Receipt) => void,
  ): Promise<readonly (Receipt | undefined)[]>;
  /** Undefined when the transaction is in no certified block here. */
  transaction(txId: string): Promise<TransactionLocation | undefined>;
  /** Undefined when the block is not certified here yet. */
  block(number: number): Promise<CertifiedBlock | undefined>;
  /** Calls back (microtask) each time the height grew; returns the unsubscribe function. */
  onHeight(listener: (height: number) => void): () => void;
  /**
   * Signs `data` as an ENDORSER_TRANSACTION envelope with the gateway identity;
   * undefined when not configured.
   */
  readonly gateway: Gateway | undefined;
}

export interface Gateway {
  /** Serialized envelope, ready for `submit`. */
  wrap(data: Uint8Array): Uint8Array;
}

export interface OrderingService {
  readonly version: string;
  readonly replica: number;
  channels(): readonly string[];
  channel(name: string): ChannelService | undefined;
}
