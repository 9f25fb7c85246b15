/** LevelDB's tables taken apart and put together again with fitting checksums, as somebody would who means to deceive. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Level } from 'level';
import { snappyDecompress } from '../../ledger/store/snappy.ts';
import { readVarint } from '../../ledger/store/varint.ts';
import { blockOf, sealedBlock, varint } from './made-database.ts';

export type Database = Level<Uint8Array, Uint8Array>;

const FOOTER_BYTES = 48;
const FILTER_NAME = 'filter.leveldb.BuiltinBloomFilter2';

interface Handle {
  offset: number;
  size: number;
}

export interface Table {
  /** Each with the key that its index entry has, the suffix left out. */
  blocks: { upTo: Uint8Array; offset: number; size: number }[];
  /** Content of the filter block, which lies behind the data. */
  filter: Uint8Array;
  filterOffset: number;
  index: Handle;
}

/** LevelDB as it is in a ledger's folder, its keys and values as bytes. */
export async function inDatabase<T>(
  directory: string,
  use: (database: Database) => Promise<T>,
): Promise<T> {
  const options = { keyEncoding: 'view', valueEncoding: 'view' } as const;
  const database = new Level<Uint8Array, Uint8Array>(join(directory, 'db'), options);
  await database.open();
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

/** Everything into tables of the last level, the log empty. */
export function compact(database: Database): Promise<void> {
  type Compacting = Database & { compactRange(from: Uint8Array, to: Uint8Array): Promise<void> };
  return (database as Compacting).compactRange(Uint8Array.of(0), Uint8Array.of(0xff));
}

export async function tablesIn(directory: string): Promise<string[]> {
  const names = await readdir(join(directory, 'db'));
  return names.filter((name) => name.endsWith('.ldb')).sort();
}

export function readTable(bytes: Uint8Array): Table {
  const metaIndex = handleAt(bytes, bytes.length - FOOTER_BYTES);
  const index = handleAt(bytes, metaIndex.end);
  const [entry] = entriesOf(bytes, metaIndex);
  if (Buffer.from(entry?.key ?? []).toString() !== FILTER_NAME) throw new Error('no filter');
  const filter = handleAt(entry?.value ?? bytes, 0);
  return {
    blocks: entriesOf(bytes, index).map(({ key, value }) => {
      const { offset, size } = handleAt(value, 0);
      return { upTo: key.subarray(0, -8), offset, size };
    }),
    filter: Uint8Array.from(contentAt(bytes, filter)),
    filterOffset: filter.offset,
    index: { offset: index.offset, size: index.size },
  };
}

/** The same table, as long as it was, with this filter, which is no longer than the old one. */
export function withFilter(
  bytes: Uint8Array,
  content: Uint8Array,
  options: { name?: string; handle?: readonly number[]; restarts?: readonly number[] } = {},
): Uint8Array {
  const { filterOffset, index } = readTable(bytes);
  const { name = FILTER_NAME, restarts = [0] } = options;
  const handle = options.handle ?? [...varint(filterOffset), ...varint(content.length)];
  const metaContent = blockOf([[[...Buffer.from(name)], handle]], restarts);
  const filter = sealedBlock(content);
  const meta = sealedBlock(metaContent);
  const metaOffset = index.offset - meta.length;
  if (filterOffset + filter.length > metaOffset) throw new Error('no room for such a filter');
  const made = Uint8Array.from(bytes);
  made.fill(0, filterOffset, index.offset);
  made.set(filter, filterOffset);
  made.set(meta, metaOffset);
  const footer = made.length - FOOTER_BYTES;
  const handles = [metaOffset, metaContent.length, index.offset, index.size].flatMap(varint);
  made.fill(0, footer, made.length - 8);
  made.set(handles, footer);
  return made;
}

/** Where the filter lies that is asked for keys of this block: its bits, and behind them a byte with the number of probes. */
export function filterFor(
  filter: Uint8Array,
  blockOffset: number,
): { start: number; limit: number } {
  const view = new DataView(filter.buffer, filter.byteOffset);
  const at = view.getUint32(filter.length - 5, true) + 4 * (blockOffset >> filter.at(-1)!);
  return { start: view.getUint32(at, true), limit: view.getUint32(at + 4, true) };
}

/** Takes a bit from the filter that LevelDB needs for the key, and none that it needs for these others. */
export function hideKey(
  table: Uint8Array,
  key: Uint8Array,
  others: readonly Uint8Array[],
): Uint8Array {
  const { blocks, filter } = readTable(table);
  const block = blocks.find(({ upTo }) => Buffer.compare(upTo, key) >= 0);
  const { start, limit } = filterFor(filter, block?.offset ?? 0);
  const bits = 8 * (limit - start - 1);
  const probes = (of: Uint8Array) => probesOf(of, bits, filter[limit - 1]!);
  const needed = new Set(others.flatMap(probes));
  const bit = probes(key).find((probe) => !needed.has(probe));
  if (bit === undefined) throw new Error('no bit that is only of this key');
  filter[start + (bit >> 3)]! &= ~(1 << (bit & 7));
  return withFilter(table, filter);
}

/** Which bits of a Bloom filter of so many bits LevelDB looks at; by the book (util/hash.cc, util/bloom.cc). */
function probesOf(key: Uint8Array, bits: number, count: number): number[] {
  const wrap = (value: bigint): bigint => BigInt.asUintN(32, value);
  const factor = 0xc6a4a793n;
  let hash = wrap(0xbc9f1d34n ^ wrap(BigInt(key.length) * factor));
  for (let at = 0; at + 4 <= key.length; at += 4) {
    const word = Buffer.from(key).readUInt32LE(at);
    hash = wrap((hash + BigInt(word)) * factor);
    hash ^= hash >> 16n;
  }
  const rest = key.subarray(key.length & ~3);
  if (rest.length > 0) {
    for (const [at, byte] of rest.entries()) hash += BigInt(byte) << BigInt(8 * at);
    hash = wrap(hash * factor);
    hash ^= hash >> 24n;
  }
  const delta = wrap((hash >> 17n) | (hash << 15n));
  return Array.from({ length: count }, (_, probe) =>
    Number(wrap(hash + BigInt(probe) * delta) % BigInt(bits)),
  );
}

/** Entries of a block of which each has its whole key. */
function entriesOf(bytes: Uint8Array, handle: Handle) {
  const content = contentAt(bytes, handle);
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const end = content.length - 4 - 4 * view.getUint32(content.length - 4, true);
  const entries: { key: Uint8Array; value: Uint8Array }[] = [];
  for (let at = 0; at < end; ) {
    const [, unshared = 0, valueBytes = 0] = content.subarray(at, at + 3);
    const valueAt = at + 3 + unshared;
    const value = content.subarray(valueAt, valueAt + valueBytes);
    entries.push({ key: content.subarray(at + 3, valueAt), value });
    at = valueAt + valueBytes;
  }
  return entries;
}

function contentAt(bytes: Uint8Array, { offset, size }: Handle): Uint8Array {
  const content = bytes.subarray(offset, offset + size);
  if (bytes[offset + size] === 0) return content;
  return snappyDecompress(content, 1 << 20) ?? new Uint8Array(0);
}

function handleAt(bytes: Uint8Array, position: number): Handle & { end: number } {
  const offset = readVarint(bytes, position);
  const size = readVarint(bytes, offset?.end ?? bytes.length);
  if (offset === undefined || size === undefined) throw new Error('no handle');
  return { offset: offset.value, size: size.value, end: size.end };
}
