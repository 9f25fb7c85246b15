/**
 * Orders for the instruments in a consensus thread, which has no event loop to hear them with, and their results: words
 * in memory that both threads see.
 */
import type { Job, JobResult } from './instruments.ts';

/** Of one job; latencies beyond it are not kept. */
const BATCHES_MAX = 1_000_000;

/** The words before the numbers. */
const STATE = 0;
const PASSED_OVER = 1;

/** Values of the first. */
const IDLE = 0;
const ORDERED = 1;
const RUNNING = 2;
const DONE = 3;

export class SharedJob {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  /** The job, then what came of it. */
  readonly #numbers: Float64Array;
  readonly #latenciesUs: Float64Array;

  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(64 + 8 * BATCHES_MAX);
    this.#words = new Int32Array(this.buffer, 0, 2);
    this.#numbers = new Float64Array(this.buffer, 8, 7);
    this.#latenciesUs = new Float64Array(this.buffer, 64);
  }

  /** For whoever orders; the consensus thread has to be woken after it. */
  order({ batches, batchBytes, inFlight }: Job): void {
    if (batches > BATCHES_MAX) throw new RangeError(`a job has at most ${BATCHES_MAX} batches`);
    this.#numbers.set([batches, batchBytes, inFlight]);
    Atomics.store(this.#words, STATE, ORDERED);
  }

  /** Undefined while it runs. Takes the result: the next job may be ordered. */
  takeResult(): JobResult | undefined {
    if (Atomics.load(this.#words, STATE) !== DONE) return undefined;
    const [elapsedMs = 0, slots = 0, batches = 0] = this.#numbers;
    const latenciesUs = this.#latenciesUs.slice(0, batches);
    Atomics.store(this.#words, STATE, IDLE);
    return { elapsedMs, slots, latenciesUs };
  }

  /** Since the replica began. */
  get slotsPassedOver(): number {
    return Atomics.load(this.#words, PASSED_OVER);
  }

  notePassedOver(slots: number): void {
    Atomics.add(this.#words, PASSED_OVER, slots);
  }

  /** For the consensus thread. Undefined: there is nothing new to do. */
  takeOrder(): Job | undefined {
    if (Atomics.load(this.#words, STATE) !== ORDERED) return undefined;
    Atomics.store(this.#words, STATE, RUNNING);
    const [batches = 0, batchBytes = 0, inFlight = 0] = this.#numbers;
    return { batches, batchBytes, inFlight };
  }

  answer({ elapsedMs, slots, latenciesUs }: JobResult): void {
    this.#numbers.set([elapsedMs, slots, latenciesUs.length]);
    this.#latenciesUs.set(latenciesUs);
    Atomics.store(this.#words, STATE, DONE);
  }
}
