/**
 * Threads that give way to consensus. Linux only: there setpriority(2) acts on the calling thread alone (its notes on
 * NPTL); elsewhere it would act on the whole process, so nothing is done.
 */
import { constants, getPriority, setPriority } from 'node:os';
import type { ReplicaSettings } from './settings/replica.ts';

/** Nice value that the other threads have above that of the process: a third of the weight of the consensus thread. */
const BELOW_CONSENSUS = 5;

/**
 * What a thread sets itself to that gives way, by replica.yaml `priorities`; undefined: none does, or threads have no
 * priority of their own here. Ask before any has changed it.
 */
export function niceBelowConsensus(priorities: ReplicaSettings['priorities']): number | undefined {
  if (priorities === 'equal' || process.platform !== 'linux') return undefined;
  return Math.min(getPriority() + BELOW_CONSENSUS, constants.priority.PRIORITY_LOW);
}

/**
 * Lowers the calling thread; the threads that it starts from then on are as low. A process may have no right to go back, so
 * a consensus thread has to be started before.
 */
export function giveWay(nice: number): void {
  if (nice > getPriority()) setPriority(nice);
}
