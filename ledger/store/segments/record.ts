/**
 * A block as it lies in a segment file. Integers are big-endian.
 *
 *   0   CRC-32 of all that follows in the record   u32
 *   4   "SLB", then 1 for a block that was stored with its certificate, 0 without
 *   8   block number                               u64
 *   16  bytes of header, signatures, data          3 × u32
 *   28  header      `common.BlockHeader`
 *       signatures  the SIGNATURES metadata entry as it was when the block was stored
 *       data        `common.BlockData`
 *
 * A record says all that there is to know of a block, so that what LevelDB holds of it can be made from the record.
 */
import { crc32 } from 'node:zlib';
import { encodeBlockData } from '../../format/index.ts';
import { plainView } from '../../format/wire-reader.ts';
import type { Allocate } from '../../format/wire-writer.ts';

export const RECORD_HEAD_BYTES = 28;
const CHECKSUM_BYTES = 4;
const MARK = [0x53, 0x4c, 0x42];
const MARK_OFFSET = CHECKSUM_BYTES;
const CERTIFIED_OFFSET = 7;
const NUMBER_OFFSET = 8;
const LENGTHS_OFFSET = 16;

/** Where the next record goes: segment files are numbered from 0. */
export interface Position {
  segment: number;
  /** From the start of the file, bytes. */
  offset: number;
}

export interface Place extends Position {
  bytes: number;
}

export interface BlockRecord {
  number: number;
  certified: boolean;
  header: Uint8Array;
  signatures: Uint8Array;
  data: Uint8Array;
}

export interface RecordHead {
  certified: boolean;
  number: number;
  headerBytes: number;
  signaturesBytes: number;
  dataBytes: number;
  /** Of the whole record. */
  bytes: number;
}

/** Blocks are large: all of a record is written into one piece of memory, `allocate`'s. `header`: `common.BlockHeader`, serialized. */
export function encodeRecord(
  number: number,
  parts: { header: Uint8Array; signatures: Uint8Array; data: readonly Uint8Array[] },
  certified: boolean,
  allocate?: Allocate,
): Uint8Array {
  const { header, signatures } = parts;
  const dataOffset = RECORD_HEAD_BYTES + header.length + signatures.length;
  const record = encodeBlockData(parts.data, dataOffset, allocate);
  record.set(MARK, MARK_OFFSET);
  record[CERTIFIED_OFFSET] = certified ? 1 : 0;
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  view.setBigUint64(NUMBER_OFFSET, BigInt(number));
  view.setUint32(LENGTHS_OFFSET, header.length);
  view.setUint32(LENGTHS_OFFSET + 4, signatures.length);
  view.setUint32(LENGTHS_OFFSET + 8, record.length - dataOffset);
  record.set(header, RECORD_HEAD_BYTES);
  record.set(signatures, RECORD_HEAD_BYTES + header.length);
  view.setUint32(0, crc32(record.subarray(CHECKSUM_BYTES)));
  return record;
}

/** What the first `RECORD_HEAD_BYTES` of `bytes` say, unchecked; undefined when no record begins like this. */
export function readHead(bytes: Uint8Array): RecordHead | undefined {
  if (bytes.length < RECORD_HEAD_BYTES) return undefined;
  if (MARK.some((byte, i) => bytes[MARK_OFFSET + i] !== byte)) return undefined;
  const certified = bytes[CERTIFIED_OFFSET] ?? 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const number = Number(view.getBigUint64(NUMBER_OFFSET));
  if (certified > 1 || !Number.isSafeInteger(number)) return undefined;
  const headerBytes = view.getUint32(LENGTHS_OFFSET);
  const signaturesBytes = view.getUint32(LENGTHS_OFFSET + 4);
  const dataBytes = view.getUint32(LENGTHS_OFFSET + 8);
  const total = RECORD_HEAD_BYTES + headerBytes + signaturesBytes + dataBytes;
  const lengths = { headerBytes, signaturesBytes, dataBytes, bytes: total };
  return { certified: certified === 1, number, ...lengths };
}

/**
 * The record that fills `bytes`, and whether its checksum says that it is what was written; undefined when no record has these
 * lengths. The parts are views.
 */
export function decodeRecord(
  bytes: Uint8Array,
): { record: BlockRecord; intact: boolean } | undefined {
  const head = readHead(bytes);
  if (head === undefined || head.bytes !== bytes.length) return undefined;
  const plain = plainView(bytes);
  const signaturesAt = RECORD_HEAD_BYTES + head.headerBytes;
  const dataAt = signaturesAt + head.signaturesBytes;
  const record = {
    number: head.number,
    certified: head.certified,
    header: plain.subarray(RECORD_HEAD_BYTES, signaturesAt),
    signatures: plain.subarray(signaturesAt, dataAt),
    data: plain.subarray(dataAt),
  };
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { record, intact: crc32(bytes.subarray(CHECKSUM_BYTES)) === stored };
}

/** Whether an intact record begins at `offset` of `bytes`, and ends within. */
export function isRecordAt(bytes: Uint8Array, offset: number): boolean {
  const head = readHead(bytes.subarray(offset, offset + RECORD_HEAD_BYTES));
  if (head === undefined || offset + head.bytes > bytes.length) return false;
  return decodeRecord(bytes.subarray(offset, offset + head.bytes))?.intact === true;
}

export function endOf({ segment, offset, bytes }: Place): Position {
  return { segment, offset: offset + bytes };
}

/** Where a record of `bytes` bytes goes that comes after `end`: a segment is left once it has `segmentBytesMax` bytes. */
export function placeAfter(end: Position, bytes: number, segmentBytesMax: number): Place {
  if (end.offset < segmentBytesMax) return { ...end, bytes };
  return { segment: end.segment + 1, offset: 0, bytes };
}
