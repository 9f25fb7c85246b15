/** The loop's side of the port to the main thread: read without an event loop, which a consensus thread never returns to. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { LoopPort } from './loop.ts';
import type { ToWorker, WorkerEvents } from './protocol.ts';

export class MainThreadPort implements LoopPort {
  readonly #port: MessagePort;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  receive(): ToWorker | undefined {
    return receiveMessageOnPort(this.#port)?.message as ToWorker | undefined;
  }

  post(events: WorkerEvents, transfer: ArrayBuffer[]): void {
    this.#port.postMessage(events, transfer);
  }
}
