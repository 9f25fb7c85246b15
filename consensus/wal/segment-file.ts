/** One segment on disk: creating, writing at the end, syncing, cutting off. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { errnoOf, fileError, WalError } from './errors.ts';
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

export function segmentPath(directory: string, sequence: number): string {
  return join(directory, `wal-${String(sequence).padStart(SEQUENCE_DIGITS, '0')}.log`);
}

/** Every method throws WalError `disk_full` or `io`. */
export class SegmentFile {
  readonly path: string;
  readonly sequence: number;
  readonly tag: Buffer;
  readonly #fd: number;
  /** Everything before is synced. */
  #syncedBytes: number;
  #closed = false;

  private constructor(path: string, header: Header, fd: number, syncedBytes: number) {
    this.path = path;
    this.sequence = header.sequence;
    this.tag = header.tag;
    this.#fd = fd;
    this.#syncedBytes = syncedBytes;
  }

  get syncedBytes(): number {
    return this.#syncedBytes;
  }

  /**
   * A new segment with a whole snapshot, synced, and its folder too. When it throws, a part of the
   * file may be there.
   */
  static create(
    directory: string,
    sequence: number,
    name: Buffer,
    snapshot: readonly Uint8Array[],
  ): SegmentFile {
    const path = segmentPath(directory, sequence);
    const header: Header = { sequence, name, tag: randomBytes(TAG_BYTES) };
    const file = new SegmentFile(path, header, open(path, 'wx'), 0);
    try {
      file.#writeSnapshot(header, snapshot);
      syncDirectory(directory);
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  /** A segment that is there; what lies behind `end` is not read again. */
  static continue(path: string, header: Header, end: number): SegmentFile {
    return new SegmentFile(path, header, open(path, 'r+'), end);
  }

  /** Bytes of a segment with this snapshot. */
  static bytesFor(snapshot: readonly Uint8Array[]): number {
    return snapshot.reduce((sum, record) => sum + FRAME_BYTES + record.length, EMPTY_SEGMENT_BYTES);
  }

  /** Writes a group behind what is synced, and syncs it. */
  append(bytes: Uint8Array): void {
    this.#write(bytes, this.#syncedBytes);
    this.#sync(fdatasyncSync);
    this.#syncedBytes += bytes.length;
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
    this.#write(frames.bytes, offset);
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

  #writeSnapshot(header: Header, snapshot: readonly Uint8Array[]): void {
    const frames = new FrameBuffer();
    let written = 0;
    const flush = (): void => {
      this.#write(frames.bytes, written);
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
  }

  #write(bytes: Uint8Array, position: number): void {
    let done = 0;
    try {
      while (done < bytes.length) {
        // The kernel may take less than it was given, most of all when the disk gets full.
        const count = writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
        if (count <= 0) throw new WalError('io', `${this.path}: a write took ${count} bytes`);
        done += count;
      }
    } catch (error) {
      throw fileError(error, this.path);
    }
  }

  #sync(how: (fd: number) => void): void {
    try {
      how(this.#fd);
    } catch (error) {
      throw fileError(error, this.path);
    }
  }

  #truncate(bytes: number): void {
    try {
      ftruncateSync(this.#fd, bytes);
    } catch (error) {
      throw fileError(error, this.path);
    }
  }
}

function open(path: string, flags: 'wx' | 'r+'): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    throw fileError(error, path);
  }
}

/** A file that is not there is fine. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw fileError(error, path);
  }
}

/** Makes names that were created or removed in the folder last. */
export function syncDirectory(directory: string): void {
  try {
    const fd = openSync(directory, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw fileError(error, directory);
  }
}
