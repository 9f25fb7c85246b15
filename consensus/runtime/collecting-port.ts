/**
 * Bounds how much memory of batches that are done with a consensus thread holds. V8 looks for array buffers that nobody needs any
 * more when those of an isolate have grown by 64 MiB since it last looked (its kExternalAllocationSoftLimit), and
 * nothing else makes it look here: the heap itself is small and hardly grows. So it is asked to, and the allocator, more often, to
 * give the system back what lies free between what is in use, of the whole process.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { LoopPort } from './loop.ts';
import type { ToWorker, WorkerEvents } from './protocol.ts';

/** Bytes that have gone to the main thread since, copies of batches nearly all. It takes some 20 ms, every few seconds of saturation. */
export const COLLECT_AFTER_BYTES = 8 * 1024 * 1024;

/** V8's collector of this thread, which is visible only in contexts that are made after it was asked for. */
export function threadCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

/** Of the same bytes. It takes some 0.6 ms, 3 at most. */
export const TRIM_AFTER_BYTES = COLLECT_AFTER_BYTES / 4;

export interface Cleaning {
  readonly collect: () => void;
  readonly trim: () => void;
}

/** Collects and trims after a turn, when whatever it had to say is said. */
export class CollectingPort implements LoopPort {
  readonly #port: LoopPort;
  readonly #cleaning: Cleaning;
  #collectable = 0;
  #trimmable = 0;

  constructor(port: LoopPort, cleaning: Cleaning) {
    this.#port = port;
    this.#cleaning = cleaning;
  }

  receive(): ToWorker | undefined {
    return this.#port.receive();
  }

  post(events: WorkerEvents, transfer: ArrayBuffer[]): void {
    let bytes = 0;
    for (const { byteLength } of transfer) bytes += byteLength;
    this.#port.post(events, transfer);
    this.#collectable += bytes;
    this.#trimmable += bytes;
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
