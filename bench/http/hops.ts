/**
 * The floor of a transaction that comes alone: four replicas' main and consensus threads wake each other in the order in which
 * they do for one, and do nothing else. No HTTP, no signature, no MAC, no rule, no disk, and threads of one process instead of four.
 *
 * The order: submission to the owner's main thread, to its consensus thread, the batch to three others, one of which has its main
 * thread check it and attests; proposal and votes to all; each consensus thread to its main thread, a signature back and to all others,
 * there to the main thread; with three of them the owner answers.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { BOX_WORDS, BOXES, CLIENT, type HopsThread, REPLICAS } from './hops-layout.ts';

export interface HopsOptions {
  /** Transactions a second; undefined: one after the other. */
  readonly rate?: number;
  readonly count: number;
}

export interface HopsFigures {
  /** From when each was due, or sent, to its answer. */
  readonly latenciesMs: readonly number[];
  readonly cpuUsPerTransactionAndReplica: number;
}

const THREAD = new URL('./hops-thread.js', import.meta.url);

export async function measureHops({ rate, count }: HopsOptions): Promise<HopsFigures> {
  const shared = new SharedArrayBuffer(BOXES * BOX_WORDS * Int32Array.BYTES_PER_ELEMENT);
  const start = (id: number): Worker => {
    const workerData: HopsThread = { shared, id, rate, count };
    return new Worker(THREAD, { workerData });
  };
  const workers = Array.from({ length: CLIENT }, (_, id) => start(id));
  try {
    await Promise.all(workers.map((worker) => once(worker, 'online')));
    const before = process.cpuUsage();
    const client = start(CLIENT);
    workers.push(client);
    const tookMs = await new Promise<Float64Array>((resolve, reject) => {
      client.once('message', resolve);
      for (const worker of workers) worker.once('error', reject);
    });
    const { user, system } = process.cpuUsage(before);
    return {
      latenciesMs: [...tookMs],
      cpuUsPerTransactionAndReplica: (user + system) / count / REPLICAS,
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
