/**
 * A folder of block files, `0000.block` and so on, each one serialized `common.Block`:
 * what the auditor may be given.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LedgerError } from '../errors.ts';
import { plainView } from '../format/wire-reader.ts';
import { STORE_LIMITS } from './limits.ts';

export type BlockFile =
  | { kind: 'block'; number: number; file: string; bytes: Uint8Array }
  /** No file for the numbers `from` to `to`, both included. */
  | { kind: 'gap'; from: number; to: number }
  /** Two names for one number, or a file that cannot be a block. */
  | { kind: 'unusable'; number: number; file: string; reason: string };

interface Named {
  number: number;
  file: string;
}

/**
 * Lists the block files by number. Other files are left out. Throws
 * `ledger_missing` when the folder has none.
 */
export async function listBlockFiles(directory: string): Promise<Named[]> {
  const names = await readdir(directory).catch(() => []);
  const files: Named[] = [];
  for (const file of names) {
    const match = /^(\d{1,16})\.block$/.exec(file);
    const number = Number(match?.[1]);
    if (match !== null && Number.isSafeInteger(number)) files.push({ number, file });
  }
  if (files.length === 0) {
    throw new LedgerError(
      'ledger_missing',
      `${directory} has no block files: they are named by number, such as 0000.block`,
      { directory },
    );
  }
  return files.sort((a, b) => a.number - b.number || (a.file < b.file ? -1 : 1));
}

/**
 * Reads the files in the order of their numbers, one at a time; a gap (from
 * block 0 on) is named where it is.
 */
export async function* readBlockFiles(
  directory: string,
): AsyncGenerator<BlockFile, void, undefined> {
  let expected = 0;
  for (const { number, file } of await listBlockFiles(directory)) {
    if (number < expected) {
      yield { kind: 'unusable', number, file, reason: `another file holds block ${number}` };
      continue;
    }
    if (number > expected) yield { kind: 'gap', from: expected, to: number - 1 };
    expected = number + 1;
    const path = join(directory, file);
    const { size } = await stat(path);
    if (size > STORE_LIMITS.blockFileBytesMax) {
      const reason = `${size} bytes, at most ${STORE_LIMITS.blockFileBytesMax}`;
      yield { kind: 'unusable', number, file, reason };
      continue;
    }
    const bytes = await readFile(path);
    yield { kind: 'block', number, file, bytes: plainView(bytes) };
  }
}
