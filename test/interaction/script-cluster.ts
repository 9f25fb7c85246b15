/**
 * A cluster that moves in message delays: in each, every replica reads what was written
 * before, then all act. So the first column of a script counts network delays since the
 * command, as the figures of papers do.
 */
import type {
  Batch,
  BatchRef,
  Cell,
  CoreLimits,
  Effect,
  Input,
  Proposal,
  ViewChange,
} from '../../consensus/core/index.ts';
import {
  decodeMessage,
  encodeCell,
  encodeLaneBatch,
  encodeMessage,
} from '../../consensus/wire/index.ts';
import { MemoryNetwork, type Write } from '../consensus/support/memory-network.ts';
import { type LeftBehind, START_MS, TestReplica } from '../consensus/support/replica.ts';
import { describeEffect, describeMessage, describeProgress, Names, short } from './names.ts';

const ROUNDS_MAX = 1_000;

interface Line {
  readonly delay: number;
  actors: number[];
  to: number[];
  text: string;
}

export class ScriptCluster {
  readonly names = new Names();
  readonly network: MemoryNetwork;
  readonly replicas: TestReplica[];
  readonly silent = new Set<number>();
  readonly lost: { from: number | undefined; to: number | undefined; what: string }[] = [];
  /** Every content that was proposed, by the four hex digits that scripts call it. */
  readonly contents = new Map<string, Proposal>();
  /** The last VIEW-CHANGE of each replica, real or forged: what a lying leader may collect. */
  readonly changes = new Map<number, ViewChange>();
  nowMs = START_MS;
  readonly #progress = new Map<number, Extract<Cell, { kind: 'progress' }>>();
  readonly #closed = new Set<string>();
  readonly #killed = new Set<number>();
  #delay = 0;
  #lines: Line[] = [];
  /** Sentences before this line belong to another moment. */
  #momentAt = 0;

  constructor(replicas: number, limits: Partial<CoreLimits>, batchTimeoutMs: number) {
    const windowSlots = limits.windowSlots ?? 256;
    this.network = new MemoryNetwork(replicas, windowSlots);
    this.network.filter = (from, to, write) =>
      !this.#closed.has(pairOf(from, to)) && !this.#isLost(from, to, write);
    const onEffect = (actor: number, effect: Effect): void => this.#note(actor, effect);
    const blocksUpTo = (slot: number) =>
      this.replicas.find(({ delivered }) => (delivered.at(-1)?.slot ?? 0) >= slot)?.delivered ?? [];
    const common = { replicas, limits, batchTimeoutMs, onEffect, blocksUpTo };
    this.replicas = Array.from(
      { length: replicas },
      (_, self) => new TestReplica({ ...common, self }, this.network.port(self)),
    );
    for (let a = 0; a < replicas; a++) {
      for (let b = 0; b < replicas; b++) if (a !== b) this.#session(a, b, true);
    }
    this.takeLines();
  }

