/** A worker thread that wakes a transport of another thread after `delayMs`. */

import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { wakeTransport } from '../../../rdma/index.ts';

const { handle, delayMs } = workerData as { handle: number; delayMs: number };
parentPort?.postMessage('ready');
await setTimeout(delayMs);
parentPort?.postMessage(wakeTransport(handle));
