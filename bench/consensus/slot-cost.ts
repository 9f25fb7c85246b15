/**
 * What a slot costs a replica, measured: a cluster on one thread, nobody waits, processor time divided by slots and replicas.
 * On a machine that others use, too, it is that time which means something.
 */
import { DEFAULT_LIMITS } from '../../consensus/core/limits.ts';
import { median } from '../statistics.ts';
import { OneThreadCluster } from './one-thread.ts';
import { cpuUs } from './usage.ts';

export interface SlotCostOptions {
  readonly replicas: number;
  readonly batchBytes: number;
  /** Slots times replicas, all rounds together. */
  readonly slotReplicas: number;
}

export interface SlotCost {
  readonly us: number;
  /** Of the slots: how many were not decided by votes alone. */
  readonly slowShare: number;
  /** Of each replica for each slot, those included that bring nothing. */
  readonly turnsPerSlot: number;
  /** A turn that brings nothing: all replicas in turn, and one alone, as on a core of its own. */
  readonly idleTurnUs: { readonly all: number; readonly alone: number };
}

const ROUNDS = 5;
/** So few that nobody misses a heartbeat meanwhile. */
const IDLE_TURNS = 2_000;
/** A new session's reader looks at the cells of the whole window until each has had its turn. */
const WARM_UP_WINDOWS = 1.25;

export function measureSlotCost(options: SlotCostOptions): SlotCost {
  const { replicas, batchBytes, slotReplicas } = options;
  const cluster = new OneThreadCluster({
    replicas,
    provider: 'shm',
    walFolder: undefined,
  });
  try {
    const warmUp = Math.max(
      WARM_UP_WINDOWS * DEFAULT_LIMITS.windowSlots,
      Math.ceil(slotReplicas / replicas),
    );
    cluster.run({ batches: warmUp, batchBytes, inFlight: 1 });
    const batches = Math.max(1, Math.ceil(slotReplicas / replicas / ROUNDS));
    const job = { batches, batchBytes, inFlight: 1 };
    const costs: number[] = [];
    const turnsPerSlot: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const before = cpuUs();
      const { slots, turns } = cluster.run(job);
      costs.push((cpuUs() - before) / slots / replicas);
      turnsPerSlot.push(turns / slots);
    }
    const idleTurnUs = cluster.idleTurnUs(IDLE_TURNS);
    return {
      us: median(costs),
      slowShare: cluster.slowShare(),
      turnsPerSlot: median(turnsPerSlot),
      idleTurnUs,
    };
  } finally {
    cluster.close();
  }
}
