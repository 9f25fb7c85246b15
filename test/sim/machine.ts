/** What the replicas of one process share: its clock, its disk, its pace, and whether it runs. */
import { Disk, type DiskProfile } from './disk.ts';
import type { EventQueue } from './event-queue.ts';
import type { Random } from './random.ts';

export interface MachineProfile {
  readonly clockOffsetMs: number;
  /** Between an arrival and the turn that reads it, at most. */
  readonly turnGapMsMax: number;
  readonly disk: DiskProfile;
}

export class Machine {
  readonly index: number;
  readonly disk: Disk;
  isUp = false;
  /** Stopped by a signal: nothing runs, nothing is lost. */
  isPaused = false;
  clockOffsetMs: number;
  turnGapMsMax: number;
  readonly #random: Random;

  constructor(
    index: number,
    profile: MachineProfile,
    dependencies: { queue: EventQueue; random: Random },
  ) {
    this.index = index;
    this.#random = dependencies.random;
    this.disk = new Disk(profile.disk, dependencies);
    this.clockOffsetMs = profile.clockOffsetMs;
    this.turnGapMsMax = profile.turnGapMsMax;
  }

  turnGapMs(): number {
    return this.#random.next() * this.turnGapMsMax;
  }
}
