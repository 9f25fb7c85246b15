/** Failures of the write-ahead log. All are thrown: no peer has a hand in what is read here. */

export type WalErrorCode =
  /** An option of the log is out of its range, or the log holds records larger than it allows. */
  | 'invalid_options'
  /** An argument is outside of what the function's documentation allows: a bug of the caller. */
  | 'invalid_argument'
  /** The log was closed; nothing more can be asked of it. */
  | 'closed'
  /**
   * The file system is full, over quota, or at the reserve that is left alone. Nothing of the call
   * counts as written, and what waits still waits: make room; the call may be repeated.
   */
  | 'disk_full'
  /**
   * The segment has reached the size that can be read back at once. Nothing was taken: rotate the
   * log, with fewer records.
   */
  | 'log_full'
  /**
   * The operating system refused a call on the log's files. What is on disk is no longer known
   * to this process, so the log refuses everything from then on: end the replica, check the disk
   * and permissions, start it again.
   */
  | 'io'
  /**
   * Bytes that had been synced have changed: not what a crash leaves behind. The replica would
   * forget what it promised. Stop it, move the folder of the log away and start it as one with
   * an empty disk (docs/operations.md).
   */
  | 'damaged'
  /** The log belongs to another run than the caller's: another channel, network or replica. */
  | 'other_run'
  /** The log was written by a Sluice with another format of it: use the matching version. */
  | 'format_version';

/** The one error class of this folder. `data` holds the figures that go with the code. */
export class WalError extends Error {
  readonly code: WalErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  constructor(
    code: WalErrorCode,
    message: string,
    data: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'WalError';
    this.code = code;
    this.data = data;
  }
}

/** What a growing file meets where there is no room: on the disk, in a quota, under `ulimit -f`. */
const NO_ROOM: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** What a failed call of node:fs on `path` means to the caller. */
export function fileError(error: unknown, path: string): WalError {
  if (error instanceof WalError) return error;
  const errno = errnoOf(error);
  const text = error instanceof Error ? error.message : String(error);
  const full = NO_ROOM.includes(errno);
  const advice = full
    ? 'no room is left for the write-ahead log: make room'
    : 'the write-ahead log cannot be used: check the disk and the permissions';
  return new WalError(
    full ? 'disk_full' : 'io',
    `${advice} (${path}: ${text})`,
    { path, errno },
    { cause: error },
  );
}

export function errnoOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

export function damaged(path: string, offset: number, reason: string): WalError {
  const advice =
    'Stop the replica, move the folder of this file away, and start it again: it rejoins as a ' +
    'replica with an empty disk (docs/operations.md)';
  return new WalError('damaged', `${path}, byte ${offset}: ${reason}. ${advice}`, { path, offset });
}
