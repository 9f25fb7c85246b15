/** Gives blocks to those who lack them, at a pace that leaves this replica time for its own work. */
import { encodeBlock } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import { BLOCKS_BYTES_MAX, BLOCKS_PER_FRAME_MAX } from './wire.ts';

/** Bytes of blocks that one peer gets from a running replica. */
const SERVED_BYTES_PER_MS = 16 * 1024;

/** Blocks from `fromNumber` on, as many as fit in one answer, all below `end`. */
export async function readBlocks(
  ledger: Ledger,
  fromNumber: number,
  end: number,
): Promise<{ readonly blocks: Uint8Array[]; readonly bytes: number }> {
  const blocks: Uint8Array[] = [];
  let bytes = 0;
  for (let number = fromNumber; number < end && bytes < BLOCKS_BYTES_MAX; number++) {
    if (blocks.length >= BLOCKS_PER_FRAME_MAX) break;
    const block = await ledger.storedBlock(number);
    if (block === undefined) break;
    const encoded = encodeBlock(block);
    blocks.push(encoded);
    bytes += encoded.length;
  }
  return { blocks, bytes };
}

/** When each peer may be given blocks again. */
export class ServingPace {
  readonly #freeAtMs: number[];

  constructor(replicas: number) {
    this.#freeAtMs = new Array<number>(replicas).fill(0);
  }

  delayMs(peer: number, nowMs: number): number {
    return Math.max(0, (this.#freeAtMs[peer] ?? 0) - nowMs);
  }

  served(peer: number, bytes: number, nowMs: number): void {
    this.#freeAtMs[peer] = nowMs + bytes / SERVED_BYTES_PER_MS;
  }
}
