/**
 * The main thread's handle on a channel's consensus worker.
 *
 * The worker blocks in the transport's wait instead of an event loop, so every message to it is followed
 * by a native wake-up.
 */
import { Worker } from 'node:worker_threads';
import type { RegionOffer, SessionKeys } from '../../rdma/contract.ts';
import { wakeTransport } from '../../rdma/index.ts';
import type {
  BatchRef,
  CheckExtent,
  CheckpointState,
  CoreStatus,
  Evidence,
  ReplicaIndex,
  Slot,
} from '../core/types.ts';
import { ConsensusError } from '../errors.ts';
import type {
  Delivery,
  ToWorker,
  ToWorkerMessages,
  TransportCall,
  WorkerEvent,
  WorkerEvents,
  WorkerOptions,
} from './protocol.ts';

/** What the worker tells; called on the main thread, in the order in which it happened. */
export interface RuntimeHandlers {
  onSession(peer: ReplicaIndex, open: boolean): void;
  onOwnBatch(ref: BatchRef): void;
  onCheckBatch(lane: ReplicaIndex, ref: BatchRef, payload: Uint8Array, extent: CheckExtent): void;
  onDropBatch(lane: ReplicaIndex, ref: BatchRef): void;
  onDeliver(delivery: Delivery): void;
  /** Install this state: see the core's `transfer` effect. Answered by `transferred`. */
  onTransfer(state: CheckpointState): void;
  /** Before `start` resolves, when the run is entered by its log: where the log begins. */
  onRestored(checkpoint: CheckpointState, torn: string | undefined): void;
  onDisk(state: 'full' | 'ok', message: string): void;
  /** The view, or whether it is being changed, is another than in the last status. */
  onView(status: CoreStatus): void;
  onApplication(from: ReplicaIndex, body: Uint8Array): void;
  onEvidence(evidence: Evidence): void;
  /** Writes of the `tcp` provider, for the peer's `writes`; `onTaken` when the link has them. */
  onWrites(to: ReplicaIndex, frames: Uint8Array, onTaken: () => void): void;
  /** A ring of this peer is dead until its session is opened anew. */
  onTransportFault(peer: ReplicaIndex, reason: string): void;
  /** The worker died; the replica must stop, its state is gone. */
  onFatal(error: Error): void;
}

/** The program of the thread. Measurements run the same loop with instruments around it. */
export interface WorkerEntry {
  readonly file: URL;
  readonly dataOf: (options: WorkerOptions) => unknown;
}

interface PendingCall {
  resolve(offer: RegionOffer | undefined): void;
  reject(error: Error): void;
}

/** Heap of the worker: batches live outside the JavaScript heap, in array buffers. */
const WORKER_HEAP_LIMITS = { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 };

const WORKER: WorkerEntry = {
  file: new URL('./worker.js', import.meta.url),
  dataOf: (options) => options,
};

export class ConsensusRuntime {
  readonly #worker: Worker;
  readonly #handlers: RuntimeHandlers;
  readonly #calls = new Map<number, PendingCall>();
  #nextCallId = 1;
  #wakeHandle: number | undefined;
  #status: CoreStatus | undefined;
  #stopping = false;
  /** For the worker, since this turn of the event loop began: a message costs both threads far more than what is in it. */
  #outgoing: ToWorker[] = [];
  #transfer: ArrayBuffer[] = [];
  #flushing = false;
  readonly #exited: Promise<void>;
  #ready!: { resolve(): void; reject(error: Error): void };

