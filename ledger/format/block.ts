/**
 * Fabric's block (fabric-protos common/common.proto) and its hashes
 * (Fabric protoutil/blockutils.go).
 */
import { concatBytes } from './bytes.ts';
import type { Sha256 } from './envelope.ts';
import { FORMAT_LIMITS } from './limits.ts';
import { type Decoded, decoded, EMPTY, WireReader } from './wire-reader.ts';
import {
  type Allocate,
  bytesSize,
  integerSize,
  presentSize,
  requireInteger,
  WireWriter,
} from './wire-writer.ts';

export interface BlockHeader {
  /** 0 for the genesis block; at most 2^53 - 1. */
  number: number;
  /** Header hash of block number - 1; empty in the genesis block. */
  previousHash: Uint8Array;
  /** SHA-256 of the concatenated data entries. */
  dataHash: Uint8Array;
}

export interface Block {
  header: BlockHeader;
  /** Serialized envelopes. */
  data: Uint8Array[];
  /** Entries by METADATA; five in a valid block, may be empty. */
  metadata: Uint8Array[];
}

/** `common.BlockMetadataIndex`. */
export const METADATA = {
  SIGNATURES: 0,
  LAST_CONFIG: 1,
  TRANSACTIONS_FILTER: 2,
  ORDERER: 3,
  COMMIT_HASH: 4,
} as const;

/** `common.Block`. The three parts are always present; every byte field is a view into `bytes`. */
export function decodeBlock(bytes: Uint8Array): Decoded<Block> {
  if (bytes.length > FORMAT_LIMITS.blockBytesMax) {
    return {
      kind: 'malformed',
      reason: `malformed Block: above ${FORMAT_LIMITS.blockBytesMax} bytes`,
    };
  }
  const reader = new WireReader(bytes);
  const header = readEmbeddedHeader(reader);
  const data = readList(reader, 2, 'BlockData', FORMAT_LIMITS.blockEntriesMax);
  const metadata = readList(reader, 3, 'BlockMetadata', FORMAT_LIMITS.metadataEntriesMax);
  reader.finish('Block', 3);
  return decoded(reader, { header, data, metadata });
}

/**
 * What `decodeBlock` makes of `joinBlock(header, data, metadata)`, without joining them. Undefined when that is refused, which
 * only the whole block can tell why.
 */
export function decodeBlockParts(
  header: Uint8Array,
  data: Uint8Array,
  metadata: readonly Uint8Array[],
): Block | undefined {
  const metadataSize = listSize(metadata);
  const size = presentSize(header.length) + presentSize(data.length) + presentSize(metadataSize);
  if (size > FORMAT_LIMITS.blockBytesMax) return undefined;
  if (metadata.length > FORMAT_LIMITS.metadataEntriesMax) return undefined;
  const headerRead = decodeBlockHeader(header);
  const dataRead = decodeBlockData(data);
  if (headerRead.kind === 'malformed' || dataRead.kind === 'malformed') return undefined;
  return { header: headerRead.value, data: dataRead.value, metadata: [...metadata] };
}

export function encodeBlock(block: Block): Uint8Array {
  return joinBlock(encodeBlockHeader(block.header), encodeBlockData(block.data), block.metadata);
}

/**
 * `common.Block` from parts that are serialized already: `common.BlockHeader`, `common.BlockData`.
 */
export function joinBlock(
  header: Uint8Array,
  data: Uint8Array,
  metadata: readonly Uint8Array[],
): Uint8Array {
  const metadataSize = listSize(metadata);
  const writer = new WireWriter(
    presentSize(header.length) + presentSize(data.length) + presentSize(metadataSize),
  );
  writer.presentField(1, header);
  writer.presentField(2, data);
  writer.openField(3, metadataSize);
  for (const entry of metadata) writer.presentField(1, entry);
  return writer.finish();
}

/**
 * `common.BlockData`. `headroom`: bytes in front of it for the caller to fill, which spares it a
 * copy of a large block.
 */
export function encodeBlockData(
  data: readonly Uint8Array[],
  headroom = 0,
  allocate?: Allocate,
): Uint8Array {
  const writer = new WireWriter(listSize(data), headroom, allocate);
  for (const entry of data) writer.presentField(1, entry);
  return writer.finish();
}

export function decodeBlockData(bytes: Uint8Array): Decoded<Uint8Array[]> {
  const reader = new WireReader(bytes);
  const data = readEntries(reader, 'BlockData', FORMAT_LIMITS.blockEntriesMax);
  reader.finish('BlockData', 1);
  return decoded(reader, data);
}

/** `common.BlockHeader`. */
export function encodeBlockHeader(header: BlockHeader): Uint8Array {
  requireInteger(header.number, 0, Number.MAX_SAFE_INTEGER, 'BlockHeader.number');
  const writer = new WireWriter(
    integerSize(header.number) +
      bytesSize(header.previousHash.length) +
      bytesSize(header.dataHash.length),
  );
  writer.integerField(1, header.number);
  writer.bytesField(2, header.previousHash);
  writer.bytesField(3, header.dataHash);
  return writer.finish();
}

export function decodeBlockHeader(bytes: Uint8Array): Decoded<BlockHeader> {
  const reader = new WireReader(bytes);
  const header = readHeaderFields(reader);
  reader.finish('BlockHeader', 3);
  return decoded(reader, header);
}

