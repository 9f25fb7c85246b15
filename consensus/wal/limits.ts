/** Every bound of the write-ahead log, with the relations that must hold between them. */
import { WalError } from './errors.ts';
import { FRAME_BYTES, HEADER_BYTES, NAME_BYTES } from './layout.ts';

const MIB = 1024 * 1024;
/** Of node:fs in one call. */
export const READ_BYTES_MAX = 2 ** 31 - 1;

export interface WalOptions {
  /** The log's own folder; created when missing. */
  readonly directory: string;
  /** Free bytes of the file system that are left alone. */
  readonly reserveBytes: number;
  readonly recordBytesMax: number;
  /** 32 bytes: the run that this log belongs to; stored in every segment's header. */
  readonly name: Uint8Array;
}

export const WAL_LIMITS = checkLimits({
  /**
   * Offsets in a segment are u32, and node:fs reads less than 2 GiB at once. The rest up to there
   * is for the marks where torn tails are cut off.
   */
  segmentBytesMax: 2 ** 31 - MIB,
  /** What may wait for one `sync()`. */
  pendingBytesMax: 256 * MIB,
  /** Upper bound of the option `recordBytesMax`. */
  recordBytesMax: 64 * MIB,
  /** A buffer that grew beyond this for a large group is given back after it. */
  bufferKeptBytes: MIB,
  /** A segment that has to grow does so by so much more than it needs: dozens of groups of a replica with little to do. */
  growBytes: 256 * 1024,
  /** A longer segment is not kept for being written over: what a log needs once it need not hold for ever. */
  spareBytesMax: 64 * MIB,
  /** The free space is looked up again after so many bytes, or after so much time. */
  roomCheckBytes: MIB,
  roomCheckMs: 100,
});

type WalLimits = Record<
  | 'segmentBytesMax'
  | 'pendingBytesMax'
  | 'recordBytesMax'
  | 'bufferKeptBytes'
  | 'growBytes'
  | 'spareBytesMax'
  | 'roomCheckBytes'
  | 'roomCheckMs',
  number
>;

function checkLimits(limits: WalLimits): Readonly<WalLimits> {
  const { segmentBytesMax, pendingBytesMax, recordBytesMax, bufferKeptBytes, growBytes } = limits;
  require(segmentBytesMax < READ_BYTES_MAX, 'segmentBytesMax is less than what can be read');
  require(recordBytesMax + FRAME_BYTES <= pendingBytesMax, 'a record fits into what may wait');
  require(HEADER_BYTES + 2 * FRAME_BYTES + pendingBytesMax <=
    segmentBytesMax, 'what may wait fits into a segment that has just been rotated');
  require(bufferKeptBytes <= pendingBytesMax, 'bufferKeptBytes <= pendingBytesMax');
  require(segmentBytesMax + growBytes <
    READ_BYTES_MAX, 'a segment that grew ahead of what it holds can be read');
  return limits;
}

/** Returns its argument. Throws WalError `invalid_options` naming what does not hold. */
export function checkOptions(options: WalOptions): WalOptions {
  const { directory, reserveBytes, recordBytesMax, name } = options;
  require(directory !== '', 'directory is a path');
  require(isCount(reserveBytes), 'reserveBytes is an integer >= 0');
  require(isCount(recordBytesMax - 1), 'recordBytesMax is an integer >= 1');
  require(recordBytesMax <=
    WAL_LIMITS.recordBytesMax, `recordBytesMax <= ${WAL_LIMITS.recordBytesMax}`);
  require(name.length === NAME_BYTES, `name has ${NAME_BYTES} bytes`);
  return options;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function require(holds: boolean, relation: string): void {
  if (!holds) throw new WalError('invalid_options', `write-ahead log: must hold: ${relation}`);
}
