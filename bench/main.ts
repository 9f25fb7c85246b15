/** `npm run bench`: measures, writes `bench.json` and `report.html`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { PROVIDERS, type ProviderName } from '../rdma/contract.ts';
import { describeMachine } from './machine.ts';
import { htmlReport } from './report/html.ts';
import type { Result, Section } from './result.ts';
import type { Scenario } from './scenario.ts';
import { channels } from './scenarios/channels.ts';
import { commitLatency } from './scenarios/commit-latency.ts';
import { consensusSignatures } from './scenarios/consensus-signatures.ts';
import { consensusThroughput } from './scenarios/consensus-throughput.ts';
import { http } from './scenarios/http.ts';
import { leaderKilled } from './scenarios/leader-killed.ts';
import { reading } from './scenarios/reading.ts';
import { replicas } from './scenarios/replicas.ts';
import { scaleModel } from './scenarios/scale-model.ts';
import { quantileOf } from './statistics.ts';

const SCENARIOS: readonly Scenario[] = [
  commitLatency,
  consensusThroughput,
  consensusSignatures,
  replicas,
  scaleModel,
  http,
  channels,
  leaderKilled,
  reading,
];
/** Somebody else uses the machine: figures will be worse than they are. */
const BUSY_LOAD = 0.5;

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
  const folder = resolve(out);
  const machine = describeMachine();
  if (machine.loadAverage > BUSY_LOAD) {
    console.log(
      `note: the machine is busy (load average ${machine.loadAverage.toFixed(2)}); figures will be worse than they are`,
    );
  }
  const sections: Section[] = [];
  for (const [index, scenario] of only.entries()) {
    console.log(`[${index + 1}/${only.length}] ${scenario.title}`);
    const section = await scenario.run({
      short,
      providers,
      say: (line) => console.log(`    ${line}`),
    });
    console.log(summaryOf(section));
    sections.push(section);
    // What is measured is kept, whatever happens to the rest.
    write(folder, { version: 1, machine, sections });
  }
  console.log(`report: ${join(folder, 'report.html')}`);
}

function write(folder: string, result: Result): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'bench.json'), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(folder, 'report.html'), htmlReport(result));
}

function summaryOf({ series, ratios, unit }: Section): string {
  const lines = series.map(({ name, distribution, figures = {} }) => {
    const parts = distribution
      ? [0.5, 0.99].map(
          (q) => `p${q * 100} ${quantileOf(distribution, q as 0.5 | 0.99).toPrecision(3)} ${unit}`,
        )
      : [];
    for (const [figure, value] of Object.entries(figures))
      parts.push(`${value.toPrecision(4)} ${figure}`);
    return `  ${name}: ${parts.join(', ')}`;
  });
  for (const { name, value } of ratios) lines.push(`  ${name}: ${value.toFixed(3)}`);
  return lines.join('\n');
}

await program.parseAsync();
