/**
 * Errors of the core. Thrown for bugs and for broken assumptions; what a peer did
 * wrong is an `evidence` effect.
 */

export type CoreErrorCode =
  /** An internal invariant does not hold: a bug. */
  | 'invariant_broken'
  /** The options or limits given at start contradict each other; the message names them. */
  | 'invalid_options'
  /**
   * The caller broke the contract of `step` (for example: submits beyond `ownBatchesPendingMax`).
   */
  | 'invalid_input'
  /**
   * Two contents decided for one slot: more than f replicas are faulty. Stop
   * this replica and compare ledgers.
   */
  | 'safety_violation';

export class CoreError extends Error {
  readonly code: CoreErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: CoreErrorCode, message: string, data: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = 'CoreError';
    this.code = code;
    this.data = data;
  }
}
