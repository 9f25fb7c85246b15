/** `npm run bench`: measures, writes `bench.json` and `report.html`. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { PROVIDERS, type ProviderName } from '../rdma/contract.ts';
import { runBench } from './run.ts';
import type { Scenario } from './scenario.ts';
import { measureInProcess } from './scenario-process.ts';
import { SCENARIOS } from './scenarios/index.ts';

const PROGRAM = new URL('./scenario-program.js', import.meta.url);

interface Options {
  readonly out: string;
  readonly only: readonly Scenario[];
  readonly providers: readonly ProviderName[];
  readonly short: boolean;
}

function scenariosOf(text: string): Scenario[] {
  return text.split(',').map((name) => {
    const found = SCENARIOS.find((scenario) => scenario.name === name);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`choose of ${SCENARIOS.map((one) => one.name).join(', ')}`);
  });
}

function providersOf(text: string): ProviderName[] {
  return text.split(',').map((name) => {
    const found = PROVIDERS.find((provider) => provider === name);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`choose of ${PROVIDERS.join(', ')}`);
  });
}

const program = new Command('npm run bench --')
  .description(
    'Measures consensus, submission, failover and reading on this machine, side by side in one run.',
  )
  .option('--out <dir>', 'folder for bench.json and report.html', 'bench-out')
  .addOption(
    new Option(
      '--only <names>',
      `scenarios, comma-separated: ${SCENARIOS.map((one) => one.name).join(', ')}`,
    )
      .argParser(scenariosOf)
      .default([...SCENARIOS], 'all'),
  )
  .option(
    '--providers <names>',
    'transports that are compared; verbs needs a device',
    providersOf,
    ['shm', 'tcp'],
  )
  .option('--short', 'a tenth of the work: to see that it runs, not to quote', false)
  .action(run);

async function run({ out, only, providers, short }: Options): Promise<void> {
  const { failures } = await runBench(
    { folder: resolve(out), scenarios: only },
    {
      measure: (name) => measureInProcess(PROGRAM, name, { short, providers }),
      say: (line) => console.log(line),
    },
  );
  if (failures.length > 0) process.exitCode = 1;
}

await program.parseAsync();
