/**
 * A Byzantine replica: one or two real cores under one identity, whose words pass through its strategies. Each
 * strategy is at work for some time, then rests; so a liar also behaves well, gets votes, and leads.
 */
import type { Batch, Cell, Input, Message } from '../../../consensus/core/index.ts';
import { sha256 } from '../crypto.ts';
import type { Actor, EventQueue } from '../event-queue.ts';
import type { Life, Voice } from '../life.ts';
import { type Network, padBody } from '../network.ts';
import type { Protocol } from '../protocol.ts';
import type { Random } from '../random.ts';
import { placeOf, type WrittenCell } from '../region.ts';
import type { Transactions } from '../transactions.ts';
import type { Conspiracy } from './conspiracy.ts';
import { type LieName, STRATEGIES, TWINS, UNSIGNED_WORK } from './index.ts';
import type { Heard, Means, Strategy } from './strategy.ts';

export interface LiarOptions {
  readonly self: number;
  readonly replicas: number;
  readonly quorum: number;
  readonly faults: number;
  readonly lies: readonly LieName[];
}

export interface LiarDependencies {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly network: Network;
  readonly wire: Protocol['wire'];
  readonly conspiracy: Conspiracy;
  readonly transactions: Transactions;
  readonly sign: (text: Uint8Array) => Uint8Array;
  readonly lives: () => readonly Life[];
}

const HEARD_MAX = 48;
const ACT = 0;
const TOGGLE = 1;
const REDRAW_SIDES = 2;

