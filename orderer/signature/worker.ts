/** A verify thread: takes jobs, checks them, sends each buffer back. See `pool.ts`. */
import { parentPort, workerData } from 'node:worker_threads';
import { OrdererError } from '../errors.ts';
import { giveWay } from '../thread-priority.ts';
import { runJob } from './job.ts';

const port = parentPort;
if (port === null)
  throw new OrdererError('misuse', 'signature/worker runs as a worker thread only');

const { nice } = workerData as { readonly nice: number | undefined };
if (nice !== undefined) giveWay(nice);

port.on('message', (buffer: ArrayBuffer) => {
  runJob(buffer);
  port.postMessage(buffer, [buffer]);
});
