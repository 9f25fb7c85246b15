/** Bounds of the block store. */
export const STORE_LIMITS = {
  /** LevelDB's cache of table blocks, bytes: the transaction index lives in it. */
  cacheBytesMax: 2 * 1024 * 1024,
  /** LevelDB's memtable and log, bytes; up to two are in memory. */
  writeBufferBytesMax: 2 * 1024 * 1024,
  /**
   * LevelDB's table files, bytes. Open tables are mapped: this times
   * `openFilesMax` bounds what is resident.
   */
  tableFileBytesMax: 1024 * 1024,
  /** LevelDB raises smaller values to 74. */
  openFilesMax: 74,
  /** Calls waiting for the disk. */
  waitingCallsMax: 4096,
  /** Bytes waiting for the disk. */
  waitingBytesMax: 64 * 1024 * 1024,
  /** Bytes that one synced write merges, unless a single call brings more. */
  batchBytesMax: 8 * 1024 * 1024,
  /** Kept of the memory of records that are on the disk, bytes, for those that come. */
  roomBytesMax: 2 * 1024 * 1024,
  /** A segment file that has so many bytes is left for the next one; at most one block longer. */
  segmentBytesMax: 64 * 1024 * 1024,
  /** Bytes of blocks that are stored and not in LevelDB yet, beyond which the next blocks wait: what a start after a crash makes up for. */
  unindexedBytesMax: 16 * 1024 * 1024,
  /**
   * Newest blocks that opening checks against checksum and hash chain: at least
   * what a lost log record could hold.
   */
  openCheckBlocksMax: 1024,
  openCheckBytes: 16 * 1024 * 1024,
  /** Of these, read in one call. */
  openCheckBlocksAtOnce: 16,
  /** Transaction ids in one look-up. */
  lookupIdsMax: 65_536,
  /** Size of a block file that the folder reader accepts, bytes. */
  blockFileBytesMax: 256 * 1024 * 1024,
  /** Largest LevelDB file that the check before opening reads, bytes. */
  scanFileBytesMax: 512 * 1024 * 1024,
  /** Entries of the transaction index that an audit of a stopped ledger keeps in memory, 50 to 100 bytes each. */
  auditIndexEntriesMax: 4 * 1024 * 1024,
  /** Newest table files that opening a replica's ledger checks, bytes; an audit checks all. */
  openTableCheckBytesMax: 16 * 1024 * 1024,
} as const;

if (STORE_LIMITS.openCheckBytes < 2 * STORE_LIMITS.writeBufferBytesMax) {
  throw new Error('openCheckBytes must cover both memtables of LevelDB');
}
if (STORE_LIMITS.waitingBytesMax < STORE_LIMITS.batchBytesMax) {
  throw new Error('waitingBytesMax must hold at least one batch');
}
