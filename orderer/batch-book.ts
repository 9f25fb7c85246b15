/**
 * The checked transactions of every batch that consensus may still deliver, by lane and digest.
 * Bounded by what the core holds: it says `deliver` or `drop` for every batch that it had checked.
 */
import type { BatchRef, ReplicaIndex } from '../consensus/core/index.ts';
import type { CheckedTransaction } from './envelope/index.ts';

export class BatchBook {
  readonly #batches = new Map<string, readonly CheckedTransaction[]>();

  get size(): number {
    return this.#batches.size;
  }

  put(lane: ReplicaIndex, ref: BatchRef, transactions: readonly CheckedTransaction[]): void {
    this.#batches.set(keyOf(lane, ref), transactions);
  }

  /** Removes and returns; undefined for a batch that was never put (a bug of the caller). */
  take(lane: ReplicaIndex, ref: BatchRef): readonly CheckedTransaction[] | undefined {
    const key = keyOf(lane, ref);
    const transactions = this.#batches.get(key);
    this.#batches.delete(key);
    return transactions;
  }
}

function keyOf(lane: ReplicaIndex, ref: BatchRef): string {
  return `${lane}/${ref.seq}/${Buffer.from(ref.digest).toString('base64')}`;
}
