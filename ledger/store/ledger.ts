/**
 * The ledger of one channel: blocks, their certificates and the transaction index in LevelDB.
 *
 * A block is stored, synced, as soon as it is cut; its certificate is attached when a quorum of
 * signatures is there. Writers may call without waiting: calls are merged and stored in order, and
 * each promise settles when its own content is stored. What is certified is never changed again.
 */
import { LedgerError } from '../errors.ts';
import {
  type Block,
  decodeBlockData,
  headerHash,
  joinBlock,
  type Sha256,
} from '../format/index.ts';
import { writeCleanStop } from './clean-stop.ts';
import { type Database, type Operation, writeError } from './database.ts';
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
  prepareBlocks,
  requireCertificate,
} from './prepare.ts';
import { isBelow, put, readHeader, readRecord, readStoredBlock, requireRecord } from './reading.ts';
import {
  blockKey,
  CERTIFIED_KEY,
  corrupt,
  encodeCertified,
  encodeTip,
  KIND,
  TIP_KEY,
  type TransactionLocation,
} from './records.ts';
import { removalOf } from './removal.ts';
import { TransactionIndex } from './transaction-index.ts';
import { type WriteJob, WriteQueue } from './write-queue.ts';

const EMPTY = new Uint8Array(0);

export class Ledger {
  readonly channel: string;
  readonly directory: string;
  readonly genesis: HashedHeader;
  /**
   * What a crash cut off the end of LevelDB's log, found when opening:
   * worth a line in the replica's log.
   */
  readonly tornLogs: readonly LogFinding[];
  private readonly database: Database;
  private readonly location: string;
  private readonly sha256: Sha256;
  private readonly queue: WriteQueue;
  private readonly release: () => void;
  /** What is on disk. */
  private durable: ChainState;
  /** What will be on disk when the queue has drained: new calls are checked against it. */
  private pending: ChainState;
  /** Certificates that are known and not written yet, by block. */
  private readonly unwritten = new Map<number, Uint8Array>();
  /** Certificates above `pending.certifiedHeight`, with a gap below. */
  private readonly certificatesAhead: Set<number>;
  private readonly index: TransactionIndex;
  private truncating = false;
  private closing: Promise<void> | undefined;

  /**
   * Opens the ledger, or creates it with the genesis block. Throws LedgerError: genesis_mismatch,
   * channel_mismatch, ledger_locked, ledger_corrupt, format_version, disk_full, write_failed.
   */
  static async open(options: LedgerOptions, deps: { sha256: Sha256 }): Promise<Ledger> {
    return new Ledger(options, await openStore(options, deps.sha256), deps.sha256);
  }

