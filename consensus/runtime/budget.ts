/**
 * How much one peer may send through this thread to the main thread, which reads more slowly than the ring can be
 * written: what is over the budget is dropped, and whoever needed it asks again.
 */
export interface BudgetOptions {
  readonly burstBytes: number;
  readonly bytesPerMs: number;
}

/** What a message costs besides its bytes. */
export const MESSAGE_COST_BYTES = 256;

export class PeerBudget {
  readonly #options: BudgetOptions;
  #leftBytes: number;
  #atMs = 0;

  constructor(options: BudgetOptions) {
    this.#options = options;
    this.#leftBytes = options.burstBytes;
  }

  /** False: the message is to be dropped. `nowMs` never goes back. */
  take(bytes: number, nowMs: number): boolean {
    const { burstBytes, bytesPerMs } = this.#options;
    this.#leftBytes = Math.min(burstBytes, this.#leftBytes + (nowMs - this.#atMs) * bytesPerMs);
    this.#atMs = nowMs;
    const cost = MESSAGE_COST_BYTES + bytes;
    if (cost > this.#leftBytes) return false;
    this.#leftBytes -= cost;
    return true;
  }
}
