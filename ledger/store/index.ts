/**
 * ledger/store: the blocks of one channel in LevelDB, and the readers of stopped replicas and block
 * files for audits. Needs Node. Described in docs/formats.md.
 */
export { LedgerError, type LedgerErrorCode } from '../errors.ts';
export { type BlockFile, listBlockFiles, readBlockFiles } from './block-files.ts';
export { Ledger } from './ledger.ts';
export { STORE_LIMITS } from './limits.ts';
export type { ChangedBytes, LogFinding } from './log-scan.ts';
export type { HashedHeader, LedgerOptions } from './opening.ts';
export type { BlockToAppend } from './prepare.ts';
export type { TransactionLocation } from './records.ts';
export { type BlockParts, LedgerSnapshot, type RawBlock } from './snapshot.ts';
