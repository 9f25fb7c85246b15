/** What a replica says of its ledger and its run to those who start. */
import { type Sha256, toHex } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import type { LedgerReport, TailBlock } from './decide.ts';
import { tailHash } from './intake.ts';
import { TAIL_BLOCKS_MAX } from './wire.ts';

export class ReportWriter {
  readonly #ledger: Ledger;
  readonly #sha256: Sha256;
  /** Of uncertified blocks, by number: reading a block for each report would cost too much. */
  readonly #tailHashes = new Map<number, string>();

  constructor(ledger: Ledger, sha256: Sha256) {
    this.#ledger = ledger;
    this.#sha256 = sha256;
  }

  /** Blocks of the ledger have come or gone. */
  forget(): void {
    this.#tailHashes.clear();
  }

  /** Uncertified blocks up to here are told of: a run adds to those above its first (B3). */
  #tailEnd(base: LedgerReport['base']): number {
    const storedHeight = this.#ledger.storedHeight();
    return base === undefined ? storedHeight : Math.min(base.height, storedHeight);
  }

  async write(base: LedgerReport['base'], ready: number | undefined): Promise<LedgerReport> {
    const ledger = this.#ledger;
    const storedHeight = ledger.storedHeight();
    const certifiedHeight = ledger.certifiedHeight();
    const tipHash = toHex(ledger.tip().hash);
    const end = Math.min(this.#tailEnd(base), certifiedHeight + TAIL_BLOCKS_MAX);
    const tail: TailBlock[] = [];
    for (let number = certifiedHeight; number < end; number++) {
      tail.push({ number, hash: await this.#tailHash(number) });
    }
    return { storedHeight, certifiedHeight, tipHash, tail, base, ready };
  }

  async #tailHash(number: number): Promise<string> {
    const known = this.#tailHashes.get(number);
    if (known !== undefined) return known;
    const block = await this.#ledger.storedBlock(number);
    const hash = block === undefined ? undefined : tailHash(block, this.#sha256);
    if (hash === undefined) throw new Error(`block ${number} of the ledger has no readable value`);
    this.#tailHashes.set(number, hash);
    return hash;
  }
}
