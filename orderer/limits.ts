/**
 * Bounds of the orderer's transaction path: every queue and cache of `signature/`, `envelope/`,
 * `dedupe/` and of submission. The channel's own sizes (BatchSize) come from its configuration and
 * are held against these by `checkOrdererLimits`, once, before a channel starts.
 */
import { OrdererError } from './errors.ts';

export interface OrdererLimits {
  /** Nonce of a signature header; Fabric's clients send 24 bytes. */
  readonly nonceBytesMax: number;
  /** Serialized creator: an MSP name and one PEM certificate, about 1 KB in practice. */
  readonly creatorBytesMax: number;

  /** Threads that one replica may spend on signatures. */
  readonly verifyThreadsMax: number;
  /** Signatures waiting or under way in the verify pool, and the bytes of their messages. */
  readonly verifyQueueItemsMax: number;
  readonly verifyQueueBytesMax: number;
  /** Calls that wait for room in that queue: peers' batches, two per lane and channel. */
  readonly verifyWaitersMax: number;
  /** One message to a verify thread; a single larger item travels alone. */
  readonly verifyJobItemsMax: number;
  readonly verifyJobBytesMax: number;
  /** Signatures that the main thread checks itself in a millisecond: some 7 % of it at most, and a fifth of the way to a thread. */
  readonly verifyHerePerMs: number;
  /** Messages posted to one thread: the second hides the way there and back. */
  readonly verifyJobsPerThreadMax: number;
  /**
   * Signatures of one peer's batch in the queue at once, so that a large batch leaves room for
   * others.
   */
  readonly batchVerifyItemsMax: number;

  readonly p256KeysCachedMax: number;
  /** Creators whose certificate was judged lately. */
  readonly writersCachedMax: number;
  /** Envelopes found valid lately, by hash; ~300 bytes each. */
  readonly verifiedEnvelopesCachedMax: number;

  /** Blocks stored and not certified, beyond which no further slot is reported as applied. */
  readonly uncertifiedBlocksMax: number;
  readonly uncertifiedBytesMax: number;
  /** Lines in the log about one peer's bad signatures and batches in one run. */
  readonly faultLinesMax: number;

  /** Ordered and not yet stored transactions from which on the stream is held back. */
  readonly duplicatesInFlightMax: number;

  /** Accepted submissions of one channel that are not in a certified block yet. */
  readonly pendingTransactionsMax: number;
  /** So many may always be pending; beyond it what is ordered in so many milliseconds (`Backpressure`). */
  readonly pendingTransactionsMin: number;
  readonly pendingMsMax: number;
  /** Of these, checked and waiting for a place in the lane. */
  readonly laneQueueTransactionsMax: number;
  readonly laneQueueBytesMax: number;
  /** One batch of the own lane; the channel's `batchBytesMax` bounds its bytes. */
  readonly laneBatchTransactionsMax: number;
  /** Own batches handed to consensus and not written; written and not delivered. */
  readonly laneBatchesUnwrittenMax: number;
  readonly laneBatchesUndeliveredMax: number;
  /** Clients of one channel that wait for a receipt. */
  readonly receiptWaitersMax: number;
  /** Frames of a peer's session handshake that arrive before this replica's run has started. */
  readonly earlyBootstrapFramesMax: number;

  /** What `overloaded` and `not_ready` tell the client when nothing better is known. */
  readonly retryAfterMs: number;
}

const MIB = 1024 * 1024;
/** protoutil.CreateNonce. */
const FABRIC_NONCE_BYTES = 24;

