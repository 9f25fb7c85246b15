/**
 * Group commit: blocks that arrive while the disk is busy are merged, in order, into one synced write to the segment files; what
 * LevelDB holds of them follows (index-writer.ts). What has no block goes to LevelDB in its turn.
 *
 * After a failed write nothing more is written until the ledger is opened again, which cuts off what the write has left.
 */
import { LedgerError } from '../errors.ts';
import { type Operation, writeError } from './database.ts';
import type { IndexJob, IndexWriter } from './index-writer.ts';
import { STORE_LIMITS } from './limits.ts';
import type { Position } from './segments/record.ts';
import type { PlacedRecord, SegmentWriter } from './segments/segment-writer.ts';

/** What LevelDB is told of blocks, and before that the blocks themselves; `bytes` are of all this. */
export interface WriteJob extends IndexJob {
  /** Blocks, for the segment files; none when nobody waits for the rest to be on the disk. */
  records: readonly PlacedRecord[];
  /** Runs when the records are on the disk, before the call's promise settles, in the order of the calls. */
  stored: () => void;
}

interface WaitingJob extends WriteJob {
  resolve: () => void;
  reject: (error: LedgerError) => void;
}

export class WriteQueue {
  readonly #segments: SegmentWriter;
  readonly #index: IndexWriter;
  readonly #location: string;
  readonly #waiting: WaitingJob[] = [];
  #waitingBytes = 0;
  /** Settles when nothing is waiting or being written; undefined when idle. */
  #draining: Promise<void> | undefined;
  /** The first failed write; every later call is answered with it. */
  #failed: LedgerError | undefined;

  constructor(segments: SegmentWriter, index: IndexWriter, location: string) {
    this.#segments = segments;
    this.#index = index;
    this.#location = location;
  }

  get failure(): LedgerError | undefined {
    return this.#failed ?? this.#index.failure;
  }

  /** Throws `overloaded`, or the failure, before the caller changes any state. */
  requireRoom(bytes: number): void {
    if (this.failure !== undefined) throw this.failure;
    if (
      this.#waiting.length >= STORE_LIMITS.waitingCallsMax ||
      (this.#waiting.length > 0 && this.#waitingBytes + bytes > STORE_LIMITS.waitingBytesMax)
    ) {
      throw new LedgerError(
        'overloaded',
        `${this.#waiting.length} calls with ${this.#waitingBytes} bytes wait for the disk: await earlier calls before the next`,
      );
    }
  }

  push(job: WriteJob): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...job, resolve, reject });
      this.#waitingBytes += job.bytes;
      this.#draining ??= this.#drain();
    });
  }

  /** Settles when all that was pushed is in LevelDB, or writing has failed. */
  async idle(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
    await this.#index.idle();
  }

  /**
   * Takes blocks away when nothing is waiting. LevelDB forgets them first: what a crash leaves of them in the segment files comes
   * back at the next start, as if nobody had cut.
   */
  async cut(operations: readonly Operation[], end: Position): Promise<void> {
    this.#index.push([{ operations, transactions: [], bytes: 0, indexed: () => {} }]);
    await this.#index.idle();
    if (this.failure !== undefined) throw this.failure;
    try {
      await this.#segments.cut(end);
    } catch (error) {
      this.#failed = writeError(error, this.#location);
      throw this.#failed;
    }
  }

  async #drain(): Promise<void> {
    // One microtask later, so that calls of the same turn share the first write.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      if (this.#index.isFull) await this.#index.idle();
      const group = this.#takeGroup();
      try {
        const records = group.flatMap((job) => job.records);
        if (this.failure === undefined && records.length > 0) await this.#segments.write(records);
      } catch (error) {
        this.#failed = writeError(error, this.#location);
      }
      this.#settle(group);
    }
    this.#draining = undefined;
  }

  #settle(group: readonly WaitingJob[]): void {
    const { failure } = this;
    if (failure !== undefined) {
      for (const job of group) job.reject(failure);
      return;
    }
    // Without the records, which are large and on the disk.
    this.#index.push(
      group.map(({ operations, transactions, bytes, indexed }) => ({
        operations,
        transactions,
        bytes,
        indexed,
      })),
    );
    for (const job of group) {
      job.stored();
      job.resolve();
    }
  }

  #takeGroup(): WaitingJob[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.#waiting) {
      if (count > 0 && bytes + job.bytes > STORE_LIMITS.batchBytesMax) break;
      bytes += job.bytes;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }
}
