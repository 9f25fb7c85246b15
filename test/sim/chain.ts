/**
 * From the ordered stream to blocks: drops what is on the chain already, cuts, chains by hash. A function of the
 * stream and the chain so far, so that a replica that replays cuts the same blocks again.
 */
import { isEqual, sha256 } from './crypto.ts';
import type { Block, SimulatedLedger } from './disk.ts';
import type { ParsedTransaction } from './transactions.ts';

/** Block 0, the same everywhere. */
export const GENESIS_HASH: Uint8Array = sha256(Buffer.from('simulated genesis block'));
export const GENESIS_HEIGHT = 1;

export interface ChainTip {
  readonly height: number;
  readonly hash: Uint8Array;
}

export class ChainBuilder {
  readonly #ledger: SimulatedLedger;
  readonly #blockTransactionsMax: number;
  #pending: ParsedTransaction[] = [];
  /** Ordered, and not in a stored block below `height` yet. */
  readonly #inFlight = new Set<number>();
  tip: ChainTip;

  constructor(ledger: SimulatedLedger, blockTransactionsMax: number, tip: ChainTip) {
    this.#ledger = ledger;
    this.#blockTransactionsMax = blockTransactionsMax;
    this.tip = tip;
  }

  get isEmpty(): boolean {
    return this.#pending.length === 0;
  }

  /** A slot's transactions in order; returns the blocks that it cuts. */
  order(transactions: readonly ParsedTransaction[], cut: boolean): Block[] {
    const blocks: Block[] = [];
    for (const transaction of transactions) {
      if (this.#isOnChain(transaction.txId)) continue;
      this.#inFlight.add(transaction.txId);
      this.#pending.push(transaction);
      if (this.#pending.length >= this.#blockTransactionsMax) blocks.push(this.#cut());
    }
    if (cut && this.#pending.length > 0) blocks.push(this.#cut());
    return blocks;
  }

  /**
   * After a restart the ledger may be ahead of the stream: only blocks below the next one count, or a replay
   * would find its own transactions in the blocks that it has to cut again.
   */
  #isOnChain(txId: number): boolean {
    if (this.#inFlight.has(txId)) return true;
    const block = this.#ledger.blockOf(txId);
    return block !== undefined && block < this.tip.height;
  }

  #cut(): Block {
    const transactions = this.#pending;
    this.#pending = [];
    const number = this.tip.height;
    const bytes = transactions.map((transaction) => transaction.bytes);
    const previousHash = this.tip.hash;
    const hash = hashBlock(number, previousHash, bytes);
    this.tip = { height: number + 1, hash };
    return { number, previousHash, hash, bytes, txIds: transactions.map(({ txId }) => txId) };
  }

  /** The ledger has the block. */
  stored(block: Block): void {
    for (const txId of block.txIds) this.#inFlight.delete(txId);
  }

  /** Goes on from a proven state of the ledger. */
  jump(tip: ChainTip): void {
    this.#pending = [];
    this.#inFlight.clear();
    this.tip = tip;
  }
}

export function hashBlock(
  number: number,
  previousHash: Uint8Array,
  envelopes: readonly Uint8Array[],
): Uint8Array {
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, number, true);
  return sha256(head, previousHash, ...envelopes);
}

/** Do these blocks lead from `height` (exclusive of what is below) to a chain that ends in `tip`? */
export function leadsTo(blocks: readonly Block[], from: ChainTip, tip: ChainTip): boolean {
  let { height, hash } = from;
  for (const block of blocks) {
    if (block.number !== height) return false;
    const expected = hashBlock(height, hash, block.bytes);
    if (!isEqual(block.previousHash, hash) || !isEqual(block.hash, expected)) return false;
    hash = expected;
    height++;
  }
  return height === tip.height && isEqual(hash, tip.hash);
}
