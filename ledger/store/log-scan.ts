/**
 * Checks LevelDB's write-ahead log before LevelDB reads it. LevelDB drops log records that fail their checksum without
 * a word, so blocks would vanish; here a record that was written whole and changed later is told apart from one that
 * a crash cut off.
 *
 * Log format (LevelDB doc/log_format.md): blocks of 32 KiB; record = masked CRC-32C u32, length u16, type u8, payload,
 * little-endian; a record never starts in the last six bytes of a block; type 1 FULL, 2 FIRST, 3 MIDDLE, 4 LAST.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { STORE_LIMITS } from './limits.ts';
import { blockNumberOf, KIND } from './records.ts';

const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;
const CRC_MASK_DELTA = 0xa282ead8;
/** A page that a power cut kept from being written reads as zeros. */
const SECTOR_BYTES = 512;

export type LogFinding =
  /** A crash cut the last write off: normal after kill -9 or a power cut; LevelDB ignores these bytes. */
  | { kind: 'torn'; file: string; offset: number; bytes: number }
  /** Bytes of a record that was complete have changed. */
  | {
      kind: 'changed';
      file: string;
      offset: number;
      reason: string;
      /** The last block whose record starts before the end of the damage, when it can still be told. */
      blockNumber: number | undefined;
    };

/** Scans every log file of a LevelDB folder, oldest first. A missing folder has no findings. */
export async function scanLogs(directory: string): Promise<LogFinding[]> {
  const names = await readdir(directory).catch(() => []);
  const findings: LogFinding[] = [];
  for (const name of names.filter((entry) => /^\d+\.log$/.test(entry)).sort()) {
    const path = join(directory, name);
    const size = await stat(path).then(
      (found) => found.size,
      () => 0,
    );
    if (size > STORE_LIMITS.logBytesMax) {
      const reason = `the file has ${size} bytes`;
      findings.push({ kind: 'changed', file: name, offset: 0, reason, blockNumber: undefined });
      continue;
    }
    const bytes = await readFile(path).catch(() => new Uint8Array(0));
    const finding = scanLog(bytes, name);
    if (finding !== undefined) findings.push(finding);
  }
  return findings;
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
  const stored = (view.getUint32(position, true) - CRC_MASK_DELTA) >>> 0;
  const unmasked = ((stored >>> 17) | (stored << 15)) >>> 0;
  if (crc32c(bytes, position + 6, end) !== unmasked)
    return 'the record does not match its checksum';
  return end;
}

/**
 * Torn: the file ends inside the record, or from some sector on there is nothing but zeros; and no intact record
 * follows (a changed length would otherwise pass for the end of the file).
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
  return { kind: 'changed', file, offset, reason, blockNumber };
}

/**
 * Finds the last `put` of a block header before `end`: in a LevelDB batch that is type 1, key length 9, then our key
 * (`records.ts`). A help for the reader, not a proof: the batch may be damaged there, too.
 */
function lastBlockBefore(bytes: Uint8Array, end: number): number | undefined {
  for (let index = end - 11; index >= 0; index -= 1) {
    if (bytes[index] !== 1 || bytes[index + 1] !== 9 || bytes[index + 2] !== KIND.HEADER) continue;
    const number = blockNumberOf(bytes.subarray(index + 2, index + 11));
    if (number !== undefined) return number;
  }
  return undefined;
}

/** Whether all bytes from a sector boundary (or from the record itself) to the end of the file are zero. */
function endsInZeros(bytes: Uint8Array, offset: number): boolean {
  let start = bytes.length;
  while (start > offset && bytes[start - 1] === 0) start -= 1;
  if (start === offset) return true;
  return Math.ceil(start / SECTOR_BYTES) * SECTOR_BYTES < bytes.length;
}

const CRC32C_TABLE: Uint32Array = makeTable();

function makeTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    }
    table[byte] = value;
  }
  return table;
}

/** CRC-32C (Castagnoli; RFC 3720 appendix B.4) of bytes[start, end). */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  let value = 0xffff_ffff;
  for (let index = start; index < end; index += 1) {
    value = (CRC32C_TABLE[(value ^ (bytes[index] ?? 0)) & 0xff] ?? 0) ^ (value >>> 8);
  }
  return (value ^ 0xffff_ffff) >>> 0;
}
