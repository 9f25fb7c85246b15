/**
 * Writes to LevelDB what it holds of blocks that are in the segment files already: in order, in synced batches, a little later, so
 * that a block's index entries and its certificate go together. LevelDB is never ahead of the segment files, and what it does not
 * have yet after a crash is made from them.
 *
 * After a failed write nothing more is written until the ledger is opened again: LevelDB's log may end in half a record, and what
 * followed it would be lost when the log is read again.
 */
import type { LedgerError } from '../errors.ts';
import { type Database, type Operation, writeError } from './database.ts';
import { type BlockTransactions, eachIndexRecord } from './index-records.ts';
import { STORE_LIMITS } from './limits.ts';

export interface IndexJob {
  operations: readonly Operation[];
  /** To be indexed, after the operations. */
  transactions: readonly BlockTransactions[];
  /** Of the blocks that all this is about, and of all this. */
  bytes: number;
  /** Runs when the batch is on the disk, in the order of the calls. */
  indexed: () => void;
}

/** How long what nobody waits for waits for more. */
const GATHER_MS = 200;

export class IndexWriter {
  readonly #database: Database;
  readonly #location: string;
  readonly #onFailure: (error: LedgerError) => void;
  readonly #waiting: IndexJob[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Settles when nothing is waiting or being written; undefined when nothing is being written. */
  #writing: Promise<void> | undefined;
  #failed: LedgerError | undefined;

  /** `onFailure`: nobody waits for what is written here, so a disk that fails has to be told. */
  constructor(
    database: Database,
    location: string,
    onFailure: (error: LedgerError) => void = () => {},
  ) {
    this.#database = database;
    this.#location = location;
    this.#onFailure = onFailure;
  }

  /** The first failed write. */
  get failure(): LedgerError | undefined {
    return this.#failed;
  }

  /** More is waiting than a start after a crash should have to make up for. */
  get isFull(): boolean {
    return this.#bytes > STORE_LIMITS.unindexedBytesMax;
  }

  push(jobs: readonly IndexJob[]): void {
    for (const job of jobs) {
      this.#waiting.push(job);
      this.#bytes += job.bytes;
    }
    this.#timer ??= setTimeout(() => this.#begin(), GATHER_MS);
  }

  /** Settles when all that was pushed is written, or writing has failed. */
  async idle(): Promise<void> {
    while (this.#failed === undefined && (this.#waiting.length > 0 || this.#writing)) {
      await this.#begin();
    }
  }

  #begin(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
      if (this.#waiting.length > 0) this.push([]);
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    const jobs = this.#waiting.splice(0);
    if (jobs.length === 0 || this.#failed !== undefined) return;
    try {
      await this.#write(jobs);
    } catch (error) {
      this.#failed = writeError(error, this.#location);
      this.#onFailure(this.#failed);
      return;
    }
    for (const { bytes, indexed } of jobs) {
      this.#bytes -= bytes;
      indexed();
    }
  }

  /** A chained batch takes the bytes of each operation at once; of an array abstract-level copies each, at four times the cost. */
  #write(jobs: readonly IndexJob[]): Promise<void> {
    const batch = this.#database.batch();
    const put = (key: Uint8Array, value: Uint8Array): void => {
      batch.put(key, value);
    };
    for (const { operations, transactions } of jobs) {
      for (const operation of operations) {
        if (operation.type === 'put') batch.put(operation.key, operation.value);
        else batch.del(operation.key);
      }
      for (const ofBlock of transactions) eachIndexRecord(ofBlock, put);
    }
    return batch.write({ sync: true });
  }
}
