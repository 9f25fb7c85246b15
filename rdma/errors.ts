/**
 * Errors of the transport. Thrown for what the caller or the machine did wrong; what a peer did
 * wrong comes back as data (`TransportFault` in contract.ts).
 */

export type TransportErrorCode =
  /** The native addon could not be loaded: run `npm run build:native`. */
  | 'addon_missing'
  /** An argument is outside of what the function's documentation allows. */
  | 'invalid_argument'
  /** The call does not fit the session's or the transport's state. */
  | 'invalid_state'
  /** `destroy()` was called before. */
  | 'transport_destroyed'
  /** The shared-memory object could not be created (limits, full /dev/shm). */
  | 'region_create_failed'
  /** The peer's shared-memory object could not be opened or mapped. */
  | 'map_failed'
  /** The peer's offer or its region does not have the agreed layout, size, owner or permissions. */
  | 'offer_mismatch'
  /** RDMA was asked for, and the library, a device, its port or its address is not there; the sentence says which. */
  | 'verbs_unavailable'
  /** A call of libibverbs failed; the sentence names the call and errno. */
  | 'verbs_failed'
  /** The cryptographic library of Node.js refused a call that must not fail. */
  | 'crypto_failed'
  /** Memory for a queue or a payload could not be had. */
  | 'out_of_memory'
  /** The addon met what its authors thought impossible: report it. */
  | 'internal';

/**
 * The one error class of this folder. `data` holds the figures (errno, peer, limits) that go with
 * the code.
 */
export class TransportError extends Error {
  readonly code: TransportErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: TransportErrorCode,
    message: string,
    data: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'TransportError';
    this.code = code;
    this.data = data;
  }
}
