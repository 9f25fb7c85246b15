/**
 * A worker thread that opens transports with sessions in every state and leaves them to the
 * environment's clean-up: it never calls destroy.
 */

import { parentPort } from 'node:worker_threads';
import { connect, open, sessionKeys } from './pair.ts';

const kept = [];
for (let i = 0; i < 3; i++) {
  const a = open(0, 3);
  const b = open(1, 3);
  connect(a, b);
  const offer = a.offer(2, sessionKeys(0, 2)[0]);
  kept.push(a, b);
  parentPort?.postMessage({ name: offer.name, handle: a.wakeHandle });
}
parentPort?.postMessage('ready');
// Waits for its end, with the transports alive.
setInterval(() => kept.length, 1_000_000);
