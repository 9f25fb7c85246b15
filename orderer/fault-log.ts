/** Faults of peers that are seen outside of consensus: counted, and told a bounded number of times. */
import { ORDERER_LIMITS } from './limits.ts';
import type { Log } from './log.ts';

export class FaultLog {
  readonly #log: Log;
  readonly #counts: number[];

  constructor(replicas: number, log: Log) {
    this.#log = log;
    this.#counts = new Array<number>(replicas).fill(0);
  }

  count(peer: number): number {
    return this.#counts[peer] ?? 0;
  }

  /** What one faulty peer does must not fill the disk with lines. */
  blame(peer: number, data: object, message: string): void {
    const count = this.count(peer) + 1;
    this.#counts[peer] = count;
    if (count <= ORDERER_LIMITS.faultLinesMax) this.#log.warn({ peer, ...data }, message);
  }
}
