/**
 * ledger/store: the blocks of one channel in segment files, LevelDB beside them, and the readers of stopped replicas and block
 * files for audits. Needs Node. Described in docs/formats.md.
 */
export { LedgerError, type LedgerErrorCode } from '../errors.ts';
export { type BlockFile, listBlockFiles, readBlockFiles } from './block-files.ts';
export { Ledger } from './ledger.ts';
export { STORE_LIMITS } from './limits.ts';
export type { ChangedBytes, LogFinding } from './log-scan.ts';
export type { HashedHeader, LedgerOptions } from './opening.ts';
export type { BlockToAppend } from './prepare.ts';
export type { BlockParts, RawBlock } from './raw-blocks.ts';
export type { TransactionLocation } from './records.ts';
export { LedgerSnapshot } from './snapshot.ts';
