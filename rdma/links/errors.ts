/**
 * What can go wrong between two replicas' links. `LinkError` is thrown for mistakes of our own
 * (options, API use); a peer's faults are `Refusal` data: they are sent to the peer, logged and
 * handed to `onDown`, never thrown.
 */
export type LinkErrorCode =
  /** Options that cannot work: the message names the option. */
  | 'bad_options'
  /** A topic or body that `send` does not take. */
  | 'bad_frame'
  /** Used after `close`, or started twice. */
  | 'bad_state';

export class LinkError extends Error {
  readonly code: LinkErrorCode;

  constructor(code: LinkErrorCode, message: string) {
    super(message);
    this.name = 'LinkError';
    this.code = code;
  }
}

/** Codes of the last frame of a refused connection; stable, they are part of the protocol. */
export const REFUSAL_CODES = [
  /** The peer showed no certificate. */
  'certificate_missing',
  /** The peer's certificate is not from the network's TLS CA. */
  'certificate_untrusted',
  /** The peer's certificate is no longer valid: issue another one, or check the clock. */
  'certificate_expired',
  /** The peer's certificate is not valid yet: check both clocks. */
  'certificate_not_yet_valid',
  /** A good certificate, but not the one that the genesis block names for this replica. */
  'certificate_not_pinned',
  /** The peer runs another version of the link protocol: update the older one. */
  'protocol_version',
  /** The peer belongs to another network: another genesis block. */
  'wrong_network',
  /** The peer claims a number that is not its own, or that does not exist. */
  'wrong_index',
  /** Of two replicas the one with the higher index connects; this one should not have. */
  'wrong_direction',
  /** The peer sent bytes that are no frame. */
  'malformed_frame',
  /** The peer sent a frame above the limit. */
  'frame_too_large',
  /** The peer connected and did not say who it is in time. */
  'hello_timeout',
  /** There is a working link to this peer already. */
  'link_exists',
  /** The peer connects more often than it may; it tries again later by itself. */
  'too_often',
  /** Nothing came from the peer for too long. */
  'silent',
  /** A newer connection of the same peer took this one's place. */
  'replaced',
  /** This replica failed over what the peer sent: its log says why. */
  'handler_failed',
  /** This replica dropped the link on purpose: its log says why. */
  'disconnected',
  /** This replica is stopping. */
  'shutting_down',
] as const;

export type RefusalCode = (typeof REFUSAL_CODES)[number];

export interface Refusal {
  readonly code: RefusalCode;
  /** For the operator: what is wrong and what to do. */
  readonly message: string;
}

export function refusal(code: RefusalCode, message: string): Refusal {
  return { code, message };
}

export function isRefusalCode(text: string): text is RefusalCode {
  return (REFUSAL_CODES as readonly string[]).includes(text);
}
