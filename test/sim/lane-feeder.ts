/** What a replica has promised its clients, and the batches of its own lane that carry it. */
import type { BatchRef } from '../../consensus/core/index.ts';
import { Book } from './batch-book.ts';
import type { SimulatedLedger } from './disk.ts';
import type { ParsedTransaction } from './transactions.ts';

export interface LaneFeederOptions {
  readonly self: number;
  readonly batchTransactionsMax: number;
  readonly ownBatchesPendingMax: number;
}

export interface LaneFeederDependencies {
  readonly ledger: SimulatedLedger;
  readonly submit: (envelopes: readonly Uint8Array[]) => void;
  readonly envelope: (txId: number) => Uint8Array;
}

const QUEUE_MAX = 200;

export class LaneFeeder {
  readonly #options: LaneFeederOptions;
  readonly #dependencies: LaneFeederDependencies;
  /** Accepted, and in no stored block yet. */
  readonly promised = new Set<number>();
  /** Accepted, and in no batch. */
  #queue: number[] = [];
  /** Written and neither delivered nor dropped. */
  readonly #own = new Book();
  /** Handed to the core, which has not written them yet. */
  #unwritten = 0;

  constructor(options: LaneFeederOptions, dependencies: LaneFeederDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
  }

  accept(txId: number): boolean {
    const known = this.promised.has(txId) || this.#dependencies.ledger.blockOf(txId) !== undefined;
    if (known || this.#queue.length >= QUEUE_MAX) return false;
    this.promised.add(txId);
    this.#queue.push(txId);
    return true;
  }

  flush(): void {
    const { batchTransactionsMax, ownBatchesPendingMax } = this.#options;
    const { submit, envelope } = this.#dependencies;
    while (this.#queue.length > 0 && this.#own.size + this.#unwritten < ownBatchesPendingMax) {
      const batch = this.#queue.splice(0, batchTransactionsMax);
      this.#unwritten++;
      submit(batch.map(envelope));
    }
  }

  written(ref: BatchRef, transactions: readonly ParsedTransaction[]): void {
    if (this.#own.has(this.#options.self, ref)) return;
    this.#unwritten = Math.max(0, this.#unwritten - 1);
    this.#own.put(this.#options.self, ref, transactions);
  }

  /** A batch of the own lane that an earlier life made. */
  restored(ref: BatchRef, transactions: readonly ParsedTransaction[]): void {
    this.#own.put(this.#options.self, ref, transactions);
  }

  delivered(ref: BatchRef): void {
    this.#own.take(this.#options.self, ref);
  }

  /** It will never be ordered: what it promised goes into another one. */
  dropped(ref: BatchRef): void {
    const transactions = this.#own.take(this.#options.self, ref) ?? [];
    for (const { txId } of transactions) {
      if (this.promised.has(txId) && !this.#queue.includes(txId)) this.#queue.push(txId);
    }
  }

  stored(txIds: readonly number[]): void {
    for (const txId of txIds) this.promised.delete(txId);
  }

  /** The ledger has gained blocks that were never delivered here. */
  jumped(): void {
    for (const txId of this.promised) {
      if (this.#dependencies.ledger.blockOf(txId) !== undefined) this.promised.delete(txId);
    }
    this.#queue = this.#queue.filter((txId) => this.promised.has(txId));
  }
}
