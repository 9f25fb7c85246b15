/**
 * The transport contract: what consensus may ask of a provider (`shm`, `tcp`
 * and `verbs`).
 *
 * For every ordered pair of replicas i -> j, replica j owns a region that only i may write. It
 * holds cells (fixed-size records indexed by slot mod window) and two rings (lane batches,
 * control messages). One-sided writes fill cells and the lane ring; `send` is the two-sided
 * channel for what is rare or large.
 *
 * What a provider promises
 * - A cell or payload handed up by `poll` was authenticated as written by that peer, for this
 *   region, in this session, and is a private copy: the peer cannot change it any more.
 * - Payloads of one ring arrive in the order in which they were written,
 *   each at most once per session.
 * - There is no order between a ring and a cell, nor between two cells: the reader must cope.
 * - Nothing is promised to arrive: a peer that does not drain its ring is skipped, and the session
 *   may end at any time. A completed write is not a delivery; only the peer's progress cell is.
 */

/** Position of a replica in the channel's sorted consenter list: 0..n-1. */
export type ReplicaIndex = number;

/** What a cell carries; the numeric codes are in `layout.ts` (`CELL_KIND_CODES`). */
export type CellKind = 'proposal' | 'vote' | 'commit' | 'progress';

/** A cell as the writer states it; the provider adds epoch, incarnation and MAC when it seals. */
export interface CellContent {
  readonly kind: CellKind;
  /**
   * Slot number; the cell lands at index `slot mod windowSlots` (progress cells have one place).
   */
  readonly slot: number;
  readonly view: number;
  /** One byte, free for the writer (proposal: bit 0 = cut). */
  readonly flags: number;
  /** At most `cellBodyBytes(kind, replicas)`; shorter bodies are zero-padded. */
  readonly body: Uint8Array;
}

/** The slots whose cells the reader wants to see; both ends inclusive. */
export interface SlotInterest {
  readonly fromSlot: number;
  readonly toSlot: number;
}

/** Receives what a `poll` found. Handlers run synchronously inside `poll` and must not throw. */
export interface InboxHandler {
  /** `body` is a view into a scratch buffer: valid until the handler returns. */
  onCell(
    peer: ReplicaIndex,
    kind: CellKind,
    slot: number,
    view: number,
    flags: number,
    body: Uint8Array,
  ): void;
  /**
   * A lane payload; it is the handler's to keep, its `buffer` is not. `sha256` (32 bytes)
   * is its hash, computed natively: valid until the handler returns.
   */
  onLane(peer: ReplicaIndex, payload: Uint8Array, sha256: Uint8Array): void;
  /** A two-sided message; it is the handler's to keep, its `buffer` is not. */
  onMessage(peer: ReplicaIndex, payload: Uint8Array): void;
  /**
   * The peer's memory held something that no correct writer leaves there.
   * Never proof against a third party.
   */
  onFault(peer: ReplicaIndex, fault: TransportFault): void;
}

export type TransportFault =
  | { readonly kind: 'bad-cell'; readonly cell: CellKind; readonly index: number }
  | {
      readonly kind: 'bad-frame';
      readonly ring: RingName;
      readonly reason: 'length' | 'sequence' | 'mac' | 'fragment' | 'head';
    }
  /** The connection to the peer's memory is dead: the call or completion that failed, in words. */
  | { readonly kind: 'device'; readonly reason: string };

export type RingName = 'lane' | 'control';

/**
 * How a thread waits for work: `spin` burns a core, `adaptive` spins then
 * blocks, `block` blocks at once.
 */
export type WaitMode = 'spin' | 'adaptive' | 'block';

/**
 * `queued`: written or waiting for credits in order; `skipped`: dropped, the bounded
 * out-queue is full or no session.
 */
export type WriteOutcome = 'queued' | 'skipped';

export type SessionState = 'closed' | 'offered' | 'mapped' | 'open';

/**
 * What replica j tells replica i so that i can write into j's region. Travels over mutual TLS only.
 */
export interface RegionOffer {
  readonly provider: ProviderName;
  /**
   * `shm`: name of the shared-memory object; 128 random bits, unlinked as soon as the peer has mapped it. `tcp`: 128
   * random bits in the same form, which only go into the keys.
   */
  readonly name: string;
  readonly regionBytes: number;
  /** Hash of the layout constants and dimensions; both sides must agree. */
  readonly layoutDigest: string;
  /** `verbs`: address, key and queue pair of the region (`VerbsEndpoint` of native/verbs.h), hex. */
  readonly endpoint?: string;
}

