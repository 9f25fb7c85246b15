/**
 * Checks LevelDB's write-ahead log before LevelDB reads it. LevelDB drops log records that fail
 * their checksum without a word, so blocks would vanish; here a record that was written whole and
 * changed later is told apart from one that a crash cut off.
 *
 * Log format (LevelDB doc/log_format.md): blocks of 32 KiB; record = masked CRC-32C u32, length
 * u16, type u8, payload, little-endian; a record never starts in the last six bytes of a block;
 * type 1 FULL, 2 FIRST, 3 MIDDLE, 4 LAST.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { concatBytes } from '../format/bytes.ts';
import { crc32c, unmaskCrc } from './crc32c.ts';
import { readLoggedBatch } from './index-entries.ts';
import type { IndexImage } from './index-image.ts';
import { STORE_LIMITS } from './limits.ts';
import { blockNumberOf, KIND } from './records.ts';

const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
const FULL = 1;
const FIRST = 2;
const LAST = 4;
/** A page that a power cut kept from being written reads as zeros. */
export const SECTOR_BYTES = 512;

/** Bytes that were complete and have changed. */
export interface ChangedBytes {
  kind: 'changed';
  file: string;
  offset: number;
  /** What does not fit, with the blocks concerned when they can still be told. */
  reason: string;
}

export function changedBytes(file: string, offset: number, reason: string): ChangedBytes {
  return { kind: 'changed', file, offset, reason };
}

export type LogFinding =
  /**
   * A crash cut the last write off: normal after kill -9 or a power
   * cut; LevelDB ignores these bytes.
   */
  { kind: 'torn'; file: string; offset: number; bytes: number } | ChangedBytes;

/** For an audit: what was changed is a fault, what a crash cut off is worth a note. */
export function tellFinding(finding: LogFinding, faults: string[], notes: string[]): void {
  const place = `${finding.file}, byte ${finding.offset}`;
  if (finding.kind === 'changed') faults.push(`${place}: ${finding.reason}`);
  else notes.push(`${place}: a crash cut off the last write, ${finding.bytes} bytes ignored`);
}

/**
 * Scans every log file of a LevelDB folder, oldest first. A missing folder has no findings. `image` is told which transactions are
 * in them.
 */
export async function scanLogs(directory: string, image?: IndexImage): Promise<LogFinding[]> {
  const names = await readdir(directory).catch(() => []);
  const findings: LogFinding[] = [];
  for (const name of names.filter((entry) => /^\d+\.log$/.test(entry)).sort()) {
    const path = join(directory, name);
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (size > STORE_LIMITS.scanFileBytesMax) {
      findings.push(changedBytes(name, 0, `the file has ${size} bytes`));
      image?.discard();
      continue;
    }
    const bytes = await readFile(path).catch(() => undefined);
    const finding = scanLog(bytes ?? new Uint8Array(0), name);
    // Behind bytes that have changed LevelDB may go on reading, and `logRecords` does not.
    if (bytes === undefined || finding?.kind === 'changed') image?.discard();
    else if (image !== undefined) noteLogged(bytes, image);
    if (finding !== undefined) findings.push(finding);
  }
  return findings;
}

function noteLogged(bytes: Uint8Array, image: IndexImage): void {
  for (const batch of logRecords(bytes)) if (!readLoggedBatch(batch, image)) image.discard();
}

/** The first irregularity of one log, or undefined. */
export function scanLog(bytes: Uint8Array, file: string): LogFinding | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  while (position < bytes.length) {
    const left = BLOCK_BYTES - (position % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      const trailer = bytes.subarray(position, position + left);
      if (trailer.some((byte) => byte !== 0)) {
        return changed(bytes, file, position, 'padding is not zero');
      }
      position += left;
      continue;
    }
    const end = recordEnd(bytes, view, position);
    if (typeof end === 'string') return classify(bytes, view, file, position, end);
    position = end;
  }
  return undefined;
}

