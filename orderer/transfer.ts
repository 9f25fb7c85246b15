/**
 * Brings this replica to a checkpoint of the others (docs/protocol.md, T2): what was delivered is stored first, then
 * their certified blocks are fetched, then the stream goes on from the checkpoint. A newer checkpoint takes the
 * place of an older one that has not been reached yet.
 */
import type { CheckpointState } from '../consensus/core/index.ts';
import { asError } from './errors.ts';

export interface TransferDependencies {
  /** Resolves when everything delivered so far is stored. */
  readonly drained: () => Promise<void>;
  /** Resolves when the ledger has so many blocks, or `isOver` says that they are not wanted any more. */
  readonly fetch: (height: number, isOver: () => boolean) => Promise<void>;
  /** Ends the waits of `fetch`. */
  readonly interrupt: () => void;
  /** Goes on from there; rejects when the ledger does not end in that state. */
  readonly install: (state: CheckpointState) => Promise<void>;
  readonly onDone: (state: CheckpointState) => void;
  readonly onFatal: (error: Error) => void;
}

export class StateTransfer {
  readonly #dependencies: TransferDependencies;
  /** What to reach; undefined when nothing is under way. */
  #target: CheckpointState | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #sinceMs = 0;

  constructor(dependencies: TransferDependencies) {
    this.#dependencies = dependencies;
  }

  /** Milliseconds since it began (`performance.now`); undefined when nothing is under way. */
  get sinceMs(): number | undefined {
    return this.#target === undefined ? undefined : this.#sinceMs;
  }

  to(state: CheckpointState): void {
    if (this.#stopped) return;
    if (this.#target === undefined) this.#sinceMs = performance.now();
    this.#target = state;
    this.#dependencies.interrupt();
    this.#running ??= this.#run();
  }

  /** Resolves when nothing of it is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#dependencies.interrupt();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { drained, fetch, install, onDone, onFatal } = this.#dependencies;
    try {
      for (let target = this.#target; target !== undefined; target = this.#target) {
        const isOver = (): boolean => this.#stopped || this.#target !== target;
        await drained();
        if (!isOver()) await fetch(target.height, isOver);
        if (this.#stopped) return;
        if (isOver()) continue;
        await install(target);
        if (isOver()) continue;
        this.#target = undefined;
        onDone(target);
      }
    } catch (error) {
      if (!this.#stopped) onFatal(asError(error));
    } finally {
      this.#running = undefined;
    }
  }
}
