/** Many seeds, or many mutants, on several processes. Each asks for work when it is done with the last. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Catch } from './mutation-run.ts';
import type { RunResult } from './run.ts';
import type { Overrides } from './scenario.ts';

export type Task =
  | {
      readonly kind: 'seeds';
      readonly from: number;
      readonly count: number;
      readonly overrides: Overrides;
      readonly mutation: string | undefined;
    }
  | { readonly kind: 'hunt'; readonly mutation: string; readonly start: number };

export type Answer =
  | { readonly kind: 'seeds'; readonly results: readonly RunResult[] }
  | { readonly kind: 'hunt'; readonly caught: Omit<Catch, 'mutation'> & { readonly name: string } };

const WORKER = new URL('worker.js', import.meta.url);

/**
 * Hands tasks out until there is none, or `onAnswer` says false. Rejects when a worker dies.
 * Workers end with this process: their channel closes.
 */
export async function runTasks(
  jobs: number,
  tasks: Iterator<Task>,
  onAnswer: (answer: Answer) => boolean,
): Promise<void> {
  let goesOn = true;
  const workers: ChildProcess[] = [];
  const work = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = fork(fileURLToPath(WORKER), { serialization: 'advanced' });
      workers.push(worker);
      const next = (): void => {
        const task = goesOn ? tasks.next() : { done: true as const };
        if (task.done === true) {
          worker.disconnect();
          resolve();
        } else {
          worker.send(task.value);
        }
      };
      worker.on('message', (answer) => {
        goesOn = onAnswer(answer as Answer) && goesOn;
        next();
      });
      worker.once('error', reject);
      worker.once('exit', (code) => {
        if (code !== 0) reject(new Error(`a worker of the simulation ended with ${code}`));
      });
      next();
    });
  try {
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    for (const worker of workers) if (worker.connected) worker.kill();
  }
}
