/**
 * One small file a channel: the block from which this replica last began a run. A replica keeps no record of its
 * votes, so after a restart it must not vote again in a run in which it may have voted (docs/protocol.md, B8).
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Height and hash, decimal and hex. */
const RECORD_BYTES_MAX = 128;

/** Undefined when there is none: this replica has never begun a run. Throws when it is damaged. */
export async function readRunRecord(file: string): Promise<string | undefined> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const record = content.trimEnd();
  if (record.length <= RECORD_BYTES_MAX && /^\d+\/[0-9a-f]{64}$/.test(record)) return record;
  throw new Error(`${file} is damaged; delete it only while all replicas are stopped`);
}

/** On disk, rename included, when it resolves. */
export async function writeRunRecord(file: string, record: string): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(`${record}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