/**
 * ASN.1 DER of `SEQUENCE { number INTEGER, previous_hash OCTET STRING, data_hash OCTET STRING }`:
 * what is hashed and signed instead of the protobuf form (Fabric protoutil.BlockHeaderBytes).
 */
export function headerDer(header: BlockHeader): Uint8Array {
  const number = derInteger(header.number);
  const bodySize =
    derSize(number.length) + derSize(header.previousHash.length) + derSize(header.dataHash.length);
  const out = new Uint8Array(derSize(bodySize));
  let position = derOpen(out, 0, 0x30, bodySize);
  position = derOpen(out, position, 0x02, number.length);
  out.set(number, position);
  position = derOpen(out, position + number.length, 0x04, header.previousHash.length);
  out.set(header.previousHash, position);
  position = derOpen(out, position + header.previousHash.length, 0x04, header.dataHash.length);
  out.set(header.dataHash, position);
  return out;
}

/** SHA-256 of the DER header: the block's hash, and the next block's `previousHash`. */
export function headerHash(header: BlockHeader, sha256: Sha256): Uint8Array {
  return sha256(headerDer(header));
}

/** Where the entries of a block are brought together for its hash: fresh memory for each block would cost more than hashing it. */
let room = EMPTY;
const ROOM_BYTES_MAX = 1024 * 1024;

/** SHA-256 of the concatenated entries (Fabric protoutil.ComputeBlockDataHash). */
export function dataHash(data: readonly Uint8Array[], sha256: Sha256): Uint8Array {
  const size = data.reduce((sum, entry) => sum + entry.length, 0);
  if (size > ROOM_BYTES_MAX) return sha256(concatBytes(data));
  if (room.length < size) room = new Uint8Array(size);
  let position = 0;
  for (const entry of data) {
    room.set(entry, position);
    position += entry.length;
  }
  return sha256(room.subarray(0, size));
}

function readEmbeddedHeader(reader: WireReader): BlockHeader {
  const outerEnd = reader.enterMessage(1, 'Block.header');
  if (outerEnd < 0) {
    failAbsent(reader, 'malformed Block: no header');
    return { number: 0, previousHash: EMPTY, dataHash: EMPTY };
  }
  const header = readHeaderFields(reader);
  reader.leave(outerEnd, 'BlockHeader', 3);
  return header;
}

function readHeaderFields(reader: WireReader): BlockHeader {
  const number = reader.uint64Field(1, 'BlockHeader.number');
  const previousHash = reader.bytesField(2, 'BlockHeader.previous_hash');
  const dataHashBytes = reader.bytesField(3, 'BlockHeader.data_hash');
  if (previousHash.length > FORMAT_LIMITS.smallBytesMax) {
    reader.fail('malformed BlockHeader.previous_hash: too long');
  }
  if (dataHashBytes.length > FORMAT_LIMITS.smallBytesMax) {
    reader.fail('malformed BlockHeader.data_hash: too long');
  }
  return { number, previousHash, dataHash: dataHashBytes };
}

/** BlockData and BlockMetadata have the same shape: `repeated bytes` in field 1. */
function readList(reader: WireReader, field: number, name: string, countMax: number): Uint8Array[] {
  const outerEnd = reader.enterMessage(field, name);
  if (outerEnd < 0) {
    failAbsent(reader, `malformed Block: no ${name}`);
    return [];
  }
  const list = readEntries(reader, name, countMax);
  reader.leave(outerEnd, name, 1);
  return list;
}

function readEntries(reader: WireReader, name: string, countMax: number): Uint8Array[] {
  const list: Uint8Array[] = [];
  for (;;) {
    const entry = reader.repeatedBytes(1, name);
    if (entry === undefined) return list;
    if (list.length === countMax) {
      reader.fail(`malformed ${name}: more than ${countMax} entries`);
      return list;
    }
    list.push(entry);
  }
}

/** What stands in the place of an absent part explains more than the absence. */
function failAbsent(reader: WireReader, reason: string): void {
  if (reader.position < reader.end) reader.finish('Block', 3);
  reader.fail(reason);
}

function listSize(list: readonly Uint8Array[]): number {
  let size = 0;
  for (const entry of list) size += presentSize(entry.length);
  return size;
}

/** Content octets of a DER INTEGER that is not negative. */
function derInteger(value: number): Uint8Array {
  requireInteger(value, 0, Number.MAX_SAFE_INTEGER, 'BlockHeader.number');
  const octets: number[] = [];
  let rest = value;
  do {
    octets.unshift(rest % 256);
    rest = Math.floor(rest / 256);
  } while (rest > 0);
  if ((octets[0] ?? 0) >= 0x80) octets.unshift(0);
  return Uint8Array.from(octets);
}

/** Bytes of a DER value with tag and length. */
function derSize(length: number): number {
  return 1 + derLengthSize(length) + length;
}

function derLengthSize(length: number): number {
  let size = 1;
  if (length >= 0x80) for (let rest = length; rest > 0; rest >>>= 8) size += 1;
  return size;
}

/** Writes tag and length; returns where the content starts. */
function derOpen(out: Uint8Array, position: number, tag: number, length: number): number {
  out[position] = tag;
  const lengthSize = derLengthSize(length);
  if (lengthSize === 1) {
    out[position + 1] = length;
  } else {
    out[position + 1] = 0x80 | (lengthSize - 1);
    for (let index = 1; index < lengthSize; index += 1) {
      out[position + 1 + index] = (length >>> (8 * (lengthSize - 1 - index))) & 0xff;
    }
  }
  return position + 1 + lengthSize;
}
