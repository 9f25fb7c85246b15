/** One process of `--jobs`: runs the seeds, or hunts the mutants, that its parent names. */
import type { Answer, Task } from './jobs.ts';
import { findMutation, hunt } from './mutation-run.ts';
import { plant } from './mutations.ts';
import { loadProtocol, type Protocol } from './protocol.ts';
import { runSeed } from './run.ts';

const protocols = new Map<string, Promise<Protocol>>();
const disposals: (() => void)[] = [];

function protocolOf(mutation: string | undefined): Promise<Protocol> {
  const key = mutation ?? '';
  let protocol = protocols.get(key);
  if (protocol === undefined) {
    protocol = mutation === undefined ? loadProtocol() : plantMutant(mutation);
    protocols.set(key, protocol);
  }
  return protocol;
}

async function plantMutant(name: string): Promise<Protocol> {
  const { protocol, dispose } = await plant(findMutation(name));
  disposals.push(dispose);
  return protocol;
}

async function answer(task: Task): Promise<Answer> {
  if (task.kind === 'hunt') {
    const { seeds, rule, real } = await hunt(findMutation(task.mutation), task.start);
    return { kind: 'hunt', caught: { name: task.mutation, seeds, rule, real } };
  }
  const protocol = await protocolOf(task.mutation);
  const results = Array.from({ length: task.count }, (_, index) =>
    runSeed(protocol, task.from + index, task.overrides),
  );
  return { kind: 'seeds', results };
}

process.on('message', (task) => {
  answer(task as Task).then(
    (value) => process.send?.(value),
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.on('exit', () => {
  for (const dispose of disposals) dispose();
});
