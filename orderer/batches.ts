/**
 * Batches between consensus, which knows them by name, and the stream, which wants their transactions: the peers'
 * are checked, the own ones are made of submissions, and each waits in the book until it is delivered or dropped.
 */
import type { BatchRef, CheckExtent, Frontier, ReplicaIndex } from '../consensus/core/index.ts';
import type { Delivery } from '../consensus/runtime/protocol.ts';
import { decodeEnvelopeList } from '../consensus/wire/index.ts';
import { BatchBook } from './batch-book.ts';
import type { CheckedTransaction, EnvelopeChecker } from './envelope/index.ts';
import { asError, OrdererError } from './errors.ts';
import type { FaultLog } from './fault-log.ts';
import { LaneFeeder, type LaneFeederOptions } from './lane-feeder.ts';

export interface BatchesOptions {
  readonly self: ReplicaIndex;
  readonly lane: LaneFeederOptions;
}

export interface BatchesDependencies {
  readonly checker: Pick<EnvelopeChecker, 'checkBatch' | 'parseTrusted'>;
  readonly faults: FaultLog;
  /** Hands an encoded envelope list to the worker. */
  readonly submit: (payload: Uint8Array) => void;
  /** `signatures`: they were looked at, too. */
  readonly onChecked: (
    lane: ReplicaIndex,
    ref: BatchRef,
    valid: boolean,
    signatures: boolean,
  ) => void;
  /** Whether the transaction is on the chain. */
  readonly isStored: (txId: string) => boolean;
  readonly onFatal: (error: Error) => void;
}

export class Batches {
  readonly #self: ReplicaIndex;
  readonly #dependencies: BatchesDependencies;
  readonly #book = new BatchBook();
  readonly #feeder: LaneFeeder;
  #stopped = false;

  constructor(options: BatchesOptions, dependencies: BatchesDependencies) {
    this.#self = options.self;
    this.#dependencies = dependencies;
    this.#feeder = new LaneFeeder(options.lane, {
      submit: dependencies.submit,
      onBatch: (ref, transactions) => {
        this.#book.expect(this.#self, ref);
        this.#book.put(this.#self, ref, transactions);
      },
    });
  }

  hasRoom(bytes: number): boolean {
    return this.#feeder.hasRoom(bytes);
  }

  push(transaction: CheckedTransaction): void {
    this.#feeder.push(transaction);
  }

  /** The worker has written the oldest unwritten own batch. */
  onOwnBatch(ref: BatchRef): void {
    this.#feeder.written(ref);
  }

  /** Answers by `onChecked`. What was only read is in the book, too: it may be delivered (docs/protocol.md, A6). */
  async check(
    lane: ReplicaIndex,
    ref: BatchRef,
    payload: Uint8Array,
    extent: Exclude<CheckExtent, 'restored'>,
  ): Promise<void> {
    const { checker, faults, onChecked, onFatal } = this.#dependencies;
    const signatures = extent !== 'form';
    // Late, it is in the book, or was there and is delivered or dropped: then it must not come back.
    if (extent !== 'late') this.#book.expect(lane, ref);
    const list = decodeEnvelopeList(payload);
    if (list.kind === 'malformed') {
      faults.blame(lane, { reason: list.reason }, 'malformed batch');
      return onChecked(lane, ref, false, signatures);
    }
    try {
      const checked = await checker.checkBatch(list.value, { lane, signatures });
      if (this.#stopped) return;
      if (checked.kind === 'valid') this.#book.put(lane, ref, checked.transactions);
      else faults.blame(lane, { refusal: checked.refusal }, 'invalid batch');
      onChecked(lane, ref, checked.kind === 'valid', signatures);
    } catch (error) {
      // A full or closing pool says nothing about the batch, and a wrong answer would be lasting.
      if (!this.#stopped) onFatal(asError(error));
    }
  }

  /** A batch from the own log: it was found valid before it was written. At once, since its delivery may follow. */
  restore(lane: ReplicaIndex, ref: BatchRef, payload: Uint8Array): void {
    const { checker, onChecked, onFatal } = this.#dependencies;
    const list = decodeEnvelopeList(payload);
    const checked = list.kind === 'ok' ? checker.parseTrusted(list.value) : undefined;
    if (checked?.kind !== 'valid') {
      const reason = checked?.refusal.message ?? (list.kind === 'malformed' ? list.reason : '');
      const what = `batch ${ref.seq} of lane ${lane} in this replica's own log is not valid any more`;
      const advice = 'compare version and genesis block with those that the log was written with';
      return onFatal(new OrdererError('bad_log', `${what}: ${reason}; ${advice}`));
    }
    this.#book.expect(lane, ref);
    this.#book.put(lane, ref, checked.transactions);
    if (lane === this.#self) this.#feeder.adopt(ref, payload.length);
    onChecked(lane, ref, true, true);
  }

  /** A batch of the own lane that will never be ordered goes into a new one (docs/protocol.md, L7). */
  drop(lane: ReplicaIndex, ref: BatchRef): void {
    const transactions = this.#book.take(lane, ref);
    if (lane !== this.#self || !this.#feeder.settled(ref)) return;
    for (const transaction of transactions ?? []) this.#feeder.push(transaction);
  }

  /** The transactions of a slot, in order; undefined when one of its batches is not known as valid. */
  deliver(batches: Delivery['batches']): CheckedTransaction[] | undefined {
    const transactions: CheckedTransaction[] = [];
    for (const { lane, ref } of batches) {
      const batch = this.#book.take(lane, ref);
      if (batch === undefined) {
        const what = `a quorum found batch ${ref.seq} of lane ${lane} valid and this replica did not`;
        const advice = 'compare the version and the configuration of the replicas';
        this.#dependencies.onFatal(new Error(`${what}: ${advice}`));
        return undefined;
      }
      transactions.push(...batch);
      if (lane === this.#self) this.#feeder.settled(ref);
    }
    return transactions;
  }

  /** The stream goes on behind all of these: what of the own lane is not on the chain was not ordered. */
  passed(frontier: Frontier): void {
    const { isStored } = this.#dependencies;
    for (const [lane, tip] of frontier.entries()) {
      const passed = this.#book.takeUpTo(lane, tip.seq);
      if (lane !== this.#self) continue;
      this.#feeder.settledUpTo(tip.seq);
      for (const transaction of passed) {
        if (!isStored(transaction.txId)) this.#feeder.push(transaction);
      }
    }
  }

  /** Nothing more is checked; answers the own transactions that were not ordered. */
  stop(): CheckedTransaction[] {
    this.#stopped = true;
    const batches = this.#book.takeUpTo(this.#self, Number.MAX_SAFE_INTEGER);
    return [...batches, ...this.#feeder.close()];
  }
}
