/** Copies of short stretches of bytes, cut from larger arrays: an array of its own for each costs more than the copy. */

/** A copy that is kept keeps the others of its array in memory, so arrays are small. */
const SLAB_BYTES = 16 * 1024;

export class Slab {
  #bytes = new Uint8Array(SLAB_BYTES);
  #used = 0;

  /** A copy of bytes[start..end), at most SLAB_BYTES. Its `buffer` holds other copies, too. */
  copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const length = end - start;
    if (this.#used + length > SLAB_BYTES) {
      this.#bytes = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const copy = this.#bytes.subarray(this.#used, this.#used + length);
    this.#used += length;
    for (let i = 0; i < length; i++) copy[i] = bytes[start + i] as number;
    return copy;
  }
}
