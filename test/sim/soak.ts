/**
 * One cluster that lives for hours: faults for a while, everything heals, everything must be ordered, and on. What a
 * short run cannot show: state that grows, counters that wrap, a replica that never quite recovers.
 */
import { checkBounds, entriesOf } from './bounds.ts';
import type { Protocol } from './protocol.ts';
import { type RunResult, resultOf, settle } from './run.ts';
import { type Overrides, type Scenario, scenarioOf } from './scenario.ts';
import { START_MS, World } from './world.ts';

const HOUR_MS = 3_600_000;
/** Between two times of peace. */
const ROUND_MS = 120_000;

/** Hours are long: each kind of fault strikes about once in a round, and clients rest more than they work. */
export function soakScenario(protocol: Protocol, seed: number, overrides: Overrides): Scenario {
  const scenario = scenarioOf(protocol, seed, { focus: 'mixed', ...overrides });
  const { checkLimits, defaultLimits } = protocol;
  const limits = checkLimits({ ...defaultLimits, windowSlots: 64, checkpointSlots: 32 });
  return {
    ...scenario,
    limits,
    channels: 1,
    durability: 'wal',
    disturbedMs: ROUND_MS,
    batchTimeoutMs: 200,
    network: { ...scenario.network, latencyMs: 0.1, jitterMs: 0.2 },
    faults: {
      crashEveryMs: 20_000,
      crashAllEveryMs: 60_000,
      loseDiskEveryMs: 40_000,
      pauseEveryMs: 20_000,
      breakSessionEveryMs: 20_000,
      partitionEveryMs: 40_000,
      cutEveryMs: 30_000,
      stallDiskEveryMs: 40_000,
      fillDiskEveryMs: 40_000,
      stepClockEveryMs: 30_000,
      slowEveryMs: 40_000,
      strikeLeaderEveryMs: 20_000,
    },
    load: {
      perSecond: 10,
      busyMs: 500,
      idleMs: 4_500,
      burstEveryMs: 20_000,
      burstTransactionsMax: 10,
      manyChance: 0.1,
      againChance: 0.1,
    },
  };
}

export function describeHour(world: World, hour: number, beganMs: number): string {
  const lives = world.groups.flatMap(({ correct }) => correct.flatMap((replica) => replica.lives));
  const entries = Math.max(0, ...lives.map(entriesOf));
  const [group] = world.groups;
  const pace = (world.elapsedMs / (Date.now() - beganMs)).toFixed(0);
  return [
    `hour ${hour}`,
    `${group?.oracle.highestSlot} slots, ${group?.oracle.highestBlock} blocks`,
    `at most ${entries} entries in a core`,
    `${pace} cluster-seconds a second`,
  ].join('; ');
}

export function runSoak(
  protocol: Protocol,
  scenario: Scenario,
  hours: number,
  write: (line: string) => void,
): RunResult {
  const world = new World(scenario, protocol);
  const beganMs = Date.now();
  let healMs = START_MS;
  for (let hour = 1; hour <= hours && world.violations.length === 0; ) {
    healMs = world.queue.nowMs + ROUND_MS;
    world.runUntil(healMs);
    if (world.violations.length > 0) break;
    world.queue.nowMs = healMs;
    world.heal();
    settle(world, healMs);
    checkBounds(world);
    if (world.violations.length > 0) break;
    if (world.elapsedMs >= hour * HOUR_MS) write(describeHour(world, hour++, beganMs));
    world.disturb();
  }
  return resultOf(world, healMs);
}
