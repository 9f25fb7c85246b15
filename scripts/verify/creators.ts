/**
 * Creators seen before, found by their bytes without making a string or a copy of them, each with room in front for a nonce:
 * a transaction id is the hash of both, and the bytes need not be brought together again.
 */
import { VERIFY_LIMITS } from './limits.ts';
import type { CreatorVerdict } from './x509.ts';

/** Writers take 24; a longer nonce is read the slow way. */
export const NONCE_BYTES_MAX = 64;
/** Bytes that are looked at to find a creator, spread over all of it: of certificates only parts differ. */
const SAMPLES = 32;

export class KnownCreator {
  readonly verdict: CreatorVerdict;
  readonly #bytes: Buffer;
  /** Room for a nonce, then the creator. */
  readonly #room: Uint8Array;
  /** The end of the room from the nonce on; made anew when a nonce has another length. */
  #input: Uint8Array;

  constructor(creator: Uint8Array, judge: (creator: Uint8Array) => CreatorVerdict) {
    this.#room = new Uint8Array(NONCE_BYTES_MAX + creator.length);
    this.#room.set(creator, NONCE_BYTES_MAX);
    this.#input = this.#room.subarray(NONCE_BYTES_MAX);
    this.#bytes = Buffer.from(this.#room.buffer, NONCE_BYTES_MAX, creator.length);
    this.verdict = judge(this.#input);
  }

  is(bytes: Uint8Array, start: number, end: number): boolean {
    return end - start === this.#bytes.length && this.#bytes.compare(bytes, start, end) === 0;
  }

  /** Nonce and creator, one behind the other; valid until the next call. The nonce has at most `NONCE_BYTES_MAX` bytes. */
  withNonce(bytes: Uint8Array, start: number, length: number): Uint8Array {
    const at = NONCE_BYTES_MAX - length;
    for (let index = 0; index < length; index++) {
      this.#room[at + index] = bytes[start + index] as number;
    }
    if (this.#input.length !== this.#room.length - at) this.#input = this.#room.subarray(at);
    return this.#input;
  }
}

/**
 * Remembers one creator for each value of the samples, the newest. Two that agree in all samples take turns, which costs what
 * asking `judge` costs and changes no verdict.
 */
export class CreatorMemory {
  readonly #judge: (creator: Uint8Array) => CreatorVerdict;
  readonly #known = new Map<number, KnownCreator>();

  constructor(judge: (creator: Uint8Array) => CreatorVerdict) {
    this.#judge = judge;
  }

  /** The creator that is these bytes; undefined for one too long to be remembered. */
  of(bytes: Uint8Array, start: number, end: number): KnownCreator | undefined {
    if (end - start > VERIFY_LIMITS.creatorBytesCachedMax) return undefined;
    const samples = samplesOf(bytes, start, end);
    const found = this.#known.get(samples);
    if (found?.is(bytes, start, end) === true) return found;
    const known = new KnownCreator(bytes.subarray(start, end), this.#judge);
    if (found === undefined && this.#known.size >= VERIFY_LIMITS.creatorsCachedMax) {
      const oldest = this.#known.keys().next().value;
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    this.#known.set(samples, known);
    return known;
  }
}

function samplesOf(bytes: Uint8Array, start: number, end: number): number {
  let mixed = end - start;
  const step = Math.max(1, Math.floor((end - start) / SAMPLES));
  for (let at = start; at < end; at += step)
    mixed = (Math.imul(mixed, 31) + (bytes[at] as number)) | 0;
  return mixed;
}
