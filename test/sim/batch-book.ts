/** The transactions of every batch that the core may still deliver, by lane and digest. */
import type { BatchRef } from '../../consensus/core/index.ts';
import { isEqual } from './crypto.ts';
import type { ParsedTransaction } from './transactions.ts';

const LANES_MAX = 16;

interface Entry {
  readonly digest: Uint8Array;
  readonly transactions: readonly ParsedTransaction[];
}

export class Book {
  readonly #entries = new Map<number, Entry[]>();
  size = 0;

  put(lane: number, ref: BatchRef, transactions: readonly ParsedTransaction[]): void {
    const key = ref.seq * LANES_MAX + lane;
    const entries = this.#entries.get(key);
    const entry = { digest: ref.digest, transactions };
    if (entries === undefined) this.#entries.set(key, [entry]);
    else if (entries.some(({ digest }) => isEqual(digest, ref.digest))) return;
    else entries.push(entry);
    this.size++;
  }

  has(lane: number, ref: BatchRef): boolean {
    const entries = this.#entries.get(ref.seq * LANES_MAX + lane);
    return entries?.some(({ digest }) => isEqual(digest, ref.digest)) === true;
  }

  /** Removes and returns; undefined for what is not in the book. */
  take(lane: number, ref: BatchRef): readonly ParsedTransaction[] | undefined {
    const key = ref.seq * LANES_MAX + lane;
    const entries = this.#entries.get(key);
    const at = entries?.findIndex(({ digest }) => isEqual(digest, ref.digest)) ?? -1;
    if (entries === undefined || at < 0) return undefined;
    const [taken] = entries.splice(at, 1);
    if (entries.length === 0) this.#entries.delete(key);
    this.size--;
    return taken?.transactions;
  }
}
