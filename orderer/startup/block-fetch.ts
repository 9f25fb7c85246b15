/**
 * Fetches blocks while a run goes on (docs/protocol.md, T2): from all connected peers in turn, one request at a
 * time, so that one that lies, or answers slowly, holds up every n-th request at most. What it gives is checked like
 * everything else; one that gives something bad, or nothing in time, is set aside, named in the log and counted.
 * One that just has no certificate yet is not at fault: f + 1 that give the same block are as good.
 */
import { SetAside } from './set-aside.ts';

export interface BlockFetchOptions {
  readonly replicas: number;
  /** f. */
  readonly faults: number;
  readonly self: number;
  /** How long an answer is waited for; twice as long after each that came too late, up to `SLOW_ANSWERS` times. */
  readonly answerMs: number;
  /** Rest after a round in which nobody had anything. */
  readonly retryMs: number;
}

export interface BlockFetchDependencies {
  readonly isConnected: (peer: number) => boolean;
  readonly ask: (peer: number, fromNumber: number) => void;
  /** Stores those at the beginning of an answer that are certified; answers how many. */
  readonly takeCertified: (fromNumber: number, blocks: readonly Uint8Array[]) => Promise<number>;
  /** Stores the block if it is proven. */
  readonly take: (
    number: number,
    bytes: Uint8Array,
    isVouched: (number: number, hash: string) => boolean,
  ) => Promise<Taken>;
  /** Whether f + 1 replicas count that give the same uncertified block: those in this run do. */
  readonly isInRun: (peer: number) => boolean;
  readonly storedHeight: () => number;
  readonly onFault: (peer: number, reason: string) => void;
}

export type Taken =
  | { readonly kind: 'stored' }
  | { readonly kind: 'unproven'; readonly hash: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** A busy machine, or a slow one, is not at fault for ever. */
const SLOW_ANSWERS = 16;

interface Asked {
  readonly peer: number;
  readonly fromNumber: number;
  answer(blocks: readonly Uint8Array[] | undefined): void;
}

export class BlockFetch {
  readonly #options: BlockFetchOptions;
  readonly #dependencies: BlockFetchDependencies;
  readonly #setAside = new SetAside();
  /** By peer: how long its next answer is waited for. */
  readonly #patienceMs: number[];
  /** Of each peer: the blocks that it gave and that are not proven, by number. */
  readonly #given: Map<number, string>[];
  #asked: Asked | undefined;
  #next = 0;
  #wake: (() => void) | undefined;

  constructor(options: BlockFetchOptions, dependencies: BlockFetchDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#patienceMs = new Array<number>(options.replicas).fill(options.answerMs);
    this.#given = Array.from({ length: options.replicas }, () => new Map());
  }

  /** Whether blocks from this number on were asked of this peer, and have not come. */
  awaits(peer: number, fromNumber: number): boolean {
    return this.#asked?.peer === peer && this.#asked.fromNumber === fromNumber;
  }

  onBlocks(peer: number, fromNumber: number, blocks: readonly Uint8Array[]): void {
    if (this.awaits(peer, fromNumber)) this.#asked?.answer(blocks);
  }

  onLink(peer: number, up: boolean): void {
    if (!up && this.#asked?.peer === peer) this.#asked.answer(undefined);
    if (up) this.#wake?.();
  }

  /** Resolves when the ledger has `height` blocks, or `isOver` says so. Rejects when the ledger fails. */
  async run(height: number, isOver: () => boolean): Promise<void> {
    const { storedHeight } = this.#dependencies;
    for (const given of this.#given) given.clear();
    let empty = 0;
    while (storedHeight() < height && !isOver()) {
      const peer = this.#choose();
      const before = storedHeight();
      if (peer !== undefined) await this.#fetchFrom(peer, before, height);
      empty = storedHeight() > before ? 0 : empty + 1;
      if (peer !== undefined && empty < this.#options.replicas - 1) continue;
      empty = 0;
      await this.#rest();
    }
  }

  /** Ends every wait: the replica stops, or another height is wanted. */
  interrupt(): void {
    this.#asked?.answer(undefined);
    this.#wake?.();
  }

  /** The next peer in turn that is connected and not set aside. */
  #choose(): number | undefined {
    const { replicas, self } = this.#options;
    const aside = this.#setAside.current(performance.now());
    for (let step = 0; step < replicas; step++) {
      const peer = (this.#next + step) % replicas;
      if (peer === self || aside.has(peer) || !this.#dependencies.isConnected(peer)) continue;
      this.#next = peer + 1;
      return peer;
    }
    return undefined;
  }

  async #fetchFrom(peer: number, fromNumber: number, height: number): Promise<void> {
    const { take, takeCertified, storedHeight } = this.#dependencies;
    const startedMs = performance.now();
    const blocks = await this.#answer(peer, fromNumber);
    const { answerMs } = this.#options;
    if (blocks === undefined) {
      const patienceMs = this.#patienceMs[peer] ?? answerMs;
      if (performance.now() - startedMs < patienceMs) return;
      this.#patienceMs[peer] = Math.min(2 * patienceMs, SLOW_ANSWERS * answerMs);
      return this.#blame(peer, 'it did not answer in time');
    }
    this.#given[peer]?.clear();
    const wanted = blocks.slice(0, height - fromNumber);
    const certified = await takeCertified(fromNumber, wanted);
    for (const [index, bytes] of wanted.slice(certified).entries()) {
      const number = fromNumber + certified + index;
      const taken = await take(number, bytes, (at, hash) => this.#isVouched(peer, at, hash));
      if (taken.kind === 'unproven') this.#given[peer]?.set(number, taken.hash);
      if (taken.kind !== 'refused') continue;
      return this.#blame(peer, `block ${number}: ${taken.reason}`);
    }
    if (storedHeight() <= fromNumber) return;
    this.#setAside.forgive(peer);
    this.#patienceMs[peer] = Math.max(answerMs, (this.#patienceMs[peer] ?? answerMs) / 2);
  }

  /** By its sender and f others that are in the run. */
  #isVouched(sender: number, number: number, hash: string): boolean {
    const { isInRun } = this.#dependencies;
    const givers = this.#given.filter(
      (given, peer) => isInRun(peer) && (peer === sender || given.get(number) === hash),
    );
    return givers.length > this.#options.faults;
  }

  #answer(peer: number, fromNumber: number): Promise<readonly Uint8Array[] | undefined> {
    return new Promise((resolve) => {
      const answer = (blocks: readonly Uint8Array[] | undefined): void => {
        clearTimeout(timer);
        this.#asked = undefined;
        resolve(blocks);
      };
      const patienceMs = this.#patienceMs[peer] ?? this.#options.answerMs;
      const timer = setTimeout(() => answer(undefined), patienceMs);
      this.#asked = { peer, fromNumber, answer };
      this.#dependencies.ask(peer, fromNumber);
    });
  }

  #blame(peer: number, reason: string): void {
    this.#setAside.add(peer, performance.now());
    this.#dependencies.onFault(peer, reason);
  }

  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(wake, this.#options.retryMs);
      this.#wake = wake;
    });
  }
}
