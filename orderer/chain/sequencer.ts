/**
 * Turns the ordered stream into stored blocks: drops what is expired at the ordered time or already on the
 * chain, cuts, chains and stores. One slot after the other; a slot counts as applied when every block that
 * it cut is on disk.
 *
 * Everything here is a function of the ordered stream and the chain so far: no clock, no configuration of
 * this replica alone, or two replicas would cut different blocks.
 *
 * There is one of these in a run, whether a slot has just been committed, is delivered again after a restart,
 * or follows a checkpoint of the others: so no block can be delivered twice or left out.
 */
import type { Sha256 } from '../../ledger/format/index.ts';
import type { BlockCutter } from '../cutter/index.ts';
import type { Deduplicator } from '../dedupe/index.ts';
import { type CheckedTransaction, isWithinValidity } from '../envelope/index.ts';
import { asError, OrdererError } from '../errors.ts';
import { BlockBuilder, type ChainTip, type CutBlock } from './block-builder.ts';
import { type ReplayedLedger, requireHolds, requireSame } from './replay.ts';

/** A decided slot with its transactions in order. */
export interface OrderedSlot {
  readonly slot: number;
  readonly timeMs: number;
  readonly cut: boolean;
  /** With `cut`: nothing is pending after it, and it is reported when it is on disk. */
  readonly checkpoint: boolean;
  readonly transactions: readonly CheckedTransaction[];
}

export interface StoredBlock extends CutBlock {
  /** One per envelope. */
  readonly txIds: readonly (string | undefined)[];
}

/** Where the stream goes on: after this slot, with nothing pending, on this chain. */
export interface StreamPoint extends ChainTip {
  readonly slot: number;
}

export interface SequencerDependencies {
  readonly cutter: BlockCutter<CheckedTransaction>;
  readonly deduplicator: Deduplicator;
  readonly ledger: ReplayedLedger;
  readonly sha256: Sha256;
  /** Resolves when the blocks are on disk; calls are answered in order. */
  readonly store: (blocks: readonly StoredBlock[]) => Promise<void>;
  readonly onStored: (blocks: readonly StoredBlock[]) => void;
  /** `height` of the chain after the slot. */
  readonly onApplied: (slot: number, height: number) => void;
  /** A slot with `checkpoint`, and all before it, are on disk. Before its `onApplied`. */
  readonly onCheckpoint: (point: StreamPoint) => void;
  /** Transactions that the ordered stream held and the chain will not: expired, or there already. */
  readonly onDropped: (transaction: CheckedTransaction, why: 'expired' | 'duplicate') => void;
  readonly onFatal: (error: Error) => void;
}

interface Resume {
  readonly point: StreamPoint;
  resolve(): void;
  reject(error: Error): void;
}

type Item =
  | { readonly kind: 'slot'; readonly slot: OrderedSlot }
  | { readonly kind: 'resume'; readonly resume: Resume };

export class DeliverySequencer {
  readonly #dependencies: SequencerDependencies;
  /** Bounded by the consensus window: a leader may not run further ahead of the applied slot. */
  #queue: Item[] = [];
  #running: Promise<void> | undefined;
  #stores: Promise<void> = Promise.resolve();
  #failed: Error | undefined;
  /** Undefined until `resume` has said where the stream begins. */
  #builder: BlockBuilder | undefined;
  #lastSlot = 0;
  /** Blocks below are in the ledger already, and compared. */
  #replayUntil = 0;

  constructor(dependencies: SequencerDependencies) {
    this.#dependencies = dependencies;
  }

  push(slot: OrderedSlot): void {
    if (this.#failed === undefined) this.#enqueue({ kind: 'slot', slot });
  }

  /**
   * The stream begins, or goes on, at this point, once everything pushed so far is stored. What the ledger holds
   * beyond it will be delivered again. Rejects, and takes nothing more, when the ledger does not hold the point
   * (`ledger_behind`, `safety_violation`).
   */
  resume(point: StreamPoint): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    return new Promise((resolve, reject) => {
      this.#enqueue({ kind: 'resume', resume: { point, resolve, reject } });
    });
  }

  /** Whether blocks that the ledger holds are being cut again. */
  get replaying(): boolean {
    return this.#builder !== undefined && this.#builder.tip.height < this.#replayUntil;
  }

