/** A LevelDB database written by hand: tables with any blocks, and a manifest that says anything of them. No log, no filters. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c } from '../../ledger/store/crc32c.ts';

export interface MadeEntry {
  key: Uint8Array;
  sequence: number;
  value: Uint8Array;
  deleted?: boolean;
}

export interface MadeBlock {
  /** What the index of the table says that the block goes up to. */
  upTo: Uint8Array;
  entries: readonly MadeEntry[];
}

/** What the manifest says of a table. */
export interface MadeTable {
  number: number;
  level: number;
  bytes: number;
  smallest: Uint8Array;
  largest: Uint8Array;
}

/** A field of an edit in the manifest. */
export type MadeField =
  | { kind: 'add'; table: MadeTable }
  | { kind: 'delete'; level: number; number: number };

const MAGIC = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
const SEQUENCE_MAX = 2 ** 40;

export function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(Math.floor(value / 0x80))];
}

/** As LevelDB stores a checksum. */
function masked(bytes: Uint8Array): number[] {
  const crc = crc32c(bytes, 0, bytes.length);
  return little(((((crc >>> 15) | (crc << 17)) >>> 0) + 0xa282ead8) % 2 ** 32, 4);
}

export function sealedBlock(content: Uint8Array): Uint8Array {
  const plain = Uint8Array.from([...content, 0]);
  return Uint8Array.from([...plain, ...masked(plain)]);
}

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, at) => Math.floor(value / 2 ** (8 * at)) & 0xff);
}

function internalKey(key: Uint8Array, sequence: number, deleted = false): number[] {
  return [...key, deleted ? 0 : 1, ...little(sequence, 7)];
}

/** Each entry with its whole key, and all of them restart points unless others are named. */
export function blockOf(
  entries: readonly (readonly [key: readonly number[], value: ArrayLike<number>])[],
  restarts?: readonly number[],
): Uint8Array {
  const bytes: number[] = [];
  const places: number[] = [];
  for (const [key, value] of entries) {
    places.push(bytes.length);
    bytes.push(0, ...varint(key.length), ...varint(value.length), ...key, ...Array.from(value));
  }
  const points = restarts ?? (places.length === 0 ? [0] : places);
  return Uint8Array.from([...bytes, ...[...points, points.length].flatMap((at) => little(at, 4))]);
}

export function dataBlockOf(entries: readonly MadeEntry[], restarts?: readonly number[]) {
  return blockOf(
    entries.map(({ key, sequence, value, deleted }) => [
      internalKey(key, sequence, deleted),
      deleted === true ? [] : value,
    ]),
    restarts,
  );
}

export function tableOf(
  blocks: readonly MadeBlock[],
  indexRestarts?: readonly number[],
): Uint8Array {
  const bytes: number[] = [];
  const write = (content: Uint8Array): number[] => {
    const handle = [...varint(bytes.length), ...varint(content.length)];
    bytes.push(...sealedBlock(content));
    return handle;
  };
  const index = blocks.map(
    ({ upTo, entries }) => [internalKey(upTo, 0), write(dataBlockOf(entries))] as const,
  );
  const handles = [...write(blockOf([])), ...write(blockOf(index, indexRestarts))];
  const padding = new Array(40 - handles.length).fill(0);
  return Uint8Array.from([...bytes, ...handles, ...padding, ...MAGIC]);
}

/** One edit in each list of fields. */
export function manifestOf(
  edits: readonly (readonly MadeField[])[],
  lastSequence: number,
): Uint8Array {
  const comparator = Buffer.from('leveldb.BytewiseComparator');
  const named = [1, comparator.length, ...comparator, 2, 0, 3, ...varint(1000)];
  const records = [
    [...named, 4, ...varint(lastSequence)],
    ...edits.map((fields) => fields.flatMap(encodeField)),
  ];
  return Uint8Array.from(
    records.flatMap((payload) => [
      ...masked(Uint8Array.from([1, ...payload])),
      ...little(payload.length, 2),
      ...[1, ...payload],
    ]),
  );
}

function encodeField(field: MadeField): number[] {
  if (field.kind === 'delete') return [6, field.level, ...varint(field.number)];
  const { number, level, bytes, smallest, largest } = field.table;
  const keys = [internalKey(smallest, SEQUENCE_MAX), internalKey(largest, 0)];
  const ends = keys.flatMap((key) => [...varint(key.length), ...key]);
  return [7, level, ...varint(number), ...varint(bytes), ...ends];
}

/** Writes the folder `db`: these files, and the manifest. */
export async function writeDatabase(
  directory: string,
  files: ReadonlyMap<number, Uint8Array>,
  manifest: Uint8Array,
): Promise<void> {
  const folder = join(directory, 'db');
  await mkdir(folder, { recursive: true });
  for (const [number, bytes] of files) {
    await writeFile(join(folder, `${String(number).padStart(6, '0')}.ldb`), bytes);
  }
  await writeFile(join(folder, 'MANIFEST-000002'), manifest);
  await writeFile(join(folder, 'CURRENT'), 'MANIFEST-000002\n');
}
