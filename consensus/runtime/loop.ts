/**
 * The consensus loop of one channel: transport and core on one thread, messages from the main thread in between.
 */
import type { InboxHandler, Transport } from '../../rdma/contract.ts';
import { assertNever } from '../core/assert.ts';
import { emptyList } from '../core/lists.ts';
import type { ConsensusCore, CoreStatus, Input, Message, ReplicaIndex } from '../core/types.ts';
import type { Wal } from '../wal/index.ts';
import {
  createCellEncoder,
  createLaneEncoder,
  encodeMessage,
  wrapApplication,
} from '../wire/index.ts';
import type { BatchMemory } from './batch-memory.ts';
import { PeerBudget } from './budget.ts';
import { createInbox } from './inbox.ts';
import { isDiskFull, Outbox, type OuterEffect } from './outbox.ts';
import type { ToWorker, TransportCall, WorkerEvent, WorkerEvents } from './protocol.ts';
import { Shipper } from './shipper.ts';
import { answerTransportCall } from './transport-calls.ts';

/** Longest block in `wait`: bounds how late a lost wake-up or a terminate can be noticed. */
const WAIT_MS_MAX = 1_000;
/** Status goes to the main thread this often while there is anything to tell; another view is told at once, or nearly. */
const STATUS_EVERY_MS = 250;
const VIEW_LOOKED_AT_EVERY_MS = 10;
/** Messages from the main thread taken in one turn, so that peers' cells do not starve. */
const PORT_MESSAGES_PER_TURN_MAX = 64;

/**
 * Application messages of one peer: some ten thousand block signatures a second, far more than blocks are
 * certified, and little enough that the main thread keeps up with a peer that floods it.
 */
const APPLICATION_BUDGET = { burstBytes: 4 * 1024 * 1024, bytesPerMs: 8 * 1024 };

/** How often a replica that is held by a full disk looks for room. */
const DISK_RETRY_MS = 200;

/** Whoever runs the replica around the loop: the main thread. Whatever is sent to the loop wakes its transport, too. */
export interface LoopPort {
  /** The next message, undefined when there is none. Does not wait. */
  receive(): ToWorker | undefined;
  /** `transfer`: buffers in the events that change hands. Both lists are used again when it returns. */
  post(events: WorkerEvents, transfer: ArrayBuffer[]): void;
}

export interface LoopDependencies {
  readonly transport: Transport;
  readonly core: ConsensusCore;
  readonly port: LoopPort;
  /** `clockMs` of clock.ts, or what a measurement takes for it. */
  readonly clockMs: () => number;
  /** Undefined: batches are left to V8. */
  readonly memory: BatchMemory | undefined;
  /** Told before anything else happens. */
  readonly firstEvents: readonly WorkerEvent[];
  /** As in `OutboxDependencies`. */
  readonly wal: Wal | undefined;
  readonly createWal: (() => Wal) | undefined;
}

export class ConsensusLoop {
  readonly #transport: Transport;
  readonly #core: ConsensusCore;
  readonly #port: LoopPort;
  readonly #clockMs: () => number;
  readonly #memory: BatchMemory | undefined;
  readonly #outbox: Outbox;
  readonly #inbox: InboxHandler;
  readonly #open: boolean[];
  readonly #budgets: PeerBudget[];
  readonly #shipper: Shipper | undefined;
  readonly #encodeCell: ReturnType<typeof createCellEncoder>;
  readonly #encodeLaneBatch = createLaneEncoder();
  readonly #events: WorkerEvent[] = [];
  readonly #transfer: ArrayBuffer[] = [];
  /** What the main thread said while the disk was full; it waits for answers, so there is little of it. */
  readonly #heldMessages: ToWorker[] = [];
  #stopping = false;
  /** When the turn began: what comes in it has come then. */
  #nowMs = 0;
  #hasTaken = false;
  #statusAtMs = 0;
  #status: CoreStatus | undefined;
  #lookedAtMs = 0;
  #activeSinceStatus = true;

