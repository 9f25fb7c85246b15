/**
 * The bytes of a segment file, `wal-<sequence, 20 digits>.log`. Little-endian.
 *
 *   +--------+----------------------+-----------------+----------------------------------+------
 *   | header | records of the       | end of snapshot | records of group 1, group 2, ... | rest
 *   |        | snapshot (may be 0)  |                 |                                  |
 *   +--------+----------------------+-----------------+----------------------------------+------
 *   |<----- written and synced when created --------->|<- one group per sync() ->
 *
 * The rest is room for what comes: zeros, or what an older segment held in the same file (it had the name `wal.spare` in between).
 *
 *   header    0      8         12        16         24     32                64
 *             +------+---------+---------+----------+------+------------------+
 *             | magic| version | crc     | sequence | tag  | name             |
 *             | 8 B  | u32     | u32     | u64      | 8 B  | 32 B             |
 *             +------+---------+---------+----------+------+------------------+
 *             crc: of bytes [0, 12) and [16, 64)
 *
 *   record    0     4      8      16           20       24
 *             +-----+------+------+------------+--------+---------------
 *             | crc | kind | tag  | groupStart | length | payload
 *             | u32 | u32  | 8 B  | u32        | u32    | length bytes
 *             +-----+------+------+------------+--------+---------------
 *             crc: of everything behind it, beginning with the record's offset in the file as the
 *             value so far: a record that was moved, or whose predecessors vanished, does not fit
 *
 * `kind` is 1 for a record, 2 for the end of the snapshot, 3 for a place where a torn tail was cut
 * off; the last two have no payload.
 *
 * `groupStart` names the group: every record of one `sync()` carries the offset at which the group
 * begins; all before it had been synced when the record was written. So it rises from group to
 * group, and for any place in the file it says whether that place had been synced: if a record
 * does not fit, and an intact record behind it has a `groupStart` behind it too, then bytes that
 * had been synced have changed. (A number that counts groups could not say to which group a record
 * belonged that cannot be read.) The snapshot is group 0: it is written together with the header.
 *
 * `tag` is random for every segment and never leaves this disk. Payloads come from peers and
 * clients: without the tag they could contain what looks like a record of the log, and a torn
 * write would be taken for damage. It also tells the rest apart, and what is left of a deleted
 * segment in blocks that a file system hands out again without clearing them. Against leftovers of a
 * tail that was cut off from this same segment stands kind 3: it is a group of its own, so no
 * record from before it can pass for one of a group behind it.
 *
 * The checksum is CRC-32 (node:zlib, in every Node.js of the engines range: it came with 20.15),
 * not CRC-32C: it is native here, and the ledger's CRC-32C is another room's.
 */
import { crc32 } from 'node:zlib';

export const HEADER_BYTES = 64;
export const FRAME_BYTES = 24;
export const NAME_BYTES = 32;
export const TAG_BYTES = 8;
/** A segment with an empty snapshot, as the first one of a log is created. */
export const EMPTY_SEGMENT_BYTES = HEADER_BYTES + FRAME_BYTES;
/** Where a record has its tag. */
export const TAG_OFFSET = 8;

const MAGIC = Buffer.from('SLUICEWL', 'latin1');
const VERSION = 1;

export const KIND = { record: 1, endOfSnapshot: 2, cut: 3 } as const;
const KINDS: readonly number[] = Object.values(KIND);
export type Kind = (typeof KIND)[keyof typeof KIND];

export interface Header {
  readonly sequence: number;
  readonly tag: Buffer;
  readonly name: Buffer;
}

export type DecodedHeader =
  | ({ readonly kind: 'ok' } & Header)
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'malformed'; readonly reason: string };

export interface Place {
  readonly tag: Uint8Array;
  readonly offset: number;
  readonly groupStart: number;
}

export type DecodedRecord =
  | {
      readonly kind: 'ok';
      readonly type: Kind;
      readonly groupStart: number;
      readonly payload: Buffer;
      readonly end: number;
    }
  | { readonly kind: 'malformed'; readonly reason: string };

export function encodeHeader(header: Header): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(VERSION, 8);
  bytes.writeBigUInt64LE(BigInt(header.sequence), 16);
  header.tag.copy(bytes, 24, 0, TAG_BYTES);
  header.name.copy(bytes, 32, 0, NAME_BYTES);
  bytes.writeUInt32LE(headerCrc(bytes), 12);
  return bytes;
}

/** `sequence` is what the file's name says. */
export function decodeHeader(bytes: Buffer, sequence: number): DecodedHeader {
  if (bytes.length < HEADER_BYTES) return malformed('the header is cut off');
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return malformed('no header of a log');
  if (bytes.readUInt32LE(12) !== headerCrc(bytes)) {
    return malformed('the header does not match its checksum');
  }
  const version = bytes.readUInt32LE(8);
  if (version !== VERSION) return { kind: 'version', version };
  if (bytes.readBigUInt64LE(16) !== BigInt(sequence)) {
    return malformed('the header is not of the segment that the file is named after');
  }
  return { kind: 'ok', sequence, tag: bytes.subarray(24, 32), name: bytes.subarray(32, 64) };
}

function headerCrc(bytes: Buffer): number {
  return crc32(bytes.subarray(16, HEADER_BYTES), crc32(bytes.subarray(0, 12)));
}

/** Writes a record at `at` of the buffer, which has room for it. `place.offset` is in the file. */
export function writeRecord(
  buffer: Buffer,
  at: number,
  kind: Kind,
  payload: Uint8Array,
  place: Place,
): void {
  const end = at + FRAME_BYTES + payload.length;
  buffer.writeUInt32LE(kind, at + 4);
  buffer.set(place.tag, at + TAG_OFFSET);
  buffer.writeUInt32LE(place.groupStart, at + 16);
  buffer.writeUInt32LE(payload.length, at + 20);
  buffer.set(payload, at + FRAME_BYTES);
  buffer.writeUInt32LE(crc32(buffer.subarray(at + 4, end), place.offset), at);
}

/** Total: whatever the bytes are, and wherever `offset` is in them. The payload is not copied. */
export function decodeRecord(bytes: Buffer, offset: number, tag: Buffer): DecodedRecord {
  const left = bytes.length - offset;
  if (left < FRAME_BYTES) return malformed('a record is cut off');
  const tagAt = offset + TAG_OFFSET;
  if (tag.compare(bytes, tagAt, tagAt + TAG_BYTES) !== 0) return malformed('there is no record');
  const length = bytes.readUInt32LE(offset + 20);
  if (length > left - FRAME_BYTES) return malformed('a record is cut off');
  const end = offset + FRAME_BYTES + length;
  if (bytes.readUInt32LE(offset) !== crc32(bytes.subarray(offset + 4, end), offset)) {
    return malformed('a record does not match its checksum');
  }
  const type = bytes.readUInt32LE(offset + 4);
  if (!isKind(type)) return malformed(`a record is of kind ${type}`);
  if (type !== KIND.record && length !== 0) return malformed('a mark has a payload');
  const groupStart = bytes.readUInt32LE(offset + 16);
  if (groupStart > offset) return malformed('a record stands before its group');
  const payload = bytes.subarray(offset + FRAME_BYTES, end);
  return { kind: 'ok', type, groupStart, payload, end };
}

function isKind(value: number): value is Kind {
  return KINDS.includes(value);
}

function malformed(reason: string): { kind: 'malformed'; reason: string } {
  return { kind: 'malformed', reason };
}
