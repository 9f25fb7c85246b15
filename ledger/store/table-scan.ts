/**
 * Checks LevelDB's table files before LevelDB reads them. LevelDB does not verify a table's
 * checksums unless it is told to, which the binding cannot; what it then makes of damaged bytes is
 * a wrong answer, or the end of the process.
 *
 * Table format (LevelDB doc/table_format.md): blocks, each followed by type u8 (0 plain, 1 Snappy)
 * and masked CRC-32C u32; the last 48 bytes are the handles of meta index and index (varint
 * offset, varint size), padding, and a magic. The index maps a key at or above the last key of
 * each data block to the block's handle; the meta index maps `filter.` and the name of a policy to
 * the handle of the filter (table-filter.ts), without which LevelDB looks into every block.
 */
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32c, unmaskCrc } from './crc32c.ts';
import { KEY_SUFFIX_BYTES, readTableBlock } from './index-entries.ts';
import type { IndexImage } from './index-image.ts';
import { STORE_LIMITS } from './limits.ts';
import { type ChangedBytes, changedBytes } from './log-scan.ts';
import { type LiveTable, type LiveTables, liveTables, userKeyOf } from './manifest.ts';
import { KIND } from './records.ts';
import { snappyDecompress } from './snappy.ts';
import { FILTER_NAME, TableFilter } from './table-filter.ts';
import { readVarint } from './varint.ts';

const FOOTER_BYTES = 48;
const TRAILER_BYTES = 5;
const MAGIC = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];

interface Handle {
  offset: number;
  size: number;
}

interface Entry {
  key: Uint8Array;
  value: Uint8Array;
}

interface IndexEntry {
  /** Our key, at or above the last one of the block. */
  key: Uint8Array;
  handle: Handle;
}

/** What takes the transaction index from a table, and what the manifest says of it. */
interface Audit {
  image: IndexImage;
  live: LiveTables | undefined;
  table: LiveTable | undefined;
}

/**
 * Scans the tables of a LevelDB database, newest first, until `bytesMax` bytes have been read; one finding a damaged
 * block. `image` takes the transaction index that is in them, and is discarded when something of them cannot be read.
 */
export async function scanTables(
  directory: string,
  bytesMax: number,
  image?: IndexImage,
): Promise<ChangedBytes[]> {
  const live = await liveTables(directory);
  // Tables that are none any more may say what was true once.
  if (live === undefined) image?.discard();
  const names = tableNames(await readdir(directory).catch(() => []), live);
  const findings: ChangedBytes[] = [];
  if (live?.fault !== undefined) findings.push(live.fault);
  let read = 0;
  let room = new Uint8Array(0);
  for (const name of names) {
    // A replica that runs may have removed it; whether one runs is for LevelDB's lock to say.
    const file = await open(join(directory, name)).catch(() => undefined);
    if (file === undefined) {
      image?.discard();
      continue;
    }
    try {
      const { size } = await file.stat();
      if (size > STORE_LIMITS.scanFileBytesMax) {
        findings.push(changedBytes(name, 0, `${size} bytes`));
        continue;
      }
      const table = live?.byNumber.get(Number.parseInt(name, 10));
      if (table !== undefined && table.bytes !== size) {
        // LevelDB looks for the footer where the manifest says that the table ends.
        const reason = `${size} bytes, of which the manifest says ${table.bytes}`;
        findings.push(changedBytes(name, 0, reason));
        continue;
      }
      read += size;
      if (read > bytesMax) break;
      // One buffer for all: a hundred of a megabyte each cost as much to allocate and collect as to check.
      if (room.length < size) room = new Uint8Array(size);
      const bytes = await readWhole(file, room.subarray(0, size));
      if (bytes === undefined) image?.discard();
      else findings.push(...scanTable(bytes, name, image && { image, live, table }));
    } finally {
      await file.close();
    }
  }
  return findings;
}

const TABLE_NAME = /^\d+\.(ldb|sst)$/;

/** Of all files that look like tables; of those that cannot be asked, nothing. */
export async function tableBytes(directory: string): Promise<number> {
  const present = await readdir(directory).catch(() => []);
  const names = present.filter((name) => TABLE_NAME.test(name));
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The files that LevelDB opens, newest first; whatever looks like one when it is not known which those are. */
function tableNames(present: readonly string[], live: LiveTables | undefined): string[] {
  const files = new Set(present);
  const names =
    live === undefined
      ? present.filter((name) => TABLE_NAME.test(name))
      : [...live.byNumber.keys()].flatMap((number) => {
          const stem = String(number).padStart(6, '0');
          // The second is how they were called once.
          return [`${stem}.ldb`, `${stem}.sst`].find((name) => files.has(name)) ?? [];
        });
  return names.sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10));
}

