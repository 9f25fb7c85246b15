/**
 * Keeps a reserve of the file system free: a replica that has filled its disk to the last byte
 * cannot even store what would let it free some. Looked up now and then, not at every sync; also for what is written into blocks that
 * the log has already: here is where the whole replica is held, before its ledger finds no room.
 */
import { statfsSync } from 'node:fs';
import { fileError, WalError } from './errors.ts';
import { WAL_LIMITS } from './limits.ts';

export class Room {
  readonly #directory: string;
  readonly #reserveBytes: number;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #takenSinceLook = 0;
  /** As of the last look, less what was taken since; below 0 when the reserve is used. */
  #leftBytes = 0;

  constructor(directory: string, reserveBytes: number) {
    this.#directory = directory;
    this.#reserveBytes = reserveBytes;
  }

  /** Throws `disk_full` when writing `bytes` would use the reserve. */
  take(bytes: number): void {
    if (this.tryToTake(bytes)) return;
    const leftBytes = this.#leftBytes;
    throw new WalError(
      'disk_full',
      `no room is left for the write-ahead log: ${this.#directory} would have less than ` +
        `${this.#reserveBytes} bytes free after ${bytes} more: make room`,
      { directory: this.#directory, bytes, leftBytes, reserveBytes: this.#reserveBytes },
    );
  }

  /** Whether there was room. */
  tryToTake(bytes: number): boolean {
    const nowMs = performance.now();
    if (
      nowMs - this.#lookedAtMs >= WAL_LIMITS.roomCheckMs ||
      this.#takenSinceLook + bytes > WAL_LIMITS.roomCheckBytes ||
      // There may be more by now: nothing is refused for what was seen earlier.
      bytes > this.#leftBytes
    ) {
      this.#look(nowMs);
    }
    if (bytes > this.#leftBytes) return false;
    this.#leftBytes -= bytes;
    this.#takenSinceLook += bytes;
    return true;
  }

  #look(nowMs: number): void {
    try {
      const { bavail, bsize, blocks } = statfsSync(this.#directory);
      // A file system of no size does not tell how much it can take.
      this.#leftBytes =
        blocks === 0 ? Number.MAX_SAFE_INTEGER : bavail * bsize - this.#reserveBytes;
    } catch (error) {
      throw fileError(error, this.#directory);
    }
    this.#lookedAtMs = nowMs;
    this.#takenSinceLook = 0;
  }
}
