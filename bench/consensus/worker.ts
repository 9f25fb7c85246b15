/** Entry of a consensus thread that is measured: the real loop, with instruments between it and the main thread. */
import { parentPort, workerData } from 'node:worker_threads';
import { assembleLoop } from '../../consensus/runtime/assemble.ts';
import { MainThreadPort } from '../../consensus/runtime/port.ts';
import type { ToWorker, WorkerEvent, WorkerOptions } from '../../consensus/runtime/protocol.ts';
import { wakeTransport } from '../../rdma/index.ts';
import { Instruments } from './instruments.ts';
import { SharedJob } from './shared.ts';

export interface BenchWorkerData {
  readonly options: WorkerOptions;
  readonly shared: SharedArrayBuffer;
}

if (parentPort === null) throw new Error('this file runs as a worker thread only');
const { options, shared } = workerData as BenchWorkerData;
const orders = new SharedJob(shared);
const outer = new MainThreadPort(parentPort);
let wakeHandle: number | undefined;

const instruments = new Instruments(options.self, {
  outer: {
    receive(): ToWorker | undefined {
      const job = orders.takeOrder();
      if (job !== undefined) instruments.start(job, (result) => orders.answer(result));
      return outer.receive();
    },
    post(events: readonly WorkerEvent[], transfer: ArrayBuffer[]): void {
      for (const event of events) if (event.kind === 'ready') wakeHandle = event.wakeHandle;
      outer.post(events, transfer);
    },
  },
  wake: () => {
    if (wakeHandle !== undefined) wakeTransport(wakeHandle);
  },
  onPassedOver: (slots) => orders.notePassedOver(slots),
});
assembleLoop(options, { port: instruments }).run();
