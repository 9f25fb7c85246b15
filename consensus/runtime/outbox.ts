/**
 * Carries out the core's effects in their order, and keeps its promise about the log: what follows a `persist` or
 * `rotate-log` waits until that is on disk. One sync serves all that waits at the end of a turn (group commit).
 */
import type { Effect } from '../core/types.ts';
import { type Wal, WalError } from '../wal/index.ts';
import { createRecordEncoder, encodeRecord } from '../wire/index.ts';

type LogEffect = Extract<Effect, { kind: 'persist' | 'rotate-log' }>;
/** What is carried out elsewhere. */
export type OuterEffect = Exclude<Effect, LogEffect>;

export interface OutboxDependencies {
  /** Opens an empty log; called at the first `rotate-log` of a replica that has none. Undefined: `memory`. */
  readonly createWal: (() => Wal) | undefined;
  /** The log that was restored from. */
  readonly wal?: Wal;
  readonly execute: (effect: OuterEffect) => void;
}

export class Outbox {
  readonly #dependencies: OutboxDependencies;
  readonly #encode = createRecordEncoder();
  #wal: Wal | undefined;
  /** From the first log effect of the turn on. */
  #queue: Effect[] = [];
  /** Effects of the queue before it have been given to the log. */
  #logged = 0;

  constructor(dependencies: OutboxDependencies) {
    this.#dependencies = dependencies;
    this.#wal = dependencies.wal;
  }

  push(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (this.#queue.length > 0 || (isLogEffect(effect) && this.#logs(effect))) {
        this.#queue.push(effect);
      } else if (!isLogEffect(effect)) {
        this.#dependencies.execute(effect);
      }
    }
  }

  /**
   * Makes everything durable that waits, then carries out what waited for it. Throws WalError `disk_full` when
   * there is no room: nothing has been carried out then, and calling it again goes on where it stopped.
   */
  flush(): void {
    if (this.#queue.length === 0) return;
    for (; this.#logged < this.#queue.length; this.#logged++) {
      this.#log(this.#queue[this.#logged] as Effect);
    }
    this.#wal?.sync();
    const effects = this.#queue;
    this.#queue = [];
    this.#logged = 0;
    for (const effect of effects) if (!isLogEffect(effect)) this.#dependencies.execute(effect);
  }

  close(): void {
    this.#wal?.close();
    this.#wal = undefined;
  }

  /** A replica without a log writes none, except that `rotate-log` begins one. */
  #logs(effect: LogEffect): boolean {
    if (this.#wal !== undefined) return true;
    return effect.kind === 'rotate-log' && this.#dependencies.createWal !== undefined;
  }

  #log(effect: Effect): void {
    if (effect.kind === 'persist') {
      // The log takes a copy.
      this.#wal?.append(this.#encode(effect.record));
    } else if (effect.kind === 'rotate-log') {
      this.#wal ??= this.#dependencies.createWal?.();
      this.#wal?.rotate(effect.records.map((record) => encodeRecord(record)));
    }
  }
}

export function isDiskFull(error: unknown): error is WalError {
  return error instanceof WalError && error.code === 'disk_full';
}

function isLogEffect(effect: Effect): effect is LogEffect {
  return effect.kind === 'persist' || effect.kind === 'rotate-log';
}
