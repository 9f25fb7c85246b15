/** What happens to machines and the network between them, each kind at its own rate, until everything heals. */
import type { Actor } from './event-queue.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

/** Mean time between two of a kind; Infinity: never. */
export interface FaultRates {
  readonly crashEveryMs: number;
  /** All processes at once, as when the power goes; `wal` mode only. */
  readonly crashAllEveryMs: number;
  /** A crash after which log and ledger are gone. */
  readonly loseDiskEveryMs: number;
  readonly pauseEveryMs: number;
  readonly breakSessionEveryMs: number;
  readonly partitionEveryMs: number;
  /** One way between two processes. */
  readonly cutEveryMs: number;
  readonly stallDiskEveryMs: number;
  readonly fillDiskEveryMs: number;
  readonly stepClockEveryMs: number;
  readonly slowEveryMs: number;
  /** Whoever leads is stopped, crashed, or cut off, often in the middle of something. */
  readonly strikeLeaderEveryMs: number;
}

const KINDS = [
  'crash',
  'crashAll',
  'loseDisk',
  'pause',
  'breakSession',
  'partition',
  'cut',
  'stallDisk',
  'fillDisk',
  'stepClock',
  'slow',
  'strikeLeader',
] as const;
type Kind = (typeof KINDS)[number];

/** Clocks are wrong by so much at most. */
export const CLOCK_AHEAD_MS_MAX = 1_500;

const STRIKE = 0;
const MEND = 1;

export class FaultInjector implements Actor {
  readonly #world: World;
  /** Goes up whenever everything heals: what was due before is void. */
  #round = 0;

  constructor(world: World) {
    this.#world = world;
    this.begin();
  }

  begin(): void {
    for (const kind of KINDS) this.#scheduleNext(kind);
  }

  #scheduleNext(kind: Kind): void {
    const { scenario, queue, random } = this.#world;
    const everyMs = scenario.faults[`${kind}EveryMs`];
    if (everyMs === Infinity) return;
    const waitMs = -Math.log(1 - random.next()) * everyMs;
    queue.schedule(queue.nowMs + waitMs, this, STRIKE, KINDS.indexOf(kind), this.#round);
  }

  onEvent(event: number, kind: number, round: number, payload: unknown): void {
    if (round !== this.#round) return;
    if (event === MEND) return (payload as () => void)();
    const name = KINDS[kind] as Kind;
    this.#strike(name);
    this.#scheduleNext(name);
  }

  /** Nothing happens any more. The world mends what has happened. */
  end(): void {
    this.#round++;
  }

  #mendLater(fromMs: number, toMs: number, mend: () => void): void {
    const { queue, random } = this.#world;
    queue.schedule(queue.nowMs + random.magnitude(fromMs, toMs), this, MEND, 0, this.#round, mend);
  }

  #strike(kind: Kind): void {
    const { random, machines, coverage } = this.#world;
    coverage.count(`strikes ${kind}`);
    const machine = random.pick(machines);
    switch (kind) {
      case 'crash':
        return this.#crash(machine, false);
      case 'loseDisk':
        return this.#crash(machine, true);
      case 'crashAll':
        return this.#crashAll();
      case 'pause':
        return this.#pause(machine);
      case 'breakSession':
        return this.#world.breakSessions(machine.index, random.pick(machines).index);
      case 'partition':
        return this.#partition();
      case 'cut':
        return this.#cut(machine.index, random.pick(machines).index);
      case 'stallDisk':
        return this.#stallDisk(machine);
      case 'fillDisk':
        machine.disk.isFull = true;
        return this.#mendLater(50, 4_000, () => machine.disk.mend());
      case 'stepClock':
        return this.#stepClock(machine);
      case 'slow':
        return this.#slow(machine);
      case 'strikeLeader':
        return this.#strikeLeader();
    }
  }

  #crash(machine: Machine, losesDisk: boolean): void {
    const world = this.#world;
    if (!machine.isUp || world.isByzantine(machine.index)) return;
    const forgets = losesDisk || world.scenario.durability === 'memory';
    if (forgets && !world.mayForget(machine.index)) return;
    world.crash(machine, losesDisk);
    this.#mendLater(5, 6_000, () => world.start(machine));
  }

  #crashAll(): void {
    const world = this.#world;
    if (world.scenario.durability === 'memory') return;
    for (const machine of world.machines) {
      if (machine.isUp && !world.isByzantine(machine.index)) world.crash(machine, false);
    }
    for (const machine of world.machines) {
      this.#mendLater(5, 2_000, () => world.start(machine));
    }
  }

  #pause(machine: Machine): void {
    if (!machine.isUp || machine.isPaused) return;
    this.#world.pause(machine);
    this.#mendLater(1, 4_000, () => this.#world.resume(machine));
  }

  /** Two sides that do not hear each other; sessions may or may not notice. */
  #partition(): void {
    const { random, machines, cuts } = this.#world;
    const side = machines.map(() => random.chance(0.5));
    for (const a of machines) {
      for (const b of machines) {
        if (side[a.index] !== side[b.index]) cuts.add(a.index, b.index);
      }
    }
    this.#noticeCuts();
    this.#mendLater(20, 8_000, () => cuts.clear());
  }

  #cut(from: number, to: number): void {
    const { cuts } = this.#world;
    if (from === to) return;
    cuts.add(from, to);
    this.#noticeCuts();
    this.#mendLater(20, 8_000, () => cuts.remove(from, to));
  }

  /** Some of the sessions across a cut end by and by; the others only lose what is written. */
  #noticeCuts(): void {
    const world = this.#world;
    const { random, cuts } = world;
    if (random.chance(0.4)) return;
    for (const [from, to] of cuts.list()) {
      if (random.chance(0.7)) {
        this.#mendLater(1, 1_000, () => {
          if (cuts.has(from, to)) world.breakSessions(from, to);
        });
      }
    }
  }

  #stallDisk(machine: Machine): void {
    const { queue, random } = this.#world;
    machine.disk.stalledUntilMs = queue.nowMs + random.magnitude(20, 4_000);
  }

  #stepClock(machine: Machine): void {
    const { random } = this.#world;
    machine.clockOffsetMs += random.between(-1_000, 1_000);
    machine.clockOffsetMs = clamp(machine.clockOffsetMs);
    this.#world.wake(machine);
  }

  #strikeLeader(): void {
    const { random, machines, groups, cuts } = this.#world;
    const replica = random.pick(random.pick(groups).replicas);
    const leader = machines[replica.lives[0]?.core.status().leader ?? 0] as Machine;
    const roll = random.next();
    if (roll < 0.35) return this.#crash(leader, false);
    if (roll < 0.7) return this.#pause(leader);
    for (const { index } of machines) {
      if (index !== leader.index && random.chance(0.7)) cuts.add(leader.index, index);
    }
    this.#noticeCuts();
    this.#mendLater(20, 2_000, () => cuts.clear());
  }

  #slow(machine: Machine): void {
    const before = machine.turnGapMsMax;
    machine.turnGapMsMax = this.#world.random.magnitude(1, 100);
    this.#mendLater(50, 4_000, () => {
      machine.turnGapMsMax = before;
    });
  }
}

function clamp(offsetMs: number): number {
  return Math.max(-CLOCK_AHEAD_MS_MAX, Math.min(CLOCK_AHEAD_MS_MAX, offsetMs));
}
