/**
 * What can go wrong in the orderer's transaction path. Two kinds: a `Refusal` is data, the answer
 * to an envelope that may not be ordered; an `OrdererError` is thrown, for a misuse or a failure of
 * this replica.
 */
import type { Refusal, RefusalCode } from './service.ts';

export type OrdererErrorCode =
  /** A queue is full; nothing was queued. */
  | 'overloaded'
  /** Closed, or closing. */
  | 'closed'
  /** A verify thread died; what it had was not checked. */
  | 'worker_failed'
  /** Limits contradict each other or the channel's configuration. */
  | 'bad_limits'
  /** The gateway's certificate and key do not fit together, or are of the wrong kind. */
  | 'bad_gateway_identity'
  /** A caller broke the contract of a function. */
  | 'misuse'
  /** The ledger ends below what the log of the same replica says: the folder was put together by hand. */
  | 'ledger_behind'
  /** Two histories that cannot both be: more than f replicas are faulty, or a folder was changed by hand. */
  | 'safety_violation'
  /** The record of the last run is damaged. */
  | 'bad_run_record'
  /** The own log holds a batch that this version, with this configuration, does not take. */
  | 'bad_log';

export class OrdererError extends Error {
  readonly code: OrdererErrorCode;

  constructor(code: OrdererErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'OrdererError';
    this.code = code;
  }
}

/** Whatever was thrown, as an error. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** `what` happened, and the `remedy`; a detail, when there is one, goes between them. */
interface RefusalSentence {
  readonly what: string;
  readonly remedy: string;
}

/** The standard sentence of every refusal. */
export const REFUSAL_SENTENCES: Readonly<Record<RefusalCode, RefusalSentence>> = {
  empty_envelope: {
    what: 'The envelope is empty',
    remedy: 'Send the bytes of a serialized common.Envelope.',
  },
  envelope_too_large: {
    what: 'The envelope is too large for this channel',
    remedy: "Send less data, or have the channel's AbsoluteMaxBytes raised.",
  },
  malformed_envelope: {
    what: 'The bytes are not a common.Envelope with both headers',
    remedy: 'Check how the envelope is built and that it arrived whole.',
  },
  not_canonical: {
    what: 'The envelope does not re-marshal to the same bytes',
    remedy: 'Serialize each layer with a protobuf library: fields in order, once, no unknown ones.',
  },
  unsupported_type: {
    what: 'Envelopes of this type are not ordered',
    remedy: 'Send type ENDORSER_TRANSACTION (3) or MESSAGE (0).',
  },
  wrong_channel: {
    what: 'The envelope is for another channel',
    remedy: 'Send it to the channel that its header names.',
  },
  bad_tx_id: {
    what: 'The tx_id does not belong to this nonce and creator',
    remedy: 'Set tx_id to the lower-case hex of SHA-256(nonce || creator), with a fresh nonce.',
  },
  unknown_writer: {
    what: 'The creator is not a known identity of this channel',
    remedy: "Use a certificate issued by one of the channel's organizations.",
  },
  expired_certificate: {
    what: "The creator's certificate is not valid at this time",
    remedy: 'Renew the certificate, or check the clocks.',
  },
  revoked_certificate: {
    what: "The creator's certificate is revoked",
    remedy: 'Ask your organization for a new certificate.',
  },
  bad_signature: {
    what: "The signature does not match the payload and the creator's key",
    remedy: 'Sign the payload with the key of the certificate: Ed25519, or ECDSA P-256 with low S.',
  },
  policy_denied: {
    what: "The creator may not write: the channel's Writers policy is not satisfied",
    remedy: 'Use an identity that the policy names.',
  },
  duplicate_transaction: {
    what: 'A transaction with this tx_id is ordered already',
    remedy: 'Nothing to do if it is yours; otherwise build the envelope again with a fresh nonce.',
  },
  overloaded: {
    what: 'The replica has too much to do',
    remedy: 'Send the same envelope again later, or to another replica.',
  },
  not_ready: {
    what: 'The replica cannot order at the moment',
    remedy: 'Send the same envelope again later, or to another replica.',
  },
  shutting_down: {
    what: 'The replica is shutting down',
    remedy: 'Send the same envelope to another replica.',
  },
};

export interface RefusalExtra {
  readonly location?: NonNullable<Refusal['location']>;
  readonly retryAfterMs?: number;
}

/**
 * A refusal with its standard sentence.
 *
 * @param detail what exactly, without a full stop: 'it has 12 bytes, at most 10 are allowed'
 */
export function refusal(code: RefusalCode, detail?: string, extra: RefusalExtra = {}): Refusal {
  const { what, remedy } = REFUSAL_SENTENCES[code];
  const message = detail === undefined ? `${what}. ${remedy}` : `${what}: ${detail}. ${remedy}`;
  return { kind: 'refused', code, message, ...extra };
}
