/**
 * Which slot is reported to consensus as applied: what is stored, but no further than the certificates follow.
 * Blocks are kept in memory until they are certified; were the stream to run on while too few replicas sign, that
 * would grow without end. Consensus stops by itself when the applied slot stands still (docs/protocol.md, E4, P4).
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
  /** Stored in this run before the slot. */
  readonly blocksBefore: number;
  readonly bytesBefore: number;
}

export class AppliedGate {
  readonly #options: AppliedGateOptions;
  #slot: number;
  readonly #waiting: Passing[] = [];
  #before = { blocks: 0, bytes: 0 };
  #stored = { blocks: 0, bytes: 0 };
  #certified = { blocks: 0, bytes: 0 };

  constructor(options: AppliedGateOptions, appliedSlot: number) {
    this.#options = options;
    this.#slot = appliedSlot;
  }

  /** To report to consensus. */
  get slot(): number {
    return this.#slot;
  }

  /** Blocks of the next slot that `applied` names, or of the run before. */
  stored(bytes: number): void {
    this.#stored = { blocks: this.#stored.blocks + 1, bytes: this.#stored.bytes + bytes };
  }

  applied(slot: number): void {
    const { blocks, bytes } = this.#before;
    this.#waiting.push({ slot, blocksBefore: blocks, bytesBefore: bytes });
    this.#before = this.#stored;
    this.#advance();
  }

  /** One block of those stored has its certificate. */
  certified(bytes: number): void {
    this.#certified = { blocks: this.#certified.blocks + 1, bytes: this.#certified.bytes + bytes };
    this.#advance();
  }

  #advance(): void {
    const { uncertifiedBlocksMax, uncertifiedBytesMax } = this.#options;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (next.blocksBefore - this.#certified.blocks >= uncertifiedBlocksMax) return;
      if (next.bytesBefore - this.#certified.bytes >= uncertifiedBytesMax) return;
      this.#slot = next.slot;
      this.#waiting.shift();
    }
  }
}
