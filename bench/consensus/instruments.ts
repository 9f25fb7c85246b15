/**
 * What stands around a consensus loop while it is measured: answers at once what the orderer would answer, submits by
 * itself, and notes when each batch was submitted and delivered.
 */
import { createHash } from 'node:crypto';
import type { CoreStatus } from '../../consensus/core/index.ts';
import type { LoopPort } from '../../consensus/runtime/loop.ts';
import type { Delivery, ToWorker, WorkerEvent } from '../../consensus/runtime/protocol.ts';

/** A closed loop: so many batches are under way until `batches` have been ordered. */
export interface Job {
  readonly batches: number;
  readonly batchBytes: number;
  readonly inFlight: number;
}

export interface JobResult {
  readonly elapsedMs: number;
  /** From submission until the submitter knows it to be ordered, microseconds, in order. */
  readonly latenciesUs: Float64Array;
  /** Slots that were delivered here meanwhile. */
  readonly slots: number;
}

interface RunningJob {
  readonly job: Job;
  readonly payload: Uint8Array;
  readonly latenciesUs: Float64Array;
  readonly submittedMs: Float64Array;
  readonly startedMs: number;
  submitted: number;
  ordered: number;
  slots: number;
}

export interface InstrumentsDependencies {
  /** Who gets what is not answered here. */
  readonly outer: LoopPort;
  /** The loop must not wait before its next turn. */
  readonly wake: () => void;
  /** This replica had fallen behind, and has not executed so many slots that the others have. */
  readonly onPassedOver: (slots: number) => void;
}

export class Instruments implements LoopPort {
  readonly #self: number;
  readonly #dependencies: InstrumentsDependencies;
  /** The newest that the loop has told. */
  status: CoreStatus | undefined;
  /** Answers of the orderer that is not there, oldest first from `#next` on. */
  #answers: ToWorker[] = [];
  #next = 0;
  #executedSlot = 0;
  #running: RunningJob | undefined;
  #onDone: (result: JobResult) => void = () => {};

  constructor(self: number, dependencies: InstrumentsDependencies) {
    this.#self = self;
    this.#dependencies = dependencies;
  }

  start(job: Job, onDone: (result: JobResult) => void): void {
    this.#onDone = onDone;
    this.#running = {
      job,
      payload: new Uint8Array(job.batchBytes).fill(0x5a),
      latenciesUs: new Float64Array(job.batches),
      submittedMs: new Float64Array(job.batches),
      startedMs: performance.now(),
      submitted: 0,
      ordered: 0,
      slots: 0,
    };
    for (let i = 0; i < job.inFlight; i++) this.#submit(this.#running);
  }

  receive(): ToWorker | undefined {
    const answer = this.#answers[this.#next];
    if (answer === undefined) return this.#dependencies.outer.receive();
    this.#next++;
    if (this.#next === this.#answers.length) {
      this.#answers = [];
      this.#next = 0;
    }
    return answer;
  }

  post(events: readonly WorkerEvent[], transfer: ArrayBuffer[]): void {
    const others: WorkerEvent[] = [];
    for (const event of events) {
      if (event.kind === 'deliver') this.#onDeliver(event);
      else if (event.kind === 'check-batch') {
        const { lane, ref, extent } = event;
        const signatures = extent !== 'form';
        this.#answer({ kind: 'batch-checked', lane, ref, valid: true, signatures });
      } else if (event.kind === 'transfer') this.#onTransfer(event.state.slot);
      else if (event.kind === 'drop-batch') {
        // Nobody lies here, so that a transfer has passed it: the others have ordered it.
        if (event.lane === this.#self) this.#onOwnOrdered();
      } else if (event.kind === 'status') this.status = event.status;
      else if (event.kind !== 'own-batch') others.push(event);
    }
    if (others.length > 0) this.#dependencies.outer.post(others, transfer.filter(isIn(others)));
  }

  #answer(message: ToWorker): void {
    this.#answers.push(message);
    this.#dependencies.wake();
  }

  #onDeliver({ slot, batches, checkpoint }: Delivery): void {
    if (checkpoint) {
      // Any ledger would do that is the same at all replicas.
      const tipHash = createHash('sha256').update(String(slot)).digest();
      this.#answer({ kind: 'checkpointed', slot, height: slot, tipHash });
    }
    this.#answer({ kind: 'applied', slot, blocksUncertified: 0 });
    this.#executedSlot = slot;
    if (this.#running !== undefined) this.#running.slots++;
    for (const { lane } of batches) if (lane === this.#self) this.#onOwnOrdered();
  }

  /** The others keep no longer what this replica lacks. A real one would fetch their blocks; there are none to fetch. */
  #onTransfer(slot: number): void {
    this.#dependencies.onPassedOver(slot - this.#executedSlot);
    this.#executedSlot = slot;
    this.#answer({ kind: 'transferred', slot });
  }

  #onOwnOrdered(): void {
    const running = this.#running;
    if (running === undefined) return;
    const { job, latenciesUs, submittedMs } = running;
    const nowMs = performance.now();
    const index = running.ordered++;
    latenciesUs[index] = (nowMs - (submittedMs[index] as number)) * 1_000;
    if (running.ordered < job.batches) return this.#submit(running);
    this.#running = undefined;
    const { slots, startedMs } = running;
    this.#onDone({ elapsedMs: nowMs - startedMs, latenciesUs, slots });
  }

  #submit(running: RunningJob): void {
    if (running.submitted === running.job.batches) return;
    running.submittedMs[running.submitted++] = performance.now();
    this.#answer({ kind: 'submit', payload: running.payload.slice() });
  }
}

/** Buffers of batches that were answered here need not change hands. */
function isIn(events: readonly WorkerEvent[]): (buffer: ArrayBuffer) => boolean {
  const buffers = new Set<ArrayBufferLike>();
  for (const event of events) if (event.kind === 'writes') buffers.add(event.frames.buffer);
  return (buffer) => buffers.has(buffer);
}
