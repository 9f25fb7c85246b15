/** The command line of `npm run sim`. */
import { LIE_NAMES, type LieName } from './byzantine/index.ts';
import { FOCUSES, type Overrides } from './scenario.ts';

export interface Arguments {
  readonly seeds: number;
  readonly start: number;
  readonly overrides: Overrides;
  readonly jobs: number;
  /** Of one cluster that lives on; undefined: many short ones. */
  readonly hours: number | undefined;
  readonly replay: boolean;
  readonly everything: boolean;
  readonly verbose: boolean;
  readonly keepGoing: boolean;
  readonly mutations: boolean;
  readonly mutation: string | undefined;
  readonly help: boolean;
}

export const HELP = `npm run sim -- [options]

  --seeds N         how many clusters to run, each from its own seed (100)
  --start S         first seed (1)
  --replicas N      clusters of N replicas; otherwise 4 to 10, as the seed says
  --focus NAME      what goes wrong most: calm, mixed, views, restarts, joins; otherwise as the seed says
  --lies A,B        liars in every run, who tell these lies and no others (byzantine/index.ts lists them)
  --hours H         one cluster that lives for H hours of virtual time, with a line for each, instead of many short ones
  --jobs N          worker processes (1)
  --verbose         parameters and figures of every seed
  --keep-going      do not stop at the tenth violation
  --replay          one seed, with everything that is said; --everything adds heartbeats and ticks
  --mutation NAME   run a mutant of the protocol instead of the protocol
  --mutations       every mutant, or the one named, until it is caught; prints a table

The last line is \`N seeds, M violations\`; the exit code is 1 when there was any.
`;

const MAX_REPLICAS = 10;

/** Throws RangeError naming what is wrong. */
export function parseArguments(args: readonly string[]): Arguments {
  const rest = [...args];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const known = ['--replay', '--everything', '--verbose', '--keep-going', '--mutations', '--help'];
  const valued = [
    '--seeds',
    '--start',
    '--replicas',
    '--focus',
    '--lies',
    '--hours',
    '--jobs',
    '--mutation',
  ];
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (known.includes(arg)) {
      flags.add(arg);
    } else if (valued.includes(arg)) {
      const value = rest.shift();
      if (value === undefined) throw new RangeError(`${arg} needs a value`);
      values.set(arg, value);
    } else {
      throw new RangeError(`unknown option ${arg}`);
    }
  }
  const replay = flags.has('--replay');
  return {
    seeds: replay ? 1 : integer(values, '--seeds', 100, 1, Number.MAX_SAFE_INTEGER),
    start: integer(values, '--start', 1, 0, Number.MAX_SAFE_INTEGER),
    overrides: overridesOf(values),
    jobs: integer(values, '--jobs', 1, 1, 64),
    hours: values.has('--hours') ? integer(values, '--hours', 24, 1, 1_000) : undefined,
    replay,
    everything: flags.has('--everything'),
    verbose: flags.has('--verbose'),
    keepGoing: flags.has('--keep-going'),
    mutations: flags.has('--mutations'),
    mutation: values.get('--mutation'),
    help: flags.has('--help'),
  };
}

function overridesOf(values: ReadonlyMap<string, string>): Overrides {
  const name = values.get('--focus');
  const focus = FOCUSES.find((one) => one === name);
  if (name !== undefined && focus === undefined) {
    throw new RangeError(`--focus is one of ${FOCUSES.join(', ')}`);
  }
  return {
    ...(values.has('--replicas') && {
      replicas: integer(values, '--replicas', 4, 1, MAX_REPLICAS),
    }),
    ...(focus && { focus }),
    ...(values.has('--lies') && { lies: liesOf(values.get('--lies') ?? '') }),
  };
}

function liesOf(text: string): LieName[] {
  return text.split(',').map((name) => {
    const lie = LIE_NAMES.find((one) => one === name);
    if (lie === undefined) throw new RangeError(`--lies are some of ${LIE_NAMES.join(', ')}`);
    return lie;
  });
}

function integer(
  values: ReadonlyMap<string, string>,
  name: string,
  otherwise: number,
  from: number,
  to: number,
): number {
  const text = values.get(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < from || value > to) {
    throw new RangeError(`${name} is an integer from ${from}${to < 1e9 ? ` to ${to}` : ''}`);
  }
  return value;
}