export class Liar implements Actor {
  readonly #options: LiarOptions;
  readonly #dependencies: LiarDependencies;
  readonly #strategies: Strategy[];
  readonly #atWork: boolean[];
  readonly #heard: Heard = {
    changes: [],
    newViews: [],
    prepared: [],
    checkpoints: [],
    proposals: [],
    batches: [],
    votes: [],
    ownCells: [],
    ownMessages: [],
    ownChanges: [],
  };
  /** Per peer: what was written last in each place, for sessions that open. */
  readonly #current: Map<number, WrittenCell>[];
  /** Per peer: 0 or 1, it hears that twin; 2: both. */
  #sides: number[] = [];

  constructor(options: LiarOptions, dependencies: LiarDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#current = Array.from({ length: options.replicas }, () => new Map());
    const means = this.#createMeans();
    this.#strategies = options.lies
      .filter((lie) => lie !== TWINS && lie !== UNSIGNED_WORK)
      .map((lie) => STRATEGIES[lie](means));
    this.#atWork = this.#strategies.map(() => true);
    this.#redrawSides();
    this.#scheduleActs();
  }

  get twins(): number {
    return this.#options.lies.includes(TWINS) ? 2 : 1;
  }

  voice(twin: number): Voice {
    const tell = (visit: (to: number) => void): void => {
      for (let to = 0; to < this.#options.replicas; to++) {
        if (to !== this.#options.self && this.#hears(to, twin)) visit(to);
      }
    };
    return {
      cell: (cell) => tell((to) => this.#tellCell(to, cell)),
      batch: (batch) => tell((to) => this.#tellBatch(to, batch)),
      message: (to, message) => {
        if (this.#hears(to, twin)) this.#tellMessage(to, message);
      },
      rewriteCells: (to) => {
        for (const frame of this.#current[to]?.values() ?? []) {
          this.#dependencies.network.postCell(this.#options.self, to, frame);
        }
      },
    };
  }

  #hears(to: number, twin: number): boolean {
    return this.twins === 1 || this.#sides[to] === 2 || this.#sides[to] === twin;
  }

  #redrawSides(): void {
    const { random } = this.#dependencies;
    this.#sides = Array.from({ length: this.#options.replicas }, () => random.below(3));
  }

  #scheduleActs(): void {
    const { queue, random } = this.#dependencies;
    queue.schedule(queue.nowMs + random.magnitude(2, 200), this, ACT);
    queue.schedule(queue.nowMs + random.magnitude(200, 4_000), this, REDRAW_SIDES);
    for (let index = 0; index < this.#strategies.length; index++) {
      queue.schedule(queue.nowMs + random.magnitude(100, 4_000), this, TOGGLE, index);
    }
  }

  onEvent(kind: number, index: number): void {
    const { queue, random } = this.#dependencies;
    switch (kind) {
      case ACT:
        for (const [at, strategy] of this.#strategies.entries()) {
          if (this.#atWork[at]) strategy.act?.();
        }
        queue.schedule(queue.nowMs + random.magnitude(2, 200), this, ACT);
        return;
      case TOGGLE: {
        this.#atWork[index] = !this.#atWork[index];
        const forMs = this.#atWork[index]
          ? random.magnitude(200, 6_000)
          : random.magnitude(50, 2_000);
        queue.schedule(queue.nowMs + forMs, this, TOGGLE, index);
        return;
      }
      default:
        this.#redrawSides();
        queue.schedule(queue.nowMs + random.magnitude(200, 4_000), this, REDRAW_SIDES);
    }
  }

  /** What its cores are given, it has heard. */
  hear(input: Input): void {
    const heard = this.#heard;
    if (input.kind === 'cell') {
      if (input.cell.kind === 'proposal') keep(heard.proposals, input.cell.proposal);
      else if (input.cell.kind !== 'progress') keep(heard.votes, input);
    } else if (input.kind === 'lane-batch') {
      keep(heard.batches, input.batch);
    } else if (input.kind === 'message') {
      this.#hearMessage(input.message);
    }
    for (const strategy of this.#strategies) strategy.hear?.(input);
  }

  #hearMessage(message: Message): void {
    const heard = this.#heard;
    switch (message.kind) {
      case 'view-change': {
        const { viewChange } = message;
        keep(heard.changes, viewChange);
        if (viewChange.checkpoint !== undefined) keep(heard.checkpoints, viewChange.checkpoint);
        for (const { prepared } of viewChange.reports) {
          if (prepared !== undefined) keep(heard.prepared, prepared);
        }
        return;
      }
      case 'new-view':
        keep(heard.newViews, message.newView);
        for (const change of message.newView.changes) keep(heard.changes, change);
        return;
      case 'stable-checkpoint':
        if (message.certificate !== undefined) keep(heard.checkpoints, message.certificate);
        return;
      default:
        return;
    }
  }

  #tellCell(to: number, cell: Cell): void {
    let told: Cell | undefined = cell;
    for (const [at, strategy] of this.#strategies.entries()) {
      if (told === undefined) return;
      if (this.#atWork[at] && strategy.cell !== undefined) told = strategy.cell(told, to);
    }
    if (told !== undefined) this.#writeCell(to, told);
  }

  #writeCell(to: number, cell: Cell): void {
    const { wire, network } = this.#dependencies;
    const frame = encoded(() => wire.encodeCell(cell));
    if (frame === undefined) return;
    const written: WrittenCell = { ...frame, body: padBody(frame.body) };
    this.#current[to]?.set(placeOf(written, network.windowSlots), written);
    keep(this.#heard.ownCells, written);
    network.postCell(this.#options.self, to, written);
  }

  #spoof(writer: number, to: number, cell: Cell, original: Cell): void {
    const { wire, network } = this.#dependencies;
    const written = (one: Cell): WrittenCell => {
      const frame = wire.encodeCell(one);
      return { ...frame, body: padBody(frame.body) };
    };
    const was = written(original);
    const told = written(cell);
    // The very bytes, when only the view is another one.
    const isSameBody = Buffer.compare(told.body, was.body) === 0;
    const frame = isSameBody ? { ...told, body: was.body } : told;
    network.postSpoofed(writer, to, { frame, original: was, reader: to });
  }

  #tellMessage(to: number, message: Message): void {
    let told: Message | undefined = message;
    for (const [at, strategy] of this.#strategies.entries()) {
      if (told === undefined) return;
      if (this.#atWork[at] && strategy.message !== undefined) told = strategy.message(told, to);
    }
    if (told === undefined) return;
    keep(this.#heard.ownMessages, told);
    if (told.kind === 'view-change') keep(this.#heard.ownChanges, told.viewChange);
    this.#sendMessage(to, told);
  }

  #sendMessage(to: number, message: Message): void {
    const bytes = encoded(() => this.#dependencies.wire.encodeMessage(message));
    if (bytes !== undefined) this.#sendBytes(to, bytes);
  }

  #sendBytes(to: number, bytes: Uint8Array): void {
    const { network } = this.#dependencies;
    network.postRing(this.#options.self, to, 'control', { bytes, sha256: undefined });
  }

  #tellBatch(to: number, batch: Batch): void {
    let told: Batch | undefined = batch;
    for (const [at, strategy] of this.#strategies.entries()) {
      if (told === undefined) return;
      if (this.#atWork[at] && strategy.batch !== undefined) told = strategy.batch(told, to);
    }
    if (told !== undefined) this.#writeBatch(to, told);
  }

  #writeBatch(to: number, batch: Batch): void {
    const { network, wire } = this.#dependencies;
    const bytes = wire.encodeLaneBatch(batch);
    network.postRing(this.#options.self, to, 'lane', { bytes, sha256: sha256(bytes) });
  }

  #createMeans(): Means {
    const { self, replicas, quorum, faults } = this.#options;
    const { random, conspiracy, transactions, sign, queue, network, lives } = this.#dependencies;
    return {
      self,
      replicas,
      quorum,
      faults,
      random,
      conspiracy,
      transactions,
      sign,
      nowMs: () => queue.nowMs,
      state: () => lives()[0]?.state,
      heard: this.#heard,
      say: {
        cell: (to, cell) => this.#writeCell(to, cell),
        frame: (to, frame) => network.postCell(self, to, frame),
        message: (to, message) => this.#sendMessage(to, message),
        batch: (to, batch) => this.#writeBatch(to, batch),
        bytes: (to, bytes) => this.#sendBytes(to, bytes),
        spoofed: (writer, to, cell, original) => this.#spoof(writer, to, cell, original),
      },
    };
  }
}

/** A lie may be one that has no bytes. */
function encoded<T>(encode: () => T): T | undefined {
  try {
    return encode();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function keep<T>(list: T[], item: T): void {
  list.push(item);
  if (list.length > 2 * HEARD_MAX) list.splice(0, HEARD_MAX);
}
