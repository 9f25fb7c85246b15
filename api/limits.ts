/**
 * Every bound of the HTTP API in one place. Bytes, milliseconds and counts; a limit
 * is the last value still allowed.
 */

export interface ApiLimits {
  /**
   * Open TCP connections; further ones are closed at once by the operating system's accept loop.
   */
  readonly connectionsMax: number;
  /** Time for all headers of one request to arrive. */
  readonly headersMsMax: number;
  /**
   * Time for one whole request to arrive, body included. It never cuts a
   * submitter that waits for an answer.
   */
  readonly requestMsMax: number;
  /** How often the two limits above are looked at. */
  readonly connectionCheckMs: number;
  /** Silence after which an idle keep-alive connection is closed. */
  readonly keepAliveMs: number;
  /** Path and query together, characters. */
  readonly uriCharsMax: number;
  /** All headers of one request together. */
  readonly headersBytesMax: number;
  /** What a JSON body may add to its base64 envelope (names, quotes, white space). */
  readonly bodySlackBytes: number;
  /** Body of a request that carries many transactions. */
  readonly bulkBytesMax: number;
  /** Transactions in one request. */
  readonly bulkItemsMax: number;
  /** Bodies of all requests in progress together; beyond it a submitter is told to come back. */
  readonly bodyBytesInFlightMax: number;
  /**
   * A body that is too large is read and thrown away up to here, so that
   * its sender can read the answer.
   */
  readonly discardBytesMax: number;
  /** Submitters that wait for a commit at the same time. */
  readonly waitersMax: number;
  /** Waiting time when the request names none, and the longest that it may name. */
  readonly waitMsDefault: number;
  readonly waitMsMax: number;
  /** Submission streams at the same time. */
  readonly submitStreamsMax: number;
  /** Envelopes of one such stream that are handed on and have no result; with more it is not read. */
  readonly submitStreamItemsMax: number;
  /** Bytes of those that wait to be handed on. */
  readonly submitStreamBytesMax: number;
  /** A client says something this often: an envelope, or a heart-beat. */
  readonly submitStreamIdleMsMax: number;
  /** Deliver streams at the same time. */
  readonly deliverStreamsMax: number;
  /**
   * A client takes what a stream sends (each block, the results) within this time plus what
   * its bytes need at `deliverBytesPerSecondMin`.
   */
  readonly deliverStallMsMax: number;
  readonly deliverBytesPerSecondMin: number;
  /** Bytes that wait in the process for one WebSocket before it counts as paused. */
  readonly deliverBufferBytesMax: number;
  /** Silence on a stream after which a heart-beat is sent. */
  readonly deliverHeartbeatMs: number;
  /** Time that a client has to read the last words of a stream before the connection is cut. */
  readonly deliverLingerMs: number;
  /** Encoded blocks that are being sent, each counted once however many clients take it. */
  readonly frameBytesInFlightMax: number;
  /** While others wait for room among those, who has held a block longer than this is dropped. */
  readonly framePressedMsMax: number;
  /** Encoded blocks that are kept for the next client. */
  readonly frameCacheBytesMax: number;
  /** Blocks that are read and encoded at the same time. */
  readonly frameLoadsMax: number;
  /** Time that `close()` gives to requests in progress. */
  readonly closeMsMax: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_LIMITS: ApiLimits = Object.freeze({
  connectionsMax: 4096,
  headersMsMax: 10_000,
  requestMsMax: 30_000,
  connectionCheckMs: 5_000,
  keepAliveMs: 75_000,
  uriCharsMax: 4096,
  headersBytesMax: 16 * KIB,
  bodySlackBytes: 4 * KIB,
  bulkBytesMax: 16 * MIB,
  bulkItemsMax: 2_000,
  bodyBytesInFlightMax: 48 * MIB,
  discardBytesMax: 64 * MIB,
  waitersMax: 10_000,
  waitMsDefault: 10_000,
  waitMsMax: 60_000,
  submitStreamsMax: 64,
  submitStreamItemsMax: 1_024,
  submitStreamBytesMax: MIB,
  submitStreamIdleMsMax: 60_000,
  deliverStreamsMax: 256,
  deliverStallMsMax: 15_000,
  deliverBytesPerSecondMin: 64 * KIB,
  deliverBufferBytesMax: 64 * KIB,
  deliverHeartbeatMs: 15_000,
  deliverLingerMs: 2_000,
  frameBytesInFlightMax: 32 * MIB,
  framePressedMsMax: 1_000,
  frameCacheBytesMax: 4 * MIB,
  frameLoadsMax: 2,
  closeMsMax: 3_000,
});

/**
 * Fills what is missing from the defaults and checks the relations between limits.
 * @throws {RangeError} naming the limit.
 */
export function resolveLimits(given: Partial<ApiLimits> = {}): ApiLimits {
  const limits: ApiLimits = { ...DEFAULT_LIMITS, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new RangeError(`api limit ${name} must be a whole number of at least 1, not ${value}`);
    }
  }
  atMost(limits, 'waitMsDefault', 'waitMsMax');
  atMost(limits, 'headersMsMax', 'requestMsMax');
  atMost(limits, 'bulkBytesMax', 'bodyBytesInFlightMax');
  atMost(limits, 'framePressedMsMax', 'deliverStallMsMax');
  return limits;
}

function atMost(limits: ApiLimits, smaller: keyof ApiLimits, larger: keyof ApiLimits): void {
  if (limits[smaller] > limits[larger]) {
    throw new RangeError(
      `api limit ${smaller} (${limits[smaller]}) must not exceed ${larger} (${limits[larger]})`,
    );
  }
}
