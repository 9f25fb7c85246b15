/**
 * What stands around a real consensus thread where orderer and ledger would be: submits what its clients have signed after it
 * has checked it, answers `check-batch` when the checks that it names are made, and takes what is ordered for executed.
 */
import { createHash } from 'node:crypto';
import type { BatchRef, CheckExtent, CheckpointState } from '../../consensus/core/index.ts';
import type { Delivery } from '../../consensus/runtime/protocol.ts';
import type { ConsensusRuntime } from '../../consensus/runtime/runtime.ts';
import { decodeEnvelopeList, encodeEnvelopeList } from '../../consensus/wire/index.ts';
import type { OrdererHandlers } from '../consensus/member.ts';
import { type BatchBounds, batchesOf } from './batches.ts';
import type { TransactionFormat } from './format.ts';

/** A closed loop: so many batches are under way until all that was signed has been executed. */
export interface SignedJob {
  readonly inFlight: number;
  /** `none`: everything is found valid without a look, for what all the rest costs. */
  readonly checks: 'real' | 'none';
}

export interface SignedJobResult {
  readonly transactions: number;
  readonly elapsedMs: number;
  /** From submission, before the own check, until the submitter knows it to be ordered, microseconds, for each batch. */
  readonly latenciesUs: Float64Array;
}

/** Transactions of peers' batches, by what consensus has asked to have looked at. */
export type AskedFor = Record<Exclude<CheckExtent, 'restored'>, number>;

interface RunningJob {
  readonly job: SignedJob;
  readonly startedMs: number;
  /** Of those that are submitted and not executed, in order. */
  readonly submittedMs: number[];
  readonly latenciesUs: number[];
  transactions: number;
  next: number;
  readonly onDone: (result: SignedJobResult) => void;
}

type Runtime = Pick<
  ConsensusRuntime,
  'submit' | 'batchChecked' | 'checkpointed' | 'applied' | 'transferred'
>;

export class Workload implements OrdererHandlers {
  readonly #self: number;
  readonly #bounds: BatchBounds;
  /** Set once it has started: it needs these handlers before. */
  runtime!: Runtime;
  readonly asked: AskedFor = { all: 0, form: 0, late: 0 };
  /** Ordered while this replica had fallen behind, and not executed here. */
  slotsPassedOver = 0;
  #executedSlot = 0;
  #format: TransactionFormat | undefined;
  #batches: Uint8Array[][] = [];
  #checks: SignedJob['checks'] = 'real';
  #running: RunningJob | undefined;

  constructor(options: { self: number; bounds: BatchBounds }) {
    this.#self = options.self;
    this.#bounds = options.bounds;
  }

  /** What the next job submits; from now on peers' batches are looked at as such. */
  sign(format: TransactionFormat, count: number, payloadBytes: number): void {
    this.#format = format;
    this.#batches = batchesOf(format.make(count, payloadBytes), this.#bounds);
  }

  run(job: SignedJob): Promise<SignedJobResult> {
    this.#checks = job.checks;
    return new Promise((onDone) => {
      const running: RunningJob = {
        job,
        startedMs: performance.now(),
        submittedMs: [],
        latenciesUs: [],
        transactions: 0,
        next: 0,
        onDone,
      };
      this.#running = running;
      for (let i = 0; i < job.inFlight; i++) void this.#submitNext(running);
    });
  }

  /** Checks of one replica settle in the order in which they were asked for, so batches are submitted in it. */
  async #submitNext(running: RunningJob): Promise<void> {
    const transactions = this.#batches[running.next++];
    if (transactions === undefined) return;
    const startedMs = performance.now();
    if (running.job.checks === 'real' && !(await this.#formatNow().checkOwn(transactions))) {
      throw new Error('a replica has refused what its own clients signed');
    }
    running.submittedMs.push(startedMs);
    running.transactions += transactions.length;
    this.runtime.submit(encodeEnvelopeList(transactions));
  }

  onOwnBatch(): void {}

  /** Nobody lies here, so that a transfer has passed it: the others have ordered it. */
  onDropBatch(lane: number): void {
    if (lane === this.#self) this.#onOwnOrdered();
  }

  /** The others keep no longer what this replica lacks. A real one would fetch their blocks; there are none to fetch. */
  onTransfer({ slot }: CheckpointState): void {
    this.slotsPassedOver += slot - this.#executedSlot;
    this.#executedSlot = slot;
    this.runtime.transferred(slot);
  }

  onCheckBatch(lane: number, ref: BatchRef, payload: Uint8Array, extent: CheckExtent): void {
    if (extent === 'restored') throw new Error('a measured replica has restored a batch');
    const signatures = extent !== 'form';
    void this.#check(lane, payload, extent).then((valid) => {
      this.runtime.batchChecked(lane, ref, valid, signatures);
    });
  }

  async #check(lane: number, payload: Uint8Array, extent: keyof AskedFor): Promise<boolean> {
    const list = decodeEnvelopeList(payload);
    if (list.kind === 'malformed') throw new Error(`a peer's batch: ${list.reason}`);
    this.asked[extent] += list.value.length;
    if (this.#checks === 'none') return true;
    const valid = await this.#formatNow().checkPeers(lane, list.value, extent !== 'form');
    if (!valid) throw new Error(`a batch of lane ${lane} is not valid`);
    return valid;
  }

  onDeliver({ slot, batches, checkpoint }: Delivery): void {
    if (checkpoint) {
      // Any ledger would do that is the same at all replicas.
      const tipHash = createHash('sha256').update(String(slot)).digest();
      this.runtime.checkpointed(slot, slot, tipHash);
    }
    this.runtime.applied(slot, 0);
    this.#executedSlot = slot;
    for (const { lane } of batches) if (lane === this.#self) this.#onOwnOrdered();
  }

  #onOwnOrdered(): void {
    const running = this.#running;
    const submittedMs = running?.submittedMs.shift();
    if (running === undefined || submittedMs === undefined) {
      throw new Error('a batch was ordered that nobody submitted');
    }
    const nowMs = performance.now();
    running.latenciesUs.push((nowMs - submittedMs) * 1_000);
    if (running.latenciesUs.length < this.#batches.length) return void this.#submitNext(running);
    this.#running = undefined;
    const { transactions, startedMs, onDone } = running;
    const latenciesUs = Float64Array.from(running.latenciesUs);
    onDone({ transactions, elapsedMs: nowMs - startedMs, latenciesUs });
  }

  #formatNow(): TransactionFormat {
    if (this.#format === undefined) throw new Error('nothing is signed yet');
    return this.#format;
  }
}
