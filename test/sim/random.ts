/** The one source of chance of a simulation: sfc32 (PractRand), seeded by a number and a stream. */

const WARM_UP_DRAWS = 12;
const TWO_POW_32 = 2 ** 32;

export class Random {
  /** a, b, c and the counter. */
  readonly #state = new Int32Array(4);

  constructor(seed: number, stream = 0) {
    this.#state[0] = seed | 0;
    this.#state[1] = Math.floor(seed / TWO_POW_32) | 0;
    this.#state[2] = stream | 0;
    this.#state[3] = 1;
    for (let i = 0; i < WARM_UP_DRAWS; i++) this.next();
  }

  /** From 0 inclusive to 1 exclusive. */
  next(): number {
    const state = this.#state;
    const a = state[0] as number;
    const b = state[1] as number;
    const c = state[2] as number;
    const counter = state[3] as number;
    const sum = (((a + b) | 0) + counter) | 0;
    state[3] = (counter + 1) | 0;
    state[0] = b ^ (b >>> 9);
    state[1] = (c + (c << 3)) | 0;
    state[2] = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / TWO_POW_32;
  }

  /** An integer from 0 to limit - 1. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** An integer, both ends inclusive. */
  integer(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  /** Spread evenly over orders of magnitude: as many below as above the geometric mean. */
  magnitude(from: number, to: number): number {
    return from * (to / from) ** this.next();
  }

  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability;
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from');
    return list[this.below(list.length)] as T;
  }

  /** A new list in random order. */
  shuffled<T>(list: readonly T[]): T[] {
    const result = [...list];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [result[i], result[j]] = [result[j] as T, result[i] as T];
    }
    return result;
  }
}
