/**
 * A cluster that moves in message delays: in each, every replica reads what was written
 * before, then all act. So the first column of a script counts network delays since the
 * command, as the figures of papers do.
 */
import type { Batch, BatchRef, CoreLimits, Effect, Input } from '../../consensus/core/index.ts';
import { encodeCell, encodeLaneBatch } from '../../consensus/wire/index.ts';
import { MemoryNetwork, type Write } from '../consensus/support/memory-network.ts';
import { START_MS, TestReplica } from '../consensus/support/replica.ts';
import { describeEffect, describeMessage, Names } from './names.ts';

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
  showProgress = false;
  nowMs = START_MS;
  #delay = 0;
  #lines: Line[] = [];
  /** Sentences before this line belong to another moment. */
  #momentAt = 0;

  constructor(replicas: number, limits: Partial<CoreLimits>, batchTimeoutMs: number) {
    const windowSlots = limits.windowSlots ?? 256;
    this.network = new MemoryNetwork(replicas, windowSlots);
    this.network.filter = (from, to, write) => !this.#isLost(from, to, write);
    this.replicas = Array.from(
      { length: replicas },
      (_, self) =>
        new TestReplica(
          {
            self,
            replicas,
            limits,
            batchTimeoutMs,
            onEffect: (actor, effect) => this.#note(actor, effect),
          },
          this.network.port(self),
        ),
    );
    for (let a = 0; a < replicas; a++) {
      for (let b = 0; b < replicas; b++) if (a !== b) this.#session(a, b, true);
    }
    this.takeLines();
  }

  #isLost(from: number, to: number, write: Write): boolean {
    const what =
      write.kind === 'cell' ? write.frame.kind : write.kind === 'lane' ? 'batch' : 'message';
    return this.lost.some(
      (rule) =>
        (rule.from ?? from) === from &&
        (rule.to ?? to) === to &&
        (rule.what === what || rule.what === '*'),
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
    if (!open) this.network.clearRings(a, b);
    for (const [at, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      if (!this.silent.has(at)) this.#session(at, peer, open);
    }
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

  forgeBatch(owner: number, to: readonly number[], batch: Batch): string {
    for (const peer of to) this.network.writeLaneTo(owner, peer, encodeLaneBatch(batch));
    return this.names.batch(owner, this.refOf(batch));
  }

  forgeCell(from: number, to: readonly number[], cell: Parameters<typeof encodeCell>[0]): void {
    for (const peer of to) this.network.writeCellTo(from, peer, encodeCell(cell));
  }

  #note(actor: number, effect: Effect): void {
    if (effect.kind === 'write-cell' && effect.cell.kind === 'progress' && !this.showProgress)
      return;
    const { digests } = this.replicas[0]!.state;
    if (effect.kind === 'send') {
      const text = describeMessage(
        this.names,
        effect.message,
        ({ proposal }) => digests.proposal(proposal),
        ({ batch }) => this.refOf(batch),
      );
      const last = this.#sameMoment().findLast((line) => line.text === text);
      if (last?.actors[0] === actor && !last.to.includes(effect.to)) last.to.push(effect.to);
      else this.#lines.push({ delay: this.#delay, actors: [actor], to: [effect.to], text });
      return;
    }
    const text = describeEffect(this.names, effect, ({ cell }) =>
      cell.kind === 'proposal' ? digests.proposal(cell.proposal) : new Uint8Array(0),
    );
    if (text === undefined) return;
    const same = this.#sameMoment().find((line) => line.text === text);
    if (same !== undefined && !same.actors.includes(actor)) same.actors.push(actor);
    else this.#lines.push({ delay: this.#delay, actors: [actor], to: [], text });
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
