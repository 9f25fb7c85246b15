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

  /**
   * The bytes at a place; fewer when the file ends before, undefined when there is none or it cannot be read. `room`: as many
   * bytes at least, which are read into.
   */
  async read(
    { segment, offset, bytes }: Place,
    room?: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    let file: OpenFile | undefined;
    try {
      file = this.#fileOf(segment);
      file.users += 1;
      const into = room ?? roomFor(bytes);
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

/**
 * Records one after the other, of which many are read at once. `overwrites`: what was handed out stays as it is until the second
 * call after that one, not longer. A megabyte that is read into memory which is there already costs no page faults, and V8 no
 * collection, of which it makes one for some ten megabytes of new buffers.
 */
export class SegmentWindow {
  readonly #reader: SegmentReader;
  /** The one that was read into last comes last. */
  readonly #rooms: Uint8Array[];
  #segment = -1;
  #offset = 0;
  #bytes: Uint8Array = new Uint8Array(0);

  constructor(reader: SegmentReader, overwrites: boolean) {
    this.#reader = reader;
    this.#rooms = overwrites ? [roomFor(WINDOW_BYTES), roomFor(WINDOW_BYTES)] : [];
  }

  /** As `SegmentReader.read`. One call at a time. */
  async read(place: Place): Promise<Uint8Array | undefined> {
    const held = this.#heldAt(place);
    if (held !== undefined) return held;
    const bytes = Math.max(place.bytes, WINDOW_BYTES);
    const read = await this.#reader.read({ ...place, bytes }, this.#roomOf(bytes));
    if (read === undefined) {
      // What is held may be overwritten by the next one that fails half-way.
      this.#segment = -1;
      return undefined;
    }
    this.#segment = place.segment;
    this.#offset = place.offset;
    this.#bytes = read;
    return this.#heldAt(place) ?? read;
  }

  #roomOf(bytes: number): Uint8Array | undefined {
    if (bytes > WINDOW_BYTES) return undefined;
    const room = this.#rooms.shift();
    if (room !== undefined) this.#rooms.push(room);
    return room;
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
