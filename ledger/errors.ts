/**
 * Errors that ledger/ throws: one class, a stable code, data for programs, a sentence that
 * tells the reader what to do. What a peer sent is never answered with an exception:
 * decoders and checks return data.
 */

export type LedgerErrorCode =
  /**
   * The caller passed a value that has no encoding (a bug): negative number,
   * fraction, text that is not Unicode.
   */
  | 'not_encodable'
  /**
   * The caller broke the order of calls or handed over a block that
   * does not extend the chain (a bug).
   */
  | 'invalid_call'
  /** The folder holds a chain that starts with another genesis block. */
  | 'genesis_mismatch'
  /** The folder holds another channel. */
  | 'channel_mismatch'
  /** Another process has the folder open. */
  | 'ledger_locked'
  /** What is stored is not what was written. */
  | 'ledger_corrupt'
  /** The folder was written by a version of Sluice with another layout. */
  | 'format_version'
  /** There is no ledger in the folder. */
  | 'ledger_missing'
  /** The ledger was closed, or closed itself after a failed write. */
  | 'ledger_closed'
  /** The disk is full; nothing of the failed call was stored. */
  | 'disk_full'
  /** Writing failed; nothing of the failed call counts as stored. */
  | 'write_failed'
  /** More is waiting to be written than `appendBlocksWaitingMax`. */
  | 'overloaded';

/** Values that programs may want: paths, block numbers, expected and found. */
export type LedgerErrorData = Readonly<Record<string, string | number | undefined>>;

export class LedgerError extends Error {
  readonly code: LedgerErrorCode;
  readonly data: LedgerErrorData;

  constructor(code: LedgerErrorCode, message: string, data: LedgerErrorData = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LedgerError';
    this.code = code;
    this.data = data;
  }
}
