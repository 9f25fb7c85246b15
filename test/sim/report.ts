/** What a run of many seeds prints. */
import { Coverage } from './coverage.ts';
import type { RunResult } from './run.ts';
import type { Scenario } from './scenario.ts';

const PROGRESS_EVERY_MS = 5_000;

/** A seed's parameters, on one line. */
export function describeScenario(scenario: Scenario): string {
  const { seed, replicas, channels, durability, byzantine, limits, disturbedMs, network } =
    scenario;
  const faults = Object.entries(scenario.faults)
    .filter(([, everyMs]) => everyMs < Infinity)
    .map(([name]) => name.replace('EveryMs', ''));
  return [
    `seed ${seed}: ${scenario.focus}, ${replicas} replicas`,
    ...(channels > 1 ? [`${channels} channels`] : []),
    durability,
    byzantine.length > 0 ? `lying: ${byzantine.join(' ')} (${scenario.lies.join(' ')})` : 'honest',
    `window ${limits.windowSlots}`,
    `latency ${network.latencyMs}+${network.jitterMs.toFixed(3)} ms`,
    `loss ${network.lossChance}`,
    `${(disturbedMs / 1_000).toFixed(1)} s of ${faults.length > 0 ? faults.join(' ') : 'peace'}`,
  ].join(', ');
}

export function describeViolations({ violations }: RunResult): string[] {
  return violations.map(({ atMs, channel, replica, rule }) => {
    const who = replica === undefined ? '' : `replica ${replica}: `;
    const where = channel > 0 ? `channel ${channel}, ` : '';
    return `  at ${(atMs / 1_000).toFixed(6)} s, ${where}${who}${rule}`;
  });
}

export function describeFigures(result: RunResult): string {
  const { simulatedMs, events, slots, blocks, transactions, settledMs } = result;
  return [
    `  ${(simulatedMs / 1_000).toFixed(1)} s simulated`,
    `${events} events`,
    `${slots} slots, ${blocks} blocks, ${transactions} transactions`,
    `settled ${(settledMs / 1_000).toFixed(1)} s after healing`,
  ].join('; ');
}

/** Counts, and says now and then how far it is. */
export class Tally {
  readonly #write: (line: string) => void;
  readonly #verbose: boolean;
  readonly #beganMs = Date.now();
  #progressMs = Date.now();
  seeds = 0;
  failed: number[] = [];
  simulatedMs = 0;
  readonly coverage = new Coverage();

  constructor(options: { verbose: boolean; write: (line: string) => void }) {
    this.#verbose = options.verbose;
    this.#write = options.write;
  }

  add(result: RunResult): void {
    this.seeds++;
    this.simulatedMs += result.simulatedMs;
    this.coverage.add(result.coverage);
    this.coverage.count('slots', result.slots);
    this.coverage.count('blocks', result.blocks);
    this.coverage.count('transactions', result.transactions);
    this.coverage.count('events', result.events);
    const violated = result.violations.length > 0;
    if (violated) this.failed.push(result.scenario.seed);
    if (violated || this.#verbose) {
      this.#write(describeScenario(result.scenario));
      for (const line of describeViolations(result)) this.#write(line);
      if (this.#verbose) this.#write(describeFigures(result));
    }
    if (Date.now() - this.#progressMs < PROGRESS_EVERY_MS) return;
    this.#progressMs = Date.now();
    this.#write(this.figures());
  }

  figures(): string {
    const simulatedS = this.simulatedMs / 1_000;
    const realS = Math.max(0.001, (Date.now() - this.#beganMs) / 1_000);
    const pace = (simulatedS / realS).toFixed(0);
    const { length } = this.failed;
    return `${this.seeds} seeds done, ${length} failed; ${simulatedS.toFixed(0)} cluster-seconds in ${realS.toFixed(1)} s: ${pace} per second`;
  }

  lastLine(): string {
    return `${this.seeds} seeds, ${this.failed.length} violations`;
  }
}
