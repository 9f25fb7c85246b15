/**
 * A cluster under a seeded scheduler: whatever is unread may be read in any order, late, twice or
 * never; orderers answer late; replicas pause; sessions break. Then it heals. Not the simulator
 * (that has virtual disks and view changes to come), but the same idea in small.
 */
import type { CoreLimits, Effect, Input } from '../../../consensus/core/index.ts';
import { findSlot } from '../../../consensus/core/slots.ts';
import type { CoreState } from '../../../consensus/core/state.ts';
import { MemoryNetwork } from './memory-network.ts';
import { type Delivered, START_MS, TestReplica } from './replica.ts';

export interface RandomOptions {
  readonly seed: number;
  readonly replicas: number;
  readonly limits?: Partial<CoreLimits>;
  /**
   * This many replicas, from `byzantineFrom` on, run as twins that each
   * talk to one part of the others.
   */
  readonly twins?: number;
  readonly byzantineFrom?: number;
  readonly lossPercent?: number;
  readonly plant?: (state: CoreState) => void;
}

/** Small, fast and good enough: mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class RandomCluster {
  readonly options: RandomOptions;
  readonly network: MemoryNetwork;
  /** One core per replica; two for a twin. */
  readonly nodes: TestReplica[][];
  /** Rules that a correct replica has broken. */
  readonly broken: string[] = [];
  readonly submitted: { readonly lane: number; readonly text: string }[] = [];
  readonly #random: () => number;
  readonly #paused = new Set<number>();
  readonly #closed = new Set<string>();
  /** How slow delivery is against the timers; differs per seed. */
  readonly #paceMs: number;
  nowMs = START_MS;
  #losing = true;
  #count = 0;

  constructor(options: RandomOptions) {
    const { replicas, seed } = options;
    this.options = options;
    this.#random = randomOf(seed);
    this.#paceMs = [2, 20, 200][seed % 3]!;
    this.network = new MemoryNetwork(replicas, options.limits?.windowSlots ?? 256);
    this.network.filter = (from, to) =>
      !this.#closed.has(pairOf(from, to)) &&
      !(this.#losing && this.#random() * 100 < (options.lossPercent ?? 0));
    this.nodes = Array.from({ length: replicas }, (_, self) => this.#createNode(self));
    for (let a = 0; a < replicas; a++) {
      for (let b = 0; b < replicas; b++) {
        if (a !== b) this.#step(a, { kind: 'session', peer: b, open: true });
      }
    }
  }

  isByzantine(self: number): boolean {
    const { twins = 0, byzantineFrom = 0 } = this.options;
    return self >= byzantineFrom && self < byzantineFrom + twins;
  }

  get correct(): TestReplica[] {
    return this.nodes.filter((_, self) => !this.isByzantine(self)).map(([core]) => core!);
  }

  #createNode(self: number): TestReplica[] {
    const { replicas, limits, plant } = this.options;
    const options = { self, replicas, ...(limits && { limits }), ...(plant && { plant }) };
    if (!this.isByzantine(self)) {
      const onEffect = this.#watch(self);
      return [new TestReplica({ ...options, onEffect }, this.network.port(self))];
    }
    // Each peer hears one twin, the other, or both in turn.
    const sides = Array.from({ length: replicas }, () => this.#below(3));
    return [0, 1].map(
      (twin) =>
        new TestReplica(
          options,
          this.network.port(self, (to) => sides[to] === 2 || sides[to] === twin),
        ),
    );
  }

  /** What a correct replica may never say, whatever it hears (V1, S1, S3). */
  #watch(self: number): (replica: number, effect: Effect) => void {
    const voted = new Map<number, string>();
    const committed = new Map<number, string>();
    const held = (said: Map<number, string>, slot: number, digest: Uint8Array, what: string) => {
      const hex = Buffer.from(digest).toString('hex');
      if ((said.get(slot) ?? hex) !== hex) this.broken.push(`${self}: ${what} of s${slot}`);
      return hex;
    };
    return (_, effect) => {
      if (effect.kind === 'send' && effect.message.kind === 'prepare') {
        const { slot, digest } = effect.message.prepare;
        held(voted, slot, digest, 'PREPARE against the own vote');
        if (!voted.has(slot)) this.broken.push(`${self}: PREPARE without vote of s${slot}`);
      }
      if (effect.kind !== 'write-cell') return;
      const { cell } = effect;
      if (cell.kind === 'vote') {
        if (voted.has(cell.slot)) this.broken.push(`${self}: second vote of s${cell.slot}`);
        voted.set(cell.slot, held(voted, cell.slot, cell.digest, 'second vote'));
      } else if (cell.kind === 'commit') {
        held(voted, cell.slot, cell.digest, 'COMMIT against the own vote');
        if (!voted.has(cell.slot)) this.broken.push(`${self}: COMMIT without vote`);
        const record = findSlot(this.nodes[self]![0]!.state.slots, cell.slot);
        if (record?.decided !== undefined) {
          const decided = new Map([[cell.slot, Buffer.from(record.decidedDigest).toString('hex')]]);
          held(decided, cell.slot, cell.digest, 'COMMIT against the decision');
        }
        committed.set(cell.slot, held(committed, cell.slot, cell.digest, 'second COMMIT'));
      }
    };
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #step(self: number, input: Input): void {
    for (const core of this.nodes[self]!) core.step(input, this.nowMs);
  }

  /** One random event. */
  disturb(): void {
    const self = this.#below(this.nodes.length);
    const roll = this.#random();
    if (roll < 0.02) this.#submit(self);
    else if (roll < 0.03) this.#pass(this.#random() * this.#paceMs);
    else if (roll < 0.031) this.#togglePause(self);
    else if (roll < 0.0315) this.#toggleSession(self, this.#below(this.nodes.length));
    else this.#readOne(self);
  }

  #submit(lane: number): void {
    const text = `tx${this.#count++}`;
    for (const [twin, core] of this.nodes[lane]!.entries()) {
      if (core.core.status().lanes[lane]!.heldSeq - core.state.lanes[lane]!.executed.seq >= 20) {
        return;
      }
      // Twins differ in what they submit: that makes their lane equivocate.
      const payload = Buffer.from(twin === 0 ? text : `${text}'`);
      core.step({ kind: 'submit', payload }, this.nowMs);
    }
    if (!this.isByzantine(lane)) this.submitted.push({ lane, text });
  }

  #pass(ms: number): void {
    this.nowMs += ms;
    this.#wake();
  }

  #wake(): void {
    for (const [self, cores] of this.nodes.entries()) {
      if (this.#paused.has(self)) continue;
      for (const core of cores) {
        if (core.nextTickMs() <= this.nowMs) core.step({ kind: 'tick' }, this.nowMs);
      }
    }
  }

  #togglePause(self: number): void {
    if (this.#paused.has(self)) this.#paused.delete(self);
    else if (this.#paused.size < Math.floor((this.nodes.length - 1) / 3)) this.#paused.add(self);
  }

  #toggleSession(a: number, b: number): void {
    if (a === b) return;
    const open = this.#closed.delete(pairOf(a, b));
    if (!open) {
      this.#closed.add(pairOf(a, b));
      this.network.clearRings(a, b);
    }
    this.#step(a, { kind: 'session', peer: b, open });
    this.#step(b, { kind: 'session', peer: a, open });
  }

  /** Lets `self` read or finish one thing. Returns false when there was nothing. */
  #readOne(self: number): boolean {
    if (this.#paused.has(self)) return false;
    const choices: (() => void)[] = [];
    for (const core of this.nodes[self]!) {
      if (core.owed.length > 0) choices.push(() => core.step(core.owed.shift()!, this.nowMs));
    }
    const { fromSlot, toSlot } = this.#interest(self);
    for (let writer = 0; writer < this.nodes.length; writer++) {
      if (writer === self) continue;
      const region = this.network.regions[self]![writer]!;
      for (const frame of this.network.unreadCells(self, writer, fromSlot, toSlot)) {
        choices.push(() => this.#step(self, this.network.readCell(self, writer, frame)));
      }
      if (region.lane.length > 0) {
        choices.push(() => this.#step(self, this.network.readLane(writer, region.lane.shift()!)));
      }
      if (region.control.length > 0) choices.push(() => this.#readControl(self, writer));
    }
    choices[this.#below(choices.length)]?.();
    return choices.length > 0;
  }

  #interest(self: number): { fromSlot: number; toSlot: number } {
    const all = this.nodes[self]!.map(({ core }) => core.interest());
    return {
      fromSlot: Math.min(...all.map(({ fromSlot }) => fromSlot)),
      toSlot: Math.max(...all.map(({ toSlot }) => toSlot)),
    };
  }

  /** Messages may overtake each other and come twice. */
  #readControl(self: number, writer: number): void {
    const { control } = this.network.regions[self]![writer]!;
    const index = this.#below(control.length);
    const bytes = control[index]!;
    if (!this.#losing || this.#random() < 0.9) control.splice(index, 1);
    this.#step(self, this.network.readControl(writer, bytes));
  }

  /** Nothing is lost any more, everybody runs, all sessions are open. */
  heal(): void {
    this.#losing = false;
    this.#paused.clear();
    for (const pair of [...this.#closed]) {
      const [a, b] = pair.split('-').map(Number) as [number, number];
      this.#toggleSession(a, b);
    }
  }

  /** Runs until `done`, at most `withinMs` of virtual time. Returns whether it got there. */
  settle(done: () => boolean, withinMs: number): boolean {
    const untilMs = this.nowMs + withinMs;
    while (this.nowMs < untilMs) {
      for (let busy = true; busy; ) {
        busy = false;
        for (let self = 0; self < this.nodes.length; self++) {
          if (this.#readOne(self)) busy = true;
        }
      }
      if (done()) return true;
      const nextMs = Math.min(...this.nodes.flat().map((core) => core.nextTickMs()));
      if (nextMs === Infinity) return false;
      this.nowMs = Math.max(this.nowMs + 0.01, nextMs);
      this.#wake();
    }
    return done();
  }

  /** The first thing that correct replicas disagree on, or undefined. */
  disagreement(): string | undefined {
    if (this.broken.length > 0) return this.broken[0];
    const logs = this.correct.map(({ delivered }) => delivered.map(contentOf));
    const longest = logs.reduce((a, b) => (b.length > a.length ? b : a));
    for (const [index, log] of logs.entries()) {
      const at = log.findIndex((content, slot) => content !== longest[slot]);
      if (at >= 0) return `${this.correct[index]!.self}: ${log[at]} instead of ${longest[at]}`;
    }
    for (const { self, delivered } of this.correct) {
      const names = delivered.flatMap(({ batches }) => batches.map(({ name }) => name));
      if (new Set(names).size !== names.length) return `${self} delivered a batch twice`;
      if (delivered.some(({ slot }, at) => slot !== at + 1)) return `${self} skipped a slot`;
      const backwards = delivered.some(
        ({ timeMs }, at) => at > 0 && timeMs < delivered[at - 1]!.timeMs,
      );
      if (backwards) return `${self} went back in time`;
    }
    return undefined;
  }

  /**
   * Has every correct replica delivered everything that was submitted
   * to correct ones, and the same?
   */
  isComplete(): boolean {
    const texts = new Set(this.submitted.map(({ text }) => text));
    const lengths = new Set(this.correct.map(({ delivered }) => delivered.length));
    if (lengths.size > 1) return false;
    return this.correct.every(({ delivered }) => {
      const done = delivered.flatMap(({ batches }) => batches.map(({ text }) => text));
      return done.filter((text) => texts.has(text)).length === texts.size;
    });
  }
}

function pairOf(a: number, b: number): string {
  return `${Math.min(a, b)}-${Math.max(a, b)}`;
}

function contentOf({ slot, timeMs, cut, batches }: Delivered): string {
  return `s${slot} ${timeMs} ${cut} ${batches.map(({ name }) => name).join(' ')}`;
}
