/**
 * Bounds how much memory of batches that are done with a consensus thread holds. V8 looks for array buffers that nobody needs any
 * more when those of an isolate have grown by 64 MiB since it last looked (its kExternalAllocationSoftLimit), and
 * nothing else makes it look here: the heap itself is small and hardly grows. So it is asked to.
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

/** Collects after a turn, when whatever it had to say is said. */
export class CollectingPort implements LoopPort {
  readonly #port: LoopPort;
  readonly #collect: () => void;
  #bytes = 0;

  constructor(port: LoopPort, collect: () => void) {
    this.#port = port;
    this.#collect = collect;
  }

  receive(): ToWorker | undefined {
    return this.#port.receive();
  }

  post(events: WorkerEvents, transfer: ArrayBuffer[]): void {
    for (const { byteLength } of transfer) this.#bytes += byteLength;
    this.#port.post(events, transfer);
    if (this.#bytes < COLLECT_AFTER_BYTES) return;
    this.#bytes = 0;
    this.#collect();
  }
}
