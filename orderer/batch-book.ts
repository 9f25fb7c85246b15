/**
 * The checked transactions of every batch that consensus may still deliver, by lane and digest.
 * Bounded by what the core holds: it says `deliver` or `drop` for every batch that it had checked.
 */
import type { BatchRef, BatchSeq, ReplicaIndex } from '../consensus/core/index.ts';
import type { CheckedTransaction } from './envelope/index.ts';

interface Entry {
  readonly seq: BatchSeq;
  /** Undefined while it is under check: one that is dropped meanwhile must not be put. */
  transactions: readonly CheckedTransaction[] | undefined;
}

export class BatchBook {
  readonly #lanes = new Map<ReplicaIndex, Map<string, Entry>>();

  get size(): number {
    let size = 0;
    for (const lane of this.#lanes.values()) size += lane.size;
    return size;
  }

  /** Its check has begun; `put` follows unless it is dropped before. */
  expect(lane: ReplicaIndex, ref: BatchRef): void {
    let entries = this.#lanes.get(lane);
    if (entries === undefined) {
      entries = new Map();
      this.#lanes.set(lane, entries);
    }
    const key = batchKey(ref);
    if (!entries.has(key)) entries.set(key, { seq: ref.seq, transactions: undefined });
  }

  put(lane: ReplicaIndex, ref: BatchRef, transactions: readonly CheckedTransaction[]): void {
    const entry = this.#lanes.get(lane)?.get(batchKey(ref));
    if (entry !== undefined) entry.transactions = transactions;
  }

  /** Removes and returns; undefined for a batch that is not (or not yet) in the book. */
  take(lane: ReplicaIndex, ref: BatchRef): readonly CheckedTransaction[] | undefined {
    const entries = this.#lanes.get(lane);
    const entry = entries?.get(batchKey(ref));
    entries?.delete(batchKey(ref));
    return entry?.transactions;
  }

  /** Removes every batch of the lane up to this one: none of them will be delivered. Returns what was in them. */
  takeUpTo(lane: ReplicaIndex, seq: BatchSeq): CheckedTransaction[] {
    const taken: CheckedTransaction[] = [];
    for (const [key, entry] of this.#lanes.get(lane) ?? []) {
      if (entry.seq > seq) continue;
      this.#lanes.get(lane)?.delete(key);
      taken.push(...(entry.transactions ?? []));
    }
    return taken;
  }
}

/** Names a batch within its lane. */
export function batchKey(ref: BatchRef): string {
  return `${ref.seq}/${Buffer.from(ref.digest).toString('base64')}`;
}
