/** Submitters that wait for their transactions to be in certified blocks. */
import type { Receipt } from './service.ts';

/** One call: as many transactions as were handed in together. */
interface Waiter {
  readonly receipts: (Receipt | undefined)[];
  missing: number;
  readonly onReceipt: ((index: number, receipt: Receipt) => void) | undefined;
  finish(): void;
}

interface Place {
  readonly waiter: Waiter;
  readonly index: number;
}

export class ReceiptWaiters {
  readonly #byTxId = new Map<string, Place[]>();
  #count = 0;

  /** Transactions that are waited for, each as often as somebody does. */
  get count(): number {
    return this.#count;
  }

  /** Whether anybody waits for this transaction. */
  has(txId: string): boolean {
    return this.#byTxId.has(txId);
  }

  /** The transactions that somebody waits for. */
  ids(): Iterable<string> {
    return this.#byTxId.keys();
  }

  /** Settles with all receipts, or when `signal` aborts with those that are there; `onReceipt` hears of each at once. */
  wait(
    txIds: readonly string[],
    signal: AbortSignal,
    onReceipt?: (index: number, receipt: Receipt) => void,
  ): Promise<(Receipt | undefined)[]> {
    const receipts = new Array<Receipt | undefined>(txIds.length).fill(undefined);
    if (signal.aborted || txIds.length === 0) return Promise.resolve(receipts);
    return new Promise((resolve) => {
      const finish = (): void => {
        signal.removeEventListener('abort', finish);
        if (waiter.missing > 0) this.#forget(txIds, waiter);
        resolve(receipts);
      };
      const waiter: Waiter = { receipts, missing: txIds.length, onReceipt, finish };
      signal.addEventListener('abort', finish, { once: true });
      for (const [index, txId] of txIds.entries()) {
        const places = this.#byTxId.get(txId);
        if (places === undefined) this.#byTxId.set(txId, [{ waiter, index }]);
        else places.push({ waiter, index });
      }
      this.#count += txIds.length;
    });
  }

  settle(txId: string, receipt: Receipt): void {
    const places = this.#byTxId.get(txId);
    if (places === undefined) return;
    this.#byTxId.delete(txId);
    this.#count -= places.length;
    for (const { waiter, index } of places) {
      waiter.receipts[index] = receipt;
      waiter.missing--;
      waiter.onReceipt?.(index, receipt);
      if (waiter.missing === 0) waiter.finish();
    }
  }

  /** Answers everybody with what is there: the replica stops. */
  abandon(): void {
    const waiters = new Set<Waiter>();
    for (const places of this.#byTxId.values())
      for (const { waiter } of places) waiters.add(waiter);
    for (const waiter of waiters) waiter.finish();
  }

  #forget(txIds: readonly string[], waiter: Waiter): void {
    for (const txId of txIds) {
      const places = this.#byTxId.get(txId);
      if (places === undefined) continue;
      const left = places.filter((place) => place.waiter !== waiter);
      this.#count -= places.length - left.length;
      if (left.length === 0) this.#byTxId.delete(txId);
      else this.#byTxId.set(txId, left);
    }
  }
}
