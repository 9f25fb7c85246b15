/** A verify thread: takes jobs, checks them, sends each buffer back. See `pool.ts`. */
import { parentPort } from 'node:worker_threads';
import { OrdererError } from '../errors.ts';
import { runJob } from './job.ts';

const port = parentPort;
if (port === null)
  throw new OrdererError('misuse', 'signature/worker runs as a worker thread only');

port.on('message', (buffer: ArrayBuffer) => {
  runJob(buffer);
  port.postMessage(buffer, [buffer]);
});
