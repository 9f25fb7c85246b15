/**
 * How many submissions a replica lets wait: as many as it has lately ordered in the time that a client should wait at most.
 * A queue that may grow to its hard bound would make everybody wait for half a minute, and refuses as many in the end.
 */
export interface BackpressureOptions {
  /** How long the newest submission should wait for those before it. */
  readonly waitMs: number;
  /** So many may always wait: nothing is known of a replica that has had nothing to do. */
  readonly transactionsMin: number;
  readonly transactionsMax: number;
}

/** Weight of the past: what was ordered so long ago counts 1/e. */
const MEMORY_MS = 2_000;
/** What those who wait for room by themselves (streams) may fill of it: the rest is for who comes once. */
const SHARE_OF_WAITING = 0.75;

export class Backpressure {
  readonly #options: BackpressureOptions;
  /** Transactions ordered, each fading with its age; in a steady state their number in MEMORY_MS. */
  #lately = 0;
  #atMs = 0;

  constructor(options: BackpressureOptions) {
    this.#options = options;
  }

  /** So many own transactions are certified. `nowMs` is monotonic. */
  noteOrdered(count: number, nowMs: number): void {
    this.#fade(nowMs);
    this.#lately += count;
  }

  /** So many may wait for a submitter to find room. `canWait`: see `SubmissionOptions`. */
  limit(nowMs: number, canWait = false): number {
    this.#fade(nowMs);
    const { waitMs, transactionsMin, transactionsMax } = this.#options;
    const affordable = Math.floor((this.#lately / MEMORY_MS) * waitMs);
    const all = Math.min(Math.max(affordable, transactionsMin), transactionsMax);
    return canWait ? Math.ceil(all * SHARE_OF_WAITING) : all;
  }

  #fade(nowMs: number): void {
    this.#lately *= Math.exp(-(nowMs - this.#atMs) / MEMORY_MS);
    this.#atMs = nowMs;
  }
}