  constructor(dependencies: LoopDependencies) {
    this.#transport = dependencies.transport;
    this.#core = dependencies.core;
    this.#port = dependencies.port;
    this.#clockMs = dependencies.clockMs;
    this.#memory = dependencies.memory;
    const { wal, createWal } = dependencies;
    this.#outbox = new Outbox({
      createWal,
      ...(wal === undefined ? {} : { wal }),
      execute: (effect) => this.#execute(effect),
    });
    this.#events.push(...dependencies.firstEvents);
    this.#open = new Array<boolean>(this.#transport.replicas).fill(false);
    this.#budgets = this.#open.map(() => new PeerBudget(APPLICATION_BUDGET));
    const { shipping, replicas } = this.#transport;
    this.#shipper = shipping && new Shipper(shipping, replicas);
    this.#encodeCell = createCellEncoder(replicas);
    this.#inbox = createInbox({
      replicas,
      take: (input) => this.#take(input),
      onApplication: (from, body) => this.#onApplication(from, body),
      onFrame: (frame) => this.#memory?.own(frame),
      onFault: (from, reason) => this.#transportFault(from, reason),
    });
  }

  /** Runs until the main thread says stop; then closes the transport. */
  run(): void {
    this.begin();
    while (!this.#stopping) {
      if (this.turn()) this.#transport.wait(this.#waitUs());
    }
    this.end();
  }

  begin(): void {
    this.#events.push({ kind: 'ready', wakeHandle: this.#transport.wakeHandle });
  }

  /** Does what there is to do. True: nothing more until something comes, or until the next tick. */
  turn(): boolean {
    const nowMs = this.#clockMs();
    this.#nowMs = nowMs;
    if (nowMs >= this.#core.nextTickMs()) this.#take({ kind: 'tick' });
    const messages = this.#drainPort();
    const items = this.#transport.poll(this.#core.interest(), this.#inbox);
    this.#settle();
    this.#flushEffects();
    this.#ship();
    if (messages + items > 0) this.#activeSinceStatus = true;
    this.#pushStatus(nowMs);
    this.#flush();
    this.#memory?.tidy();
    // More messages may be queued than one turn takes; peers get their turn first, then the port.
    return messages < PORT_MESSAGES_PER_TURN_MAX && !this.#stopping;
  }

  end(): void {
    this.#transport.destroy();
    this.#outbox.close();
    this.#events.push({ kind: 'stopped' });
    this.#flush();
  }

  /**
   * Without room on the disk the replica does nothing at all: to the others it looks like one that was stopped, which
   * is safe, and what it was about to say waits.
   */
  #flushEffects(): void {
    for (let held = false; !this.#stopping; held = true) {
      try {
        this.#outbox.flush();
        if (held) this.#events.push({ kind: 'disk', state: 'ok', message: 'there is room again' });
        return;
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        if (!held) {
          this.#events.push({ kind: 'disk', state: 'full', message: error.message });
          this.#flush();
        }
        this.#holdForRoom();
      }
    }
  }

  #holdForRoom(): void {
    for (let count = 0; count < PORT_MESSAGES_PER_TURN_MAX; count++) {
      const message = this.#port.receive();
      if (message === undefined) break;
      if (message.kind === 'stop') this.#stopping = true;
      else this.#heldMessages.push(message);
    }
    if (!this.#stopping) this.#transport.wait(DISK_RETRY_MS * 1_000);
  }

  #drainPort(): number {
    let count = 0;
    if (this.#heldMessages.length > 0) {
      for (const message of this.#heldMessages.splice(0)) this.#onMain(message);
    }
    for (; count < PORT_MESSAGES_PER_TURN_MAX; count++) {
      const message = this.#port.receive();
      if (message === undefined) break;
      this.#onMain(message);
    }
    return count;
  }

  #onMain(message: ToWorker): void {
    switch (message.kind) {
      case 'transport':
        return this.#onTransportCall(message.id, message.call);
      case 'submit':
        this.#memory?.own(message.payload);
        return this.#take({ kind: 'submit', payload: message.payload });
      case 'batch-checked': {
        const { lane, ref, valid, signatures } = message;
        return this.#take({ kind: 'batch-checked', lane, ref, valid, signatures });
      }
      case 'applied': {
        const { slot, blocksUncertified } = message;
        return this.#take({ kind: 'applied', slot, blocksUncertified });
      }
      case 'checkpointed': {
        const { slot, height, tipHash } = message;
        return this.#take({ kind: 'checkpointed', slot, height, tipHash });
      }
      case 'transferred':
        return this.#take({ kind: 'transferred', slot: message.slot });
      case 'application':
        return this.#sendApplication(message.to, message.body);
      case 'writes':
        return this.#applyWrites(message.from, message.frames);
      case 'shipped':
        return this.#shipper?.onShipped(message.to, message.bytes);
      case 'stop':
        this.#stopping = true;
        return;
      default:
        return assertNever(message);
    }
  }

  #onTransportCall(id: number, call: TransportCall): void {
    this.#events.push(answerTransportCall(this.#transport, id, call));
    this.#noticeSession(call.peer);
  }

  #noticeSession(peer: ReplicaIndex): void {
    const open = this.#transport.sessionState(peer) === 'open';
    this.#shipper?.onSession(peer);
    if (open === this.#open[peer]) return;
    this.#open[peer] = open;
    this.#events.push({ kind: 'session', peer, open });
    this.#take({ kind: 'session', peer, open });
  }

  #onApplication(from: ReplicaIndex, body: Uint8Array): void {
    if (this.#budgets[from]?.take(body.length, this.#nowMs) !== true) return;
    // Of its own: what it lies in may hold other payloads, and all of that would be copied to the main thread.
    this.#events.push({ kind: 'application', from, body: body.slice() });
  }

  #take(input: Input): void {
    this.#hasTaken = true;
    this.#core.take(input, this.#nowMs);
  }

  /** All that came in this turn is judged together, and costs one pass over the rules. */
  #settle(): void {
    if (!this.#hasTaken) return;
    this.#hasTaken = false;
    this.#outbox.push(this.#core.settle());
  }

  #execute(effect: OuterEffect): void {
    switch (effect.kind) {
      case 'write-cell':
        return this.#transport.writeCell(this.#encodeCell(effect.cell), effect.quiet);
      case 'rewrite-cells':
        return this.#transport.rewriteCells(effect.to);
      case 'write-batch':
        // A peer that is skipped fetches the batch by digest once a proposal names it.
        this.#transport.writeLane(this.#encodeLaneBatch(effect.batch));
        this.#events.push({ kind: 'own-batch', ref: effect.ref });
        return;
      case 'send':
        return this.#send(effect.to, effect.message);
      case 'check-batch':
        return this.#checkBatch(effect);
      case 'deliver':
      case 'transfer':
      case 'drop-batch':
      case 'evidence':
        this.#events.push(effect);
        return;
      case 'forget-batch':
        this.#memory?.forget(effect.batch.payload);
        return;
      default:
        return assertNever(effect);
    }
  }

  #send(to: ReplicaIndex, message: Message): void {
    // Skipped when the peer does not drain: the core retries whatever it still needs.
    this.#transport.send(to, encodeMessage(message));
  }

  #ship(): void {
    this.#shipper?.ship((to, frames) => {
      this.#transfer.push(frames.buffer);
      this.#events.push({ kind: 'writes', to, frames });
    });
  }

  #applyWrites(from: ReplicaIndex, frames: Uint8Array): void {
    const fault = this.#shipper?.apply(from, frames);
    if (fault === undefined) return;
    this.#take({ kind: 'malformed', from, reason: `bad-write: ${fault}` });
    this.#transportFault(from, fault);
  }

  #transportFault(peer: ReplicaIndex, reason: string): void {
    this.#events.push({ kind: 'transport-fault', peer, reason });
  }

  #sendApplication(to: ReplicaIndex | undefined, body: Uint8Array): void {
    const payload = wrapApplication(body);
    for (let peer = 0; peer < this.#transport.replicas; peer++) {
      if (this.#open[peer] && (to === undefined || to === peer))
        this.#transport.send(peer, payload);
    }
  }

  #checkBatch(effect: Extract<OuterEffect, { kind: 'check-batch' }>): void {
    // The core keeps its own copy for those who fetch; this one changes hands. (`slice` of a Buffer would be no copy.)
    const payload = new Uint8Array(effect.batch.payload);
    this.#transfer.push(payload.buffer);
    this.#events.push({
      kind: 'check-batch',
      lane: effect.batch.lane,
      ref: effect.ref,
      payload,
      extent: effect.extent,
    });
  }

  #pushStatus(nowMs: number): void {
    const sinceMs = nowMs - this.#statusAtMs;
    const isDue = sinceMs >= STATUS_EVERY_MS;
    if (!this.#activeSinceStatus) return;
    if (!isDue && nowMs - this.#lookedAtMs < VIEW_LOOKED_AT_EVERY_MS) return;
    this.#lookedAtMs = nowMs;
    const told = this.#status;
    if (!isDue && told !== undefined && !this.#core.isAnotherView(told)) return;
    this.#activeSinceStatus = false;
    this.#statusAtMs = nowMs;
    this.#status = this.#core.status();
    this.#events.push({ kind: 'status', status: this.#status });
  }

  #flush(): void {
    if (this.#events.length === 0) return;
    this.#port.post(this.#events, this.#transfer);
    emptyList(this.#events);
    emptyList(this.#transfer);
  }

  #waitUs(): number {
    const nowMs = this.#clockMs();
    let untilMs = Math.min(this.#core.nextTickMs(), nowMs + WAIT_MS_MAX);
    if (this.#activeSinceStatus) untilMs = Math.min(untilMs, this.#statusAtMs + STATUS_EVERY_MS);
    return Math.max(0, Math.ceil((untilMs - nowMs) * 1_000));
  }
}
