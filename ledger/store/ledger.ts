/**
 * The ledger of one channel: blocks in segment files, their certificates and the transaction index in LevelDB.
 *
 * A block is stored, synced, as soon as it is cut; its certificate is attached when a quorum of
 * signatures is there. Writers may call without waiting: calls are merged and stored in order, and
 * each promise settles when its own content is stored. What LevelDB holds of a block follows a little later, and is answered from
 * memory until then. What is certified is never changed again.
 */
import { LedgerError } from '../errors.ts';
import { type Block, headerHash, type Sha256 } from '../format/index.ts';
import { BlockReader } from './block-reader.ts';
import { writeCleanStop } from './clean-stop.ts';
import { type Database, type Operation, writeError } from './database.ts';
import { IndexWriter } from './index-writer.ts';
import { STORE_LIMITS } from './limits.ts';
import type { LogFinding } from './log-scan.ts';
import {
  type ChainState,
  type HashedHeader,
  type LedgerOptions,
  type OpenedStore,
  openStore,
} from './opening.ts';
import {
  type BlockToAppend,
  bytesOf,
  invalidCall,
  type Prepared,
  prepareBlocks,
  prepareRestored,
  requireCertificate,
} from './prepare.ts';
import { decodeHeader, isBelow, put } from './reading.ts';
import {
  type BlockEntry,
  blockKey,
  CERTIFIED_KEY,
  encodeCertified,
  KIND,
  type TransactionLocation,
} from './records.ts';
import { removalOf } from './removal.ts';
import { blocksToRestore } from './restoring.ts';
import { type PlacedRecord, SegmentWriter } from './segments/segment-writer.ts';
import { TransactionIndex } from './transaction-index.ts';
import { WriteQueue } from './write-queue.ts';

const NO_ENTRIES = new Map<number, BlockEntry>();

export class Ledger {
  readonly channel: string;
  readonly directory: string;
  readonly genesis: HashedHeader;
  /**
   * What a crash cut off the end of LevelDB's log and of the segment files, found when opening:
   * worth a line in the replica's log.
   */
  readonly tornLogs: LogFinding[];
  private readonly database: Database;
  private readonly reader: BlockReader;
  private readonly writer: SegmentWriter;
  private readonly location: string;
  private readonly sha256: Sha256;
  private readonly segmentBytesMax: number;
  private readonly queue: WriteQueue;
  private readonly release: () => Promise<void>;
  /** What is on disk. */
  private durable: ChainState;
  /** What will be on disk when the queue has drained: new calls are checked against it. */
  private pending: ChainState;
  /** Certificates above `pending.certifiedHeight`, with a gap below. */
  private readonly certificatesAhead: Set<number>;
  private readonly index: TransactionIndex;
  private truncating = false;
  private failureListener: (error: LedgerError) => void = () => {};
  private closing: Promise<void> | undefined;

  /** Throws genesis_mismatch, channel_mismatch, ledger_locked, ledger_corrupt, format_version, disk_full, write_failed. */
  static async open(options: LedgerOptions, deps: { sha256: Sha256 }): Promise<Ledger> {
    const store = await openStore(options, deps.sha256);
    const ledger = new Ledger(options, store, deps.sha256);
    try {
      await ledger.restore(store);
      // In the background, and for as long as it takes.
      ledger.index.learn();
    } catch (error) {
      await ledger.release();
      throw error;
    }
    return ledger;
  }

  private constructor(options: LedgerOptions, store: OpenedStore, sha256: Sha256) {
    this.channel = options.channel;
    this.directory = options.directory;
    this.genesis = store.genesis;
    this.tornLogs = store.tornLogs;
    this.database = store.database;
    this.reader = new BlockReader(store.database, store.segments);
    this.location = store.location;
    this.sha256 = sha256;
    this.segmentBytesMax = options.segmentBytesMax ?? STORE_LIMITS.segmentBytesMax;
    this.index = new TransactionIndex(store.database);
    this.writer = new SegmentWriter(store.segmentFolder);
    const indexWriter = new IndexWriter(store.database, store.location, (error) =>
      this.failureListener(error),
    );
    this.queue = new WriteQueue(this.writer, indexWriter, store.location);
    this.release = async () => {
      this.writer.close();
      await store.release();
    };
    this.durable = store.state;
    this.pending = store.state;
    this.certificatesAhead = store.certificatesAhead;
  }

  /** Called when the disk fails behind what was answered already; every later write is refused with the same error. */
  onFailure(listener: (error: LedgerError) => void): void {
    this.failureListener = listener;
  }

  /** Blocks on disk, genesis included. */
  storedHeight(): number {
    return this.durable.storedHeight;
  }

  /** Blocks on disk of which the certificate is known, without gap from the genesis block on. */
  certifiedHeight(): number {
    return Math.min(this.durable.storedHeight, this.pending.certifiedHeight);
  }

