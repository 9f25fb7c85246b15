/**
 * One segment on disk: creating, writing at the end, syncing, cutting off, giving up.
 *
 * A sync is cheap when the file keeps its length: the disk gets the bytes and nothing else, no block has to be found for them (two
 * thirds of the time for small groups, half of it for large ones; docs/performance.md). So a segment that has to grow does so by
 * more than it needs, with zeros, and a segment that is given up is kept, to be written over by the next but one. What was in it says
 * nothing there: its records have another tag (layout.ts).
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, fsyncSync } from 'node:fs';
import { join } from 'node:path';
import { fileError } from './errors.ts';
import {
  isThere,
  lengthOf,
  openFile,
  removeFile,
  renameFile,
  syncDirectory,
  syncFile,
  truncateFile,
  writeAll,
} from './files.ts';
import { FrameBuffer } from './frames.ts';
import {
  EMPTY_SEGMENT_BYTES,
  encodeHeader,
  FRAME_BYTES,
  type Header,
  KIND,
  TAG_BYTES,
} from './layout.ts';
import { WAL_LIMITS } from './limits.ts';

const SEQUENCE_DIGITS = 20;
const NO_PAYLOAD = new Uint8Array(0);
const ZEROS = new Uint8Array(WAL_LIMITS.growBytes);
/** The segment that was given up last. No opening looks into it. */
const SPARE_NAME = 'wal.spare';

export function segmentPath(directory: string, sequence: number): string {
  return join(directory, `wal-${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.log`);
}

function sparePath(directory: string): string {
  return join(directory, SPARE_NAME);
}

/** Every method throws WalError `disk_full` or `io`. */
export class SegmentFile {
  readonly path: string;
  readonly sequence: number;
  readonly tag: Buffer;
  readonly #fd: number;
  /** Everything before is synced. */
  #syncedBytes: number;
  /** The file is at least so long; what lies in it behind `#syncedBytes` says nothing. */
  #fileBytes: number;
  #closed = false;

  private constructor(path: string, header: Header, fd: number, syncedBytes: number) {
    this.path = path;
    this.sequence = header.sequence;
    this.tag = header.tag;
    this.#fd = fd;
    this.#syncedBytes = syncedBytes;
    this.#fileBytes = lengthOf(fd, path);
  }

  get syncedBytes(): number {
    return this.#syncedBytes;
  }

  /**
   * A new segment with a whole snapshot, synced, and its folder too. The spare one is written over when there is one, and has its old
   * name until all is there. When it throws, a part of the file may be there, under either name.
   */
  static create(
    directory: string,
    sequence: number,
    name: Buffer,
    snapshot: readonly Uint8Array[],
  ): SegmentFile {
    const path = segmentPath(directory, sequence);
    const spare = sparePath(directory);
    const hasSpare = isThere(spare);
    const header: Header = { sequence, name, tag: randomBytes(TAG_BYTES) };
    const fd = hasSpare ? openFile(spare, 'r+') : openFile(path, 'wx');
    const file = new SegmentFile(path, header, fd, 0);
    try {
      file.#writeSnapshot(header, snapshot);
      if (hasSpare) renameFile(spare, path);
      syncDirectory(directory);
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  /** A segment that is there; what lies behind `end` is not read again. */
  static continue(path: string, header: Header, end: number): SegmentFile {
    return new SegmentFile(path, header, openFile(path, 'r+'), end);
  }

  /** Bytes of a segment with this snapshot. */
  static bytesFor(snapshot: readonly Uint8Array[]): number {
    return snapshot.reduce((sum, record) => sum + FRAME_BYTES + record.length, EMPTY_SEGMENT_BYTES);
  }

  /** Whether the file must grow to take so many bytes. */
  mustGrowFor(bytes: number): boolean {
    return this.#syncedBytes + bytes > this.#fileBytes;
  }

  /** Writes a group behind what is synced, and syncs it. `aheadBytes`: the file grows by so many zeros more, if there is room. */
  append(bytes: Uint8Array, aheadBytes: number): void {
    const end = this.#syncedBytes + bytes.length;
    writeAll(this.#fd, this.path, bytes, this.#syncedBytes);
    this.#fileBytes = Math.max(this.#fileBytes, end);
    if (aheadBytes > 0) this.#growAhead(aheadBytes);
    this.#sync(fdatasyncSync);
    this.#syncedBytes = end;
  }

  /** Takes back what a failed `append()` may have written, so that it can be called again. */
  takeBack(): void {
    this.#truncate(this.#syncedBytes);
  }

  /**
   * What was found may have been read from the page cache of a machine whose process was killed
   * between writing and syncing: the caller will rely on it, so now it is synced.
   */
  confirm(): void {
    this.#sync(fsyncSync);
  }

  /** Replaces a torn tail by the mark that says so. */
  cutOffTail(): void {
    const frames = new FrameBuffer();
    const offset = this.#syncedBytes;
    frames.addRecord(KIND.cut, NO_PAYLOAD, { tag: this.tag, offset, groupStart: offset });
    // The mark first: whenever the machine stops in here, what is left is a torn tail again.
    writeAll(this.#fd, this.path, frames.bytes, offset);
    this.#truncate(offset + frames.used);
    this.#sync(fsyncSync);
    this.#syncedBytes = offset + frames.used;
  }

  /** Never throws: whatever counts is synced. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      closeSync(this.#fd);
    } catch {
      // The descriptor is gone all the same.
    }
  }

  /** Another segment is in force: this one, closed, becomes the spare one for good. One that grew very large is removed instead. */
  giveUp(directory: string): void {
    this.close();
    if (this.#fileBytes <= WAL_LIMITS.spareBytesMax) renameFile(this.path, sparePath(directory));
    else removeFile(this.path);
    syncDirectory(directory);
  }

  #writeSnapshot(header: Header, snapshot: readonly Uint8Array[]): void {
    const frames = new FrameBuffer();
    let written = 0;
    const flush = (): void => {
      writeAll(this.#fd, this.path, frames.bytes, written);
      written += frames.used;
      frames.clear();
    };
    const place = () => ({ tag: this.tag, offset: written + frames.used, groupStart: 0 });
    frames.addRaw(encodeHeader(header));
    for (const record of snapshot) {
      frames.addRecord(KIND.record, record, place());
      if (frames.used >= WAL_LIMITS.bufferKeptBytes) flush();
    }
    frames.addRecord(KIND.endOfSnapshot, NO_PAYLOAD, place());
    flush();
    this.#sync(fdatasyncSync);
    this.#syncedBytes = written;
    this.#fileBytes = Math.max(this.#fileBytes, written);
  }

  #growAhead(bytes: number): void {
    try {
      writeAll(this.#fd, this.path, ZEROS.subarray(0, bytes), this.#fileBytes);
      this.#fileBytes += bytes;
    } catch (error) {
      // It was for later only; whatever part of it is there says nothing.
      if (fileError(error, this.path).code !== 'disk_full') throw error;
    }
  }

  #sync(how: (fd: number) => void): void {
    syncFile(this.#fd, this.path, how);
  }

  #truncate(bytes: number): void {
    truncateFile(this.#fd, this.path, bytes);
    this.#fileBytes = bytes;
  }
}
