/**
 * Memory for the records of blocks, which are large, short-lived and steady in size: from the making of a record until it is on the
 * disk. Fresh memory for each costs page faults, and V8 counts it: every ten megabytes or so of new buffers it marks all that is
 * alive.
 */
import { STORE_LIMITS } from '../limits.ts';

/** Sizes are rounded up to this, so that the next block fits, too. */
const STEP_BYTES = 64 * 1024;

export class RecordRooms {
  /** Given out and not back. One that never comes back, as its write has failed, is the collector's. */
  readonly #lent = new WeakSet<ArrayBufferLike>();
  /** The one that came back last comes last. */
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  /** With whatever is in it. */
  take(bytes: number): Uint8Array {
    const at = this.#free.findLastIndex(({ byteLength }) => byteLength >= bytes);
    const [found] = at === -1 ? [] : this.#free.splice(at, 1);
    if (found !== undefined) this.#freeBytes -= found.byteLength;
    const room = found ?? new ArrayBuffer(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
    this.#lent.add(room);
    return new Uint8Array(room, 0, bytes);
  }

  /** Memory from elsewhere is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    if (!this.#lent.delete(buffer)) return;
    this.#free.push(buffer as ArrayBuffer);
    this.#freeBytes += buffer.byteLength;
    while (this.#freeBytes > STORE_LIMITS.roomBytesMax) {
      this.#freeBytes -= this.#free.shift()?.byteLength ?? 0;
    }
  }
}
