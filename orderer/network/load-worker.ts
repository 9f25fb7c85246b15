/** Thread of `load-apart.ts`. Private keys travel as KeyObjects, which threads may share. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadReplica } from './load.ts';

parentPort?.postMessage(loadReplica(String(workerData)));
