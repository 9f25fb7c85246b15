/**
 * One replica of a test cluster: the real core, its effects carried out on the
 * memory network, a small orderer.
 */

import { coreOf } from '../../../consensus/core/core.ts';
import {
  type BatchRef,
  type ConsensusCore,
  type CoreLimits,
  type CoreOptions,
  DEFAULT_LIMITS,
  type Effect,
  type Evidence,
  type Input,
} from '../../../consensus/core/index.ts';
import { type CoreState, createState } from '../../../consensus/core/state.ts';
import { encodeCell, encodeLaneBatch, encodeMessage } from '../../../consensus/wire/index.ts';
import { type CountingCrypto, testCrypto } from './crypto.ts';
import type { Port } from './memory-network.ts';

export const RUN_ID = new Uint8Array(32).fill(7);
export const START_MS = 1_000_000;

export interface ReplicaOptions {
  readonly self: number;
  readonly replicas: number;
  readonly limits?: Partial<CoreLimits>;
  readonly batchTimeoutMs?: number;
  /** Called with the fresh state: the place to plant a bug. */
  readonly plant?: (state: CoreState) => void;
  readonly onEffect?: (self: number, effect: Effect) => void;
}

export interface Delivered {
  readonly slot: number;
  readonly timeMs: number;
  readonly cut: boolean;
  /** `lane.seq.digest` and payload text of each batch. */
  readonly batches: readonly { readonly name: string; readonly text: string }[];
  readonly path: string;
}

export class TestReplica {
  readonly self: number;
  readonly core: ConsensusCore;
  readonly state: CoreState;
  readonly crypto: CountingCrypto;
  readonly delivered: Delivered[] = [];
  readonly evidence: Evidence[] = [];
  readonly dropped: string[] = [];
  /** Answers that the orderer owes the core, in order. */
  readonly owed: Input[] = [];
  clockOffsetMs = 0;
  /** What the orderer reports with each `applied`. */
  blocksUncertified = 0;
  readonly #port: Port;
  readonly #onEffect: (self: number, effect: Effect) => void;
  readonly #payloads = new Map<string, string>();

  constructor(options: ReplicaOptions, port: Port) {
    this.self = options.self;
    this.crypto = testCrypto(options.self);
    const coreOptions: CoreOptions = {
      self: options.self,
      replicas: options.replicas,
      runId: RUN_ID,
      firstSlot: 1,
      baseTimeMs: START_MS - 1,
      batchTimeoutMs: options.batchTimeoutMs ?? 2_000,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
    };
    this.state = createState(coreOptions, this.crypto);
    options.plant?.(this.state);
    this.core = coreOf(this.state);
    this.#port = port;
    this.#onEffect = options.onEffect ?? (() => {});
  }

  step(input: Input, nowMs: number): void {
    const effects = this.core.step(input, nowMs + this.clockOffsetMs);
    for (const effect of effects) {
      this.#onEffect(this.self, effect);
      this.#execute(effect);
    }
  }

  /** On the cluster's clock. */
  nextTickMs(): number {
    return this.core.nextTickMs() - this.clockOffsetMs;
  }

  #execute(effect: Effect): void {
    const port = this.#port;
    switch (effect.kind) {
      case 'write-cell':
        return port.writeCell(encodeCell(effect.cell));
      case 'rewrite-cells':
        return port.rewriteCells(effect.to);
      case 'write-batch':
        this.#keep(effect.batch.lane, effect.ref, effect.batch.payload);
        return port.writeLane(encodeLaneBatch(effect.batch));
      case 'send':
        return port.send(effect.to, encodeMessage(effect.message));
      case 'check-batch': {
        const text = this.#keep(effect.batch.lane, effect.ref, effect.batch.payload);
        const { lane } = effect.batch;
        const valid = !text.startsWith('invalid');
        this.owed.push({ kind: 'batch-checked', lane, ref: effect.ref, valid });
        return;
      }
      case 'deliver':
        return this.#deliver(effect);
      case 'drop-batch':
        this.dropped.push(nameOf(effect.lane, effect.ref));
        return;
      case 'evidence':
        this.evidence.push(effect.evidence);
        return;
    }
  }

  #keep(lane: number, ref: BatchRef, payload: Uint8Array): string {
    const text = Buffer.from(payload).toString();
    this.#payloads.set(nameOf(lane, ref), text);
    return text;
  }

  #deliver(effect: Extract<Effect, { kind: 'deliver' }>): void {
    const { slot, timeMs, cut, path } = effect;
    const batches = effect.batches.map(({ lane, ref }) => {
      const name = nameOf(lane, ref);
      const text = this.#payloads.get(name);
      if (text === undefined) throw new Error(`delivered ${name}, which nobody was asked to check`);
      return { name, text };
    });
    this.delivered.push({ slot, timeMs, cut, batches, path });
    this.owed.push({ kind: 'applied', slot, blocksUncertified: this.blocksUncertified });
  }
}

export function nameOf(lane: number, ref: BatchRef): string {
  return `${lane}.${ref.seq}.${Buffer.from(ref.digest).toString('hex').slice(0, 8)}`;
}
