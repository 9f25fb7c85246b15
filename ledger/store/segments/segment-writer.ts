/**
 * Writes blocks at the end of the segment files, and cuts off there. What `write` says is stored is on the disk when it settles:
 * the files are open with O_DSYNC, so one call writes and syncs. A block never spans two files.
 */
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  rmSync,
  writev,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { syncDirectory } from '../clean-stop.ts';
import { listSegments, segmentName } from './names.ts';
import type { Place, Position } from './record.ts';
import { RecordRooms } from './record-rooms.ts';

/** Of one vectored write; Linux takes 1,024. */
const BUFFERS_AT_ONCE = 512;
const { O_CREAT, O_DSYNC, O_WRONLY } = constants;
const writeVector = promisify(writev);

export interface PlacedRecord {
  place: Place;
  bytes: Uint8Array;
}

export class SegmentWriter {
  readonly #folder: string;
  #open: { segment: number; fd: number } | undefined;
  readonly #rooms = new RecordRooms();

  /** The folder is there already. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Memory for a record, its own again once the record is written. */
  readonly allocate = (bytes: number): Uint8Array => this.#rooms.take(bytes);

  /**
   * Records in the order of their places, the first at the end of what is there. One call at a time. What `allocate` gave is not
   * the caller's any more when it settles.
   */
  async write(records: readonly PlacedRecord[]): Promise<void> {
    for (let from = 0; from < records.length; ) {
      const first = (records[from] as PlacedRecord).place;
      let to = from + 1;
      while (to < records.length && to - from < BUFFERS_AT_ONCE) {
        if (records[to]?.place.segment !== first.segment) break;
        to += 1;
      }
      const fd = await this.#fileOf(first.segment);
      const buffers = records.slice(from, to).map(({ bytes }) => bytes);
      await writeAll(fd, buffers, first.offset);
      for (const bytes of buffers) this.#rooms.giveBack(bytes);
      from = to;
    }
  }

  /** Takes away, durably, what is behind `end`. */
  async cut(end: Position): Promise<void> {
    for (const segment of await listSegments(this.#folder)) {
      if (segment <= end.segment) continue;
      if (this.#open?.segment === segment) this.close();
      rmSync(join(this.#folder, segmentName(segment)));
    }
    const fd = await this.#fileOf(end.segment);
    ftruncateSync(fd, end.offset);
    fsyncSync(fd);
    await syncDirectory(this.#folder);
  }

  close(): void {
    if (this.#open !== undefined) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  async #fileOf(segment: number): Promise<number> {
    if (this.#open?.segment === segment) return this.#open.fd;
    this.close();
    const path = join(this.#folder, segmentName(segment));
    const isNew = !existsSync(path);
    const fd = openSync(path, O_WRONLY | O_CREAT | O_DSYNC, 0o600);
    this.#open = { segment, fd };
    // What is in a file whose name is lost is lost.
    if (isNew) await syncDirectory(this.#folder);
    return fd;
  }
}

async function writeAll(fd: number, buffers: Uint8Array[], offset: number): Promise<void> {
  let rest = buffers;
  let position = offset;
  while (rest.length > 0) {
    const { bytesWritten } = await writeVector(fd, rest, position);
    position += bytesWritten;
    rest = behind(rest, bytesWritten);
  }
}

/** What is left of `buffers` when `count` bytes of them are done. */
function behind(buffers: readonly Uint8Array[], count: number): Uint8Array[] {
  let done = count;
  const left: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (done < buffer.length) left.push(done === 0 ? buffer : buffer.subarray(done));
    done = Math.max(0, done - buffer.length);
  }
  return left;
}
