/** Failures of the consensus worker and of the calls to it. */
export type ConsensusErrorCode =
  /** The thread ended; its state is gone. */
  | 'worker_died'
  /** The two threads disagree on their messages: a bug. */
  | 'worker_protocol'
  | 'stopped'
  /** A transport call failed; the message carries the transport's own code. */
  | 'transport';

export class ConsensusError extends Error {
  readonly code: ConsensusErrorCode;

  constructor(code: ConsensusErrorCode, message: string) {
    super(message);
    this.name = 'ConsensusError';
    this.code = code;
  }
}