  private constructor(options: WorkerOptions, handlers: RuntimeHandlers, entry: WorkerEntry) {
    this.#handlers = handlers;
    this.#worker = new Worker(entry.file, {
      workerData: entry.dataOf(options),
      name: `consensus-${options.channel}`,
      resourceLimits: WORKER_HEAP_LIMITS,
    });
    this.#worker.on('message', (events: WorkerEvents) => this.#onEvents(events));
    this.#worker.on('error', (error) => this.#fail(error));
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        if (!this.#stopping) {
          this.#fail(new ConsensusError('worker_died', `consensus worker ended with code ${code}`));
        }
        resolve();
      });
    });
  }

  /** Resolves when the worker's loop runs and its transport accepts calls. */
  static async start(
    options: WorkerOptions,
    handlers: RuntimeHandlers,
    entry: WorkerEntry = WORKER,
  ): Promise<ConsensusRuntime> {
    const runtime = new ConsensusRuntime(options, handlers, entry);
    await new Promise<void>((resolve, reject) => {
      runtime.#ready = { resolve, reject };
    });
    return runtime;
  }

  /** Newest status that the worker reported; undefined before the first. */
  get status(): CoreStatus | undefined {
    return this.#status;
  }

  /** What wakes the worker (`wakeTransport`) for a message that did not come through here. */
  get wakeHandle(): number {
    if (this.#wakeHandle === undefined) throw new Error('the worker has not started');
    return this.#wakeHandle;
  }

  /** Queues one own batch; `onOwnBatch` answers in order. The buffer is transferred. */
  submit(payload: Uint8Array): void {
    this.#post({ kind: 'submit', payload }, payload.buffer as ArrayBuffer);
  }

  batchChecked(lane: ReplicaIndex, ref: BatchRef, valid: boolean, signatures: boolean): void {
    this.#post({ kind: 'batch-checked', lane, ref, valid, signatures });
  }

  /** Replaces what was said before it in the same turn. */
  applied(slot: Slot, blocksUncertified: number): void {
    this.#outgoing = this.#outgoing.filter((message) => message.kind !== 'applied');
    this.#post({ kind: 'applied', slot, blocksUncertified });
  }

  checkpointed(slot: Slot, height: number, tipHash: Uint8Array): void {
    this.#post({ kind: 'checkpointed', slot, height, tipHash });
  }

  transferred(slot: Slot): void {
    this.#post({ kind: 'transferred', slot });
  }

  /** Opaque message over the two-sided channel; to every open peer when `to` is undefined. */
  sendApplication(body: Uint8Array, to?: ReplicaIndex): void {
    this.#post({ kind: 'application', to, body });
  }

  /** What the peer's `onWrites` said. The buffer is transferred. */
  writes(from: ReplicaIndex, frames: Uint8Array<ArrayBuffer>): void {
    this.#post({ kind: 'writes', from, frames }, frames.buffer);
  }

  async offer(peer: ReplicaIndex, keys: SessionKeys): Promise<RegionOffer> {
    const offer = await this.#call({ op: 'offer', peer, keys });
    if (offer === undefined) {
      throw new ConsensusError('worker_protocol', 'the worker answered an offer call without one');
    }
    return offer;
  }

  async accept(peer: ReplicaIndex, offer: RegionOffer): Promise<void> {
    await this.#call({ op: 'accept', peer, offer });
  }

  async confirm(peer: ReplicaIndex): Promise<void> {
    await this.#call({ op: 'confirm', peer });
  }

  async close(peer: ReplicaIndex): Promise<void> {
    await this.#call({ op: 'close', peer });
  }

  /** Stops the loop, closes all sessions and ends the worker. Idempotent. */
  async stop(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#post({ kind: 'stop' });
    }
    await this.#exited;
    this.#rejectCalls(new ConsensusError('stopped', 'the consensus worker has stopped'));
  }

  #call(call: TransportCall): Promise<RegionOffer | undefined> {
    if (this.#stopping) {
      return Promise.reject(new ConsensusError('stopped', 'the consensus worker has stopped'));
    }
    const id = this.#nextCallId++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#post({ kind: 'transport', id, call });
    });
  }

  #post(message: ToWorker, transfer?: ArrayBuffer): void {
    if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    }
    this.#outgoing.push(message);
    if (transfer !== undefined) this.#transfer.push(transfer);
  }

  #flush(): void {
    const messages: ToWorkerMessages = this.#outgoing;
    const transfer = this.#transfer;
    this.#outgoing = [];
    this.#transfer = [];
    this.#flushing = false;
    this.#worker.postMessage(messages, transfer);
    if (this.#wakeHandle !== undefined) wakeTransport(this.#wakeHandle);
  }

  #onEvents(events: WorkerEvents): void {
    for (const event of events) this.#onEvent(event);
  }

  #onEvent(event: WorkerEvent): void {
    const handlers = this.#handlers;
    switch (event.kind) {
      case 'ready':
        this.#wakeHandle = event.wakeHandle;
        return this.#ready.resolve();
      case 'transport-reply':
        return this.#settle(event);
      case 'session':
        return handlers.onSession(event.peer, event.open);
      case 'own-batch':
        return handlers.onOwnBatch(event.ref);
      case 'check-batch':
        return handlers.onCheckBatch(event.lane, event.ref, event.payload, event.extent);
      case 'transfer':
        return handlers.onTransfer(event.state);
      case 'restored':
        return handlers.onRestored(event.checkpoint, event.torn);
      case 'disk':
        return handlers.onDisk(event.state, event.message);
      case 'drop-batch':
        return handlers.onDropBatch(event.lane, event.ref);
      case 'deliver':
        return handlers.onDeliver(event);
      case 'application':
        return handlers.onApplication(event.from, event.body);
      case 'evidence':
        return handlers.onEvidence(event.evidence);
      case 'transport-fault':
        return handlers.onTransportFault(event.peer, event.reason);
      case 'writes': {
        const { to, frames } = event;
        const bytes = frames.length;
        return handlers.onWrites(to, frames, () => this.#post({ kind: 'shipped', to, bytes }));
      }
      case 'status':
        return this.#onStatus(event.status);
      case 'stopped':
        return;
      default: {
        const unreachable: never = event;
        throw new ConsensusError('worker_protocol', `unknown event ${JSON.stringify(unreachable)}`);
      }
    }
  }

  #onStatus(status: CoreStatus): void {
    const before = this.#status;
    this.#status = status;
    if (before === undefined) return;
    if (before.view === status.view && before.changing === status.changing) return;
    this.#handlers.onView(status);
  }

  #settle(reply: Extract<WorkerEvent, { kind: 'transport-reply' }>): void {
    const call = this.#calls.get(reply.id);
    this.#calls.delete(reply.id);
    if (call === undefined) return;
    if (reply.error === undefined) call.resolve(reply.offer);
    else
      call.reject(new ConsensusError('transport', `${reply.error.code}: ${reply.error.message}`));
  }

  #fail(error: unknown): void {
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#rejectCalls(cause);
    this.#ready?.reject(cause);
    if (!this.#stopping) {
      this.#stopping = true;
      this.#handlers.onFatal(cause);
    }
  }

  #rejectCalls(error: Error): void {
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}
