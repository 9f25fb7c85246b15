/**
 * Which slot is reported to consensus as applied: what is stored, but no further than the certificates follow.
 * Blocks are kept in memory until they are certified; were the stream to run on while too few replicas sign, that
 * would grow without end. Consensus stops by itself when the applied slot stands still (docs/protocol.md, E4, P4).
 * What is on disk is reported at once all the same, as a checkpoint: that is another matter (K1).
 *
 * A slot is let through when the blocks of the slots _before_ it are certified but for the allowed number. So
 * there is always a next one once those before are certified, and a replica that lags, whose signatures are
 * missing, can reach every slot whose blocks hold this one up.
 */
export interface AppliedGateOptions {
  readonly uncertifiedBlocksMax: number;
  readonly uncertifiedBytesMax: number;
}

interface Passing {
  readonly slot: number;
  /** Height of the chain before the slot. */
  readonly heightBefore: number;
}

export class AppliedGate {
  readonly #options: AppliedGateOptions;
  #slot: number;
  /** All blocks below are certified. */
  #certifiedHeight: number;
  #waiting: Passing[] = [];
  /** Height of the chain before the next slot. */
  #heightBefore: number;
  /** Bytes of the blocks from some block on, below each height above the certified one. */
  readonly #bytesBelow = new Map<number, number>();
  #storedBytes = 0;
  #storedHeight: number;

  constructor(options: AppliedGateOptions, slot: number, certifiedHeight: number) {
    this.#options = options;
    this.#slot = slot;
    this.#certifiedHeight = certifiedHeight;
    this.#storedHeight = certifiedHeight;
    this.#heightBefore = certifiedHeight;
    this.#bytesBelow.set(certifiedHeight, 0);
  }

  /** To report to consensus. */
  get slot(): number {
    return this.#slot;
  }

  /** The next block of the chain is on disk. */
  stored(number: number, bytes: number): void {
    if (number !== this.#storedHeight) {
      throw new Error(`block ${number} was stored after block ${this.#storedHeight - 1}`);
    }
    this.#storedHeight++;
    this.#storedBytes += bytes;
    this.#bytesBelow.set(this.#storedHeight, this.#storedBytes);
  }

  /** Everything up to the slot is on disk, the chain having `height` blocks after it. */
  applied(slot: number, height: number): void {
    this.#waiting.push({ slot, heightBefore: this.#heightBefore });
    this.#heightBefore = height;
    this.#advance();
  }

  /** The next block of the chain has its certificate. */
  certified(number: number): void {
    if (number !== this.#certifiedHeight) {
      throw new Error(`block ${number} was certified after block ${this.#certifiedHeight - 1}`);
    }
    this.#bytesBelow.delete(number);
    this.#certifiedHeight++;
    this.#advance();
  }

  /** The stream goes on after this slot, at this height of the chain. */
  resume(slot: number, height: number): void {
    this.#slot = slot;
    this.#waiting = [];
    this.#heightBefore = height;
  }

  #advance(): void {
    const { uncertifiedBlocksMax, uncertifiedBytesMax } = this.#options;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const { heightBefore } = next;
      if (heightBefore - this.#certifiedHeight >= uncertifiedBlocksMax) return;
      if (this.#uncertifiedBytes(heightBefore) >= uncertifiedBytesMax) return;
      this.#slot = next.slot;
      this.#waiting.shift();
    }
  }

  #uncertifiedBytes(height: number): number {
    if (height <= this.#certifiedHeight) return 0;
    const below = this.#bytesBelow.get(height);
    const certified = this.#bytesBelow.get(this.#certifiedHeight);
    if (below === undefined || certified === undefined) {
      throw new Error(`a slot was applied at height ${height}, which is not stored`);
    }
    return below - certified;
  }
}
