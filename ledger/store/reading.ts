/**
 * Reads single records of the ledger's LevelDB, and the blocks that they point to; what is missing or damaged is an error that
 * names the block.
 */
import { type BlockHeader, bytesEqual, decodeBlockHeader } from '../format/index.ts';
import { type Database, type Operation, readError } from './database.ts';
import {
  type BlockEntry,
  blockKey,
  blockNumberOf,
  corrupt,
  decodeBlockEntry,
  KIND,
  seal,
  unseal,
} from './records.ts';
import { type BlockRecord, decodeRecord, type Place } from './segments/record.ts';
import type { SegmentReader } from './segments/segment-reader.ts';

export interface StoredBlock {
  header: BlockHeader;
  place: Place;
  headerBytes: Uint8Array;
  dataBytes: Uint8Array;
  /** The SIGNATURES metadata entry as the block was stored with. */
  signatures: Uint8Array;
}

/** What LevelDB knows of a block below the stored height; throws `ledger_corrupt` naming the block. */
export async function readEntry(database: Database, number: number): Promise<BlockEntry> {
  const key = blockKey(KIND.BLOCK, number);
  return decodeBlockEntry(await requireRecord(database, key, `block ${number}`));
}

/** The block that the entry points to; throws `ledger_corrupt` naming it. */
export async function readBlock(
  segments: SegmentReader,
  number: number,
  entry: BlockEntry,
): Promise<StoredBlock> {
  const bytes = await segments.read(entry.place);
  const record = recordOf(number, entry, bytes);
  if (typeof record === 'string') {
    throw corrupt(`block ${number} ${record}`, { blockNumber: number });
  }
  return {
    header: decodeHeader(record.header, number),
    place: entry.place,
    headerBytes: record.header,
    dataBytes: record.data,
    signatures: record.signatures,
  };
}

/** The block in the bytes at an entry's place, or what is wrong with them. */
export function recordOf(
  number: number,
  entry: BlockEntry,
  bytes: Uint8Array | undefined,
): BlockRecord | string {
  if (bytes === undefined || bytes.length < entry.place.bytes) return 'is missing';
  const decoded = decodeRecord(bytes);
  if (decoded?.intact !== true) return 'does not match its checksum';
  const { record } = decoded;
  if (record.number === number && bytesEqual(record.header, entry.header)) return record;
  return 'is not the one that LevelDB names';
}

/**
 * Blocks `from` to `to - 1`, all stored; throws `ledger_corrupt` naming what is damaged or missing. Those below
 * `certifiedHeight` must have their certificates.
 */
export async function readStoredBlocks(
  { database, segments }: { database: Database; segments: SegmentReader },
  from: number,
  to: number,
  certifiedHeight: number,
): Promise<StoredBlock[]> {
  const keys: Uint8Array[] = [];
  for (let number = from; number < to; number += 1) {
    keys.push(blockKey(KIND.BLOCK, number));
    if (number < certifiedHeight) keys.push(blockKey(KIND.SIGNATURES, number));
  }
  const records = await readRecords(database, keys, `blocks ${from} to ${to - 1}`, nameOf);
  const entries: BlockEntry[] = [];
  for (const [index, key] of keys.entries()) {
    const record = records[index];
    const blockNumber = blockNumberOf(key);
    if (record === undefined) throw corrupt(`${nameOf(key)} is missing`, { blockNumber });
    if (key[0] === KIND.BLOCK) entries.push(decodeBlockEntry(record));
  }
  return Promise.all(entries.map((entry, at) => readBlock(segments, from + at, entry)));
}

function nameOf(key: Uint8Array): string {
  const block = `block ${blockNumberOf(key)}`;
  return key[0] === KIND.SIGNATURES ? `the certificate of ${block}` : block;
}

export function decodeHeader(bytes: Uint8Array, blockNumber: number): BlockHeader {
  const header = decodeBlockHeader(bytes);
  if (header.kind === 'ok') return header.value;
  throw corrupt(`the header of block ${blockNumber} is damaged (${header.reason})`, {
    blockNumber,
  });
}

/** A record's content, or undefined when it is not there. */
export async function readRecord(
  database: Database,
  key: Uint8Array,
  what: string,
): Promise<Uint8Array | undefined> {
  let value: Uint8Array | undefined;
  try {
    value = await database.get(key, { fillCache: key[0] === KIND.TRANSACTION });
  } catch (error) {
    throw readError(error, what);
  }
  return value === undefined ? undefined : unseal(key, value, what);
}

/** The same for many keys, in one call. `whatIs` names the record of a key, `what` all of them. */
export async function readRecords(
  database: Database,
  keys: Uint8Array[],
  what: string,
  whatIs: (key: Uint8Array) => string = () => what,
): Promise<(Uint8Array | undefined)[]> {
  let values: (Uint8Array | undefined)[];
  try {
    values = await database.getMany(keys);
  } catch (error) {
    throw readError(error, what);
  }
  return values.map((value, i) =>
    value === undefined
      ? undefined
      : unseal(keys[i] as Uint8Array, value, whatIs(keys[i] as Uint8Array)),
  );
}

export async function requireRecord(
  database: Database,
  key: Uint8Array,
  what: string,
): Promise<Uint8Array> {
  const content = await readRecord(database, key, what);
  if (content !== undefined) return content;
  const blockNumber = blockNumberOf(key);
  throw corrupt(`${what} is missing`, blockNumber === undefined ? {} : { blockNumber });
}

export function put(key: Uint8Array, content: Uint8Array): Operation {
  return { type: 'put', key, value: seal(key, content) };
}

/** Numbers of the first records of a kind from `from` on; `to` may be ignored beyond `limit`. */
export async function firstNumbers(
  database: Database,
  kind: number,
  from: number,
  to: number,
  limit: number,
): Promise<number[]> {
  if (limit === 0) return [];
  const numbers: number[] = [];
  const end = to > from + 1 ? blockKey(kind, to) : Uint8Array.of(kind + 1);
  try {
    for await (const key of database.keys({ gte: blockKey(kind, from), lt: end, limit })) {
      const number = blockNumberOf(key);
      if (number === undefined) throw corrupt('a key has a wrong form');
      numbers.push(number);
    }
  } catch (error) {
    throw readError(error, `the list of blocks from ${from}`);
  }
  return numbers;
}

/** Whether there is a block of this number below the height; false for what is no number of a block at all. */
export function isBelow(number: number, height: number): boolean {
  return Number.isSafeInteger(number) && number >= 0 && number < height;
}
