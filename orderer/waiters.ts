/** Submitters that wait for their transaction to be in a certified block. */
import type { Receipt } from './service.ts';

interface Waiter {
  resolve(receipt: Receipt | undefined): void;
}

export class ReceiptWaiters {
  readonly #byTxId = new Map<string, Set<Waiter>>();
  #count = 0;

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

  /** Settles with the receipt, or with undefined when `signal` aborts. */
  wait(txId: string, signal: AbortSignal): Promise<Receipt | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        resolve: (receipt) => {
          signal.removeEventListener('abort', onAbort);
          this.#remove(txId, waiter);
          resolve(receipt);
        },
      };
      const onAbort = (): void => waiter.resolve(undefined);
      signal.addEventListener('abort', onAbort, { once: true });
      const waiters = this.#byTxId.get(txId) ?? new Set();
      waiters.add(waiter);
      this.#byTxId.set(txId, waiters);
      this.#count++;
    });
  }

  settle(txId: string, receipt: Receipt): void {
    for (const waiter of [...(this.#byTxId.get(txId) ?? [])]) waiter.resolve(receipt);
  }

  /** Answers everybody with undefined: the replica stops. */
  abandon(): void {
    for (const waiters of [...this.#byTxId.values()]) {
      for (const waiter of [...waiters]) waiter.resolve(undefined);
    }
  }

  #remove(txId: string, waiter: Waiter): void {
    const waiters = this.#byTxId.get(txId);
    if (waiters?.delete(waiter) !== true) return;
    this.#count--;
    if (waiters.size === 0) this.#byTxId.delete(txId);
  }
}
