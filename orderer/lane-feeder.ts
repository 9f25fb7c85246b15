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
  /** Their bytes; a single batch may exceed it. Peers hold no more of a lane (`laneBytesHeldMax`). */
  readonly undeliveredBytesMax: number;
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

interface Unwritten {
  readonly transactions: readonly CheckedTransaction[];
  /** Of the encoded list. */
  readonly bytes: number;
}

export class LaneFeeder {
  readonly #options: LaneFeederOptions;
  readonly #dependencies: LaneFeederDependencies;
  #queue: CheckedTransaction[] = [];
  #queueBytes = 0;
  readonly #unwritten: Unwritten[] = [];
  #undelivered = 0;
  #undeliveredBytes = 0;
  /** Written and not settled: a batch in this lane may be another's invention (docs/protocol.md, L7). */
  readonly #own = new Map<string, { readonly seq: number; readonly bytes: number }>();
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
    const batch = this.#unwritten.shift();
    if (batch === undefined) throw new Error('the worker reported a batch nobody submitted');
    this.#own.set(batchKey(ref), { seq: ref.seq, bytes: batch.bytes });
    this.#dependencies.onBatch(ref, batch.transactions);
    this.#flush();
  }

  /** A batch of this lane was delivered, or will never be. False: it is not one that this replica made. */
  settled(ref: BatchRef): boolean {
    const key = batchKey(ref);
    const own = this.#own.get(key);
    if (own === undefined) return false;
    this.#own.delete(key);
    this.#undelivered--;
    this.#undeliveredBytes -= own.bytes;
    this.#flush();
    return true;
  }

  /** A batch that this replica made before it was restarted, and that may still be delivered. */
  adopt(ref: BatchRef, bytes: number): void {
    const key = batchKey(ref);
    if (this.#own.has(key)) return;
    this.#own.set(key, { seq: ref.seq, bytes });
    this.#undelivered++;
    this.#undeliveredBytes += bytes;
  }

  /** No batch up to this one will be delivered here: the stream has gone on behind them. */
  settledUpTo(seq: number): void {
    for (const [key, own] of this.#own) {
      if (own.seq > seq) continue;
      this.#own.delete(key);
      this.#undelivered--;
      this.#undeliveredBytes -= own.bytes;
    }
    this.#flush();
  }

  /** Everything that has not become a batch yet, in order; the feeder is not used any more. */
  close(): CheckedTransaction[] {
    const rest = this.#unwritten.flatMap(({ transactions }) => [...transactions]);
    rest.push(...this.#queue);
    this.#queue = [];
    this.#queueBytes = 0;
    return rest;
  }

  #flush(): void {
    const { batchesUnwrittenMax, batchesUndeliveredMax, undeliveredBytesMax } = this.#options;
    while (
      this.#queue.length > 0 &&
      this.#unwritten.length < batchesUnwrittenMax &&
      this.#undelivered < batchesUndeliveredMax
    ) {
      const next = this.#nextBatch();
      if (this.#undelivered > 0 && this.#undeliveredBytes + next.bytes > undeliveredBytesMax)
        return;
      const transactions = this.#queue.slice(0, next.count);
      this.#queue = this.#queue.slice(next.count);
      this.#queueBytes -= next.contentBytes;
      this.#unwritten.push({ transactions, bytes: next.bytes });
      this.#undelivered++;
      this.#undeliveredBytes += next.bytes;
      this.#dependencies.submit(encodeEnvelopeList(transactions.map(({ bytes }) => bytes)));
    }
  }

  /** How much of the queue goes into the next batch. */
  #nextBatch(): { count: number; contentBytes: number; bytes: number } {
    const { batchBytesMax, batchTransactionsMax } = this.#options;
    let count = 0;
    let contentBytes = 0;
    for (const transaction of this.#queue) {
      const bytes = encodedListBytes(count + 1, contentBytes + transaction.bytes.length);
      if (count > 0 && (count >= batchTransactionsMax || bytes > batchBytesMax)) break;
      count++;
      contentBytes += transaction.bytes.length;
    }
    return { count, contentBytes, bytes: encodedListBytes(count, contentBytes) };
  }
}
