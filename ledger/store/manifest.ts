/**
 * Which tables belong to a LevelDB database: those that its manifest names. Whoever dies in the middle of a compaction
 * leaves others behind, written in part; LevelDB removes them when it opens the database, and nothing is in them that is not
 * elsewhere.
 *
 * The manifest is a log (log-scan.ts) of edits (LevelDB db/version_edit.cc): fields of a tag, varint, and what the tag takes.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KEY_SUFFIX_BYTES } from './index-entries.ts';
import { type ChangedBytes, changedBytes, logRecords } from './log-scan.ts';
import { readVarint } from './varint.ts';

const TAG = {
  COMPARATOR: 1,
  LOG_NUMBER: 2,
  NEXT_FILE_NUMBER: 3,
  LAST_SEQUENCE: 4,
  COMPACT_POINTER: 5,
  DELETED_FILE: 6,
  NEW_FILE: 7,
  PREVIOUS_LOG_NUMBER: 9,
} as const;

export interface LiveTable {
  readonly level: number;
  readonly bytes: number;
  /** The first and the last key, as LevelDB has them: ours, and the suffix. */
  readonly smallest: Uint8Array;
  readonly largest: Uint8Array;
}

export interface LiveTables {
  readonly byNumber: ReadonlyMap<number, LiveTable>;
  /** What is later LevelDB does not see, unless it is in the log. */
  readonly lastSequence: number;
  /** Set when these are not what LevelDB would make of the manifest, or it would end the process over them. */
  readonly fault: ChangedBytes | undefined;
}

/** Undefined when CURRENT or the manifest cannot be read: LevelDB will say what is wrong with them. */
export async function liveTables(directory: string): Promise<LiveTables | undefined> {
  try {
    const name = (await readFile(join(directory, 'CURRENT'), 'utf8')).trim();
    if (!/^MANIFEST-\d+$/.test(name)) return undefined;
    return tablesOf(await readFile(join(directory, name)), name);
  } catch {
    return undefined;
  }
}

/** Undefined when an edit is not understood. */
export function tablesOf(manifest: Uint8Array, file: string): LiveTables | undefined {
  const live = new Map<number, LiveTable>();
  let lastSequence = 0;
  let isOdd = false;
  for (const record of logRecords(manifest)) {
    const edit = new EditReader(record);
    while (!edit.atEnd && !edit.failed) {
      const tag = edit.number();
      if (tag === TAG.LAST_SEQUENCE) lastSequence = edit.number();
      else readField(edit, tag, live);
    }
    if (edit.failed) return undefined;
    isOdd ||= edit.isOdd;
  }
  const reason = isOdd ? 'it adds or removes tables as LevelDB never does' : overlapIn(live);
  const fault = reason === undefined ? undefined : changedBytes(file, 0, reason);
  return { byNumber: live, lastSequence, fault };
}

function readField(edit: EditReader, tag: number, live: Map<number, LiveTable>): void {
  switch (tag) {
    case TAG.COMPARATOR:
      edit.bytes();
      return;
    case TAG.LOG_NUMBER:
    case TAG.NEXT_FILE_NUMBER:
    case TAG.PREVIOUS_LOG_NUMBER:
      edit.number();
      return;
    case TAG.COMPACT_POINTER:
      edit.number();
      edit.bytes();
      return;
    case TAG.DELETED_FILE: {
      const level = edit.number();
      const number = edit.number();
      // LevelDB deletes before it adds, in whatever order an edit says so, and from the level named only.
      if (edit.adds || live.get(number)?.level !== level) edit.isOdd = true;
      live.delete(number);
      return;
    }
    case TAG.NEW_FILE: {
      edit.adds = true;
      const level = edit.number();
      const number = edit.number();
      const table = { level, bytes: edit.number(), smallest: edit.key(), largest: edit.key() };
      if (live.has(number)) edit.isOdd = true;
      live.set(number, table);
      return;
    }
    default:
      edit.failed = true;
  }
}

/** In all levels but the first LevelDB looks for a key in one table, and takes it for granted that they are apart. */
function overlapIn(live: ReadonlyMap<number, LiveTable>): string | undefined {
  const sorted = [...live]
    .filter(([, { level }]) => level > 0)
    .sort(([, a], [, b]) => a.level - b.level || compareKeys(a.smallest, b.smallest));
  for (const [at, [number, { level, smallest }]] of sorted.entries()) {
    const before = sorted[at - 1];
    if (before === undefined || before[1].level !== level) continue;
    if (compareKeys(before[1].largest, smallest) < 0) continue;
    return `tables ${before[0]} and ${number} overlap in it`;
  }
  return undefined;
}

/** As LevelDB orders them: of the versions of a key the latest comes first. */
function compareKeys(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(userKeyOf(a), userKeyOf(b)) || Buffer.compare(versionOf(b), versionOf(a));
}

export function userKeyOf(key: Uint8Array): Uint8Array {
  return key.subarray(0, key.length - KEY_SUFFIX_BYTES);
}

function versionOf(key: Uint8Array): Uint8Array {
  return key.subarray(key.length - KEY_SUFFIX_BYTES).toReversed();
}

class EditReader {
  failed = false;
  /** Whether a table was added. */
  adds = false;
  isOdd = false;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#position >= this.#bytes.length;
  }

  number(): number {
    const varint = readVarint(this.#bytes, this.#position);
    if (varint === undefined) {
      this.failed = true;
      return 0;
    }
    this.#position = varint.end;
    return varint.value;
  }

  bytes(): Uint8Array {
    const length = this.number();
    const from = this.#position;
    this.#position += length;
    if (this.#position > this.#bytes.length) this.failed = true;
    return this.#bytes.subarray(from, this.#position);
  }

  key(): Uint8Array {
    const bytes = this.bytes();
    if (bytes.length < KEY_SUFFIX_BYTES) this.failed = true;
    return bytes;
  }
}
