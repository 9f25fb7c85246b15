/** Errors of the client: one class, stable codes, what each replica said. */

/**
 * Codes that the client itself gives; refusals of a replica keep the
 * replica's code (`bad_signature`, ...).
 */
export type ClientErrorCode =
  /** A call of this library has an argument that cannot work: the message names it. */
  | 'invalid_argument'
  /** The private key is not one that signs transactions here. */
  | 'malformed_key'
  /** The certificate cannot be read, or does not belong to the key. */
  | 'malformed_certificate'
  /** The trust root is not the genesis block of this channel. */
  | 'malformed_genesis'
  /**
   * No replica did what was asked before the deadline. The transaction may
   * still be ordered: submit it again.
   */
  | 'deadline_exceeded'
  /**
   * A replica's answer does not hold: certificate, hash, number or inclusion.
   * Another replica may be honest.
   */
  | 'bad_receipt'
  /** A block that a replica served does not hold. Another replica may be honest. */
  | 'bad_block'
  /** A replica answered with something that is not what was asked for. */
  | 'bad_response'
  /** A replica could not be reached, or did not answer in time. */
  | 'unreachable'
  /** No replica that answered has the block or transaction. */
  | 'not_found'
  /** The caller's signal stopped the work. */
  | 'aborted';

export interface ReplicaFailure {
  readonly url: string;
  readonly code: string;
  readonly message: string;
  /** HTTP status, when there was an answer. */
  readonly status?: number;
  readonly retryable: boolean;
}

export class ClientError extends Error {
  readonly code: ClientErrorCode | (string & {});
  /**
   * Doing the same again may succeed (for a submission: with the same envelope,
   * which cannot be ordered twice).
   */
  readonly retryable: boolean;
  /** What happened at each replica, oldest first. */
  readonly causes: readonly ReplicaFailure[];

  constructor(
    code: ClientErrorCode | (string & {}),
    message: string,
    options: { retryable?: boolean; causes?: readonly ReplicaFailure[] } = {},
  ) {
    super(message);
    this.name = 'ClientError';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.causes = options.causes ?? [];
  }
}

/** One line that names the last failure of each replica. */
export function describeCauses(causes: readonly ReplicaFailure[]): string {
  const last = new Map<string, ReplicaFailure>();
  for (const cause of causes) last.set(cause.url, cause);
  return [...last.values()].map(({ url, message }) => `${url}: ${message}`).join('; ');
}
