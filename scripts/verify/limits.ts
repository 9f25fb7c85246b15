/** Bounds of the auditor. */
export const VERIFY_LIMITS = {
  /** Authorities between a creator's certificate and a root. */
  chainLengthMax: 8,
  creatorsCachedMax: 4096,
  creatorBytesCachedMax: 16 << 10,
  /** Bytes of a block brought together for one call of the hash. */
  hashRoomBytes: 64 << 10,
  /** Signatures handed to the workers and not yet answered: what keeps them busy and memory flat. */
  signaturesInFlightMax: 2048,
  /** Signatures in one message to a worker: posting costs about as much as 2 % of one verification. */
  signaturesPerMessageMax: 32,
  /** Checks (of a block, a certificate, an index) begun behind the oldest one that has not settled. */
  checksInFlightMax: 128,
  /** Findings kept; the rest are counted. */
  findingsMax: 1000,
  sourcesMax: 64,
  threadsMax: 64,
  /** Folders below the one given in which ledgers are looked for: data/replica-1/ledger/main is three down. */
  ledgerSearchDepthMax: 4,
  /** Failures of one stream in a row. */
  streamFailuresMax: 3,
} as const;

/** Times of the auditor, milliseconds; the first two towards running replicas. */
export const VERIFY_TIMES = {
  requestTimeoutMs: 10_000,
  idleMs: 60_000,
  /** Between two turns of the event loop. */
  loopTurnMs: 50,
} as const;
