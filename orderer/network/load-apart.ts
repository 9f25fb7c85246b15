/**
 * `loadReplica` on a thread of its own that ends with it. Reading YAML and Fabric's
 * nested configuration takes libraries that nothing needs afterwards, and a replica would
 * keep some 20 MB of them resident.
 */
import { Worker } from 'node:worker_threads';
import { NetworkError } from './errors.ts';
import type { LoadedReplica } from './load.ts';

/** Rejects with the errors of `loadReplica`: same message, the class is lost on the way. */
export function loadReplicaApart(file: string): Promise<LoadedReplica> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./load-worker.js', import.meta.url), { workerData: file });
    let loaded: LoadedReplica | undefined;
    worker.on('message', (message: LoadedReplica) => {
      loaded = message;
    });
    worker.on('error', reject);
    // Only then is its memory given back.
    worker.on('exit', (code) => {
      if (loaded !== undefined) resolve(loaded);
      else reject(new NetworkError('file_invalid', `reading ${file} ended with code ${code}`));
    });
  });
}
