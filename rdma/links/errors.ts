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
  'certificate_missing',
  'certificate_untrusted',
  'certificate_expired',
  'certificate_not_yet_valid',
  'certificate_not_pinned',
  'protocol_version',
  'wrong_network',
  'wrong_index',
  'wrong_direction',
  'malformed_frame',
  'frame_too_large',
  'hello_timeout',
  'link_exists',
  'too_often',
  'silent',
  'replaced',
  'handler_failed',
  'disconnected',
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
