/**
 * Exact de-duplication by tx_id at execution: a transaction is fresh when no earlier one of the
 * ordered stream, since the genesis block, had its id.
 *
 * Why all replicas agree: "earlier in the stream" is the union of what the ledger holds and what is
 * ordered and not stored yet. How that union is split depends on each replica's disk; the union
 * does not. The split is watched at both edges: an id enters the in-flight set before `filter`
 * returns it as fresh, and leaves it by `stored`, after the ledger can find it; `filter` looks at
 * the in-flight set first and at the ledger after, so an id that moves over in between is seen in
 * one of the two.
 */
import { OrdererError } from '../errors.ts';
import { ORDERER_LIMITS } from '../limits.ts';

export interface DeduplicatorOptions {
  /**
   * Ids in flight from which on `filter` waits for `stored`. May be exceeded by the size of one
   * call. Must be more than a block may hold: transactions that wait to be cut are in flight too,
   * and cannot be waited for.
   */
  readonly inFlightMax?: number;
}

export interface DeduplicatorDependencies {
  /** Which of the ids are in stored blocks; one answer per id. */
  readonly hasTransactions: (txIds: readonly string[]) => Promise<readonly boolean[]>;
  /** Number of the block that each of the ids is in, stored or about to be. */
  readonly blocksOf: (txIds: readonly string[]) => Promise<readonly (number | undefined)[]>;
}

export interface Filtered<T> {
  readonly fresh: T[];
  readonly duplicates: T[];
}

export class Deduplicator {
  readonly #inFlightMax: number;
  readonly #dependencies: DeduplicatorDependencies;
  /** Ordered, fresh, and not yet reported as stored. */
  readonly #inFlight = new Set<string>();
  #filtering = false;
  #onStored: (() => void) | undefined;

  constructor(options: DeduplicatorOptions, dependencies: DeduplicatorDependencies) {
    this.#inFlightMax = options.inFlightMax ?? ORDERER_LIMITS.duplicatesInFlightMax;
    if (!Number.isSafeInteger(this.#inFlightMax) || this.#inFlightMax < 1) {
      throw new OrdererError('bad_limits', `inFlightMax is ${this.#inFlightMax}`);
    }
    this.#dependencies = dependencies;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /**
   * Ordered here and not stored yet: for answering "is it a duplicate?" at submission, as a hint.
   */
  isInFlight(txId: string): boolean {
    return this.#inFlight.has(txId);
  }

  /**
   * Splits the next transactions of the ordered stream; order is kept. Waits while too many are in
   * flight. One call at a time, in stream order: throws OrdererError `misuse` otherwise. Passes on
   * what the ledger's look-up throws; nothing has entered the in-flight set then.
   *
   * @param before while a part of the stream is delivered again that the ledger holds already: only the blocks
   *   below this number come earlier in the stream
   */
  async filter<T extends { readonly txId: string }>(
    transactions: readonly T[],
    before?: number,
  ): Promise<Filtered<T>> {
    if (this.#filtering) {
      throw new OrdererError('misuse', 'the deduplicator takes the stream one call at a time');
    }
    this.#filtering = true;
    try {
      while (this.#inFlight.size >= this.#inFlightMax) await this.#nextStored();
      return await this.#split(transactions, before);
    } finally {
      this.#filtering = false;
    }
  }

  /** These are in the ledger and it finds them. Ids that were never in flight are ignored. */
  stored(txIds: Iterable<string>): void {
    for (const txId of txIds) this.#inFlight.delete(txId);
    const wake = this.#onStored;
    this.#onStored = undefined;
    wake?.();
  }

  /** Nothing is in flight any more: the stream goes on at another place, of which the ledger knows. */
  reset(): void {
    this.#inFlight.clear();
    this.stored([]);
  }

  async #split<T extends { readonly txId: string }>(
    transactions: readonly T[],
    before: number | undefined,
  ): Promise<Filtered<T>> {
    /** Not yet known to be duplicates; each id once, in stream order. */
    const candidates = new Map<string, T>();
    for (const transaction of transactions) {
      const { txId } = transaction;
      if (this.#inFlight.has(txId) || candidates.has(txId)) continue;
      candidates.set(txId, transaction);
    }
    const txIds = [...candidates.keys()];
    const known = await this.#lookUp(txIds, before);
    if (known.length !== txIds.length) {
      throw new OrdererError(
        'misuse',
        `asked for ${txIds.length} ids, got ${known.length} answers`,
      );
    }
    for (const [i, txId] of txIds.entries()) {
      if (known[i] === true) candidates.delete(txId);
      else this.#inFlight.add(txId);
    }
    const fresh: T[] = [];
    const duplicates: T[] = [];
    for (const transaction of transactions) {
      const first = candidates.get(transaction.txId) === transaction;
      // The same object twice in one call is a duplicate too.
      if (first) candidates.delete(transaction.txId);
      (first ? fresh : duplicates).push(transaction);
    }
    return { fresh, duplicates };
  }

  async #lookUp(txIds: readonly string[], before: number | undefined): Promise<readonly boolean[]> {
    if (txIds.length === 0) return [];
    if (before === undefined) return this.#dependencies.hasTransactions(txIds);
    const blocks = await this.#dependencies.blocksOf(txIds);
    return blocks.map((number) => number !== undefined && number < before);
  }

  #nextStored(): Promise<void> {
    return new Promise((resolve) => {
      this.#onStored = resolve;
    });
  }
}
