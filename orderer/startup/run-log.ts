/**
 * The folder of the consensus log, seen from outside: whose run it belongs to, and out of the way with it when
 * this replica takes part in another run. What is in it is the business of `consensus/wal`.
 */
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** In the channel's folder, beside the ledger. */
export const LOG_FOLDER = 'log';

/** Logs of runs that were left, kept for whoever wants to know why. */
const ABANDONED_MAX = 2;

export interface RunLog {
  readonly directory: string;
  /** The 32 bytes of the run id that the log in the folder was written in; undefined when there is none. */
  readonly name: () => Uint8Array | undefined;
}

/**
 * Renames the folder to `<folder>.abandoned-1`, the one that has this name to `-2`, and removes the oldest. Returns
 * the new name, undefined when there was no folder.
 */
export async function setLogAside(directory: string): Promise<string | undefined> {
  const nameOf = (index: number): string => `${directory}.abandoned-${index}`;
  if (!(await exists(directory))) return undefined;
  await rm(nameOf(ABANDONED_MAX), { recursive: true, force: true });
  for (let index = ABANDONED_MAX - 1; index >= 1; index--) {
    if (await exists(nameOf(index))) await rename(nameOf(index), nameOf(index + 1));
  }
  await rename(directory, nameOf(1));
  const parent = await open(dirname(directory), 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
  return nameOf(1);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}
