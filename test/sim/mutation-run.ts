/** `--mutations`: every mutant meets seed after seed until one catches it. */
import type { Arguments } from './arguments.ts';
import { runTasks } from './jobs.ts';
import { MUTATIONS } from './mutation-list.ts';
import { testCatches } from './mutation-tests.ts';
import { type Mutation, plant } from './mutations.ts';
import { loadProtocol } from './protocol.ts';
import { runSeed } from './run.ts';

export interface Catch {
  readonly mutation: Mutation;
  /** Seeds run, the catching one included; undefined: it was not caught. */
  readonly seeds: number | undefined;
  readonly rule: string;
  /** Seeds that break the real protocol as well: bugs, and nothing that a mutant can be caught by. */
  readonly real: readonly string[];
}

/** Throws RangeError for a name that is not in the list. */
export function findMutation(name: string): Mutation {
  const found = MUTATIONS.find((mutation) => mutation.name === name);
  if (found === undefined) {
    throw new RangeError(
      `no mutation ${name}; there are ${MUTATIONS.map((one) => one.name).join(' ')}`,
    );
  }
  return found;
}

export async function hunt(mutation: Mutation, firstSeed: number): Promise<Catch> {
  const { where, withinSeeds } = mutation;
  const found: string[] = [];
  const { protocol, dispose } = await plant(mutation);
  try {
    for (let count = 1; count <= withinSeeds; count++) {
      const seed = firstSeed + count - 1;
      const [first] = runSeed(protocol, seed, where).violations;
      if (first === undefined) continue;
      const [own] = runSeed(await loadProtocol(), seed, where).violations;
      if (own === undefined) return { mutation, seeds: count, rule: first.rule, real: found };
      found.push(
        `seed ${seed} (${describeWhere(mutation)}) breaks the protocol itself: ${own.rule}`,
      );
    }
    return { mutation, seeds: undefined, rule: '', real: found };
  } finally {
    dispose();
  }
}

function describeWhere({ where }: Mutation): string {
  return [where.focus ?? 'any', ...(where.lies ?? [])].join(', ');
}

/** Prints a table in Markdown; returns the exit code. */
export async function runMutations(
  args: Arguments,
  write: (line: string) => void,
): Promise<number> {
  write('| mutation | what is wrong | runs | caught at seed | of at most | by |');
  write('| --- | --- | --- | --- | --- | --- |');
  let missed = 0;
  const real = new Set<string>();
  const note = (caught: Omit<Catch, 'mutation'>, one: Mutation): void => {
    if (caught.seeds === undefined) missed++;
    for (const seed of caught.real) real.add(seed);
    const { name, bug, withinSeeds } = one;
    const by = caught.rule
      .replace(/ \(at .*/, '')
      .replaceAll('|', '/')
      .slice(0, 100);
    const at = caught.seeds ?? 'not caught';
    write(`| ${name} | ${bug} | ${describeWhere(one)} | ${at} | ${withinSeeds} | ${by} |`);
  };
  const { mutation: only } = args;
  const hunted = only === undefined ? MUTATIONS : [findMutation(only)];
  // Whoever names one means it.
  const isSought = ({ elsewhere }: Mutation): boolean =>
    only !== undefined || elsewhere === undefined;
  for (const one of hunted) {
    const { name, bug, elsewhere } = one;
    if (isSought(one) || elsewhere === undefined || !('file' in one)) continue;
    const isCaught = testCatches(one, elsewhere);
    if (!isCaught) missed++;
    write(`| ${name} | ${bug} | | ${isCaught ? '' : 'not caught'} | | \`${elsewhere}\` |`);
  }
  const sought = hunted.filter(isSought);
  const tasks = sought.map(
    ({ name }) => ({ kind: 'hunt', mutation: name, start: args.start }) as const,
  );
  await runTasks(args.jobs, tasks.values(), (answer) => {
    if (answer.kind === 'hunt') note(answer.caught, findMutation(answer.caught.name));
    return true;
  });
  for (const seed of real) write(seed);
  const rest = hunted.length - sought.length;
  write(`${sought.length} mutations, ${missed} not caught; ${rest} shown by other tests`);
  return missed + real.size > 0 ? 1 : 0;
}
