/** Bounds of the client: what a lying or broken replica can make it hold or wait for. */
export const CLIENT_LIMITS = {
  /** JSON answers (receipts, information, errors). */
  jsonBytesMax: 1 << 20,
  /**
   * One serialized block: AbsoluteMaxBytes may be raised to this by a
   * channel's configuration, not further.
   */
  blockBytesMax: 64 << 20,
  /** PKCS#8 files and certificates. */
  pemBytesMax: 64 << 10,
  /** Certified headers remembered as checked, so that 500 receipts of one block cost one check. */
  checkedHeadersMax: 256,
  /** Envelopes of one submission stream that are sent and have no result. */
  streamInFlightDefault: 512,
  streamInFlightMax: 65_536,
  /** Envelopes that leave in one piece of the body. */
  streamPieceBytesMax: 64 << 10,
  /** Failures kept for the error that reports them. */
  causesMax: 32,
  urlsMax: 64,
} as const;

/** Times of the client, milliseconds; each may be set per client. */
export const CLIENT_TIMES = {
  /** The client's own deadline for one call. */
  timeoutMs: 30_000,
  /** One request to one replica, connection included; then the next replica is tried. */
  attemptTimeoutMs: 8_000,
  /** First pause before the same replica is tried again; doubles up to `backoffMaxMs`. */
  backoffMinMs: 50,
  backoffMaxMs: 2_000,
  /**
   * Deliver with follow: after this silence another replica is asked, since a
   * faulty one may withhold blocks.
   */
  idleMs: 30_000,
  /** A submission stream with nothing to say sends a heart-beat this often. */
  heartbeatMs: 15_000,
} as const;
