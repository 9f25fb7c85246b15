/**
 * Reads single records of the ledger's LevelDB; what is missing or damaged is
 * an error that names the block.
 */
import { type BlockHeader, decodeBlockHeader } from '../format/index.ts';
import { type Database, type Operation, readError } from './database.ts';
import { blockKey, blockNumberOf, corrupt, KIND, seal, unseal } from './records.ts';

export interface StoredBlock {
  header: BlockHeader;
  headerBytes: Uint8Array;
  dataBytes: Uint8Array;
}

/** Header and data of a block below the stored height; throws `ledger_corrupt` naming the block. */
export async function readStoredBlock(database: Database, number: number): Promise<StoredBlock> {
  const what = `block ${number}`;
  const headerBytes = await requireRecord(database, blockKey(KIND.HEADER, number), what);
  const dataBytes = await requireRecord(database, blockKey(KIND.DATA, number), what);
  return blockOf(number, headerBytes, dataBytes);
}

function blockOf(number: number, headerBytes: Uint8Array, dataBytes: Uint8Array): StoredBlock {
  return { header: decodeHeader(headerBytes, number), headerBytes, dataBytes };
}

/**
 * Blocks `from` to `to - 1`, all stored, in one call; throws `ledger_corrupt` naming what is damaged or missing. Those below
 * `certifiedHeight` must have their certificates.
 */
export async function readStoredBlocks(
  database: Database,
  from: number,
  to: number,
  certifiedHeight: number,
): Promise<StoredBlock[]> {
  const keys: Uint8Array[] = [];
  for (let number = from; number < to; number += 1) {
    keys.push(blockKey(KIND.HEADER, number), blockKey(KIND.DATA, number));
    if (number < certifiedHeight) keys.push(blockKey(KIND.SIGNATURES, number));
  }
  const records = await readRecords(database, keys, `blocks ${from} to ${to - 1}`, nameOf);
  const blocks: StoredBlock[] = [];
  for (const [index, key] of keys.entries()) {
    const record = records[index];
    const number = blockNumberOf(key) as number;
    if (record === undefined) throw corrupt(`${nameOf(key)} is missing`, { blockNumber: number });
    // A block's header comes before its data.
    if (key[0] === KIND.DATA)
      blocks.push(blockOf(number, records[index - 1] as Uint8Array, record));
  }
  return blocks;
}

function nameOf(key: Uint8Array): string {
  const block = `block ${blockNumberOf(key)}`;
  return key[0] === KIND.SIGNATURES ? `the certificate of ${block}` : block;
}

/** Header of a block below the stored height, without reading its data. */
export async function readHeader(database: Database, number: number): Promise<BlockHeader> {
  const key = blockKey(KIND.HEADER, number);
  return decodeHeader(await requireRecord(database, key, `block ${number}`), number);
}

function decodeHeader(bytes: Uint8Array, blockNumber: number): BlockHeader {
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
