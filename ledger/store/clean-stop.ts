/**
 * A small file beside LevelDB that says how high the ledger was when it was closed in order. It
 * is there only while the ledger is closed: taken away, durably, before the first write. LevelDB
 * cannot tell a log whose end was cut off or changed from a crash; with this file that is
 * noticed after every orderly stop.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { toHex } from '../format/index.ts';
import { corrupt } from './records.ts';

const FILE_NAME = 'clean-stop';

export interface Heights {
  storedHeight: number;
  certifiedHeight: number;
  tipHash: Uint8Array;
}

/**
 * Undefined when the ledger was not closed in order. Throws
 * `ledger_corrupt` when the file makes no sense.
 */
export async function readCleanStop(directory: string): Promise<string | undefined> {
  const path = join(directory, FILE_NAME);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const end = text.lastIndexOf(' ');
  if (end < 0 || text.slice(end + 1) !== checksum(text.slice(0, end))) {
    throw corrupt(`${path} does not match its checksum`);
  }
  return text.slice(0, end);
}

/** The line that `heights` would have written: compared with what `readCleanStop` found. */
export function describeHeights(heights: Heights): string {
  return `stored ${heights.storedHeight} certified ${heights.certifiedHeight} tip ${toHex(heights.tipHash)}`;
}

export async function writeCleanStop(directory: string, heights: Heights): Promise<void> {
  const line = describeHeights(heights);
  const temporary = join(directory, `${FILE_NAME}.new`);
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(`${line} ${checksum(line)}`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, FILE_NAME));
  await syncDirectory(directory);
}

export async function removeCleanStop(directory: string): Promise<void> {
  await rm(join(directory, FILE_NAME), { force: true });
  await syncDirectory(directory);
}

/** Makes created, renamed and removed names durable. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function checksum(line: string): string {
  return crc32(line).toString(16).padStart(8, '0');
}
