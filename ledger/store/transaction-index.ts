/** Where transactions are: the index in LevelDB, and the entries that wait for the disk. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, readError } from './database.ts';
import { IdFilter } from './id-filter.ts';
import type { BlockTransactions } from './index-records.ts';
import { STORE_LIMITS } from './limits.ts';
import { invalidCall } from './prepare.ts';
import { readRecord, readRecords } from './reading.ts';
import {
  decodeLocation,
  isTxId,
  KIND,
  type TransactionLocation,
  transactionKey,
  transactionKeys,
} from './records.ts';

/** So few look-ups cost less than the way through the thread pool: they are answered from memory and filters as a rule. */
const AT_ONCE_MAX = 4;

/** Ids that the filter learns at a time, and how long everything else has the thread then: 100,000 take two seconds. */
const LEARNED_AT_ONCE = 1024;
const LEARNING_PAUSE_MS = 20;

export class TransactionIndex {
  readonly #database: Database;
  /** All ids of the index, once it is complete. What is stored meanwhile it learns at once. */
  readonly #filter = new IdFilter();
  #isFilterComplete = false;
  readonly #closing = new AbortController();
  #learning: Promise<void> | undefined;
  /** The newest block of each id that LevelDB does not have yet; the write queue bounds them. */
  readonly #pending = new Map<string, BlockTransactions>();

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Begins to read the index for the filter, in the background: settles when that is done, or given up. Until then, and when the
   * index cannot be read, LevelDB is asked for everything.
   */
  learn(): Promise<void> {
    this.#learning ??= this.#learnAll().catch(() => {});
    return this.#learning;
  }

  /** Before LevelDB is closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#learning;
  }

  async #learnAll(): Promise<void> {
    const { signal } = this.#closing;
    const range = { gte: Uint8Array.of(KIND.TRANSACTION), lt: Uint8Array.of(KIND.TRANSACTION + 1) };
    const keys = this.#database.keys({ ...range, fillCache: false });
    try {
      for (;;) {
        const some = await keys.nextv(LEARNED_AT_ONCE);
        if (some.length === 0) break;
        for (const key of some) this.#filter.addBytes(key, 1);
        await sleep(LEARNING_PAUSE_MS, undefined, { signal, ref: false });
      }
      this.#isFilterComplete = true;
    } finally {
      await keys.close();
    }
  }

  /** Of what is no id it may say anything. */
  #mayHold(txId: string): boolean {
    return !this.#isFilterComplete || this.#filter.mayHold(txId);
  }

  /** Notes the transactions of blocks that have entered the write queue. */
  queued(blocks: readonly BlockTransactions[]): void {
    for (const block of blocks) {
      for (const txId of block.txIds) {
        if (txId === undefined) continue;
        this.#pending.set(txId, block);
        this.#filter.add(txId);
      }
    }
  }

  /** LevelDB has them; a later entry for the same transaction stays. */
  indexed(blocks: readonly BlockTransactions[]): void {
    for (const block of blocks) {
      for (const txId of block.txIds) {
        if (txId !== undefined && this.#pending.get(txId) === block) this.#pending.delete(txId);
      }
    }
  }

  /** Where a transaction is, in a block that is stored or in the queue; undefined when it is in none, or `txId` is no id. */
  async locate(txId: string): Promise<TransactionLocation | undefined> {
    if (!isTxId(txId)) return undefined;
    const pending = this.#pending.get(txId);
    if (pending !== undefined) {
      // Of several in one block LevelDB keeps the last, too.
      return { blockNumber: pending.blockNumber, index: pending.txIds.lastIndexOf(txId) };
    }
    const what = `the index entry of transaction ${txId}`;
    const content = await readRecord(this.#database, transactionKey(txId), what);
    return content === undefined ? undefined : decodeLocation(content);
  }

  /** Whether `locate` would find it, at once. */
  hasNow(txId: string): boolean {
    // What waits for LevelDB is in the filter, too.
    if (!this.#mayHold(txId)) return false;
    if (this.#pending.has(txId)) return true;
    if (!isTxId(txId)) return false;
    try {
      return this.#database.getSync(transactionKey(txId)) !== undefined;
    } catch (error) {
      throw readError(error, `the index entry of transaction ${txId}`);
    }
  }

  /** Which of them are stored or in the queue: one multi-get, at most `lookupIdsMax` ids. */
  async has(txIds: readonly string[]): Promise<boolean[]> {
    if (txIds.length > STORE_LIMITS.lookupIdsMax) {
      throw invalidCall(`${txIds.length} ids in one look-up, at most ${STORE_LIMITS.lookupIdsMax}`);
    }
    const found = txIds.map(() => false);
    const asked: number[] = [];
    for (const [index, txId] of txIds.entries()) {
      if (!this.#mayHold(txId)) continue;
      // Before LevelDB is asked: an entry that moves there from the queue meanwhile has been seen.
      if (this.#pending.has(txId)) found[index] = true;
      else if (isTxId(txId)) asked.push(index);
    }
    if (asked.length <= AT_ONCE_MAX) {
      for (const index of asked) found[index] = this.hasNow(txIds[index] ?? '');
      return found;
    }
    try {
      const keys = transactionKeys(asked.map((index) => txIds[index] ?? ''));
      const stored = await this.#database.hasMany(keys);
      for (const [position, index] of asked.entries()) found[index] = stored[position] === true;
    } catch (error) {
      throw readError(error, 'the transaction index');
    }
    return found;
  }

  /** In which block each of them is, stored or in the queue: one multi-get, as `has`. */
  async blocksOf(txIds: readonly string[]): Promise<(number | undefined)[]> {
    if (txIds.length > STORE_LIMITS.lookupIdsMax) {
      throw invalidCall(`${txIds.length} ids in one look-up, at most ${STORE_LIMITS.lookupIdsMax}`);
    }
    const found = txIds.map((txId) => this.#pending.get(txId)?.blockNumber);
    const asked: number[] = [];
    for (const [index, txId] of txIds.entries()) {
      if (found[index] === undefined && isTxId(txId)) asked.push(index);
    }
    if (asked.length === 0) return found;
    const keys = transactionKeys(asked.map((index) => txIds[index] ?? ''));
    const records = await readRecords(this.#database, keys, 'the transaction index');
    for (const [position, index] of asked.entries()) {
      const content = records[position];
      if (content !== undefined) found[index] = decodeLocation(content).blockNumber;
    }
    return found;
  }
}
