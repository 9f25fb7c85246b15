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
  /** Ordered, fresh, and not yet reported as stored; while the ledger is asked, also those that it is asked for. */
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
   * what the ledger's look-up throws; nothing has been added to the in-flight set then.
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

  /** These are in the ledger and it finds them. Ids that were never in flight are ignored, and what has none. */
  stored(txIds: Iterable<string | undefined>): void {
    for (const txId of txIds) if (txId !== undefined) this.#inFlight.delete(txId);
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
    // One that was in flight, or comes twice here, is a duplicate whatever the ledger says.
    const isFirst = transactions.map(({ txId }) => this.#enter(txId));
    const txIds = transactions.filter((_, at) => isFirst[at] === true).map(({ txId }) => txId);
    const known = await this.#lookUp(txIds, before).catch((error: unknown) => {
      for (const txId of txIds) this.#inFlight.delete(txId);
      throw error;
    });
    const fresh: T[] = [];
    const duplicates: T[] = [];
    let asked = 0;
    for (const [at, transaction] of transactions.entries()) {
      const isFresh = isFirst[at] === true && known[asked++] === false;
      (isFresh ? fresh : duplicates).push(transaction);
      if (isFirst[at] === true && !isFresh) this.#inFlight.delete(transaction.txId);
    }
    return { fresh, duplicates };
  }

  /** False when it is there already. */
  #enter(txId: string): boolean {
    const before = this.#inFlight.size;
    return this.#inFlight.add(txId).size > before;
  }

  async #lookUp(txIds: readonly string[], before: number | undefined): Promise<readonly boolean[]> {
    if (txIds.length === 0) return [];
    const known =
      before === undefined
        ? await this.#dependencies.hasTransactions(txIds)
        : (await this.#dependencies.blocksOf(txIds)).map(
            (number) => number !== undefined && number < before,
          );
    if (known.length !== txIds.length) {
      const what = `asked for ${txIds.length} ids, got ${known.length} answers`;
      throw new OrdererError('misuse', what);
    }
    return known;
  }

  #nextStored(): Promise<void> {
    return new Promise((resolve) => {
      this.#onStored = resolve;
    });
  }
}
