/** Entry of the consensus worker thread: runs the loop for the main thread that started it. */
import { parentPort, workerData } from 'node:worker_threads';
import { releaseMemory, trimMemory } from '../../rdma/index.ts';
import { ConsensusError } from '../errors.ts';
import { assembleLoop } from './assemble.ts';
import { BatchMemory, threadCollector } from './batch-memory.ts';
import { MainThreadPort } from './port.ts';
import type { WorkerOptions } from './protocol.ts';

/** What ends this thread, in a form that crosses to the main thread whole: of other errors the class and code are lost. */
function plainError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  const plain = new Error(`${code}: ${error.message}`);
  if (error.stack !== undefined) plain.stack = error.stack;
  return plain;
}

try {
  if (parentPort === null) {
    throw new ConsensusError('worker_protocol', 'this file runs as a worker thread only');
  }
  const memory = new BatchMemory({
    release: releaseMemory,
    collect: threadCollector(),
    trim: trimMemory,
  });
  const port = new MainThreadPort(parentPort);
  assembleLoop(workerData as WorkerOptions, { port, memory }).run();
} catch (error) {
  throw plainError(error);
}
