/**
 * One small file a channel: what this replica must not forget of the runs that it took part in (docs/protocol.md,
 * B5 to B9). `sluice init` writes an empty one, so a replica without it knows that it has lost its memory.
 */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OrdererError } from '../errors.ts';
import type { RunKey } from './decide.ts';

export const RUN_RECORD_FILE = 'last-run';

const RECORD_BYTES_MAX = 1_024;
const VERSION = 1;

export interface RunRecord {
  /** Where it was ready to begin last: it takes part in no run of a lower generation. */
  readonly promised: RunKey | undefined;
  /** The run that it took part in last. */
  readonly run: RunKey | undefined;
}

/** Of a replica that has never begun. */
export const EMPTY_RECORD: RunRecord = { promised: undefined, run: undefined };

/** Undefined when there is none. Throws OrdererError `bad_run_record` when it is damaged. */
export async function readRunRecord(file: string): Promise<RunRecord | undefined> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const record = content.length <= RECORD_BYTES_MAX ? parse(content) : undefined;
  if (record !== undefined) return record;
  throw new OrdererError(
    'bad_run_record',
    `${file} is damaged. Move it away together with the folder ${join(dirname(file), 'log')}: the replica then joins ` +
      'the others as one without memory',
  );
}

export function encodeRunRecord({ promised, run }: RunRecord): string {
  return `${JSON.stringify({ version: VERSION, promised: promised ?? null, run: run ?? null })}\n`;
}

/** On disk, rename included, when it resolves. */
export async function writeRunRecord(file: string, record: RunRecord): Promise<void> {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(encodeRunRecord(record));
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

function parse(content: string): RunRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { version, promised, run } = value as Record<string, unknown>;
  if (version !== VERSION) return undefined;
  const promisedKey = promised === null ? undefined : readRunKey(promised);
  const key = run === null ? undefined : readRunKey(run);
  if (promisedKey === undefined && promised !== null) return undefined;
  if (key === undefined && run !== null) return undefined;
  if ((key?.generation ?? 0) > (promisedKey?.generation ?? 0)) return undefined;
  return { promised: promisedKey, run: key };
}

/** Undefined unless the value has the three fields, each in its range; more fields are no matter here. */
export function readRunKey(value: unknown): RunKey | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { height, tipHash, generation } = value as Record<string, unknown>;
  const good =
    isPositive(height) &&
    isPositive(generation) &&
    typeof tipHash === 'string' &&
    /^[0-9a-f]{64}$/.test(tipHash);
  return good ? { height, tipHash, generation } : undefined;
}

/** Far from where adding to it would lose precision. */
function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value < 2 ** 52;
}
