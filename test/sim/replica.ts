/**
 * One replica of one channel across all its lives: what lasts (log, ledger), who lives now (a twin: two cores
 * under one identity), and the turns of its loop, which read what has arrived and wake the cores in time.
 */
import type { Input } from '../../consensus/core/index.ts';
import { type Block, SimulatedLedger, SimulatedLog } from './disk.ts';
import type { Actor, EventQueue } from './event-queue.ts';
import type { Life } from './life.ts';
import type { Machine } from './machine.ts';
import type { Endpoint, Network } from './network.ts';
import type { Protocol } from './protocol.ts';
import type { Inbox, RingFrame, WrittenCell } from './region.ts';

export interface ReplicaDependencies {
  readonly queue: EventQueue;
  readonly network: Network;
  readonly protocol: Protocol;
  readonly machine: Machine;
  readonly onStored: (replica: Replica, block: Block) => void;
}

const TURN = 0;
const TIMER = 1;
/** Floating-point time: a tick that is due by less than this is due. */
const TURN_AGAIN_MS = 0.001;

export class Replica implements Actor, Endpoint, Inbox {
  readonly self: number;
  readonly channel: number;
  readonly isByzantine: boolean;
  readonly log: SimulatedLog;
  readonly ledger: SimulatedLedger;
  /** None while it is down; two for a twin. */
  lives: Life[] = [];
  livesBegun = 0;
  /** Its log is lost, or it runs in `memory` mode and has crashed: what it voted is forgotten, until a log begins again. */
  hasForgotten = false;
  readonly #dependencies: ReplicaDependencies;
  readonly #wire: Protocol['wire'];
  readonly #replicas: number;
  /** Its life so far: events of an earlier one are void. */
  #life = 0;
  #turnIsComing = false;
  /** When the timer goes off; it may be too early, and is set again then. */
  #timerAtMs = Infinity;

  constructor(
    options: { self: number; channel: number; isByzantine: boolean },
    dependencies: ReplicaDependencies,
  ) {
    this.self = options.self;
    this.channel = options.channel;
    this.isByzantine = options.isByzantine;
    this.#dependencies = dependencies;
    this.#wire = dependencies.protocol.wire;
    this.#replicas = dependencies.network.replicas;
    const { disk } = dependencies.machine;
    this.log = new SimulatedLog(disk);
    this.ledger = new SimulatedLedger(disk, (block) => dependencies.onStored(this, block));
  }

  get isUp(): boolean {
    return this.lives.length > 0;
  }

  begin(lives: Life[]): void {
    this.lives = lives;
    this.livesBegun++;
    this.#life++;
    this.#turnIsComing = false;
    this.#timerAtMs = Infinity;
    this.#dependencies.network.attach(this.self, this);
    this.onArrival();
  }

  crash(noticeMsMax: number): void {
    for (const life of this.lives) life.end();
    this.lives = [];
    this.#life++;
    this.#dependencies.network.detach(this.self, noticeMsMax);
    this.log.crash();
    this.ledger.crash();
  }

  onArrival(): void {
    if (this.#turnIsComing) return;
    this.#turnIsComing = true;
    const { queue, machine } = this.#dependencies;
    queue.schedule(queue.nowMs + machine.turnGapMs(), this, TURN, this.#life);
  }

  resume(): void {
    for (const life of this.lives) life.resume();
    this.onArrival();
  }

  onSession(peer: number, open: boolean): void {
    for (const life of this.lives) life.step({ kind: 'session', peer, open });
    this.onArrival();
  }

  onEvent(kind: number, life: number): void {
    if (life !== this.#life) return;
    if (kind === TURN) this.#turnIsComing = false;
    else if (this.#dependencies.queue.nowMs === this.#timerAtMs) this.#timerAtMs = Infinity;
    else return;
    if (this.isUp && !this.#dependencies.machine.isPaused) this.#turn();
  }

  #turn(): void {
    const { network, queue, machine } = this.#dependencies;
    network.poll(this.self, this.#interest(), this);
    let nextMs = Infinity;
    for (const life of this.lives) {
      life.settle();
      nextMs = Math.min(nextMs, life.tick());
    }
    const dueMs = Math.max(nextMs - machine.clockOffsetMs, queue.nowMs + TURN_AGAIN_MS);
    if (dueMs >= this.#timerAtMs) return;
    this.#timerAtMs = dueMs;
    queue.schedule(dueMs, this, TIMER, this.#life);
  }

  #interest(): { fromSlot: number; toSlot: number } {
    const [first, second] = this.lives as [Life, Life | undefined];
    const interest = first.core.interest();
    if (second === undefined) return interest;
    const other = second.core.interest();
    return {
      fromSlot: Math.min(interest.fromSlot, other.fromSlot),
      toSlot: Math.max(interest.toSlot, other.toSlot),
    };
  }

  /** Decoded once for all who read the same bytes: nobody changes what came in. */
  onCell(from: number, frame: WrittenCell): void {
    frame.cell ??= this.#wire.decodeCell(frame, this.#replicas);
    const { cell } = frame;
    if (cell.kind === 'malformed') return this.#malformed(from, cell.reason);
    this.#give({ kind: 'cell', from, cell: cell.value });
  }

  onLane(from: number, frame: RingFrame): void {
    frame.batch ??= this.#wire.decodeLaneBatch(frame.bytes, from);
    const { batch } = frame;
    if (batch.kind === 'malformed') return this.#malformed(from, batch.reason);
    const frameSha256 = frame.sha256 as Uint8Array;
    this.#give({ kind: 'lane-batch', from, batch: batch.value, frameSha256 });
  }

  onMessage(from: number, frame: RingFrame): void {
    frame.message ??= this.#wire.decodeMessage(frame.bytes, this.#replicas);
    const { message } = frame;
    if (message.kind === 'malformed') return this.#malformed(from, message.reason);
    this.#give({ kind: 'message', from, message: message.value });
  }

  #malformed(from: number, reason: string): void {
    this.#give({ kind: 'malformed', from, reason });
  }

  #give(input: Input): void {
    for (const life of this.lives) life.take(input);
  }
}
