/** One seed: a disturbed phase, then a healed one, in which everything has to be ordered in time. */
import { checkBounds } from './bounds.ts';
import { describeError } from './group.ts';
import type { Protocol } from './protocol.ts';
import { type Overrides, type Scenario, scenarioOf } from './scenario.ts';
import type { Trace } from './trace.ts';
import { START_MS, type Violation, World } from './world.ts';

/** Virtual time after healing within which a cluster has to have ordered everything that it promised. */
export const LIVENESS_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** Clients go on so long after healing; nothing has settled before. */
const CALM_LOAD_MS = 1_100;

export interface RunResult {
  readonly scenario: Scenario;
  readonly violations: readonly Violation[];
  readonly simulatedMs: number;
  readonly events: number;
  readonly slots: number;
  readonly blocks: number;
  readonly transactions: number;
  /** Virtual time from healing to everything being ordered. */
  readonly settledMs: number;
  readonly coverage: readonly (readonly [string, number])[];
}

export function runSeed(
  protocol: Protocol,
  seed: number,
  overrides: Overrides = {},
  trace?: Trace,
): RunResult {
  return runScenario(protocol, scenarioOf(protocol, seed, overrides), trace);
}

export function runScenario(protocol: Protocol, scenario: Scenario, trace?: Trace): RunResult {
  const world = new World(scenario, protocol, trace);
  const healMs = START_MS + scenario.disturbedMs;
  try {
    world.runUntil(healMs);
    if (world.violations.length === 0) {
      world.queue.nowMs = healMs;
      world.heal();
      settle(world, healMs);
      checkBounds(world);
    }
  } catch (error) {
    world.violation(0, `the simulation threw: ${describeError(error)}`, undefined);
  }
  return resultOf(world, healMs);
}

export function resultOf(world: World, healMs: number): RunResult {
  const sum = (of: (group: World['groups'][number]) => number): number =>
    world.groups.reduce((total, group) => total + of(group), 0);
  return {
    scenario: world.scenario,
    violations: world.violations,
    simulatedMs: world.elapsedMs,
    events: world.queue.handled,
    slots: sum(({ oracle }) => oracle.highestSlot),
    blocks: sum(({ oracle }) => oracle.highestBlock),
    transactions: sum(({ transactions }) => transactions.issued),
    settledMs: world.queue.nowMs - healMs,
    coverage: [...world.coverage.counts],
  };
}

export function settle(world: World, healMs: number): void {
  let untilMs = healMs + CALM_LOAD_MS;
  for (;;) {
    world.runUntil(untilMs);
    if (world.violations.length > 0) return;
    world.queue.nowMs = untilMs;
    const missing = firstMissing(world);
    if (missing === undefined) return;
    if (untilMs >= healMs + LIVENESS_WITHIN_MS) {
      world.violation(missing.channel, missing.rule, missing.replica);
      return;
    }
    untilMs += LOOK_EVERY_MS;
  }
}

/** What is still to come: everybody at one height, with everything that q had on disk, and every promise kept. */
function firstMissing(
  world: World,
): { channel: number; replica: number; rule: string } | undefined {
  for (const { channel, correct, oracle } of world.groups) {
    const height = Math.max(oracle.highestBlock, oracle.acknowledgedBlock) + 1;
    for (const replica of correct) {
      const { self, ledger } = replica;
      if (ledger.height < height) {
        const rule = `not live: height ${ledger.height} instead of ${height}`;
        return { channel, replica: self, rule };
      }
      for (const { orderer } of replica.lives) {
        const [txId] = orderer.promised;
        if (txId === undefined) continue;
        const rule = `not live: transaction ${txId} was accepted and is not ordered`;
        return { channel, replica: self, rule };
      }
    }
  }
  return undefined;
}
