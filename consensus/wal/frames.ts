/** Records on their way into a segment: one buffer that grows and is used again. */

import { FRAME_BYTES, type Kind, type Place, writeRecord } from './layout.ts';
import { WAL_LIMITS } from './limits.ts';

const FIRST_BYTES = 64 * 1024;

export class FrameBuffer {
  #buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #used = 0;

  get used(): number {
    return this.#used;
  }

  /** What was added since `clear()`; valid until something is added. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  addRaw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  addRecord(kind: Kind, payload: Uint8Array, place: Place): void {
    const length = FRAME_BYTES + payload.length;
    this.#reserve(length);
    writeRecord(this.#buffer, this.#used, kind, payload, place);
    this.#used += length;
  }

  clear(): void {
    this.#used = 0;
    if (this.#buffer.length > WAL_LIMITS.bufferKeptBytes) {
      this.#buffer = Buffer.allocUnsafe(FIRST_BYTES);
    }
  }

  #reserve(length: number): void {
    const needed = this.#used + length;
    if (needed <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length));
    this.#buffer.copy(grown, 0, 0, this.#used);
    this.#buffer = grown;
  }
}
