/** LevelDB opened with our options; its errors with our codes. */
import { Level } from 'level';
import { LedgerError, type LedgerErrorCode } from '../errors.ts';
import { STORE_LIMITS } from './limits.ts';
import { corrupt } from './records.ts';

export type Database = Level<Uint8Array, Uint8Array>;

export type Operation =
  | { type: 'put'; key: Uint8Array; value: Uint8Array }
  | { type: 'del'; key: Uint8Array };

/**
 * Opens the LevelDB folder; throws `ledger_locked`, `ledger_corrupt`,
 * `disk_full` or `write_failed`.
 */
export async function openDatabase(
  location: string,
  options: { createIfMissing: boolean },
): Promise<Database> {
  const database = new Level<Uint8Array, Uint8Array>(location, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: options.createIfMissing,
    // Ids are hashes, and signatures no shorter for it: Snappy was a sixth of what merging tables takes, and saved nothing.
    compression: false,
    cacheSize: STORE_LIMITS.cacheBytesMax,
    writeBufferSize: STORE_LIMITS.writeBufferBytesMax,
    maxFileSize: STORE_LIMITS.tableFileBytesMax,
    maxOpenFiles: STORE_LIMITS.openFilesMax,
  });
  try {
    await database.open();
  } catch (error) {
    throw openError(error, location);
  }
  return database;
}

function openError(error: unknown, location: string): LedgerError {
  const { code, text } = innermost(error);
  if (code === 'LEVEL_LOCKED') {
    return new LedgerError(
      'ledger_locked',
      `${location} is open in another process: stop the replica that uses it first`,
      { location },
      error,
    );
  }
  if (code === 'LEVEL_CORRUPTION' || /corrupt|missing files|CURRENT|MANIFEST/i.test(text)) {
    return corrupt(`LevelDB cannot open ${location} (${text})`, { location });
  }
  return writeError(error, location);
}

/** What a failed write means to the caller. */
export function writeError(error: unknown, location: string): LedgerError {
  const { text } = innermost(error);
  const full = /no space left|quota exceeded|file too large/i.test(text);
  const code: LedgerErrorCode = full ? 'disk_full' : 'write_failed';
  const advice = full
    ? 'the disk is full: make room'
    : 'writing failed: check the disk and the permissions';
  return new LedgerError(
    code,
    `${advice}, then start the replica again; nothing of this call is stored (${location}: ${text})`,
    { location },
    error,
  );
}

/** What a failed read means: LevelDB noticed damage, or the disk does not answer. */
export function readError(error: unknown, what: string): LedgerError {
  if (error instanceof LedgerError) return error;
  const { code, text } = innermost(error);
  if (code === 'LEVEL_DATABASE_NOT_OPEN' || code === 'LEVEL_ITERATOR_NOT_OPEN') {
    return new LedgerError('ledger_closed', 'the ledger is closed: open it again', {}, error);
  }
  return corrupt(`LevelDB cannot read ${what} (${text})`);
}

/** abstract-level wraps the binding's error as `cause`. */
function innermost(error: unknown): { code: string; text: string } {
  let current: unknown = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  if (!(current instanceof Error)) return { code: '', text: String(current) };
  const code = 'code' in current && typeof current.code === 'string' ? current.code : '';
  return { code, text: current.message };
}
