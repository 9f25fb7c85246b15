/**
 * Checks signatures and remembers the valid ones: in a view change the same PREPAREs come in the
 * certificates of several replicas, and a check costs more than everything else. The oldest are forgotten.
 */
import type { CoreCrypto, ReplicaIndex } from './types.ts';

export class SignatureMemory {
  readonly #max: number;
  readonly #crypto: CoreCrypto;
  readonly #valid = new Set<string>();

  constructor(max: number, crypto: CoreCrypto) {
    this.#max = max;
    this.#crypto = crypto;
  }

  get size(): number {
    return this.#valid.size;
  }

  verify(signer: ReplicaIndex, text: Uint8Array, signature: Uint8Array): boolean {
    const key = this.#key(signer, text, signature);
    if (this.#valid.has(key)) return true;
    if (!this.#crypto.verify(signer, text, signature)) return false;
    if (this.#valid.size >= this.#max) {
      const [oldest] = this.#valid;
      if (oldest !== undefined) this.#valid.delete(oldest);
    }
    this.#valid.add(key);
    return true;
  }

  /** Text, signature and signer, as one hash: none of the three may be another's. */
  #key(signer: ReplicaIndex, text: Uint8Array, signature: Uint8Array): string {
    const hash = this.#crypto.sha256(signature, text);
    let key = `${signer}:`;
    for (let i = 0; i < 32; i++) key += String.fromCharCode(hash[i] as number);
    return key;
  }
}
