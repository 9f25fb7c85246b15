/**
 * The write-ahead log of one channel's consensus at one replica. It knows nothing of what its
 * records mean. Every call blocks: it belongs to the consensus thread, where what comes next
 * depends on the record being on disk.
 */
export { WalError, type WalErrorCode } from './errors.ts';
export type { WalOptions } from './limits.ts';
export { readWalName } from './recovery.ts';
export { type OpenedWal, openWal, type Wal } from './wal.ts';