/** What was written to a log, up to its first irregularity: the parts of a record put together again. */
export function* logRecords(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let parts: Uint8Array[] = [];
  let position = 0;
  while (position < bytes.length) {
    const left = BLOCK_BYTES - (position % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      position += left;
      continue;
    }
    const end = recordEnd(bytes, view, position);
    if (typeof end === 'string') return;
    const type = view.getUint8(position + 6);
    const part = bytes.subarray(position + HEADER_BYTES, end);
    parts = type === FULL || type === FIRST ? [part] : [...parts, part];
    if (type === FULL || type === LAST) yield concatBytes(parts);
    position = end;
  }
}

/** Where the record at `position` ends, or what is wrong with it. */
function recordEnd(bytes: Uint8Array, view: DataView, position: number): number | string {
  if (position + HEADER_BYTES > bytes.length) return 'the record header is cut off';
  const length = view.getUint16(position + 4, true);
  const type = view.getUint8(position + 6);
  const end = position + HEADER_BYTES + length;
  if (type < 1 || type > 4) return `record type ${type}`;
  if (end - position > BLOCK_BYTES - (position % BLOCK_BYTES))
    return 'the record crosses its block';
  if (end > bytes.length) return 'the record is cut off';
  const stored = unmaskCrc(view.getUint32(position, true));
  if (crc32c(bytes, position + 6, end) !== stored) return 'the record does not match its checksum';
  return end;
}

/**
 * Torn: the file ends inside the record, or from some sector on there is nothing but zeros; and no
 * intact record follows (a changed length would otherwise pass for the end of the file).
 */
function classify(
  bytes: Uint8Array,
  view: DataView,
  file: string,
  offset: number,
  reason: string,
): LogFinding {
  for (let position = offset + 1; position + HEADER_BYTES <= bytes.length; position += 1) {
    if (view.getUint16(position + 4, true) === 0) continue;
    if (typeof recordEnd(bytes, view, position) === 'number') {
      return changed(bytes, file, offset, `${reason}, and intact records follow it`);
    }
  }
  const cutOff =
    offset + HEADER_BYTES > bytes.length ||
    offset + HEADER_BYTES + view.getUint16(offset + 4, true) > bytes.length;
  if (cutOff || endsInZeros(bytes, offset)) {
    return { kind: 'torn', file, offset, bytes: bytes.length - offset };
  }
  return changed(bytes, file, offset, reason);
}

function changed(bytes: Uint8Array, file: string, offset: number, reason: string): LogFinding {
  const blockEnd = (Math.floor(offset / BLOCK_BYTES) + 1) * BLOCK_BYTES;
  const blockNumber = lastBlockBefore(bytes, Math.min(blockEnd, bytes.length));
  const where = blockNumber === undefined ? '' : ` (at block ${blockNumber})`;
  return changedBytes(file, offset, `${reason}${where}`);
}

/**
 * Finds the last `put` of a block's record before `end`: in a LevelDB batch that is type 1,
 * key length 9, then our key (`records.ts`). A help for the reader, not a proof: the
 * batch may be damaged there, too.
 */
function lastBlockBefore(bytes: Uint8Array, end: number): number | undefined {
  for (let index = end - 11; index >= 0; index -= 1) {
    if (bytes[index] !== 1 || bytes[index + 1] !== 9 || bytes[index + 2] !== KIND.BLOCK) continue;
    const number = blockNumberOf(bytes.subarray(index + 2, index + 11));
    if (number !== undefined) return number;
  }
  return undefined;
}

/**
 * Whether all bytes from a sector boundary (or from the record itself)
 * to the end of the file are zero.
 */
export function endsInZeros(bytes: Uint8Array, offset: number): boolean {
  let start = bytes.length;
  while (start > offset && bytes[start - 1] === 0) start -= 1;
  if (start === offset) return true;
  return Math.ceil(start / SECTOR_BYTES) * SECTOR_BYTES < bytes.length;
}