  /** Header of block `storedHeight() - 1`. */
  tip(): HashedHeader {
    return this.durable.tip;
  }

  /**
   * Stores blocks without certificate, synced, each of them wholly or not at all, and a block only with all before it.
   * Rejects with `invalid_call` when a block does not extend the chain or is not well-formed
   * (nothing is stored), `disk_full`, `write_failed`, `overloaded`, `ledger_closed`.
   */
  async appendBlocks(blocks: readonly BlockToAppend[]): Promise<void> {
    await this.append(blocks, false);
  }

  /**
   * Catch-up: as `appendBlocks`, each block with its certificate in
   * metadata[0], which the caller has checked.
   */
  async appendCertified(blocks: readonly BlockToAppend[]): Promise<void> {
    await this.append(blocks, true);
  }

  /**
   * Stores the certificate (serialized `common.Metadata`) of a block that is stored or in the
   * queue; the caller has checked it. Does nothing when the block has one. It can be read at once, and is written
   * a little later: after a crash the replicas exchange their signatures again, and no block is lost.
   */
  async attachCertificate(number: number, metadataSignatures: Uint8Array): Promise<void> {
    this.requireWritable();
    const { pending } = this;
    if (!Number.isSafeInteger(number) || number < 0 || number >= pending.storedHeight) {
      throw invalidCall(
        `block ${number} is not stored: append it before its certificate (height ${pending.storedHeight})`,
      );
    }
    if (number < pending.certifiedHeight || this.certificatesAhead.has(number)) return;
    requireCertificate(metadataSignatures, number);
    this.queue.requireRoom(metadataSignatures.length);
    this.certificatesAhead.add(number);
    const operations: Operation[] = [put(blockKey(KIND.SIGNATURES, number), metadataSignatures)];
    const certifiedHeight = this.advanceCertified(pending.certifiedHeight);
    if (certifiedHeight > pending.certifiedHeight) {
      operations.push(put(CERTIFIED_KEY, encodeCertified(certifiedHeight)));
    }
    const certificates = new Map([[number, metadataSignatures]]);
    this.reader.queued(NO_ENTRIES, certificates);
    this.pending = { ...pending, certifiedHeight };
    this.queue
      .push({
        records: [],
        operations,
        transactions: [],
        bytes: bytesOf(operations),
        stored: () => {
          this.durable = { ...this.durable, certifiedHeight };
        },
        indexed: () => this.reader.indexed(NO_ENTRIES, certificates),
      })
      // A disk that fails is told to whoever writes next.
      .catch(() => {});
  }

  /**
   * Drops every block from `toHeight` on, with its index entries, so that `toHeight` blocks
   * remain: for a replica that stored blocks which the others did not agree on. Refuses to drop
   * a block that has a certificate.
   */
  async truncateUncertified(toHeight: number): Promise<void> {
    this.requireWritable();
    const lowest = Math.max(
      this.pending.certifiedHeight,
      ...[...this.certificatesAhead].map((n) => n + 1),
    );
    if (!Number.isSafeInteger(toHeight) || toHeight < lowest) {
      throw invalidCall(
        `block ${lowest - 1} has a certificate: the lowest height to cut to is ${lowest}`,
      );
    }
    if (toHeight >= this.pending.storedHeight) return;
    this.truncating = true;
    try {
      await this.queue.idle();
      if (this.queue.failure !== undefined) throw this.queue.failure;
      const { reader, index, sha256 } = this;
      const dependencies = { reader, index, sha256 };
      const { operations, next } = await removalOf(toHeight, this.pending, dependencies);
      await this.queue.cut(operations, next.end);
      this.pending = next;
      this.durable = next;
    } finally {
      this.truncating = false;
    }
  }

