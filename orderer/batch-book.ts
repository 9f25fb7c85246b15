/**
 * The checked transactions of every batch that consensus may still deliver, by lane and digest.
 * Bounded by what the core holds: it says `deliver` or `drop` for every batch that it had checked.
 */
import type { BatchRef, ReplicaIndex } from '../consensus/core/index.ts';
import type { CheckedTransaction } from './envelope/index.ts';

export class BatchBook {
  readonly #batches = new Map<string, readonly CheckedTransaction[]>();
  /** Batches under check: one that is dropped meanwhile must not be put. */
  readonly #awaited = new Set<string>();

  get size(): number {
    return this.#batches.size;
  }

  /** Its check has begun; `put` follows unless it is dropped before. */
  expect(lane: ReplicaIndex, ref: BatchRef): void {
    this.#awaited.add(keyOf(lane, ref));
  }

  put(lane: ReplicaIndex, ref: BatchRef, transactions: readonly CheckedTransaction[]): void {
    const key = keyOf(lane, ref);
    if (this.#awaited.delete(key)) this.#batches.set(key, transactions);
  }

  /** Removes and returns; undefined for a batch that is not (or not yet) in the book. */
  take(lane: ReplicaIndex, ref: BatchRef): readonly CheckedTransaction[] | undefined {
    const key = keyOf(lane, ref);
    this.#awaited.delete(key);
    const transactions = this.#batches.get(key);
    this.#batches.delete(key);
    return transactions;
  }
}

function keyOf(lane: ReplicaIndex, ref: BatchRef): string {
  return `${lane}/${batchKey(ref)}`;
}

/** Names a batch within its lane. */
export function batchKey(ref: BatchRef): string {
  return `${ref.seq}/${Buffer.from(ref.digest).toString('base64')}`;
}
