/**
 * Gathers checked submissions into batches of this replica's own lane. A batch closes when the worker has
 * written the previous ones and something waits: no timer, so an idle machine has no delay and a busy one
 * has large batches.
 */

import type { BatchRef } from '../consensus/core/index.ts';
import { encodedListBytes, encodeEnvelopeList } from '../consensus/wire/index.ts';
import { batchKey } from './batch-book.ts';
import type { CheckedTransaction } from './envelope/index.ts';

export interface LaneFeederOptions {
  /** Bounds of one batch; a batch always takes at least one transaction. */
  readonly batchBytesMax: number;
  readonly batchTransactionsMax: number;
  /** Batches handed to the worker and not yet written. */
  readonly batchesUnwrittenMax: number;
  /** Own batches written and not yet delivered: beyond it the queue waits (and fills, and refuses). */
  readonly batchesUndeliveredMax: number;
  /** Bounds of what waits here. */
  readonly queueTransactionsMax: number;
  readonly queueBytesMax: number;
}

export interface LaneFeederDependencies {
  /** Hands an encoded envelope list to the worker. */
  readonly submit: (payload: Uint8Array) => void;
  /** A submitted list has become this batch. */
  readonly onBatch: (ref: BatchRef, transactions: readonly CheckedTransaction[]) => void;
}

export class LaneFeeder {
  readonly #options: LaneFeederOptions;
  readonly #dependencies: LaneFeederDependencies;
  #queue: CheckedTransaction[] = [];
  #queueBytes = 0;
  readonly #unwritten: (readonly CheckedTransaction[])[] = [];
  #undelivered = 0;
  /** Written and not settled: a batch in this lane may be another's invention (docs/protocol.md, L7). */
  readonly #own = new Set<string>();
  #flushScheduled = false;

  constructor(options: LaneFeederOptions, dependencies: LaneFeederDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
  }

  /** False when the queue is full: the caller answers `overloaded`. */
  hasRoom(bytes: number): boolean {
    return (
      this.#queue.length < this.#options.queueTransactionsMax &&
      this.#queueBytes + bytes <= this.#options.queueBytesMax
    );
  }

  push(transaction: CheckedTransaction): void {
    this.#queue.push(transaction);
    this.#queueBytes += transaction.bytes.length;
    if (this.#flushScheduled) return;
    // One turn of the event loop gathers what arrived together.
    this.#flushScheduled = true;
    setImmediate(() => {
      this.#flushScheduled = false;
      this.#flush();
    });
  }

  /** The worker has written the oldest unwritten batch. */
  written(ref: BatchRef): void {
    const transactions = this.#unwritten.shift();
    if (transactions === undefined) throw new Error('the worker reported a batch nobody submitted');
    this.#own.add(batchKey(ref));
    this.#dependencies.onBatch(ref, transactions);
    this.#flush();
  }

  /** A batch of this lane was delivered, or will never be. False: it is not one that this replica made. */
  settled(ref: BatchRef): boolean {
    if (!this.#own.delete(batchKey(ref))) return false;
    this.#undelivered--;
    this.#flush();
    return true;
  }

  #flush(): void {
    const { batchesUnwrittenMax, batchesUndeliveredMax } = this.#options;
    while (
      this.#queue.length > 0 &&
      this.#unwritten.length < batchesUnwrittenMax &&
      this.#undelivered < batchesUndeliveredMax
    ) {
      const transactions = this.#take();
      this.#unwritten.push(transactions);
      this.#undelivered++;
      this.#dependencies.submit(encodeEnvelopeList(transactions.map(({ bytes }) => bytes)));
    }
  }

  #take(): readonly CheckedTransaction[] {
    const { batchBytesMax, batchTransactionsMax } = this.#options;
    let count = 0;
    let bytes = encodedListBytes(0, 0);
    let contentBytes = 0;
    for (const transaction of this.#queue) {
      bytes = encodedListBytes(count + 1, contentBytes + transaction.bytes.length);
      if (count > 0 && (count >= batchTransactionsMax || bytes > batchBytesMax)) break;
      count++;
      contentBytes += transaction.bytes.length;
    }
    const taken = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    this.#queueBytes -= contentBytes;
    return taken;
  }
}
