/**
 * The memory of batches. V8 does not see the memory behind array buffers until 64 MiB of it wait, and batches, megabytes each second,
 * live too long to be found among what is young: a replica would hold that much for nothing. So a batch that has a buffer for itself
 * is freed when the core is done with it; for the rest V8 is asked to look, now and then, and so is the allocator.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Of batches that the core has forgotten and V8 alone can free. Looking takes some 20 ms. */
export const COLLECT_AFTER_BYTES = 8 * 1024 * 1024;
/** Of all that the core has forgotten. It takes some 0.6 ms, 3 at most. */
export const TRIM_AFTER_BYTES = 2 * 1024 * 1024;
/** Less is not worth a call. */
export const FREED_BYTES_MIN = 4 * 1024;

/** V8's collector of this thread, which is visible only in contexts that are made after it was asked for. */
export function threadCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

export interface Cleaning {
  /** Frees a buffer; all its views are empty then. */
  readonly release: (buffer: ArrayBuffer) => void;
  readonly collect: () => void;
  readonly trim: () => void;
}

export class BatchMemory {
  readonly #cleaning: Cleaning;
  /** Whatever is in one of these is a part of one batch. */
  readonly #owned = new WeakSet<ArrayBufferLike>();
  #collectable = 0;
  #trimmable = 0;

  constructor(cleaning: Cleaning) {
    this.#cleaning = cleaning;
  }

  /** `bytes` came to hold one batch, and nobody else has a view of their buffer. Of a part of a buffer nothing is known. */
  own(bytes: Uint8Array): void {
    const { byteLength, buffer } = bytes;
    if (byteLength < FREED_BYTES_MIN || byteLength !== buffer.byteLength) return;
    this.#owned.add(buffer);
  }

  /** The core is done with this payload. */
  forget(payload: Uint8Array): void {
    const { byteLength, buffer } = payload;
    this.#trimmable += byteLength;
    if (this.#owned.delete(buffer)) this.#cleaning.release(buffer as ArrayBuffer);
    else this.#collectable += byteLength;
  }

  /** After a turn, when whatever it had to say is said. */
  tidy(): void {
    if (this.#collectable >= COLLECT_AFTER_BYTES) {
      this.#collectable = 0;
      this.#cleaning.collect();
    }
    if (this.#trimmable >= TRIM_AFTER_BYTES) {
      this.#trimmable = 0;
      this.#cleaning.trim();
    }
  }
}
