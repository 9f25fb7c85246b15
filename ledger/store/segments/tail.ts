/**
 * What lies in the segment files behind the newest block that LevelDB knows: blocks that were stored just before a crash, and at
 * the very end perhaps one that the crash cut off.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { changedBytes, endsInZeros, type LogFinding, SECTOR_BYTES } from '../log-scan.ts';
import { listSegments, SEGMENT_FOLDER, segmentName } from './names.ts';
import {
  type BlockRecord,
  decodeRecord,
  endOf,
  isRecordAt,
  type Place,
  type Position,
  RECORD_HEAD_BYTES,
  readHead,
} from './record.ts';
import type { SegmentReader } from './segment-reader.ts';

export type TailPart =
  | { kind: 'record'; at: Place; record: BlockRecord }
  /** The last part: bytes that are no record. */
  | { kind: 'end'; at: Position; finding: LogFinding };

/** Of the bytes behind a damaged record, how many are searched for another. */
const SEARCHED_BYTES_MAX = 64 * 1024 * 1024;

/** Every record from `start` on, in order, one in memory; ends with a finding unless the files end with a record. */
export async function* readTail(
  folder: string,
  start: Position,
  reader: SegmentReader,
): AsyncGenerator<TailPart, void, undefined> {
  const segments = await listSegments(folder);
  let at = start;
  for (;;) {
    const size = await sizeOf(folder, at.segment);
    if (at.offset === size && segments.includes(at.segment + 1)) {
      at = { segment: at.segment + 1, offset: 0 };
      continue;
    }
    if (at.offset >= size) {
      const later = segments.find((segment) => segment > at.segment);
      if (later !== undefined) {
        const reason = `the segment file after ${at.segment} is missing`;
        yield { kind: 'end', at, finding: changedBytes(fileOf(later), 0, reason) };
      }
      return;
    }
    const record = await recordAt(reader, at, size);
    if (record === undefined) {
      yield { kind: 'end', at, finding: await judge(reader, at, size, segments) };
      return;
    }
    const { bytes } = record;
    const place = { ...at, bytes };
    yield { kind: 'record', at: place, record: record.record };
    at = endOf(place);
  }
}

function fileOf(segment: number): string {
  return join(SEGMENT_FOLDER, segmentName(segment));
}

/** Length of a segment file, bytes; 0 when there is none. */
export async function sizeOf(folder: string, segment: number): Promise<number> {
  return stat(join(folder, segmentName(segment))).then(
    (found) => found.size,
    () => 0,
  );
}

async function recordAt(
  reader: SegmentReader,
  at: Position,
  size: number,
): Promise<{ record: BlockRecord; bytes: number } | undefined> {
  const start = await reader.read({ ...at, bytes: Math.min(RECORD_HEAD_BYTES, size - at.offset) });
  const head = start && readHead(start);
  if (head === undefined || at.offset + head.bytes > size) return undefined;
  const whole = await reader.read({ ...at, bytes: head.bytes });
  const decoded = whole && decodeRecord(whole);
  return decoded?.intact === true ? { record: decoded.record, bytes: head.bytes } : undefined;
}

/**
 * Cut off by a crash: the file ends inside the record, or some sector of what is left was never written. Nothing behind it counts
 * then: what one call writes becomes durable together, and no call begins before the one before it is.
 */
async function judge(
  reader: SegmentReader,
  at: Position,
  size: number,
  segments: readonly number[],
): Promise<LogFinding> {
  const file = fileOf(at.segment);
  const bytes = await reader.read({ ...at, bytes: Math.min(size - at.offset, SEARCHED_BYTES_MAX) });
  if (bytes === undefined) return changedBytes(file, at.offset, 'it cannot be read');
  const torn: LogFinding = { kind: 'torn', file, offset: at.offset, bytes: size - at.offset };
  const head = readHead(bytes);
  const extent = head === undefined ? bytes.length : Math.min(head.bytes, bytes.length);
  const follows = changedBytes(file, at.offset, 'a block is damaged, and intact ones follow it');
  if (segments.includes(at.segment + 1)) return follows;
  if (hasEmptySector(bytes, at.offset, extent)) return torn;
  if (hasRecordBehind(bytes)) return follows;
  if (head === undefined ? bytes.length < RECORD_HEAD_BYTES : head.bytes > size - at.offset) {
    return torn;
  }
  if (endsInZeros(bytes, 0)) return torn;
  return changedBytes(file, at.offset, 'a block does not match its checksum');
}

function hasEmptySector(bytes: Uint8Array, offset: number, extent: number): boolean {
  const first = (SECTOR_BYTES - (offset % SECTOR_BYTES)) % SECTOR_BYTES;
  for (let at = first; at + SECTOR_BYTES <= extent; at += SECTOR_BYTES) {
    if (bytes.subarray(at, at + SECTOR_BYTES).every((byte) => byte === 0)) return true;
  }
  return false;
}

function hasRecordBehind(bytes: Uint8Array): boolean {
  for (let at = 1; at + RECORD_HEAD_BYTES <= bytes.length; at += 1) {
    if (isRecordAt(bytes, at)) return true;
  }
  return false;
}
