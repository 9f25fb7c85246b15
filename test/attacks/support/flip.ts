/** Two contents of one place, written in turns while the victim looks. */
import { Worker } from 'node:worker_threads';
import { DeviceReach, FileReach, type Reach } from './reach.ts';

const DEVICE_WRITES = 400;

export interface Flipping {
  /** Tells the victim to look. */
  ring(): void;
  /** Resolves when nothing is written any more. */
  stop(): Promise<void>;
}

/** By another thread, or by another process with a device, which rings by itself. */
export async function startFlipping(
  reach: Reach,
  offset: number,
  contents: readonly [Uint8Array, Uint8Array],
  hint: number,
): Promise<Flipping> {
  const [bytes, others] = contents;
  if (reach instanceof DeviceReach) {
    const { attacker, key } = reach;
    const address = reach.address + BigInt(offset);
    attacker.begin({
      operation: 'write-immediate',
      ...{ address, key, immediate: hint, bytes, others, count: DEVICE_WRITES },
    });
    return {
      ring: () => {},
      stop: async () => {
        const word = attacker.finish();
        if (word !== 'success') throw new Error(word);
      },
    };
  }
  if (!(reach instanceof FileReach)) throw new Error('no single bytes travel there');
  const isOver = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(new URL('./flipping.js', import.meta.url), {
    workerData: { fd: reach.fd, offset, bytes, others, isOver },
  });
  await new Promise((resolve) => worker.once('message', resolve));
  return {
    ring: () => reach.ring(),
    stop: async () => {
      const exited = new Promise((resolve) => worker.once('exit', resolve));
      Atomics.store(isOver, 0, 1);
      await exited;
    },
  };
}
