/** Blocks fetched before a run, one request at a time, and those who do not come up with them (docs/protocol.md, B2). */
import type { ConsenterKey, Sha256 } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import type { Log } from '../log.ts';
import { takeBlock } from './intake.ts';
import { SetAside } from './set-aside.ts';
import { encodeStartMessage } from './wire.ts';

export interface StartFetchOptions {
  readonly consenters: readonly ConsenterKey[];
  /** An answer that is later sets its peer aside. */
  readonly answerMs: number;
}

export interface StartFetchDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly send: (peer: number, body: Uint8Array) => void;
  /** Do f + 1 replicas report this uncertified block? */
  readonly isVouched: (number: number, hash: string) => boolean;
  readonly isClosed: () => boolean;
  readonly log: Log;
}

export class StartFetch {
  readonly #options: StartFetchOptions;
  readonly #dependencies: StartFetchDependencies;
  readonly #setAside = new SetAside();
  #asked: { peer: number; fromNumber: number; untilMs: number } | undefined;
  #lastAsked: number | undefined;

  constructor(options: StartFetchOptions, dependencies: StartFetchDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
  }

  get busy(): boolean {
    return this.#asked !== undefined;
  }

  get lastAsked(): number | undefined {
    return this.#lastAsked;
  }

  get setAside(): ReadonlySet<number> {
    return this.#setAside.current(performance.now());
  }

  awaits(peer: number, fromNumber: number): boolean {
    return this.#asked?.peer === peer && this.#asked.fromNumber === fromNumber;
  }

  ask(peer: number, fromNumber: number): void {
    this.#asked = { peer, fromNumber, untilMs: performance.now() + this.#options.answerMs };
    this.#lastAsked = peer;
    this.#dependencies.send(peer, encodeStartMessage({ kind: 'fetch', fromNumber }));
  }

  /** Nothing more is expected of this peer, through no fault of its own. */
  cancel(peer: number): void {
    if (this.#asked?.peer === peer) this.#asked = undefined;
  }

  /** Gives up what is overdue. */
  expire(): void {
    const asked = this.#asked;
    if (asked === undefined || performance.now() <= asked.untilMs) return;
    this.#asked = undefined;
    this.#disappoint(asked.peer, 'it did not answer in time');
  }

  /** Stores what is good; answers whether anything was. */
  async onBlocks(peer: number, from: number, blocks: readonly Uint8Array[]): Promise<boolean> {
    const { ledger, isClosed } = this.#dependencies;
    if (!this.awaits(peer, from)) return false;
    const before = ledger.storedHeight() + ledger.certifiedHeight();
    let refused: string | undefined;
    for (const [index, bytes] of blocks.entries()) {
      if (isClosed()) return false;
      const number = from + index;
      refused = await takeBlock(number, bytes, { ...this.#dependencies, ...this.#options });
      if (refused === undefined) continue;
      refused = `block ${number}: ${refused}`;
      break;
    }
    this.#asked = undefined;
    const grown = ledger.storedHeight() + ledger.certifiedHeight() > before;
    // After what was good may come what is not vouched for yet: no fault.
    if (grown) this.#setAside.forgive(peer);
    else this.#disappoint(peer, refused ?? 'it sent nothing new');
    return grown;
  }

  /** The peer claims blocks and does not come up with them: others are asked, and it is not waited for. */
  #disappoint(peer: number, reason: string): void {
    this.#setAside.add(peer, performance.now());
    this.#dependencies.log.warn({ peer, reason }, 'a replica does not give the blocks it reports');
  }
}
