/**
 * The protocol under test as the simulator takes it (`test/sim/protocol.ts`), with counters around the core: everything that
 * goes in and comes out passes here, so nothing in the simulator needs to know.
 */
import type {
  ConsensusCore,
  CoreCrypto,
  CoreOptions,
  Effect,
  Input,
} from '../../consensus/core/index.ts';
import type { CoreState } from '../../consensus/core/state.ts';
import type { Protocol } from '../../test/sim/protocol.ts';
import { Tally } from './tally.ts';

/** One call of a core that may change it, as it happened. */
export type CoreCall =
  | { readonly kind: 'take'; readonly input: Input; readonly nowMs: number }
  | { readonly kind: 'settle' };

/** All that one core was asked, and what its cryptography answered: enough to do it again without either. */
export interface Recording {
  /** The same core, as it was before the first call. */
  readonly begin: (crypto: CoreCrypto) => ConsensusCore;
  readonly calls: CoreCall[];
  readonly hashes: Uint8Array[];
  readonly signatures: Uint8Array[];
  readonly verdicts: boolean[];
  /** The counted part of the calls, and how many slots were delivered in it. */
  counted: { from: number; to: number; slots: number };
}

/** So many replicas, from the first. */
const RECORDED = 2;

export class CountingProtocol implements Protocol {
  readonly defaultLimits: Protocol['defaultLimits'];
  readonly checkLimits: Protocol['checkLimits'];
  readonly wire: Protocol['wire'];
  readonly weakness: Protocol['weakness'];
  /** By replica. */
  readonly tallies: Tally[] = [];
  /** Of view 0's leader, and of one that follows it. */
  readonly recordings: Recording[] = [];
  readonly #real: Protocol;
  readonly #begun = new Set<number>();
  /** A core is at work: the simulator's oracle uses their hashes, too. */
  #isInside = false;
  #isCounting = false;

  constructor(real: Protocol, replicas: number) {
    this.#real = real;
    this.defaultLimits = real.defaultLimits;
    this.checkLimits = real.checkLimits;
    this.wire = real.wire;
    this.weakness = real.weakness;
    for (let self = 0; self < replicas; self++) {
      this.tallies.push(new Tally(replicas, real.wire));
    }
  }

  begin(): void {
    this.#isCounting = true;
    for (const recording of this.recordings) recording.counted.from = recording.calls.length;
  }

  end(): void {
    this.#isCounting = false;
    for (const [self, { counted, calls }] of this.recordings.entries()) {
      counted.to = calls.length;
      counted.slots = this.tallies[self]?.counts.slots ?? 0;
    }
  }

  createState = (options: CoreOptions, crypto: CoreCrypto): CoreState => {
    const { self } = options;
    if (this.#begun.has(self)) throw new Error(`replica ${self} began twice`);
    this.#begun.add(self);
    const { createState, coreOf } = this.#real;
    const recording: Recording = {
      begin: (given) => coreOf(createState(options, given)),
      calls: [],
      hashes: [],
      signatures: [],
      verdicts: [],
      counted: { from: 0, to: 0, slots: 0 },
    };
    if (self < RECORDED) this.recordings[self] = recording;
    return this.#inside(() => createState(options, this.#countedCrypto(self, recording, crypto)));
  };

  coreOf = (state: CoreState): ConsensusCore => {
    const core = this.#inside(() => this.#real.coreOf(state));
    const tally = this.tallies[state.self] as Tally;
    const recorded = this.recordings[state.self]?.calls;
    const take = (input: Input, nowMs: number): void => {
      recorded?.push({ kind: 'take', input, nowMs });
      if (this.#isCounting) tally.onInput(input);
      this.#inside(() => core.take(input, nowMs));
    };
    const settle = (): Effect[] => {
      recorded?.push({ kind: 'settle' });
      const effects = this.#inside(() => core.settle());
      if (this.#isCounting) tally.onSettled(effects);
      return effects;
    };
    return {
      take,
      settle,
      step(input, nowMs) {
        take(input, nowMs);
        return settle();
      },
      nextTickMs: () => core.nextTickMs(),
      interest: () => {
        if (this.#isCounting) tally.onTurn();
        return core.interest();
      },
      status: () => core.status(),
      isAnotherView: (told) => core.isAnotherView(told),
    };
  };

  #inside<T>(call: () => T): T {
    this.#isInside = true;
    try {
      return call();
    } finally {
      this.#isInside = false;
    }
  }

  #countedCrypto(self: number, recording: Recording, crypto: CoreCrypto): CoreCrypto {
    const tally = this.tallies[self] as Tally;
    const isRecorded = self < RECORDED;
    return {
      sha256: (first, second, bytes) => {
        const digest = crypto.sha256(first, second, bytes);
        if (!this.#isInside) return digest;
        if (this.#isCounting) tally.onHash(first, second);
        if (isRecorded) recording.hashes.push(digest);
        return digest;
      },
      sign: (message) => {
        if (this.#isCounting) tally.counts.signed++;
        const signature = crypto.sign(message);
        if (isRecorded) recording.signatures.push(signature);
        return signature;
      },
      verify: (signer, message, signature) => {
        if (this.#isCounting) tally.counts.verified++;
        const verdict = crypto.verify(signer, message, signature);
        if (isRecorded) recording.verdicts.push(verdict);
        return verdict;
      },
    };
  }
}
