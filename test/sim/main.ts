/** `npm run sim`: simulated clusters by the seed. See README.md and `--help`. */
import { type Arguments, HELP, parseArguments } from './arguments.ts';
import { runTasks, type Task } from './jobs.ts';
import { findMutation, runMutations } from './mutation-run.ts';
import { plant } from './mutations.ts';
import { loadProtocol, type Protocol } from './protocol.ts';
import { describeFigures, describeScenario, describeViolations, Tally } from './report.ts';
import { runSeed } from './run.ts';
import { runSoak, soakScenario } from './soak.ts';
import { Trace } from './trace.ts';

const VIOLATIONS_MAX = 10;
const SEEDS_PER_TASK = 4;

function write(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<number> {
  let args: Arguments;
  try {
    args = parseArguments(process.argv.slice(2));
    if (args.mutation !== undefined) findMutation(args.mutation);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}; --help names the options\n`);
    return 2;
  }
  if (args.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (args.mutations) return runMutations(args, write);
  if (args.hours === undefined && args.jobs > 1 && !args.replay) return runJobs(args);
  const { protocol, dispose } =
    args.mutation === undefined
      ? { protocol: await loadProtocol(), dispose: () => {} }
      : await plant(findMutation(args.mutation));
  try {
    if (args.hours !== undefined) return soak(protocol, args, args.hours);
    return args.replay ? replay(protocol, args) : runMany(protocol, args);
  } finally {
    dispose();
  }
}

function replay(protocol: Protocol, args: Arguments): number {
  const trace = new Trace({ write, everything: args.everything });
  const result = runSeed(protocol, args.start, args.overrides, trace);
  write(describeScenario(result.scenario));
  for (const line of describeViolations(result)) write(line);
  write(describeFigures(result));
  const failed = result.violations.length > 0;
  write(`1 seeds, ${failed ? 1 : 0} violations`);
  return failed ? 1 : 0;
}

function soak(protocol: Protocol, args: Arguments, hours: number): number {
  const scenario = soakScenario(protocol, args.start, args.overrides);
  write(describeScenario(scenario));
  const tally = new Tally({ verbose: args.verbose, write });
  const result = runSoak(protocol, scenario, hours, write);
  tally.add(result);
  write(describeFigures(result));
  return finish(tally, args);
}

function runMany(protocol: Protocol, args: Arguments): number {
  const tally = new Tally({ verbose: args.verbose, write });
  for (let seed = args.start; seed < args.start + args.seeds; seed++) {
    tally.add(runSeed(protocol, seed, args.overrides));
    if (hasEnough(tally, args)) break;
  }
  return finish(tally, args);
}

async function runJobs(args: Arguments): Promise<number> {
  const tally = new Tally({ verbose: args.verbose, write });
  await runTasks(args.jobs, tasksOf(args), (answer) => {
    if (answer.kind === 'seeds') for (const result of answer.results) tally.add(result);
    return !hasEnough(tally, args);
  });
  return finish(tally, args);
}

function* tasksOf({ start, seeds, overrides, mutation }: Arguments): Generator<Task, undefined> {
  for (let from = start; from < start + seeds; from += SEEDS_PER_TASK) {
    const count = Math.min(SEEDS_PER_TASK, start + seeds - from);
    yield { kind: 'seeds', from, count, overrides, mutation };
  }
  return undefined;
}

function hasEnough(tally: Tally, { keepGoing }: Arguments): boolean {
  return tally.failed.length >= VIOLATIONS_MAX && !keepGoing;
}

function finish(tally: Tally, { verbose }: Arguments): number {
  if (verbose) for (const line of tally.coverage.lines()) write(line);
  write(tally.figures());
  write(tally.lastLine());
  return tally.failed.length > 0 ? 1 : 0;
}

process.exitCode = await main();