  /** Serialized `common.Block` with its certificate; undefined when it is not certified here. */
  async block(number: number): Promise<Uint8Array | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.certifiedHeight())) return undefined;
    return this.reader.certified(number);
  }

  /** A stored block, certified or not: without certificate, metadata[0] is as it was appended. */
  async storedBlock(number: number): Promise<Block | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.durable.storedHeight)) return undefined;
    return this.reader.block(number);
  }

  /** Header of a stored block, certified or not; cheap, it does not read the data. */
  async header(number: number): Promise<HashedHeader | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.durable.storedHeight)) return undefined;
    const entry = await this.reader.entry(number);
    const header = decodeHeader(entry.header, number);
    return { ...header, hash: headerHash(header, this.sha256) };
  }

  /** The SIGNATURES metadata entry of a block; undefined when it has none here. */
  async certificate(number: number): Promise<Uint8Array | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.durable.storedHeight)) return undefined;
    return this.reader.certificate(number);
  }

  /**
   * Where a transaction is, in a stored block; undefined when it is in none, or `txId` is no id.
   */
  async transaction(txId: string): Promise<TransactionLocation | undefined> {
    this.requireOpen();
    const location = await this.index.locate(txId);
    return location !== undefined && isBelow(location.blockNumber, this.durable.storedHeight)
      ? location
      : undefined;
  }

  /**
   * Whether it is in a block that is stored or in the queue, at once: for turning duplicates away at submission. The
   * usual answer, no, comes from memory (id-filter.ts); otherwise going through the thread pool would cost more than the look-up.
   */
  hasTransactionNow(txId: string): boolean {
    this.requireOpen();
    return this.index.hasNow(txId);
  }

  /**
   * Which of the transactions are in a block that is stored or in the queue: for de-duplication,
   * one multi-get. At most `lookupIdsMax` ids.
   */
  async hasTransactions(txIds: readonly string[]): Promise<boolean[]> {
    this.requireOpen();
    return this.index.has(txIds);
  }

  /**
   * In which block each of the transactions is, stored or in the queue; undefined when in none. As
   * `hasTransactions`, and slower: the answers have to be read.
   */
  async blocksOfTransactions(txIds: readonly string[]): Promise<(number | undefined)[]> {
    this.requireOpen();
    return this.index.blocksOf(txIds);
  }

  /**
   * Certified blocks from `from` to `to`, both included, in order; ends at the certified height.
   * Reads one block at a time, when it is asked for: a slow reader costs one block of memory.
   */
  async *read(
    from: number,
    to: number = Number.MAX_SAFE_INTEGER,
  ): AsyncGenerator<{ number: number; bytes: Uint8Array }, void, undefined> {
    for (let number = from; number <= to; number += 1) {
      const bytes = await this.block(number);
      if (bytes === undefined) return;
      yield { number, bytes };
    }
  }

  /** Waits for what is queued, then closes. May be called again. */
  close(): Promise<void> {
    this.closing ??= this.shutDown();
    return this.closing;
  }

  private async shutDown(): Promise<void> {
    try {
      await this.queue.idle();
      await this.index.close();
      await this.database.close();
      if (this.queue.failure === undefined) {
        await writeCleanStop(this.directory, { ...this.durable, tipHash: this.durable.tip.hash });
      }
    } catch (error) {
      throw writeError(error, this.location);
    } finally {
      await this.release();
    }
  }

  private async append(blocks: readonly BlockToAppend[], certified: boolean): Promise<void> {
    this.requireWritable();
    if (blocks.length === 0) return;
    const { sha256, segmentBytesMax, writer } = this;
    const dependencies = { sha256, segmentBytesMax, allocate: writer.allocate };
    const prepared = prepareBlocks(blocks, certified, this.pending, dependencies);
    const { operations, transactions, records } = prepared;
    this.queue.requireRoom(bytesOf(operations, transactions, records));
    await this.commit(prepared, records);
  }

  /** Tells LevelDB of the blocks that a crash kept it from knowing, and cuts off what the crash left of one more. */
  private async restore({ segmentFolder, segments }: OpenedStore): Promise<void> {
    const torn: LogFinding[] = [];
    const found = blocksToRestore(segmentFolder, this.durable.end, segments, torn);
    for await (const { at, block, certified } of found) {
      const state = { ...this.pending, end: at };
      await this.commit(prepareRestored(block, certified, state, this.sha256), []);
    }
    await this.queue.idle();
    if (this.queue.failure !== undefined) throw this.queue.failure;
    if (torn.length > 0) await this.writer.cut(this.durable.end);
    this.tornLogs.push(...torn);
  }

  /** `records`: those of `prepared`, unless they are in the segment files already. */
  private commit(prepared: Prepared, records: readonly PlacedRecord[]): Promise<void> {
    const { operations, transactions, next, entries, certificates } = prepared;
    for (const number of certificates.keys()) this.certificatesAhead.add(number);
    const certifiedHeight = this.advanceCertified(next.certifiedHeight);
    if (certifiedHeight > next.certifiedHeight) {
      operations.push(put(CERTIFIED_KEY, encodeCertified(certifiedHeight)));
      next.certifiedHeight = certifiedHeight;
    }
    this.pending = next;
    this.index.queued(transactions);
    this.reader.queued(entries, certificates);
    return this.queue.push({
      records,
      operations,
      transactions,
      bytes: bytesOf(operations, transactions, records),
      stored: () => {
        this.durable = next;
      },
      indexed: () => {
        this.reader.indexed(entries, certificates);
        this.index.indexed(transactions);
      },
    });
  }

  /** Moves certificates that are contiguous out of `certificatesAhead`; returns the new certified height. */
  private advanceCertified(from: number): number {
    let height = from;
    while (this.certificatesAhead.delete(height)) height += 1;
    return height;
  }

  private requireOpen(): void {
    if (this.closing !== undefined) {
      throw new LedgerError('ledger_closed', 'the ledger is closed: open it again');
    }
  }

  private requireWritable(): void {
    this.requireOpen();
    if (this.truncating) throw invalidCall('wait for truncateUncertified before the next write');
  }
}