/** In the order of their native numbers. */
export const PROVIDERS = ['shm', 'tcp', 'verbs'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

/** `auto`: peers write through memory windows of type 2B where the device has them, otherwise by the key of their region. */
export const MEMORY_WINDOWS = ['auto', 'off'] as const;

/** Of `verbs`; what is absent is chosen. */
export interface DeviceChoice {
  /** Name, as `ibv_devices` lists it; otherwise the first with an active port. */
  readonly device?: string;
  /** Index of its address (GID); otherwise the first of RoCE v2 over IPv4, else the first. */
  readonly gidIndex?: number;
  /** Default `auto`. */
  readonly memoryWindows?: (typeof MEMORY_WINDOWS)[number];
}

/** Secret and identities that a session's MAC keys are derived from. */
export interface SessionKeys {
  /** 32 bytes from the TLS exporter, the same at both ends. */
  readonly pairSecret: Uint8Array;
  /** Random 64-bit number that a process draws at start; decimal string (exceeds 2^53). */
  readonly selfIncarnation: string;
  readonly peerIncarnation: string;
}

export interface PeerCounters {
  readonly cellsWritten: number;
  readonly cellsRead: number;
  readonly framesWritten: number;
  readonly framesRead: number;
  readonly payloadsSkipped: number;
  readonly badCells: number;
  readonly badFrames: number;
  readonly outQueueBytes: number;
}

/** One channel's transport of one replica. Lives on one thread; every method is synchronous. */
export interface Transport {
  readonly self: ReplicaIndex;
  readonly replicas: number;
  readonly windowSlots: number;

  /** Creates the inbound region for `peer` and returns what the peer needs to map it. */
  offer(peer: ReplicaIndex, keys: SessionKeys): RegionOffer;
  /**
   * Maps the peer's offer (our outbound region). Throws TransportError
   * `offer_mismatch`, `map_failed`.
   */
  accept(peer: ReplicaIndex, offer: RegionOffer): void;
  /**
   * The peer has mapped our region: unlinks its name. When both sides
   * are mapped the session is `open`.
   */
  confirm(peer: ReplicaIndex): void;
  /** Ends the session and unmaps both regions. Idempotent. */
  close(peer: ReplicaIndex): void;
  sessionState(peer: ReplicaIndex): SessionState;

  /**
   * Seals the cell once per open peer and writes it to all of them in one native call. `quiet`: nobody needs to be woken for
   * it, a peer that waits finds it when it looks next (`shm`; what is shipped or sent wakes in any case).
   */
  writeCell(cell: CellContent, quiet?: boolean): void;
  /** Rewrites to one peer every current cell that this replica has written in the window. */
  rewriteCells(peer: ReplicaIndex): void;
  /**
   * Puts the payload into every open peer's lane ring; outcome per peer index (self: `queued`), in a list that the next call
   * overwrites.
   */
  writeLane(payload: Uint8Array): readonly WriteOutcome[];
  /** Two-sided message to one peer. */
  send(peer: ReplicaIndex, payload: Uint8Array): WriteOutcome;

  /**
   * Hands up everything new from all open peers, bounded by
   * `pollBytesMax`; returns the number of items.
   */
  poll(interest: SlotInterest, handler: InboxHandler): number;
  /**
   * Waits until a peer has written, `wake` was called or `timeoutUs` passed. Returns true when
   * there may be work. In `adaptive` mode it polls for `spinUs` first while waits have been that short of late.
   */
  wait(timeoutUs: number): boolean;
  /** Number to hand to another thread, which wakes this one with `wakeTransport(handle)`. */
  readonly wakeHandle: number;
  /** Of `verbs`: peers write through memory windows, whose keys are worth something on their connection only. */
  readonly usesWindows: boolean;

  /** Where nobody writes into this memory from outside (`tcp`): the caller carries the writes. */
  readonly shipping: WriteShipping | undefined;

  counters(peer: ReplicaIndex): PeerCounters;
  /** Closes all sessions and frees native memory. Idempotent. */
  destroy(): void;
}

/**
 * Writes that travel as frames, in the order in which they were taken, each once: the peer's host applies them, as an
 * RDMA device would. What was not taken yet costs no memory: a cell that is written again replaces what waits.
 */
export interface WriteShipping {
  /** The next parcel for the peer, at most `writesParcelBytes`; undefined: nothing is new. */
  take(peer: ReplicaIndex): Uint8Array<ArrayBuffer> | undefined;
  /**
   * What the peer took for us. Total: returns what is wrong with it, or undefined; writes land where the peer may
   * write, or nowhere. Does not wake `wait`.
   */
  apply(peer: ReplicaIndex, frames: Uint8Array): string | undefined;
}
