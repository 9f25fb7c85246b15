/** Where a run begins of which nothing is there yet: the options of a consensus thread that are the same for all. */
import type { WorkerOptions } from '../../consensus/runtime/protocol.ts';

export const FRESH_RUN = {
  firstSlot: 1,
  baseTimeMs: 0,
  baseHeight: 1,
  baseHash: new Uint8Array(32),
  entry: 'begin',
} as const satisfies Partial<WorkerOptions>;