export const ORDERER_LIMITS: OrdererLimits = {
  nonceBytesMax: 128,
  creatorBytesMax: 16 * 1024,
  verifyThreadsMax: 64,
  verifyQueueItemsMax: 8192,
  verifyQueueBytesMax: 64 * MIB,
  verifyWaitersMax: 4096,
  verifyJobItemsMax: 32,
  verifyJobBytesMax: 64 * 1024,
  verifyHerePerMs: 1,
  verifyJobsPerThreadMax: 2,
  batchVerifyItemsMax: 64,
  p256KeysCachedMax: 1024,
  writersCachedMax: 4096,
  verifiedEnvelopesCachedMax: 4_096,
  uncertifiedBlocksMax: 512,
  uncertifiedBytesMax: 16 * MIB,
  faultLinesMax: 32,
  duplicatesInFlightMax: 65_536,
  pendingTransactionsMax: 32_768,
  pendingTransactionsMin: 512,
  pendingMsMax: 1_000,
  laneQueueTransactionsMax: 16_384,
  laneQueueBytesMax: 32 * MIB,
  laneBatchTransactionsMax: 1024,
  laneBatchesUnwrittenMax: 2,
  laneBatchesUndeliveredMax: 32,
  receiptWaitersMax: 32_768,
  earlyBootstrapFramesMax: 16,
  retryAfterMs: 200,
};

/**
 * Framing of `common.Envelope` around payload and signature: two tags and two lengths of at most
 * five bytes. Fabric counts an envelope without it (orderer/common/msgprocessor/sizefilter.go).
 */
export const ENVELOPE_FRAMING_BYTES_MAX = 12;

/** The sizes of a channel that these limits must fit. */
export interface ChannelSizes {
  readonly maxMessageCount: number;
  readonly absoluteMaxBytes: number;
  readonly preferredMaxBytes: number;
}

/** Throws OrdererError `bad_limits` naming both sides of a relation that does not hold. */
export function checkOrdererLimits(limits: OrdererLimits, channel?: ChannelSizes): void {
  for (const [name, value] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value > 0) continue;
    throw new OrdererError('bad_limits', `${name} is ${value}: not a positive integer`);
  }
  const own = (small: keyof OrdererLimits, large: keyof OrdererLimits) =>
    ensureAtMost(small, limits[small], large, limits[large]);
  ensureAtMost(
    "the nonce of Fabric's clients",
    FABRIC_NONCE_BYTES,
    'nonceBytesMax',
    limits.nonceBytesMax,
  );
  own('verifyJobItemsMax', 'verifyQueueItemsMax');
  own('verifyJobBytesMax', 'verifyQueueBytesMax');
  own('batchVerifyItemsMax', 'verifyQueueItemsMax');
  own('laneQueueTransactionsMax', 'pendingTransactionsMax');
  own('laneBatchesUnwrittenMax', 'laneBatchesUndeliveredMax');
  own('pendingTransactionsMin', 'pendingTransactionsMax');
  own('pendingTransactionsMax', 'duplicatesInFlightMax');
  if (channel === undefined) return;
  const { maxMessageCount, preferredMaxBytes, absoluteMaxBytes } = channel;
  const { verifyQueueBytesMax, laneQueueBytesMax, duplicatesInFlightMax } = limits;
  const envelopeBytesMax = absoluteMaxBytes + ENVELOPE_FRAMING_BYTES_MAX;
  ensureAtMost('PreferredMaxBytes', preferredMaxBytes, 'AbsoluteMaxBytes', absoluteMaxBytes);
  ensureAtMost('an envelope', envelopeBytesMax, 'verifyQueueBytesMax', verifyQueueBytesMax);
  ensureAtMost('an envelope', envelopeBytesMax, 'laneQueueBytesMax', laneQueueBytesMax);
  // Uncut transactions are in flight too: were they to fill the window alone, nothing more could
  // come to cut them.
  ensureAtMost(
    'twice MaxMessageCount',
    2 * maxMessageCount,
    'duplicatesInFlightMax',
    duplicatesInFlightMax,
  );
}

function ensureAtMost(smallName: string, small: number, largeName: string, large: number): void {
  if (small <= large) return;
  throw new OrdererError('bad_limits', `${smallName} (${small}) is above ${largeName} (${large})`);
}

checkOrdererLimits(ORDERER_LIMITS);
