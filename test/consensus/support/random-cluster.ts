/**
 * A cluster under a seeded scheduler: whatever is unread may be read in any order, late, twice or
 * never; orderers answer late; replicas pause; sessions break. Then it heals. Not the simulator
 * (that has virtual disks and view changes to come), but the same idea in small.
 */
import type { CoreLimits, Effect, Input, Proposal } from '../../../consensus/core/index.ts';
import type { CoreState } from '../../../consensus/core/state.ts';
import { MemoryNetwork } from './memory-network.ts';
import { contentOf, type Delivered, START_MS, TestReplica } from './replica.ts';
import { Voice } from './voice.ts';

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
  /** Correct replicas are killed, and started again from their logs. */
  readonly restarts?: boolean;
  /** Up to f correct replicas lose their disks, one after the other, and join again. */
  readonly wipes?: boolean;
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
  /** What each correct replica has said. */
  readonly voices: Voice[] = [];
  /** Slots that a restarted replica delivered otherwise than before. */
  readonly contradicted: string[] = [];
  onEffect: (self: number, effect: Effect) => void = () => {};
  readonly submitted: { readonly lane: number; readonly text: string }[] = [];
  readonly #random: () => number;
  readonly #paused = new Set<number>();
  readonly #closed = new Set<string>();
  /** They have lost their disks, and what they alone had. */
  readonly #wiped = new Set<number>();
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
    const blocksUpTo = (slot: number): readonly Delivered[] =>
      this.correct
        .map(({ delivered }) => delivered)
        .find((log) => (log.at(-1)?.slot ?? 0) >= slot) ?? [];
    const base = { self, replicas, blocksUpTo };
    const options = { ...base, ...(limits && { limits }), ...(plant && { plant }) };
    if (!this.isByzantine(self)) {
      this.voices[self] = new Voice(self, this.#digestOf);
      const onEffect = (_: number, effect: Effect): void => {
        this.voices[self]!.hear(effect);
        this.onEffect(self, effect);
      };
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

  readonly #digestOf = (proposal: Proposal): Uint8Array =>
    this.nodes[0]![0]!.state.digests.proposal(proposal);

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
    else if (roll < 0.0325 && this.options.restarts === true) this.#restart(self);
    else if (roll < 0.033 && this.options.wipes === true) this.#wipe(self);
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

  #wipe(self: number): void {
    const faults = Math.floor((this.nodes.length - 1) / 3) - (this.options.twins ?? 0);
    if (this.#wiped.size >= faults || this.#wiped.has(self) || this.isByzantine(self)) return;
    if (this.#paused.has(self)) return;
    this.#wiped.add(self);
    this.nodes[self]![0]!.log = undefined;
    this.#restart(self);
  }

  /** Everything but its disk is gone: memory, regions, rings, sessions. Of a wiped one, the disk, too. */
  #restart(self: number): void {
    const [old] = this.nodes[self]!;
    if (old === undefined || this.isByzantine(self) || this.#paused.has(self)) return;
    if (old.log === undefined) {
      // It does not know its promises any more.
      this.contradicted.push(...this.voices[self]!.broken);
      this.voices[self] = new Voice(self, this.#digestOf);
    }
    // A process takes longer than that to begin, and its clock says which life is later (J4).
    this.nowMs += 1;
    this.contradicted.push(...old.contradicted);
    const peers = this.nodes.map((_, peer) => peer).filter((peer) => peer !== self);
    const open = peers.filter((peer) => !this.#closed.has(pairOf(self, peer)));
    this.network.forget(self);
    for (const peer of open) this.#step(peer, { kind: 'session', peer: self, open: false });
    const left = { log: old.log, delivered: old.log === undefined ? [] : old.delivered };
    const port = this.network.port(self);
    this.nodes[self] = [new TestReplica({ ...old.options, left }, port)];
    // The orderer has read its batches again before anything is submitted.
    this.#step(self, { kind: 'tick' });
    const [node] = this.nodes[self]!;
    while (node!.owed.length > 0) this.#step(self, node!.owed.shift()!);
    for (const peer of open) {
      this.#step(self, { kind: 'session', peer, open: true });
      this.#step(peer, { kind: 'session', peer: self, open: true });
    }
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
    const [broken] = [
      ...this.voices.flatMap((voice) => voice.broken),
      ...[this, ...this.correct].flatMap(({ contradicted }) => contradicted),
    ];
    if (broken !== undefined) return broken;
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
    const kept = this.submitted.filter(({ lane }) => !this.#wiped.has(lane));
    const texts = new Set(kept.map(({ text }) => text));
    if (this.correct.some(({ core }) => core.status().mute)) return false;
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
