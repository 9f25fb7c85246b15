/** A whole cluster in virtual time: machines, the links between them, one group of replicas per channel. */
import { quorum } from '../../consensus/core/index.ts';
import { ClientLoad } from './clients.ts';
import { Coverage } from './coverage.ts';
import { EventQueue } from './event-queue.ts';
import { FaultInjector } from './faults.ts';
import { Group } from './group.ts';
import type { Life } from './life.ts';
import { Machine, type MachineProfile } from './machine.ts';
import type { Links } from './network.ts';
import type { Protocol } from './protocol.ts';
import { Random } from './random.ts';
import type { Replica } from './replica.ts';
import type { Scenario } from './scenario.ts';
import type { Trace } from './trace.ts';

export interface Violation {
  readonly atMs: number;
  readonly channel: number;
  readonly replica: number | undefined;
  readonly rule: string;
}

/** Ways that are cut, by process: from, to. Cuts may overlap; a way is open again when none is left. */
export class Cuts {
  readonly #cuts = new Map<string, readonly [number, number]>();

  add(from: number, to: number): void {
    this.#cuts.set(`${from}>${to}`, [from, to]);
  }

  remove(from: number, to: number): void {
    this.#cuts.delete(`${from}>${to}`);
  }

  has(from: number, to: number): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`);
  }

  list(): (readonly [number, number])[] {
    return [...this.#cuts.values()];
  }

  clear(): void {
    this.#cuts.clear();
  }
}

export const START_MS = 1_000_000;
const RUN_STREAM = 2;
const NOTICE_MS_MAX = 40;
const START = 0;

export class World implements Links {
  readonly scenario: Scenario;
  readonly protocol: Protocol;
  readonly queue = new EventQueue(START_MS);
  readonly random: Random;
  readonly machines: Machine[];
  readonly groups: Group[];
  readonly cuts = new Cuts();
  readonly violations: Violation[] = [];
  readonly coverage = new Coverage();
  readonly trace: Trace | undefined;
  readonly clients: ClientLoad;
  readonly #faults: FaultInjector;
  readonly #byzantine: readonly boolean[];

  constructor(scenario: Scenario, protocol: Protocol, trace?: Trace) {
    this.scenario = scenario;
    this.protocol = protocol;
    this.trace = trace;
    trace?.attach(this);
    this.random = new Random(scenario.seed, RUN_STREAM);
    const { queue, random } = this;
    this.#byzantine = scenario.machines.map((_, index) => scenario.byzantine.includes(index));
    this.machines = scenario.machines.map(
      (profile: MachineProfile, index) => new Machine(index, profile, { queue, random }),
    );
    this.groups = Array.from({ length: scenario.channels }, (_, channel) => {
      return new Group(channel, this);
    });
    for (const machine of this.machines) {
      queue.schedule(START_MS + random.next() * scenario.startSpreadMs, this, START, machine.index);
    }
    this.#faults = new FaultInjector(this);
    this.clients = new ClientLoad(this);
  }

  get elapsedMs(): number {
    return this.queue.nowMs - START_MS;
  }

  isByzantine(index: number): boolean {
    return this.#byzantine[index] === true;
  }

  violation(channel: number, rule: string, replica: number | undefined): void {
    this.violations.push({ atMs: this.elapsedMs, channel, replica, rule });
  }

  onEvent(_kind: number, index: number): void {
    this.start(this.machines[index] as Machine);
  }

  /** Runs to that time, or to the first violation. */
  runUntil(untilMs: number): void {
    const { queue, violations } = this;
    while (violations.length === 0 && queue.nextMs <= untilMs) queue.runNext();
  }

  start(machine: Machine): void {
    if (machine.isUp) return;
    machine.isUp = true;
    for (const group of this.groups) group.start(machine);
  }

  crash(machine: Machine, losesDisk: boolean): void {
    machine.isUp = false;
    machine.isPaused = false;
    const noticeMs = this.random.chance(0.8) ? NOTICE_MS_MAX : 1_000;
    for (const group of this.groups) group.crash(machine, losesDisk, noticeMs);
  }

  pause(machine: Machine): void {
    machine.isPaused = true;
  }

  resume(machine: Machine): void {
    if (!machine.isPaused) return;
    machine.isPaused = false;
    for (const group of this.groups) group.replicas[machine.index]?.resume();
  }

  wake(machine: Machine): void {
    for (const group of this.groups) group.replicas[machine.index]?.onArrival();
  }

  breakSessions(a: number, b: number): void {
    if (a === b) return;
    for (const { network } of this.groups) network.breakSession(a, b, NOTICE_MS_MAX);
  }

  /**
   * May this replica forget what it voted? At most n - q may be mute, lying or down for that at a time, or too few are
   * left to order anything.
   */
  mayForget(index: number): boolean {
    const { replicas, byzantine, durability } = this.scenario;
    // What it has begun to remember is gone with the power until it is on disk.
    const isUnlogged = ({ log }: Replica): boolean =>
      durability === 'wal' && log.records.length === 0;
    const isMute = ({ core }: Life): boolean => core.status().mute;
    return this.groups.every((group) => {
      const mute = group.correct.filter(
        (replica) =>
          replica.self !== index &&
          replica.hasForgotten &&
          (!replica.isUp || isUnlogged(replica) || replica.lives.some(isMute)),
      );
      return byzantine.length + mute.length + 1 <= replicas - quorum(replicas);
    });
  }

  isCut(from: number, to: number): boolean {
    return this.cuts.has(from, to);
  }

  isReachable(index: number): boolean {
    const machine = this.machines[index] as Machine;
    return machine.isUp && !machine.isPaused;
  }

  areLinked(a: number, b: number): boolean {
    return (
      this.isReachable(a) && this.isReachable(b) && !this.cuts.has(a, b) && !this.cuts.has(b, a)
    );
  }

  /** No more faults but those of liars; everybody runs, in reach, with a clock that is about right. */
  heal(): void {
    this.trace?.note('everything heals');
    this.#faults.end();
    this.clients.calm();
    this.cuts.clear();
    for (const { network } of this.groups) {
      const { profile } = network;
      network.profile = { ...profile, lossChance: 0, skipChance: 0, tearChance: 0, spikeChance: 0 };
    }
    for (const machine of this.machines) {
      machine.disk.mend();
      machine.clockOffsetMs = this.random.between(-50, 50);
      machine.turnGapMsMax = 0.03;
      this.start(machine);
      this.resume(machine);
      this.wake(machine);
    }
  }

  /** After `heal`: faults and load as at the beginning. */
  disturb(): void {
    this.trace?.note('faults begin again');
    for (const { network } of this.groups) network.profile = this.scenario.network;
    this.#faults.begin();
    this.clients.begin();
  }
}