  #isLost(from: number, to: number, write: Write): boolean {
    const whats = kindsOf(write, this.replicas.length);
    return this.lost.some(
      (rule) =>
        (rule.from ?? from) === from &&
        (rule.to ?? to) === to &&
        (whats.includes(rule.what) || rule.what === '*'),
    );
  }

  step(replica: number, input: Input): void {
    this.replicas[replica]!.step(input, this.nowMs);
    this.#settleOrderer(replica);
  }

  /** The orderer of a test answers at once. */
  #settleOrderer(index: number): void {
    const replica = this.replicas[index]!;
    for (let input = replica.owed.shift(); input !== undefined; input = replica.owed.shift()) {
      replica.step(input, this.nowMs);
    }
  }

  #session(at: number, peer: number, open: boolean): void {
    this.step(at, { kind: 'session', peer, open });
  }

  setSession(a: number, b: number, open: boolean): void {
    if (open) this.#closed.delete(pairOf(a, b));
    else {
      this.#closed.add(pairOf(a, b));
      this.network.clearRings(a, b);
    }
    for (const [at, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      if (!this.silent.has(at)) this.#session(at, peer, open);
    }
  }

  kill(self: number): void {
    this.silent.add(self);
    for (const peer of this.#alivePeers(self)) this.setSession(self, peer, false);
    this.#killed.add(self);
  }

  /** A stopped process goes on; one whose sessions were closed opens them again. */
  wake(self: number): void {
    this.silent.delete(self);
    if (!this.#killed.delete(self)) return;
    for (const peer of this.#alivePeers(self)) this.setSession(self, peer, true);
  }

  #alivePeers(self: number): number[] {
    return this.replicas
      .map((_, peer) => peer)
      .filter((peer) => peer !== self && !this.#killed.has(peer));
  }

  /** A new process in the place of the old one, with what that has left on disk. */
  restart(self: number, disk: 'kept' | 'lost'): void {
    const old = this.replicas[self]!;
    const left: LeftBehind =
      disk === 'kept'
        ? { log: old.log, delivered: old.delivered }
        : { log: undefined, delivered: [] };
    if (!this.#killed.has(self)) this.kill(self);
    this.network.forget(self);
    this.#progress.delete(self);
    this.replicas[self] = new TestReplica({ ...old.options, left }, this.network.port(self));
    this.step(self, { kind: 'tick' });
    this.wake(self);
  }

  /** Message delays until nothing is on its way. */
  run(): void {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      this.#delay++;
      const inputs = this.replicas.map((_, reader) => this.#read(reader));
      if (inputs.every((list) => list.length === 0)) {
        this.#delay = 0;
        this.#momentAt = this.#lines.length;
        return;
      }
      for (const [reader, list] of inputs.entries()) {
        for (const input of list) this.step(reader, input);
      }
    }
    throw new Error('the cluster never comes to rest');
  }

  #read(reader: number): Input[] {
    if (this.silent.has(reader)) return [];
    const { network } = this;
    const inputs: Input[] = [];
    const { fromSlot, toSlot } = this.replicas[reader]!.core.interest();
    for (let writer = 0; writer < this.replicas.length; writer++) {
      if (writer === reader) continue;
      const region = network.regions[reader]![writer]!;
      for (const bytes of region.lane.splice(0)) inputs.push(network.readLane(writer, bytes));
      for (const frame of network.unreadCells(reader, writer, fromSlot, toSlot)) {
        inputs.push(network.readCell(reader, writer, frame));
      }
      for (const bytes of region.control.splice(0)) inputs.push(network.readControl(writer, bytes));
    }
    return inputs;
  }

  /** Lets time pass, waking replicas exactly when they asked for it. */
  tick(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const awake = this.replicas.filter(({ self }) => !this.silent.has(self));
      const nextMs = Math.min(...awake.map((replica) => replica.nextTickMs()));
      if (nextMs > untilMs) break;
      const before = this.#lines.length;
      this.nowMs = Math.max(this.nowMs, nextMs);
      this.#delay = 0;
      for (const replica of awake) {
        if (replica.nextTickMs() <= this.nowMs) this.step(replica.self, { kind: 'tick' });
      }
      this.run();
      if (this.#lines.length > before) {
        const text = `after ${this.nowMs - (untilMs - ms)} ms:`;
        this.#lines.splice(before, 0, { delay: -1, actors: [], to: [], text });
      }
    }
    this.nowMs = untilMs;
  }

  refOf(batch: Batch): BatchRef {
    const { lane, seq, previous, payload } = batch;
    return { seq, digest: this.replicas[0]!.state.digests.batch(lane, seq, previous, payload) };
  }

  digestOf(proposal: Proposal): Uint8Array {
    return this.replicas[0]!.state.digests.proposal(proposal);
  }

  /** Whatever the script loses, it is not the lies. */
  #withoutLoss(write: () => void): void {
    const { filter } = this.network;
    this.network.filter = () => true;
    write();
    this.network.filter = filter;
  }

  forgeBatch(owner: number, to: readonly number[], batch: Batch): string {
    const bytes = encodeLaneBatch(batch);
    this.#withoutLoss(() => {
      for (const peer of to) this.network.writeLaneTo(owner, peer, bytes);
    });
    return this.names.batch(owner, this.refOf(batch));
  }

  forgeCell(from: number, to: readonly number[], cell: Cell): void {
    if (cell.kind === 'proposal') this.#noteContent(cell.proposal);
    const frame = encodeCell(cell);
    this.#withoutLoss(() => {
      for (const peer of to) this.network.writeCellTo(from, peer, frame);
    });
  }

  forgeMessage(
    from: number,
    to: readonly number[],
    message: Parameters<typeof encodeMessage>[0],
  ): void {
    for (const peer of to) this.network.regions[peer]![from]!.control.push(encodeMessage(message));
  }

  #noteContent(proposal: Proposal): void {
    this.contents.set(short(this.digestOf(proposal)), proposal);
  }

  #note(actor: number, effect: Effect): void {
    if (effect.kind === 'send') return this.#noteMessage(actor, effect);
    if (effect.kind === 'write-cell' && effect.cell.kind === 'proposal') {
      this.#noteContent(effect.cell.proposal);
    }
    const text =
      effect.kind === 'write-cell' && effect.cell.kind === 'progress'
        ? this.#noteProgress(actor, effect.cell)
        : describeEffect(this.names, effect, ({ cell }) =>
            cell.kind === 'proposal' ? this.digestOf(cell.proposal) : new Uint8Array(0),
          );
    if (text === undefined) return;
    const same = this.#sameMoment().find((line) => line.text === text);
    if (same !== undefined && !same.actors.includes(actor)) same.actors.push(actor);
    else this.#lines.push({ delay: this.#delay, actors: [actor], to: [], text });
  }

  #noteProgress(actor: number, cell: Extract<Cell, { kind: 'progress' }>): string | undefined {
    const before = this.#progress.get(actor);
    this.#progress.set(actor, cell);
    return describeProgress(before, cell);
  }

  #noteMessage(actor: number, { to, message }: Extract<Effect, { kind: 'send' }>): void {
    if (message.kind === 'view-change') this.changes.set(actor, message.viewChange);
    const text = describeMessage(
      this.names,
      message,
      ({ proposal }) => this.digestOf(proposal),
      ({ batch }) => this.refOf(batch),
    );
    const last = this.#sameMoment().findLast((line) => line.text === text);
    if (last?.actors[0] === actor && !last.to.includes(to)) last.to.push(to);
    else this.#lines.push({ delay: this.#delay, actors: [actor], to: [to], text });
  }

  #sameMoment(): Line[] {
    return this.#lines.slice(this.#momentAt).filter((line) => line.delay === this.#delay);
  }

  /** A line of the script's own, in its place in the conversation. */
  say(text: string): void {
    this.#lines.push({ delay: -1, actors: [], to: [], text });
  }

  /** What was said since the last call, one line per sentence. */
  takeLines(): string[] {
    const lines = this.#lines.map(({ delay, actors, to, text }) => {
      if (delay < 0) return text;
      const who = `${actors.join(' ')}${to.length > 0 ? ` -> ${to.join(' ')}` : ''}`;
      return `${String(delay).padStart(2)}  ${who.padEnd(10)} ${text}`;
    });
    this.#lines = [];
    this.#momentAt = 0;
    this.#delay = 0;
    return lines;
  }
}

function pairOf(a: number, b: number): string {
  return `${Math.min(a, b)}-${Math.max(a, b)}`;
}

/** Names by which `lose` may call a write; a content that is sent is no `proposal`, which is a cell. */
function kindsOf(write: Write, replicas: number): string[] {
  if (write.kind === 'cell') return [write.frame.kind];
  if (write.kind === 'lane') return ['batch'];
  const message = decodeMessage(write.bytes, replicas);
  if (message.kind === 'malformed') return ['message'];
  const { kind } = message.value;
  return ['message', kind === 'proposal' ? 'content' : kind === 'batch' ? 'sent-batch' : kind];
}
