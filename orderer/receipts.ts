/**
 * From accepted to certified: which submissions of this replica are under way, who waits for a receipt, and what it
 * says. A transaction settles when its block is certified here, no matter which replica's lane brought it or
 * whether the block was cut here, cut again, or fetched.
 */
import {
  decodeBlock,
  encodeBlockHeader,
  headerHash,
  type Sha256,
  toHex,
} from '../ledger/format/index.ts';
import type { Ledger } from '../ledger/store/index.ts';
import type { StoredBlock } from './chain/sequencer.ts';
import { refusal } from './errors.ts';
import { ORDERER_LIMITS } from './limits.ts';
import type { Accepted, CertifiedBlock, Receipt, Refusal, TransactionLocation } from './service.ts';
import { ReceiptWaiters } from './waiters.ts';

export interface ReceiptsDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
}

export class Receipts {
  readonly #ledger: Ledger;
  readonly #sha256: Sha256;
  readonly #waiters = new ReceiptWaiters();
  /** Own submissions between acceptance and certificate. */
  readonly #pending = new Set<string>();

  constructor({ ledger, sha256 }: ReceiptsDependencies) {
    this.#ledger = ledger;
    this.#sha256 = sha256;
  }

  get pending(): number {
    return this.#pending.size;
  }

  isPending(txId: string): boolean {
    return this.#pending.has(txId);
  }

  /** It is queued here. */
  accepted(txId: string): void {
    this.#pending.add(txId);
  }

  /** The ordered stream held it and the chain will not, or has it already. */
  dropped(txId: string): void {
    this.#pending.delete(txId);
  }

  /** The answer to a transaction that is in a stored block already. */
  async stored(txId: string): Promise<Accepted | Refusal> {
    const stored = await this.#ledger.transaction(txId);
    // In a block that waits for its certificate: nothing to queue, and waiting for it works.
    if (stored === undefined || stored.blockNumber >= this.#ledger.certifiedHeight()) {
      return { kind: 'accepted', txId, duplicate: true };
    }
    return refusal('duplicate_transaction', undefined, { location: { txId, ...stored } });
  }

  async committed(
    txIds: readonly string[],
    signal: AbortSignal,
    onReceipt?: (index: number, receipt: Receipt) => void,
  ): Promise<readonly (Receipt | undefined)[]> {
    if (this.#waiters.count + txIds.length > ORDERER_LIMITS.receiptWaitersMax) {
      return txIds.map(() => undefined);
    }
    // Registered before the ledger is asked, or a certificate in between would be missed.
    const receipts = this.#waiters.wait(txIds, signal, onReceipt);
    // What is pending here has no certificate yet, and settles the waiter when it gets it.
    const others = txIds.filter((txId) => !this.#pending.has(txId));
    const [settled] = await Promise.all([receipts, ...others.map((txId) => this.#settle(txId))]);
    return settled;
  }

  async #settle(txId: string): Promise<void> {
    const receipt = await this.#fromLedger(txId);
    if (receipt !== undefined) this.#waiters.settle(txId, receipt);
  }

  async transaction(txId: string): Promise<TransactionLocation | undefined> {
    const location = await this.#ledger.transaction(txId);
    if (location === undefined || location.blockNumber >= this.#ledger.certifiedHeight())
      return undefined;
    return { txId, ...location };
  }

  async block(number: number): Promise<CertifiedBlock | undefined> {
    if (number >= this.#ledger.certifiedHeight()) return undefined;
    const bytes = await this.#ledger.block(number);
    return bytes === undefined ? undefined : { number, bytes };
  }

  /** Returns how many of the block's transactions were pending here. */
  onCertified(stored: StoredBlock, metadata: Uint8Array): number {
    const pendingBefore = this.#pending.size;
    const header = encodeBlockHeader(stored.block.header);
    const blockHash = toHex(stored.headerHash);
    const blockNumber = stored.block.header.number;
    for (const [index, txId] of stored.txIds.entries()) {
      if (txId === undefined) continue;
      this.#pending.delete(txId);
      if (!this.#waiters.has(txId)) continue;
      this.#waiters.settle(txId, {
        txId,
        blockNumber,
        index,
        blockHash,
        header,
        certificate: metadata,
      });
    }
    return pendingBefore - this.#pending.size;
  }

  /** Certified blocks came by another way than one by one. */
  async recheck(): Promise<void> {
    for (const txId of new Set([...this.#pending, ...this.#waiters.ids()])) {
      const receipt = await this.#fromLedger(txId);
      if (receipt === undefined) continue;
      this.#pending.delete(txId);
      this.#waiters.settle(txId, receipt);
    }
  }

  /** Answers everybody who waits with undefined: the replica stops. */
  abandon(): void {
    this.#waiters.abandon();
  }

  async #fromLedger(txId: string): Promise<Receipt | undefined> {
    const location = await this.transaction(txId);
    if (location === undefined) return undefined;
    const stored = await this.block(location.blockNumber);
    const decoded = stored === undefined ? undefined : decodeBlock(stored.bytes);
    if (decoded?.kind !== 'ok') return undefined;
    const { header, metadata } = decoded.value;
    return {
      ...location,
      blockHash: toHex(headerHash(header, this.#sha256)),
      header: encodeBlockHeader(header),
      certificate: metadata[0] ?? new Uint8Array(),
    };
  }
}
