/**
 * Transactions of the simulation: small, named by a number, genuine only if a client has issued them. That takes
 * the place of the clients' signatures: nobody can make a genuine transaction that was never issued.
 *
 *   genuine u8 = 1 | txId u32 | filler
 */
import type { Random } from './random.ts';

const HEAD_BYTES = 5;
const GENUINE = 1;

export interface ParsedTransaction {
  readonly txId: number;
  readonly genuine: boolean;
  readonly bytes: Uint8Array;
}

export class Transactions {
  readonly #envelopes: Uint8Array[] = [];
  readonly #random: Random;
  readonly #fillerBytesMax: number;

  constructor(random: Random, fillerBytesMax: number) {
    this.#random = random;
    this.#fillerBytesMax = fillerBytesMax;
  }

  get issued(): number {
    return this.#envelopes.length;
  }

  /** A client makes a new one; returns its number. */
  issue(): number {
    const txId = this.#envelopes.length;
    const bytes = new Uint8Array(HEAD_BYTES + this.#random.below(this.#fillerBytesMax + 1));
    new DataView(bytes.buffer).setUint32(1, txId, true);
    bytes[0] = GENUINE;
    bytes.fill(txId & 0xff, HEAD_BYTES);
    this.#envelopes.push(bytes);
    return txId;
  }

  envelope(txId: number): Uint8Array {
    return this.#envelopes[txId] as Uint8Array;
  }

  /** Something that no client has signed. */
  forged(txId: number): Uint8Array {
    const bytes = new Uint8Array(HEAD_BYTES);
    new DataView(bytes.buffer).setUint32(1, txId, true);
    return bytes;
  }

  /** Undefined for what is no transaction at all. */
  parse(bytes: Uint8Array): ParsedTransaction | undefined {
    if (bytes.length < HEAD_BYTES) return undefined;
    const txId = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES).getUint32(1, true);
    const genuine = bytes[0] === GENUINE && txId < this.#envelopes.length;
    return { txId, genuine, bytes };
  }
}
