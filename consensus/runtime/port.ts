/** The loop's side of the port to the main thread: read without an event loop, which a consensus thread never returns to. */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { LoopPort } from './loop.ts';
import type { ToWorker, ToWorkerMessages, WorkerEvents } from './protocol.ts';

export class MainThreadPort implements LoopPort {
  readonly #port: MessagePort;
  #received: ToWorkerMessages = [];
  #next = 0;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  receive(): ToWorker | undefined {
    if (this.#next >= this.#received.length) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) return undefined;
      this.#received = received.message as ToWorkerMessages;
      this.#next = 0;
    }
    return this.#received[this.#next++];
  }

  post(events: WorkerEvents, transfer: ArrayBuffer[]): void {
    this.#port.postMessage(events, transfer);
  }
}
