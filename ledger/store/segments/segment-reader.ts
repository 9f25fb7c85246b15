/** Reads blocks from the segment files: single ones as the replica needs them, and one after the other for an audit. */
import { closeSync, openSync, read } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { segmentName } from './names.ts';
import type { Place } from './record.ts';

/** Files kept open. */
const FILES_MAX = 16;
/** What an audit reads at once, bytes. */
const WINDOW_BYTES = 1024 * 1024;
const readInto = promisify(read);

interface OpenFile {
  fd: number;
  /** Reads that are under way: the file stays open. */
  users: number;
}

export class SegmentReader {
  readonly #folder: string;
  /** By segment, the one that was asked for last at the end. */
  readonly #files = new Map<number, OpenFile>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The bytes at a place; fewer when the file ends before, undefined when there is none or it cannot be read. */
  async read({ segment, offset, bytes }: Place): Promise<Uint8Array | undefined> {
    let file: OpenFile | undefined;
    try {
      file = this.#fileOf(segment);
      file.users += 1;
      const into = roomFor(bytes);
      let filled = 0;
      while (filled < bytes) {
        const { bytesRead } = await readInto(
          file.fd,
          into,
          filled,
          bytes - filled,
          offset + filled,
        );
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return into.subarray(0, filled);
    } catch {
      return undefined;
    } finally {
      if (file !== undefined) file.users -= 1;
      this.#closeSome(FILES_MAX);
    }
  }

  /** Nobody may be reading. */
  close(): void {
    this.#closeSome(0);
  }

  #fileOf(segment: number): OpenFile {
    const known = this.#files.get(segment);
    const file = known ?? { fd: openSync(join(this.#folder, segmentName(segment)), 'r'), users: 0 };
    this.#files.delete(segment);
    this.#files.set(segment, file);
    return file;
  }

  #closeSome(keep: number): void {
    for (const [segment, { fd, users }] of this.#files) {
      if (this.#files.size <= keep) return;
      if (users > 0) continue;
      closeSync(fd);
      this.#files.delete(segment);
    }
  }
}

/** Records one after the other, of which many are read at once. What was handed out stays as it is. */
export class SegmentWindow {
  readonly #reader: SegmentReader;
  #segment = -1;
  #offset = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(reader: SegmentReader) {
    this.#reader = reader;
  }

  /** As `SegmentReader.read`. One call at a time. */
  async read(place: Place): Promise<Uint8Array | undefined> {
    const held = this.#heldAt(place);
    if (held !== undefined) return held;
    const bytes = Math.max(place.bytes, WINDOW_BYTES);
    const read = await this.#reader.read({ ...place, bytes });
    if (read === undefined) return undefined;
    this.#segment = place.segment;
    this.#offset = place.offset;
    this.#bytes = read;
    return this.#heldAt(place) ?? read;
  }

  #heldAt({ segment, offset, bytes }: Place): Uint8Array | undefined {
    const from = offset - this.#offset;
    if (segment !== this.#segment || from < 0 || from + bytes > this.#bytes.length)
      return undefined;
    return this.#bytes.subarray(from, from + bytes);
  }
}

/** Not cleared first, since it is filled. */
function roomFor(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}
