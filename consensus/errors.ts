/** Failures of the consensus worker and of the calls to it; the core's are in `core/errors.ts`. */

export type ConsensusErrorCode =
  /**
   * Main thread and consensus worker do not speak the same protocol: a
   * bug, or mixed builds. Rebuild.
   */
  | 'worker_protocol'
  /**
   * The consensus worker ended without being asked to. The replica cannot
   * order; restart it and keep the log.
   */
  | 'worker_died'
  /**
   * The log was written by another version, or is not a log. Run the version that wrote it, or move
   * the log away: the replica then joins as one that has lost its disk.
   */
  | 'unreadable_log'
  /** The consensus worker has stopped; nothing more can be asked of it. */
  | 'stopped'
  /** A transport call failed in the worker; the message carries the transport's own code. */
  | 'transport';

/** The one error class of this folder. `data` holds the figures that go with the code. */
export class ConsensusError extends Error {
  readonly code: ConsensusErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: ConsensusErrorCode,
    message: string,
    data: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ConsensusError';
    this.code = code;
    this.data = data;
  }
}
