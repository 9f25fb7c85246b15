/** A run of the bench: one scenario after the other. What is measured is kept, whatever happens to the rest. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine } from './machine.ts';
import { htmlReport } from './report/html.ts';
import type { Failure, Result, Section } from './result.ts';
import type { Scenario } from './scenario.ts';
import { quantileOf } from './statistics.ts';

/** Somebody else uses the machine: figures will be worse than they are. */
const BUSY_LOAD = 0.5;

export interface RunOptions {
  readonly folder: string;
  readonly scenarios: readonly Pick<Scenario, 'name' | 'title'>[];
}

export interface RunDependencies {
  readonly measure: (name: string) => Promise<Section>;
  readonly say: (line: string) => void;
}

/** Writes `bench.json` and `report.html` anew after each scenario. Resolves with what was measured and what was not. */
export async function runBench(
  { folder, scenarios }: RunOptions,
  { measure, say }: RunDependencies,
): Promise<Result> {
  // Now rather than after minutes of measuring, if it is not to be had.
  mkdirSync(folder, { recursive: true });
  const machine = describeMachine();
  if (machine.loadAverage > BUSY_LOAD) {
    const load = machine.loadAverage.toFixed(2);
    say(`note: the machine is busy (load average ${load}); figures will be worse than they are`);
  }
  const sections: Section[] = [];
  const failures: Failure[] = [];
  const result: Result = { version: 1, machine, sections, failures };
  for (const [index, { name, title }] of scenarios.entries()) {
    say(`[${index + 1}/${scenarios.length}] ${title}`);
    try {
      const section = await measure(name);
      say(summaryOf(section));
      sections.push(section);
    } catch (error) {
      const { message: reason, stack = reason } = error as Error;
      say(`  not measured: ${stack}`);
      failures.push({ name, title, reason });
    }
    write(folder, result);
  }
  say(`report: ${join(folder, 'report.html')}`);
  if (failures.length > 0) {
    const names = failures.map(({ name }) => name).join(',');
    say(`not measured, see above; again with: npm run bench -- --only ${names}`);
  }
  return result;
}

function write(folder: string, result: Result): void {
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
      parts.push(`${Number(value.toPrecision(4))} ${figure}`);
    return `  ${name}: ${parts.join(', ')}`;
  });
  for (const { name, value } of ratios) lines.push(`  ${name}: ${value.toFixed(3)}`);
  return lines.join('\n');
}
