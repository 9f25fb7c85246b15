/**
 * Which tables belong to a LevelDB database: those that its manifest names. Whoever dies in the middle of a compaction
 * leaves others behind, written in part; LevelDB removes them when it opens the database, and nothing is in them that is not
 * elsewhere.
 *
 * The manifest is a log (log-scan.ts) of edits (LevelDB db/version_edit.cc): fields of a tag, varint, and what the tag takes.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { logRecords } from './log-scan.ts';
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

/** Undefined when CURRENT or the manifest cannot be read: LevelDB will say what is wrong with them. */
export async function liveTables(directory: string): Promise<ReadonlySet<number> | undefined> {
  try {
    const name = (await readFile(join(directory, 'CURRENT'), 'utf8')).trim();
    if (!/^MANIFEST-\d+$/.test(name)) return undefined;
    return tablesOf(await readFile(join(directory, name)));
  } catch {
    return undefined;
  }
}

/** Undefined when an edit is not understood. */
export function tablesOf(manifest: Uint8Array): ReadonlySet<number> | undefined {
  const live = new Set<number>();
  for (const record of logRecords(manifest)) {
    const edit = new EditReader(record);
    while (!edit.atEnd && !edit.failed) readField(edit, live);
    if (edit.failed) return undefined;
  }
  return live;
}

function readField(edit: EditReader, live: Set<number>): void {
  switch (edit.number()) {
    case TAG.COMPARATOR:
      return edit.skipBytes();
    case TAG.LOG_NUMBER:
    case TAG.NEXT_FILE_NUMBER:
    case TAG.LAST_SEQUENCE:
    case TAG.PREVIOUS_LOG_NUMBER:
      edit.number();
      return;
    case TAG.COMPACT_POINTER:
      edit.number();
      return edit.skipBytes();
    case TAG.DELETED_FILE:
      edit.number();
      live.delete(edit.number());
      return;
    case TAG.NEW_FILE: {
      edit.number();
      live.add(edit.number());
      edit.number();
      edit.skipBytes();
      return edit.skipBytes();
    }
    default:
      edit.failed = true;
  }
}

class EditReader {
  failed = false;
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

  skipBytes(): void {
    const length = this.number();
    this.#position += length;
    if (this.#position > this.#bytes.length) this.failed = true;
  }
}
