/** Scenarios that end in every way. A child of `run.test.ts`. */
import type { Scenario } from '../../bench/scenario.ts';
import { serveScenarios } from '../../bench/scenario-process.ts';

function scenario(name: string, run: Scenario['run']): Scenario {
  return { name, title: name, run };
}

serveScenarios([
  scenario('good', async ({ short, providers }) => ({
    name: 'good',
    title: 'good',
    text: `${providers.join(' and ')}${short ? ', short' : ''}`,
    unit: 'us',
    series: [{ name: 'x', parameters: { replicas: 4 }, figures: { 'tx/s': 12.5 } }],
    ratios: [],
    plots: [],
  })),
  scenario('throws', async () => {
    throw new Error('no <device> for it');
  }),
  scenario('throws-later', () => {
    setTimeout(() => {
      throw new Error('nobody waits for this');
    });
    return new Promise(() => {});
  }),
  scenario('stands-still', () => {
    setInterval(() => {}, 1_000);
    return new Promise(() => {});
  }),
  scenario('crashes', () => {
    process.kill(process.pid, 'SIGKILL');
    return new Promise(() => {});
  }),
]);
