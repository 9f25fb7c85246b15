/** Opening the log, and the log that is open. */
import { chmodSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileError, WalError } from './errors.ts';
import { removeFile, syncDirectory } from './files.ts';
import { FrameBuffer } from './frames.ts';
import { FRAME_BYTES, KIND } from './layout.ts';
import { checkOptions, WAL_LIMITS, type WalOptions } from './limits.ts';
import { type FoundLog, findLog } from './recovery.ts';
import { Room } from './room.ts';
import { SegmentFile, segmentPath } from './segment-file.ts';

export interface Wal {
  /**
   * Takes a copy; nothing is on disk before `sync()`. Throws `invalid_argument` for a record that
   * is too long, or when too much waits; `log_full`.
   */
  append(record: Uint8Array): void;
  /** What waits for `sync()`, as it will be on disk. */
  readonly pendingBytes: number;
  /**
   * Writes and syncs all that waits, as one group. Throws `disk_full`: nothing of the group counts
   * as written, all of it still waits, and calling again tries again; or `io`.
   */
  sync(): void;
  /**
   * Begins the log anew with these records: they stand for everything that it held, and for what
   * waits. A crash at any point leaves either the old log or the new one. When it throws
   * `disk_full` or `log_full`, nothing has changed, and what waits still waits; or `io`.
   */
  rotate(records: readonly Uint8Array[]): void;
  /** What waits is dropped. May be called twice. */
  close(): void;
}

export interface OpenedWal {
  readonly wal: Wal;
  /**
   * What the log holds, oldest first; empty for a new log. They are views of one buffer that is as
   * large as the log was: copy what is kept.
   */
  readonly records: readonly Uint8Array[];
  /** Sentence about what a crash cut off, undefined when nothing. */
  readonly torn: string | undefined;
}

/**
 * Opens the log of a folder, and creates it when there is none. The caller sees to it that no other
 * process has the folder open.
 */
export function openWal(options: WalOptions): OpenedWal {
  const checked = { ...checkOptions(options), directory: resolve(options.directory) };
  prepareFolder(checked.directory);
  const found = findLog(checked.directory, checked.name);
  const records = found.segment?.records ?? [];
  requireBounded(records, checked);
  for (const path of found.superseded) removeFile(path);
  // Always: a process that was killed may have left names that do not last yet.
  syncDirectory(checked.directory);
  const room = new Room(checked.directory, checked.reserveBytes);
  const wal = new FileWal(checked, { room, segment: openSegment(checked, found, room) });
  return { wal, records, torn: found.torn.length === 0 ? undefined : found.torn.join('; ') };
}

function openSegment(options: WalOptions, found: FoundLog, room: Room): SegmentFile {
  if (found.segment === undefined) {
    room.take(SegmentFile.bytesFor([]));
    return SegmentFile.create(options.directory, 1, Buffer.from(options.name), []);
  }
  const { path, header, end, isTorn } = found.segment;
  const segment = SegmentFile.continue(path, header, end);
  try {
    if (isTorn) segment.cutOffTail();
    else segment.confirm();
  } catch (error) {
    segment.close();
    throw error;
  }
  return segment;
}

function prepareFolder(directory: string): void {
  try {
    const first = mkdirSync(directory, { recursive: true, mode: 0o700 }) ?? directory;
    chmodSync(directory, 0o700);
    // Each new folder's name stands in the one above it.
    for (let made = directory; made.length >= first.length; made = dirname(made)) {
      syncDirectory(dirname(made));
    }
  } catch (error) {
    throw fileError(error, directory);
  }
}

function requireBounded(records: readonly Uint8Array[], options: WalOptions): void {
  const { directory, recordBytesMax } = options;
  const longest = records.reduce((most, record) => Math.max(most, record.length), 0);
  if (longest <= recordBytesMax) return;
  throw new WalError(
    'invalid_options',
    `${directory} holds a record of ${longest} bytes, recordBytesMax is ${recordBytesMax}: ` +
      'it must not shrink',
    { directory, longest, recordBytesMax },
  );
}

interface FileWalDependencies {
  readonly room: Room;
  readonly segment: SegmentFile;
}

class FileWal implements Wal {
  readonly #options: WalOptions;
  readonly #room: Room;
  readonly #waiting = new FrameBuffer();
  #segment: SegmentFile;
  /** Set by the first `io` error and by `close()`: every call throws it from then on. */
  #ended: WalError | undefined;

