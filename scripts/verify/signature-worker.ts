/** Worker thread of the auditor: answers each message of signatures with one boolean for each. */
import { parentPort } from 'node:worker_threads';
import { verifySignatureNoble } from '../../ledger/signature/index.ts';
import type { WorkerAnswer, WorkerRequest } from './signatures.ts';

const port = parentPort;
if (port === null) throw new Error('signature-worker.ts runs as a worker thread only');

port.on('message', ({ id, jobs }: WorkerRequest) => {
  const valid = jobs.map(({ key, message, signature }) =>
    verifySignatureNoble(key, message, signature),
  );
  const answer: WorkerAnswer = { id, valid };
  port.postMessage(answer);
});
