/** The thread of `flip.ts`: no rest between the writes. */
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

interface Task {
  readonly fd: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly others: Uint8Array;
  readonly isOver: Int32Array;
}

const { fd, offset, bytes, others, isOver } = workerData as Task;

function writeBoth(): void {
  for (const content of [bytes, others]) writeSync(fd, content, 0, content.length, offset);
}

writeBoth();
parentPort?.postMessage('writing');
while (Atomics.load(isOver, 0) === 0) writeBoth();
