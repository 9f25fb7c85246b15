/**
 * Fabric's block cutter (orderer/common/blockcutter), rule for rule, without its clock: what
 * becomes a block is a function of the messages and their order. When to cut by time is decided by
 * the ordered stream.
 */
import { OrdererError } from '../errors.ts';

export interface BlockCutterOptions {
  /** A block with this many messages is cut at once. */
  readonly maxMessageCount: number;
  /**
   * A block is cut before it would exceed this; a single larger message gets a block of its own.
   */
  readonly preferredMaxBytes: number;
}

export interface CutterMessage {
  /** Payload and signature of the envelope (Fabric: messageSizeBytes). */
  readonly sizeBytes: number;
}

export interface Ordered<T> {
  /** Blocks that are full now, in order: at most two. Never empty ones. */
  readonly batches: T[][];
  /** Messages wait for a later cut. */
  readonly pending: boolean;
}

export class BlockCutter<T extends CutterMessage> {
  readonly #options: BlockCutterOptions;
  /** Fewer than maxMessageCount, together at most preferredMaxBytes. */
  #pending: T[] = [];
  #pendingBytes = 0;

  /** @param pending what `state()` gave when the cutter was saved */
  constructor(options: BlockCutterOptions, pending: readonly T[] = []) {
    for (const [name, value] of Object.entries(options)) {
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new OrdererError('bad_limits', `${name} is ${value}: give a positive integer`);
      }
    }
    this.#options = options;
    for (const message of pending) {
      const { batches } = this.ordered(message);
      if (batches.length > 0) {
        throw new OrdererError('misuse', 'these pending messages do not fit in one open block');
      }
    }
  }

  get pendingCount(): number {
    return this.#pending.length;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The next message of the ordered stream. */
  ordered(message: T): Ordered<T> {
    const { maxMessageCount, preferredMaxBytes } = this.#options;
    const batches: T[][] = [];
    if (message.sizeBytes > preferredMaxBytes) {
      if (this.#pending.length > 0) batches.push(this.cut());
      batches.push([message]);
      return { batches, pending: false };
    }
    if (this.#pendingBytes + message.sizeBytes > preferredMaxBytes) batches.push(this.cut());
    this.#pending.push(message);
    this.#pendingBytes += message.sizeBytes;
    if (this.#pending.length >= maxMessageCount) batches.push(this.cut());
    return { batches, pending: this.#pending.length > 0 };
  }

  /** Takes what is pending: the next block, or nothing. */
  cut(): T[] {
    const batch = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    return batch;
  }

  /** What is pending, in order: part of a checkpoint's state. */
  state(): readonly T[] {
    return [...this.#pending];
  }
}