/** Undefined when the disk does not give it; what is shorter by now is what there is. */
async function readWhole(file: FileHandle, into: Uint8Array): Promise<Uint8Array | undefined> {
  let filled = 0;
  while (filled < into.length) {
    const bytesRead = await file.read(into, filled, into.length - filled, filled).then(
      (done) => done.bytesRead,
      () => undefined,
    );
    if (bytesRead === undefined) return undefined;
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return into.subarray(0, filled);
}

function scanTable(bytes: Uint8Array, file: string, audit?: Audit): ChangedBytes[] {
  const changed = (offset: number, reason: string): ChangedBytes =>
    changedBytes(file, offset, reason);
  const footer = bytes.length - FOOTER_BYTES;
  const magicAt = bytes.length - MAGIC.length;
  if (footer < 0 || MAGIC.some((byte, index) => bytes[magicAt + index] !== byte)) {
    return [changed(Math.max(0, footer), 'the table has no footer')];
  }
  const metaIndex = readHandle(bytes, footer);
  const index = metaIndex === undefined ? undefined : readHandle(bytes, metaIndex.end);
  if (metaIndex === undefined || index === undefined) {
    return [changed(footer, 'the footer names no index')];
  }
  const content = readBlock(bytes, index.handle);
  const entries = content === undefined ? undefined : readIndex(content);
  if (entries === undefined) return [changed(footer, 'the index is damaged')];
  const findings: ChangedBytes[] = [];
  const report = (offset: number, reason: string): void => {
    findings.push(changed(offset, reason));
  };
  const filter = readFilter(bytes, metaIndex.handle, report);
  for (const [position, { key, handle }] of entries.entries()) {
    const after = entries[position - 1]?.key;
    if (isIntact(bytes, handle)) {
      if (audit !== undefined) takeIndex(bytes, after, { key, handle }, filter, audit);
      continue;
    }
    const blocks = describeKeys(after, key);
    report(handle.offset, `a table block does not match its checksum${blocks}`);
  }
  if (filter !== undefined && filter.hidden > 0) {
    const what = `the filter hides ${filter.hidden} entries from LevelDB`;
    report(filter.offset, `${what}: a replica would miss them, and order these transactions again`);
  }
  return findings;
}

/** The filter that LevelDB takes for the table, when there is one. */
function readFilter(
  bytes: Uint8Array,
  metaIndex: Handle,
  report: (offset: number, reason: string) => void,
): TableFilter | undefined {
  const content = readBlock(bytes, metaIndex);
  const entries = content === undefined ? undefined : readEntries(content);
  // With a second restart point it would matter by which of them LevelDB begins.
  if (content === undefined || entries === undefined || restartsIn(content) !== 1) {
    report(metaIndex.offset, 'the meta index is damaged');
    return undefined;
  }
  const entry = entries.find(({ key }) => Buffer.from(key).toString('latin1') === FILTER_NAME);
  if (entry === undefined) return undefined;
  const handle = readHandle(entry.value, 0)?.handle;
  const filter = handle === undefined ? undefined : readBlock(bytes, handle);
  if (handle !== undefined && filter !== undefined) return new TableFilter(filter, handle.offset);
  report(handle?.offset ?? metaIndex.offset, 'the filter is damaged');
  return undefined;
}

/**
 * Takes the entries of the transaction index, which comes behind all else. LevelDB looks for a key in the first block of which the
 * index says that it goes so far, and in this table if the manifest says that it goes from there to there.
 */
function takeIndex(
  bytes: Uint8Array,
  after: Uint8Array | undefined,
  { key: upTo, handle }: IndexEntry,
  filter: TableFilter | undefined,
  { image, live, table }: Audit,
): void {
  if ((upTo[0] ?? 0) < KIND.TRANSACTION) return;
  const content = contentOf(bytes, handle);
  if (content === undefined || live === undefined || table === undefined) return image.discard();
  filter?.turnTo(handle.offset);
  const [smallest, largest] = [userKeyOf(table.smallest), userKeyOf(table.largest)];
  const range = {
    from: after === undefined || Buffer.compare(after, smallest) < 0 ? smallest : after,
    to: Buffer.compare(upTo, largest) < 0 ? upTo : largest,
    sequenceMax: live.lastSequence,
  };
  if (!readTableBlock(content, image, range, filter)) image.discard();
}

/** Which of our blocks lie between two keys of the index: ` (headers of blocks 3 to 7)`. */
function describeKeys(after: Uint8Array | undefined, upTo: Uint8Array): string {
  const names: Record<number, string> = {
    [KIND.BLOCK]: 'headers',
    [KIND.SIGNATURES]: 'certificates',
  };
  const last = names[upTo[0] ?? 0];
  const first = after === undefined ? undefined : names[after[0] ?? 0];
  const from = first === undefined || after === undefined ? undefined : numberIn(after) + 1;
  if (last !== undefined && upTo.length === 9) {
    const start = first === last && from !== undefined ? `${from} to ` : 'up to ';
    return ` (${last} of blocks ${start}${numberIn(upTo)})`;
  }
  if (first !== undefined) return ` (${first} of blocks from ${from} on)`;
  return after === undefined ? '' : ' (transaction index)';
}

function numberIn(key: Uint8Array): number {
  let number = 0;
  for (let index = 1; index < 9; index += 1) number = number * 256 + (key[index] ?? 0);
  return number;
}

function isIntact(bytes: Uint8Array, { offset, size }: Handle): boolean {
  const end = offset + size;
  if (end + TRAILER_BYTES > bytes.length) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return crc32c(bytes, offset, end + 1) === unmaskCrc(view.getUint32(end + 1, true));
}

/** Content of an intact block, decompressed. */
function readBlock(bytes: Uint8Array, handle: Handle): Uint8Array | undefined {
  return isIntact(bytes, handle) ? contentOf(bytes, handle) : undefined;
}

function contentOf(bytes: Uint8Array, handle: Handle): Uint8Array | undefined {
  const content = bytes.subarray(handle.offset, handle.offset + handle.size);
  const type = bytes[handle.offset + handle.size];
  if (type === 0) return content;
  return type === 1 ? snappyDecompress(content, STORE_LIMITS.scanFileBytesMax) : undefined;
}

function readIndex(content: Uint8Array): IndexEntry[] | undefined {
  const index: IndexEntry[] = [];
  const entries = readEntries(content);
  let before: Uint8Array = new Uint8Array(0);
  for (const { key: whole, value } of entries ?? []) {
    const found = readHandle(value, 0);
    if (found?.end !== value.length || whole.length < KEY_SUFFIX_BYTES) return undefined;
    const key = userKeyOf(whole);
    if (Buffer.compare(before, key) > 0) return undefined;
    index.push({ key, handle: found.handle });
    before = key;
  }
  return entries === undefined ? undefined : index;
}

/**
 * Entries of a block: shared, unshared and value lengths, key suffix, value; then the restart array: places of entries that stand
 * for themselves, by which LevelDB searches, the first entry among them.
 */
function readEntries(content: Uint8Array): Entry[] | undefined {
  if (content.length < 4) return undefined;
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const restarts = restartsIn(content);
  const end = content.length - 4 - 4 * restarts;
  const entries: Entry[] = [];
  let previous = new Uint8Array(0);
  let position = 0;
  let restart = 0;
  while (position < end) {
    const isRestart = restart < restarts && view.getUint32(end + 4 * restart, true) === position;
    if (isRestart) restart += 1;
    const shared = readVarint(content, position);
    const unshared = shared === undefined ? undefined : readVarint(content, shared.end);
    const value = unshared === undefined ? undefined : readVarint(content, unshared.end);
    if (shared === undefined || unshared === undefined || value === undefined) return undefined;
    const keyEnd = value.end + unshared.value;
    position = keyEnd + value.value;
    if (shared.value > (isRestart ? 0 : previous.length) || position > end) return undefined;
    if (restart === 0) return undefined;
    const key = new Uint8Array(shared.value + unshared.value);
    key.set(previous.subarray(0, shared.value));
    key.set(content.subarray(value.end, keyEnd), shared.value);
    entries.push({ key, value: content.subarray(keyEnd, position) });
    previous = key;
  }
  const isWhole = position === end && (restart === restarts || entries.length === 0);
  return isWhole ? entries : undefined;
}

function restartsIn(content: Uint8Array): number {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  return view.getUint32(content.length - 4, true);
}

function readHandle(
  bytes: Uint8Array,
  position: number,
): { handle: Handle; end: number } | undefined {
  const offset = readVarint(bytes, position);
  const size = offset === undefined ? undefined : readVarint(bytes, offset.end);
  if (offset === undefined || size === undefined) return undefined;
  return { handle: { offset: offset.value, size: size.value }, end: size.end };
}