  /** Number of the next block; what is stored from there on has not been delivered (again) yet. */
  get nextNumber(): number {
    return this.#builder?.tip.height ?? 0;
  }

  /** Resolves when everything pushed so far is stored (or has failed). */
  async drained(): Promise<void> {
    await this.#running;
    await this.#stores;
  }

  #enqueue(item: Item): void {
    this.#queue.push(item);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        if (next.kind === 'resume') await this.#resume(next.resume);
        else await this.#apply(next.slot);
        if (this.#failed !== undefined) return;
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#running = undefined;
    }
  }

  async #resume({ point, resolve, reject }: Resume): Promise<void> {
    const { ledger, sha256, cutter, deduplicator } = this.#dependencies;
    try {
      await this.#stores;
      if (this.#failed !== undefined) throw this.#failed;
      await requireHolds(ledger, point);
    } catch (error) {
      this.#failed ??= asError(error);
      this.#dropQueue();
      return reject(this.#failed);
    }
    cutter.cut();
    deduplicator.reset();
    this.#builder = new BlockBuilder(point, sha256);
    this.#lastSlot = point.slot;
    this.#replayUntil = ledger.storedHeight();
    resolve();
  }

  async #apply(slot: OrderedSlot): Promise<void> {
    const builder = this.#begin(slot);
    const { deduplicator, cutter } = this.#dependencies;
    const fresh = await this.#admissible(slot, deduplicator);
    const groups: CheckedTransaction[][] = [];
    for (const transaction of fresh) groups.push(...cutter.ordered(transaction).batches);
    if (slot.cut) {
      const rest = cutter.cut();
      if (rest.length > 0) groups.push(rest);
    }
    const blocks = groups.map((group) => ({
      ...builder.build(
        group.map((transaction) => transaction.bytes),
        { slot: slot.slot, timeMs: slot.timeMs },
      ),
      txIds: group.map((transaction) => transaction.txId),
    }));
    this.#store(slot, await this.#compare(blocks), builder.tip);
  }

  /** Slots come one after the other, each once. */
  #begin(slot: OrderedSlot): BlockBuilder {
    if (this.#builder === undefined || slot.slot !== this.#lastSlot + 1) {
      throw new OrdererError('misuse', `slot ${slot.slot} was delivered after ${this.#lastSlot}`);
    }
    if (slot.checkpoint && !slot.cut) {
      throw new OrdererError('misuse', `slot ${slot.slot} is a checkpoint and does not cut`);
    }
    this.#lastSlot = slot.slot;
    return this.#builder;
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
    const before = this.replaying ? this.nextNumber : undefined;
    const { fresh, duplicates } = await deduplicator.filter(live, before);
    for (const transaction of duplicates) onDropped(transaction, 'duplicate');
    return fresh;
  }

  /** Answers those that are to be stored: the others are in the ledger, and the same. */
  async #compare(blocks: readonly StoredBlock[]): Promise<readonly StoredBlock[]> {
    const { ledger, deduplicator } = this.#dependencies;
    for (const [index, block] of blocks.entries()) {
      if (block.block.header.number >= this.#replayUntil) return blocks.slice(index);
      await requireSame(ledger, block);
      deduplicator.stored(block.txIds);
    }
    return [];
  }

  /** Starts the write and goes on: the ledger merges writes that wait, and answers them in order. */
  #store(slot: OrderedSlot, blocks: readonly StoredBlock[], tip: ChainTip): void {
    const { store, onStored, onApplied, onCheckpoint, deduplicator } = this.#dependencies;
    const written = blocks.length === 0 ? Promise.resolve() : store(blocks);
    this.#stores = Promise.all([this.#stores, written]).then(
      () => {
        if (this.#failed !== undefined) return;
        for (const block of blocks) deduplicator.stored(block.txIds);
        if (blocks.length > 0) onStored(blocks);
        if (slot.checkpoint) onCheckpoint({ slot: slot.slot, ...tip });
        onApplied(slot.slot, tip.height);
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    if (this.#failed !== undefined) return;
    this.#failed = asError(error);
    this.#dropQueue();
    this.#dependencies.onFatal(this.#failed);
  }

  #dropQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const item of queue) {
      if (item.kind === 'resume') item.resume.reject(this.#failed as Error);
    }
  }
}
