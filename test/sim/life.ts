/**
 * One life of a replica, from its start to its crash: the real core, its effects carried out in order,
 * and an orderer. In `wal` mode what follows a record waits until that is on disk (consensus/core/types.ts).
 */
import type {
  Batch,
  Cell,
  ConsensusCore,
  CoreCrypto,
  CoreOptions,
  Effect,
  Input,
  LogRecord,
  Message,
} from '../../consensus/core/index.ts';
import type { CoreState } from '../../consensus/core/state.ts';
import type { SimulatedLog } from './disk.ts';
import { Forgotten } from './forgotten.ts';
import type { Orderer } from './orderer.ts';
import type { Protocol } from './protocol.ts';

/** How a core speaks to its peers; a Byzantine replica has one that lies. */
export interface Voice {
  cell(cell: Cell, quiet: boolean): void;
  rewriteCells(to: number): void;
  batch(batch: Batch): void;
  message(to: number, message: Message): void;
}

/** Sees everything that leaves a core, when it leaves. */
export interface Watcher {
  onInput(life: Life, input: Input): void;
  onEffect(life: Life, effect: Effect): void;
  /** The core threw. */
  onFailure(life: Life, error: unknown): void;
}

export interface LifeOptions {
  readonly core: CoreOptions;
  /** Which one of this replica's lives; a twin shares it with its twin. */
  readonly number: number;
}

export interface LifeDependencies {
  readonly protocol: Protocol;
  readonly crypto: CoreCrypto;
  readonly voice: Voice;
  /** Undefined: `memory` mode. */
  readonly log: SimulatedLog | undefined;
  readonly clockMs: () => number;
  /** The process is stopped: whatever comes waits for `resume`. */
  readonly isPaused: () => boolean;
  readonly watcher: Watcher;
}

/** In the queue of effects: nothing behind it happens before the log has synced so many writes. */
interface Barrier {
  readonly kind: 'barrier';
  readonly write: number;
}

/** A core may ask for a tick again at once, but not for ever: that is a loop that never sleeps. */
const RESTLESS_TICKS_MAX = 200;

export class Life {
  readonly self: number;
  readonly number: number;
  readonly state: CoreState;
  readonly core: ConsensusCore;
  /** Set right after construction: each needs the other. */
  orderer!: Orderer;
  isOver = false;
  readonly #dependencies: LifeDependencies;
  #held: (Effect | Barrier)[] = [];
  #postponed: Input[] = [];
  readonly #forgotten = new Forgotten();
  #hasTaken = false;
  /** Ticks that were due again at once, one after the other. */
  #restlessTicks = 0;

  constructor(options: LifeOptions, dependencies: LifeDependencies) {
    const { protocol, crypto, log } = dependencies;
    this.self = options.core.self;
    this.number = options.number;
    this.#dependencies = dependencies;
    this.state = protocol.createState(options.core, crypto);
    this.core = protocol.coreOf(this.state);
    if (log !== undefined) log.onSynced = () => this.#release();
  }

  end(): void {
    this.isOver = true;
    this.#held = [];
    this.orderer.stop();
  }

  step(input: Input): void {
    this.take(input);
    this.settle();
  }

  /** As the real loop does with what it finds in one turn: `settle` comes once after all. */
  take(input: Input): void {
    if (this.isOver) return;
    const { watcher, clockMs, isPaused } = this.#dependencies;
    if (isPaused()) {
      this.#postponed.push(input);
      return;
    }
    watcher.onInput(this, input);
    this.#hasTaken = true;
    this.#guarded(() => this.core.take(input, clockMs()));
  }

  settle(): void {
    if (this.isOver || !this.#hasTaken) return;
    this.#hasTaken = false;
    const effects = this.#guarded(() => {
      const settled = this.core.settle();
      for (const effect of settled) this.#forgotten.note(effect);
      return settled;
    });
    for (const effect of effects ?? []) this.#accept(effect);
  }

  #guarded<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.end();
      this.#dependencies.watcher.onFailure(this, error);
      return undefined;
    }
  }

  resume(): void {
    this.#release();
    for (const input of this.#postponed.splice(0)) this.step(input);
  }

  /** A tick when one is due. Returns when the next one is, on the replica's clock. */
  tick(): number {
    if (this.isOver) return Infinity;
    const nowMs = this.#dependencies.clockMs();
    const nextMs = this.core.nextTickMs();
    if (nextMs > nowMs) {
      this.#restlessTicks = 0;
      return nextMs;
    }
    this.step({ kind: 'tick' });
    if (this.isOver) return Infinity;
    const againMs = this.core.nextTickMs();
    if (againMs > nowMs) {
      this.#restlessTicks = 0;
    } else if (++this.#restlessTicks > RESTLESS_TICKS_MAX) {
      this.#dependencies.watcher.onFailure(this, new Error('it asks for a tick for ever'));
      this.end();
    }
    return againMs;
  }

  #accept(effect: Effect): void {
    const { log } = this.#dependencies;
    if (log !== undefined && effect.kind === 'persist') {
      this.#waitFor(log.append(this.#encode(effect.record)));
    } else if (log !== undefined && effect.kind === 'rotate-log') {
      this.#waitFor(log.rotate(effect.records.map((record) => this.#encode(record))));
    } else if (this.#held.length > 0) {
      this.#held.push(effect);
    } else {
      this.#execute(effect);
    }
  }

  #waitFor(write: number): void {
    if (this.#dependencies.protocol.weakness === 'sends-before-sync') return;
    this.#held.push({ kind: 'barrier', write });
  }

  #encode(record: LogRecord): Uint8Array {
    return this.#dependencies.protocol.wire.encodeRecord(record);
  }

  #release(): void {
    if (this.#dependencies.isPaused()) return;
    const synced = this.#dependencies.log?.synced ?? 0;
    const held = this.#held;
    let done = 0;
    for (; done < held.length; done++) {
      const next = held[done] as Effect | Barrier;
      if (next.kind !== 'barrier') this.#execute(next);
      else if (next.write > synced) break;
      if (this.isOver) return;
    }
    held.splice(0, done);
  }

  #execute(effect: Effect): void {
    const { watcher, voice } = this.#dependencies;
    watcher.onEffect(this, effect);
    switch (effect.kind) {
      case 'persist':
      case 'rotate-log':
        return;
      case 'write-cell':
        return voice.cell(effect.cell, effect.quiet === true);
      case 'rewrite-cells':
        return voice.rewriteCells(effect.to);
      case 'write-batch':
        this.orderer.ownBatch(effect.batch, effect.ref);
        return voice.batch(effect.batch);
      case 'send':
        return voice.message(effect.to, effect.message);
      case 'check-batch':
        return this.orderer.checkBatch(effect.batch, effect.ref, effect.extent);
      case 'deliver':
        return this.orderer.deliver(effect);
      case 'transfer':
        return this.orderer.transfer(effect.state);
      case 'drop-batch':
        return this.orderer.dropBatch(effect.lane, effect.ref);
      case 'evidence':
      case 'forget-batch':
        return;
      default:
        effect satisfies never;
    }
  }
}
