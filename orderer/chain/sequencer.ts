/**
 * Turns the ordered stream into stored blocks: drops what is expired at the ordered time or already on the
 * chain, cuts, chains and stores. One slot after the other; a slot counts as applied when every block that
 * it cut is on disk.
 *
 * Everything here is a function of the ordered stream and the chain so far: no clock, no configuration of
 * this replica alone, or two replicas would cut different blocks.
 */
import type { BlockCutter } from '../cutter/index.ts';
import type { Deduplicator } from '../dedupe/index.ts';
import { type CheckedTransaction, isWithinValidity } from '../envelope/index.ts';
import { asError } from '../errors.ts';
import type { BlockBuilder, CutBlock } from './block-builder.ts';

/** A decided slot with its transactions in order. */
export interface OrderedSlot {
  readonly slot: number;
  readonly timeMs: number;
  readonly cut: boolean;
  readonly transactions: readonly CheckedTransaction[];
}

export interface StoredBlock extends CutBlock {
  /** One per envelope. */
  readonly txIds: readonly (string | undefined)[];
}

export interface SequencerDependencies {
  readonly cutter: BlockCutter<CheckedTransaction>;
  readonly deduplicator: Deduplicator;
  readonly builder: BlockBuilder;
  /** Resolves when the blocks are on disk; calls are answered in order. */
  readonly store: (blocks: readonly StoredBlock[]) => Promise<void>;
  readonly onStored: (blocks: readonly StoredBlock[]) => void;
  readonly onApplied: (slot: number) => void;
  /** Transactions that the ordered stream held and the chain will not: expired, or there already. */
  readonly onDropped: (transaction: CheckedTransaction, why: 'expired' | 'duplicate') => void;
  readonly onFatal: (error: Error) => void;
}

export class DeliverySequencer {
  readonly #dependencies: SequencerDependencies;
  /** Bounded by the consensus window: a leader may not run further ahead of the applied slot. */
  #queue: OrderedSlot[] = [];
  #running: Promise<void> | undefined;
  #stores: Promise<void> = Promise.resolve();
  #failed = false;

  constructor(dependencies: SequencerDependencies) {
    this.#dependencies = dependencies;
  }

  push(slot: OrderedSlot): void {
    if (this.#failed) return;
    this.#queue.push(slot);
    this.#running ??= this.#run();
  }

  /** Resolves when everything pushed so far is stored (or has failed). */
  async drained(): Promise<void> {
    await this.#running;
    await this.#stores;
  }

  async #run(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        await this.#apply(next);
        if (this.#failed) return;
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = undefined;
    }
  }

  async #apply(slot: OrderedSlot): Promise<void> {
    const { deduplicator, cutter } = this.#dependencies;
    const fresh = await this.#admissible(slot, deduplicator);
    const groups: CheckedTransaction[][] = [];
    for (const transaction of fresh) groups.push(...cutter.ordered(transaction).batches);
    if (slot.cut) {
      const rest = cutter.cut();
      if (rest.length > 0) groups.push(rest);
    }
    this.#store(slot, groups);
  }

  async #admissible(slot: OrderedSlot, deduplicator: Deduplicator): Promise<CheckedTransaction[]> {
    const { onDropped } = this.#dependencies;
    const live: CheckedTransaction[] = [];
    for (const transaction of slot.transactions) {
      if (isWithinValidity(transaction, slot.timeMs)) {
        live.push(transaction);
      } else {
        onDropped(transaction, 'expired');
      }
    }
    if (live.length === 0) return live;
    const { fresh, duplicates } = await deduplicator.filter(live);
    for (const transaction of duplicates) onDropped(transaction, 'duplicate');
    return fresh;
  }

  /** Starts the write and goes on: the ledger merges writes that wait, and answers them in order. */
  #store(slot: OrderedSlot, groups: readonly CheckedTransaction[][]): void {
    const { builder, store, onStored, onApplied, deduplicator } = this.#dependencies;
    const blocks = groups.map((group) => ({
      ...builder.build(
        group.map((transaction) => transaction.bytes),
        { slot: slot.slot, timeMs: slot.timeMs },
      ),
      txIds: group.map((transaction) => transaction.txId),
    }));
    const written = blocks.length === 0 ? Promise.resolve() : store(blocks);
    this.#stores = Promise.all([this.#stores, written]).then(
      () => {
        if (this.#failed) return;
        for (const block of blocks) deduplicator.stored(block.txIds);
        if (blocks.length > 0) onStored(blocks);
        onApplied(slot.slot);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#queue = [];
    this.#dependencies.onFatal(asError(error));
  }
}