  constructor(options: WalOptions, { room, segment }: FileWalDependencies) {
    this.#options = options;
    this.#room = room;
    this.#segment = segment;
  }

  get pendingBytes(): number {
    return this.#waiting.used;
  }

  append(record: Uint8Array): void {
    this.#requireOpen();
    this.#requireRecord(record);
    const waiting = this.#waiting.used + FRAME_BYTES + record.length;
    if (waiting > WAL_LIMITS.pendingBytesMax) {
      throw new WalError('invalid_argument', `${waiting} bytes would wait: call sync() first`, {
        waiting,
        pendingBytesMax: WAL_LIMITS.pendingBytesMax,
      });
    }
    const groupStart = this.#segment.syncedBytes;
    requireSegmentSize(groupStart + waiting);
    const offset = groupStart + this.#waiting.used;
    const { tag } = this.#segment;
    this.#waiting.addRecord(KIND.record, record, { tag, offset, groupStart });
  }

  sync(): void {
    this.#requireOpen();
    if (this.#waiting.used === 0) return;
    const { used } = this.#waiting;
    this.#take(used);
    const { growBytes } = WAL_LIMITS;
    const growsAhead = this.#segment.mustGrowFor(used) && this.#room.tryToTake(growBytes);
    const aheadBytes = growsAhead ? growBytes : 0;
    try {
      this.#segment.append(this.#waiting.bytes, aheadBytes);
    } catch (error) {
      throw this.#failed(error, () => this.#segment.takeBack());
    }
    this.#waiting.clear();
  }

  rotate(records: readonly Uint8Array[]): void {
    this.#requireOpen();
    for (const record of records) this.#requireRecord(record);
    const bytes = SegmentFile.bytesFor(records);
    requireSegmentSize(bytes);
    this.#take(bytes);
    const { directory, name } = this.#options;
    const old = this.#segment;
    const sequence = old.sequence + 1;
    try {
      this.#segment = SegmentFile.create(directory, sequence, Buffer.from(name), records);
    } catch (error) {
      throw this.#failed(error, () => {
        // For good, before anything is appended to the old segment: a new one that happens to be
        // whole would hide it.
        removeFile(segmentPath(directory, sequence));
        syncDirectory(directory);
      });
    }
    this.#waiting.clear();
    try {
      // For good, before anything is appended to the new segment: recovery.ts relies on it.
      old.giveUp(directory);
    } catch (error) {
      throw this.#end(error);
    }
  }

  close(): void {
    this.#ended ??= new WalError('closed', 'the write-ahead log is closed');
    this.#waiting.clear();
    this.#segment.close();
  }

  #take(bytes: number): void {
    try {
      this.#room.take(bytes);
    } catch (error) {
      throw error instanceof WalError && error.code === 'disk_full' ? error : this.#end(error);
    }
  }

  /** What a failed write means; `undo` makes the files as they were, for another try. */
  #failed(error: unknown, undo: () => void): WalError {
    const failure = fileError(error, this.#segment.path);
    if (failure.code !== 'disk_full') return this.#end(failure);
    try {
      undo();
    } catch (undoError) {
      return this.#end(undoError);
    }
    return failure;
  }

  /** What is on disk is not known any more: final, whatever the operating system called it. */
  #end(error: unknown): WalError {
    const failure = fileError(error, this.#segment.path);
    this.#ended =
      failure.code === 'io'
        ? failure
        : new WalError('io', failure.message, failure.data, { cause: error });
    this.#segment.close();
    return this.#ended;
  }

  #requireOpen(): void {
    if (this.#ended === undefined) return;
    const { code, message, data } = this.#ended;
    throw new WalError(code, message, data, { cause: this.#ended });
  }

  #requireRecord(record: Uint8Array): void {
    const { recordBytesMax } = this.#options;
    if (record.length <= recordBytesMax) return;
    throw new WalError(
      'invalid_argument',
      `a record has ${record.length} bytes, recordBytesMax is ${recordBytesMax}`,
      { bytes: record.length, recordBytesMax },
    );
  }
}

function requireSegmentSize(bytes: number): void {
  if (bytes <= WAL_LIMITS.segmentBytesMax) return;
  throw new WalError(
    'log_full',
    `the write-ahead log would have ${bytes} bytes, the most is ` +
      `${WAL_LIMITS.segmentBytesMax}: rotate it`,
    { bytes, segmentBytesMax: WAL_LIMITS.segmentBytesMax },
  );
}