  private constructor(options: LedgerOptions, store: OpenedStore, sha256: Sha256) {
    this.channel = options.channel;
    this.directory = options.directory;
    this.genesis = store.genesis;
    this.tornLogs = store.tornLogs;
    this.database = store.database;
    this.location = store.location;
    this.sha256 = sha256;
    this.index = new TransactionIndex(store.database);
    this.queue = new WriteQueue(store.database, store.location);
    this.release = store.release;
    this.durable = store.state;
    this.pending = store.state;
    this.certificatesAhead = store.certificatesAhead;
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
   * Stores blocks without certificate, with their index entries, in one atomic synced batch.
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
   * with the next block or a little later, not synced: after a crash the replicas exchange their signatures
   * again, and no block is lost.
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
    const operations: Operation[] = [
      put(blockKey(KIND.SIGNATURES, number), metadataSignatures),
      { type: 'del', key: blockKey(KIND.UNSIGNED, number) },
    ];
    const certifiedHeight = this.advanceCertified(pending.certifiedHeight);
    if (certifiedHeight > pending.certifiedHeight) {
      operations.push(put(CERTIFIED_KEY, encodeCertified(certifiedHeight)));
    }
    this.unwritten.set(number, metadataSignatures);
    this.commit(operations, { ...pending, certifiedHeight }, 'later').then(
      () => this.unwritten.delete(number),
      // A disk that fails is told to whoever writes next.
      () => {},
    );
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
      const operations: Operation[] = [];
      for (let number = toHeight; number < this.pending.storedHeight; number += 1) {
        operations.push(...(await removalOf(number, await this.storedBlock(number), this.index)));
      }
      const { header } = await readStoredBlock(this.database, toHeight - 1);
      const tip = { ...header, hash: headerHash(header, this.sha256) };
      operations.push(put(TIP_KEY, encodeTip({ storedHeight: toHeight, tipHash: tip.hash })));
      const next = { ...this.pending, storedHeight: toHeight, tip };
      await this.commit(operations, next, 'synced');
    } finally {
      this.truncating = false;
    }
  }

  /** Serialized `common.Block` with its certificate; undefined when it is not certified here. */
  async block(number: number): Promise<Uint8Array | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.certifiedHeight())) return undefined;
    const what = `block ${number}`;
    const unwritten = this.unwritten.get(number);
    const [header, data, certificate] = await Promise.all([
      requireRecord(this.database, blockKey(KIND.HEADER, number), what),
      requireRecord(this.database, blockKey(KIND.DATA, number), what),
      unwritten ?? requireRecord(this.database, blockKey(KIND.SIGNATURES, number), what),
    ]);
    return joinBlock(header, data, [certificate, EMPTY, EMPTY, EMPTY, EMPTY]);
  }

  /** A stored block, certified or not: without certificate, metadata[0] is as it was appended. */
  async storedBlock(number: number): Promise<Block | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.durable.storedHeight)) return undefined;
    const { header, dataBytes } = await readStoredBlock(this.database, number);
    const data = decodeBlockData(dataBytes);
    if (data.kind === 'malformed') {
      throw corrupt(`block ${number} is damaged (${data.reason})`, { blockNumber: number });
    }
    const signatures = (await this.certificate(number)) ?? (await this.unsigned(number)) ?? EMPTY;
    return { header, data: data.value, metadata: [signatures, EMPTY, EMPTY, EMPTY, EMPTY] };
  }

  /** Header of a stored block, certified or not; cheap, it does not read the data. */
  async header(number: number): Promise<HashedHeader | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.durable.storedHeight)) return undefined;
    const header = await readHeader(this.database, number);
    return { ...header, hash: headerHash(header, this.sha256) };
  }

  /** The SIGNATURES metadata entry of a block; undefined when it has none here. */
  async certificate(number: number): Promise<Uint8Array | undefined> {
    this.requireOpen();
    if (!isBelow(number, this.durable.storedHeight)) return undefined;
    const what = `the certificate of block ${number}`;
    return (
      this.unwritten.get(number) ??
      readRecord(this.database, blockKey(KIND.SIGNATURES, number), what)
    );
  }

  /** What a block without certificate was appended with. */
  private unsigned(number: number): Promise<Uint8Array | undefined> {
    const what = `the metadata of block ${number}`;
    return readRecord(this.database, blockKey(KIND.UNSIGNED, number), what);
  }

  /**
   * Where a transaction is, in a stored block; undefined when it is in none, or `txId` is no id.
   */
  async transaction(txId: string): Promise<TransactionLocation | undefined> {
    this.requireOpen();
    return this.index.locate(txId);
  }

  /**
   * Whether `transaction` would find it, at once: for turning duplicates away at submission. The
   * usual answer, no, comes from LevelDB's memory and filters; going through the thread pool for it
   * would cost more than the look-up.
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
      if (this.queue.failure === undefined) {
        // Certificates may not have been synced: the record of a clean stop
        // must not be ahead of the disk.
        const { storedHeight, tip } = this.durable;
        const operation = put(TIP_KEY, encodeTip({ storedHeight, tipHash: tip.hash }));
        await this.database.batch([operation], { sync: true });
      }
      await this.database.close();
      if (this.queue.failure === undefined) {
        await writeCleanStop(this.directory, { ...this.durable, tipHash: this.durable.tip.hash });
      }
    } catch (error) {
      await this.database.close().catch(() => undefined);
      throw writeError(error, this.location);
    } finally {
      this.release();
    }
  }

  private async append(blocks: readonly BlockToAppend[], certified: boolean): Promise<void> {
    this.requireWritable();
    if (blocks.length === 0) return;
    const { operations, next, locations } = prepareBlocks(
      blocks,
      certified,
      this.pending,
      this.sha256,
    );
    this.queue.requireRoom(bytesOf(operations));
    if (certified) {
      for (const { block } of blocks) this.certificatesAhead.add(block.header.number);
      const certifiedHeight = this.advanceCertified(next.certifiedHeight);
      if (certifiedHeight > next.certifiedHeight) {
        operations.push(put(CERTIFIED_KEY, encodeCertified(certifiedHeight)));
        next.certifiedHeight = certifiedHeight;
      }
    }
    await this.commit(operations, next, 'synced', locations);
  }

  private commit(
    operations: Operation[],
    next: ChainState,
    durability: WriteJob['durability'],
    locations: ReadonlyMap<string, TransactionLocation> = new Map(),
  ): Promise<void> {
    this.pending = next;
    this.index.queued(locations);
    return this.queue.push({
      operations,
      bytes: bytesOf(operations),
      durability,
      stored: () => {
        this.durable = next;
        this.index.stored(locations);
      },
    });
  }

  /**
   * Moves certificates that are contiguous out of `certificatesAhead`;
   * returns the new certified height.
   */
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
