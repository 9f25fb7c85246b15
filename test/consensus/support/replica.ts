/**
 * One replica of a test cluster: the real core, its effects carried out on the
 * memory network, a small orderer, and a log of bytes from which it can be started again.
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
  type LogRecord,
} from '../../../consensus/core/index.ts';
import { type CoreState, createState } from '../../../consensus/core/state.ts';
import {
  decodeRecord,
  encodeCell,
  encodeLaneBatch,
  encodeMessage,
  encodeRecord,
} from '../../../consensus/wire/index.ts';
import { type CountingCrypto, testCrypto } from './crypto.ts';
import type { Port } from './memory-network.ts';

export const RUN_ID = new Uint8Array(32).fill(7);
export const START_MS = 1_000_000;

/** The defaults with these changes, and a checkpoint interval that fits the window. */
export function limitsOf(changes: Partial<CoreLimits> = {}): CoreLimits {
  const windowSlots = changes.windowSlots ?? DEFAULT_LIMITS.windowSlots;
  const checkpointSlots = Math.max(1, Math.floor(windowSlots / 2));
  return { ...DEFAULT_LIMITS, checkpointSlots, ...changes };
}

export function coreOptionsOf(
  self: number,
  replicas: number,
  limits: Partial<CoreLimits> = {},
  entry: CoreOptions['entry'] = { kind: 'begin' },
): CoreOptions {
  return {
    self,
    replicas,
    runId: RUN_ID,
    firstSlot: 1,
    baseTimeMs: START_MS - 1,
    baseHeight: 1,
    baseHash: new Uint8Array(32).fill(9),
    batchTimeoutMs: 2_000,
    limits: limitsOf(limits),
    entry,
  };
}

export interface ReplicaOptions {
  readonly self: number;
  readonly replicas: number;
  readonly limits?: Partial<CoreLimits>;
  readonly batchTimeoutMs?: number;
  /** Called with the fresh state: the place to plant a bug. */
  readonly plant?: (state: CoreState) => void;
  readonly onEffect?: (self: number, effect: Effect) => void;
  /** What some correct replica has delivered up to a slot: the blocks that a transfer fetches. */
  readonly blocksUpTo?: (slot: number) => readonly Delivered[];
  /** What the process before this one has left on disk; without it the run begins. */
  readonly left?: LeftBehind;
}

/** A lost disk is `log: undefined`: it joins. */
export interface LeftBehind {
  readonly log: readonly Uint8Array[] | undefined;
  readonly delivered: readonly Delivered[];
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
  readonly options: ReplicaOptions;
  readonly core: ConsensusCore;
  readonly state: CoreState;
  readonly crypto: CountingCrypto;
  readonly delivered: Delivered[] = [];
  readonly evidence: Evidence[] = [];
  readonly dropped: string[] = [];
  /** Slots that were delivered otherwise by the process before this one. */
  readonly contradicted: string[] = [];
  /** Answers that the orderer owes the core, in order. */
  readonly owed: Input[] = [];
  clockOffsetMs = 0;
  /** What the orderer reports with each `applied`. */
  blocksUncertified = 0;
  /** Encoded records, as on disk; a replica that has joined and is mute has none. */
  log: Uint8Array[] | undefined;
  readonly #port: Port;
  readonly #payloads = new Map<string, string>();

  constructor(options: ReplicaOptions, port: Port) {
    const { self, replicas, left } = options;
    this.self = self;
    this.options = options;
    this.crypto = testCrypto(self);
    this.log = left?.log?.slice();
    const coreOptions = coreOptionsOf(self, replicas, options.limits, entryOf(options));
    const { batchTimeoutMs } = options;
    this.state = createState(
      batchTimeoutMs === undefined ? coreOptions : { ...coreOptions, batchTimeoutMs },
      this.crypto,
    );
    options.plant?.(this.state);
    this.core = coreOf(this.state);
    const { slot: base } = this.state.checkpoints.base;
    if (left !== undefined)
      this.delivered.push(...left.delivered.filter(({ slot }) => slot <= base));
    this.#port = port;
  }

  step(input: Input, nowMs: number): void {
    const effects = this.core.step(input, nowMs + this.clockOffsetMs);
    for (const effect of effects) {
      this.options.onEffect?.(this.self, effect);
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
        const { extent } = effect;
        const signatures = extent !== 'form';
        const isBad = text.startsWith('invalid') || (signatures && text.startsWith('unsigned'));
        const valid = extent === 'restored' || !isBad;
        this.owed.push({ kind: 'batch-checked', lane, ref: effect.ref, valid, signatures });
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
      case 'persist':
        this.log?.push(encodeRecord(effect.record));
        return;
      case 'rotate-log':
        this.log = effect.records.map(encodeRecord);
        return;
      case 'transfer':
        this.#install(effect.state.slot);
        this.owed.push({ kind: 'transferred', slot: effect.state.slot });
        return;
    }
  }

  #install(slot: number): void {
    const last = this.delivered.at(-1)?.slot ?? 0;
    const all = this.options.blocksUpTo?.(slot) ?? [];
    this.delivered.push(...all.filter((one) => one.slot > last && one.slot <= slot));
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
    const delivered = { slot, timeMs, cut, batches, path };
    this.#compare(delivered);
    this.delivered.push(delivered);
    if (effect.checkpoint) {
      const tipHash = new Uint8Array(32).fill(slot % 251);
      this.owed.push({ kind: 'checkpointed', slot, height: slot, tipHash });
    }
    this.owed.push({ kind: 'applied', slot, blocksUncertified: this.blocksUncertified });
  }

  #compare(now: Delivered): void {
    const before = this.options.left?.delivered.find(({ slot }) => slot === now.slot);
    if (before === undefined || contentOf(before) === contentOf(now)) return;
    this.contradicted.push(`${contentOf(now)} after ${contentOf(before)}`);
  }
}

function entryOf({ left, replicas }: ReplicaOptions): CoreOptions['entry'] {
  if (left === undefined) return { kind: 'begin' };
  if (left.log === undefined) return { kind: 'join' };
  return { kind: 'restore', records: recordsOf(left.log, replicas) };
}

export function recordsOf(log: readonly Uint8Array[], replicas: number): LogRecord[] {
  return log.map((bytes) => {
    const decoded = decodeRecord(bytes, replicas);
    if (decoded.kind === 'malformed') throw new Error(`the log is damaged: ${decoded.reason}`);
    return decoded.value;
  });
}

export function nameOf(lane: number, ref: BatchRef): string {
  return `${lane}.${ref.seq}.${Buffer.from(ref.digest).toString('hex').slice(0, 8)}`;
}

export function contentOf({ slot, timeMs, cut, batches }: Delivered): string {
  return `s${slot} ${timeMs} ${cut} ${batches.map(({ name }) => name).join(' ')}`;
}
