/** `--mutations`: every mutant meets seed after seed until one catches it. */
import type { Arguments } from './arguments.ts';
import { runTasks } from './jobs.ts';
import { MUTATIONS } from './mutation-list.ts';
import { type AnyMutation, plant } from './mutations.ts';
import { runSeed } from './run.ts';

export interface Catch {
  readonly mutation: AnyMutation;
  /** Seeds run, the catching one included; undefined: it was not caught. */
  readonly seeds: number | undefined;
  readonly rule: string;
}

/** Throws RangeError for a name that is not in the list. */
export function findMutation(name: string): AnyMutation {
  const found = MUTATIONS.find((mutation) => mutation.name === name);
  if (found === undefined) {
    throw new RangeError(
      `no mutation ${name}; there are ${MUTATIONS.map((one) => one.name).join(' ')}`,
    );
  }
  return found;
}

export async function hunt(mutation: AnyMutation, firstSeed: number): Promise<Catch> {
  const { protocol, dispose } = await plant(mutation);
  try {
    for (let count = 1; count <= mutation.withinSeeds; count++) {
      const { violations } = runSeed(protocol, firstSeed + count - 1);
      const [first] = violations;
      if (first !== undefined) return { mutation, seeds: count, rule: first.rule };
    }
    return { mutation, seeds: undefined, rule: '' };
  } finally {
    dispose();
  }
}

/** Prints a table in Markdown; returns the exit code. */
export async function runMutations(
  args: Arguments,
  write: (line: string) => void,
): Promise<number> {
  write('| mutation | what is wrong | within | caught at seed | by |');
  write('| --- | --- | --- | --- | --- |');
  let missed = 0;
  const note = (caught: Omit<Catch, 'mutation'>, { name, bug, withinSeeds }: AnyMutation): void => {
    if (caught.seeds === undefined) missed++;
    const by = caught.rule
      .replace(/ \(at .*/, '')
      .replaceAll('|', '/')
      .slice(0, 100);
    write(`| ${name} | ${bug} | ${withinSeeds} | ${caught.seeds ?? 'not caught'} | ${by} |`);
  };
  const tasks = MUTATIONS.map(
    ({ name }) => ({ kind: 'hunt', mutation: name, start: args.start }) as const,
  );
  await runTasks(args.jobs, tasks.values(), (answer) => {
    if (answer.kind === 'hunt') note(answer.caught, findMutation(answer.caught.name));
    return true;
  });
  write(`${MUTATIONS.length} mutations, ${missed} not caught`);
  return missed > 0 ? 1 : 0;
}
