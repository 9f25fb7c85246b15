/**
 * The consensus loop of one channel: transport and core on one thread, messages from the main thread in
 * between. Each turn polls, steps, executes effects, tells the main thread in one message, and waits.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { InboxHandler, SessionKeys, Transport } from '../../rdma/contract.ts';
import { assertNever } from '../core/assert.ts';
import type {
  ConsensusCore,
  CoreStatus,
  Effect,
  Input,
  Message,
  ReplicaIndex,
} from '../core/types.ts';
import {
  decodeCell,
  decodeLaneBatch,
  decodeMessage,
  encodeCell,
  encodeLaneBatch,
  encodeMessage,
  unwrapApplication,
  wrapApplication,
} from '../wire/index.ts';
import { PeerBudget } from './budget.ts';
import type { ToWorker, TransportCall, WorkerEvent } from './protocol.ts';

/** Longest block in `wait`: bounds how late a lost wake-up or a terminate can be noticed. */
const WAIT_MS_MAX = 1_000;
/** Status goes to the main thread at most this often. */
const STATUS_EVERY_MS = 50;
/** Messages from the main thread taken in one turn, so that peers' cells do not starve. */
const PORT_MESSAGES_PER_TURN_MAX = 64;

/**
 * Application messages of one peer: some ten thousand block signatures a second, far more than blocks are
 * certified, and little enough that the main thread keeps up with a peer that floods it.
 */
const APPLICATION_BUDGET = { burstBytes: 4 * 1024 * 1024, bytesPerMs: 8 * 1024 };

export interface LoopDependencies {
  readonly transport: Transport;
  readonly core: ConsensusCore;
  readonly port: MessagePort;
  /** Learns the peer's incarnation before any of its cells can be read. */
  readonly onSessionKeys: (peer: ReplicaIndex, keys: SessionKeys) => void;
}

export class ConsensusLoop {
  readonly #transport: Transport;
  readonly #core: ConsensusCore;
  readonly #port: MessagePort;
  readonly #onSessionKeys: LoopDependencies['onSessionKeys'];
  readonly #inbox: InboxHandler;
  readonly #open: boolean[];
  readonly #budgets: PeerBudget[];
  #events: WorkerEvent[] = [];
  #transfer: ArrayBuffer[] = [];
  #stopping = false;
  #statusAtMs = 0;
  #activeSinceStatus = true;

  constructor(dependencies: LoopDependencies) {
    this.#transport = dependencies.transport;
    this.#core = dependencies.core;
    this.#port = dependencies.port;
    this.#onSessionKeys = dependencies.onSessionKeys;
    this.#open = new Array<boolean>(this.#transport.replicas).fill(false);
    this.#budgets = this.#open.map(() => new PeerBudget(APPLICATION_BUDGET));
    this.#inbox = this.#createInbox();
  }

  /** Runs until the main thread says stop; then closes the transport. */
  run(): void {
    this.#events.push({ kind: 'ready', wakeHandle: this.#transport.wakeHandle });
    while (!this.#stopping) {
      const messages = this.#drainPort();
      const items = this.#transport.poll(this.#core.interest(), this.#inbox);
      const nowMs = clockMs();
      if (nowMs >= this.#core.nextTickMs()) this.#step({ kind: 'tick' }, nowMs);
      if (messages + items > 0) this.#activeSinceStatus = true;
      this.#pushStatus(nowMs);
      this.#flush();
      // More messages may be queued than one turn takes; peers get their turn first, then the port.
      if (messages < PORT_MESSAGES_PER_TURN_MAX && !this.#stopping) {
        this.#transport.wait(this.#waitUs());
      }
    }
    this.#transport.destroy();
    this.#events.push({ kind: 'stopped' });
    this.#flush();
  }

  #drainPort(): number {
    let count = 0;
    while (count < PORT_MESSAGES_PER_TURN_MAX) {
      const received = receiveMessageOnPort(this.#port);
      if (received === undefined) break;
      count++;
      this.#onMain(received.message as ToWorker);
    }
    return count;
  }

  #onMain(message: ToWorker): void {
    switch (message.kind) {
      case 'transport':
        return this.#onTransportCall(message.id, message.call);
      case 'submit':
        return this.#step({ kind: 'submit', payload: message.payload }, clockMs());
      case 'batch-checked': {
        const { lane, ref, valid } = message;
        return this.#step({ kind: 'batch-checked', lane, ref, valid }, clockMs());
      }
      case 'applied': {
        const { slot, blocksUncertified } = message;
        return this.#step({ kind: 'applied', slot, blocksUncertified }, clockMs());
      }
      case 'application':
        return this.#sendApplication(message.to, message.body);
      case 'stop':
        this.#stopping = true;
        return;
      default:
        return assertNever(message);
    }
  }

  #onTransportCall(id: number, call: TransportCall): void {
    try {
      const offer = this.#runTransportCall(call);
      this.#events.push({ kind: 'transport-reply', id, offer, error: undefined });
    } catch (error) {
      this.#events.push({
        kind: 'transport-reply',
        id,
        offer: undefined,
        error: plainError(error),
      });
    }
    this.#noticeSession(call.peer);
  }

  #runTransportCall(call: TransportCall): ReturnType<Transport['offer']> | undefined {
    switch (call.op) {
      case 'offer':
        this.#onSessionKeys(call.peer, call.keys);
        return this.#transport.offer(call.peer, call.keys);
      case 'accept':
        this.#transport.accept(call.peer, call.offer);
        return undefined;
      case 'confirm':
        this.#transport.confirm(call.peer);
        return undefined;
      case 'close':
        this.#transport.close(call.peer);
        return undefined;
      default:
        return assertNever(call);
    }
  }

  #noticeSession(peer: ReplicaIndex): void {
    const open = this.#transport.sessionState(peer) === 'open';
    if (open === this.#open[peer]) return;
    this.#open[peer] = open;
    this.#events.push({ kind: 'session', peer, open });
    this.#step({ kind: 'session', peer, open }, clockMs());
  }

  #createInbox(): InboxHandler {
    const replicas = this.#transport.replicas;
    return {
      onCell: (from, kind, slot, view, flags, body) => {
        const cell = decodeCell({ kind, slot, view, flags, body }, replicas);
        if (cell.kind === 'malformed') return this.#malformed(from, cell.reason);
        this.#step({ kind: 'cell', from, cell: cell.value }, clockMs());
      },
      onLane: (from, payload, frameSha256) => {
        const batch = decodeLaneBatch(payload, from);
        if (batch.kind === 'malformed') return this.#malformed(from, batch.reason);
        this.#step({ kind: 'lane-batch', from, batch: batch.value, frameSha256 }, clockMs());
      },
      onMessage: (from, payload) => this.#onPeerMessage(from, payload),
      onFault: (from, fault) => {
        const where =
          fault.kind === 'bad-cell' ? fault.cell : `${fault.ring} ring, ${fault.reason}`;
        this.#malformed(from, `${fault.kind}: ${where}`);
        // The reader does not know where the next frame would begin; a bad `head` mends itself.
        if (fault.kind === 'bad-frame' && fault.reason !== 'head') {
          this.#events.push({ kind: 'transport-fault', peer: from, reason: where });
        }
      },
    };
  }

  #onPeerMessage(from: ReplicaIndex, payload: Uint8Array): void {
    const body = unwrapApplication(payload);
    if (body !== undefined) {
      if (this.#budgets[from]?.take(body.length, clockMs()) !== true) return;
      this.#events.push({ kind: 'application', from, body });
      return;
    }
    const message = decodeMessage(payload, this.#transport.replicas);
    if (message.kind === 'malformed') return this.#malformed(from, message.reason);
    this.#step({ kind: 'message', from, message: message.value }, clockMs());
  }

  #malformed(from: ReplicaIndex, reason: string): void {
    this.#step({ kind: 'malformed', from, reason }, clockMs());
  }

  #step(input: Input, nowMs: number): void {
    for (const effect of this.#core.step(input, nowMs)) this.#execute(effect);
  }

  #execute(effect: Effect): void {
    switch (effect.kind) {
      case 'write-cell':
        return this.#transport.writeCell(encodeCell(effect.cell));
      case 'rewrite-cells':
        return this.#transport.rewriteCells(effect.to);
      case 'write-batch':
        // A peer that is skipped fetches the batch by digest once a proposal names it.
        this.#transport.writeLane(encodeLaneBatch(effect.batch));
        this.#events.push({ kind: 'own-batch', ref: effect.ref });
        return;
      case 'send':
        return this.#send(effect.to, effect.message);
      case 'check-batch':
        return this.#checkBatch(effect);
      case 'deliver': {
        const { kind: _kind, ...delivery } = effect;
        this.#events.push({ kind: 'deliver', delivery });
        return;
      }
      case 'drop-batch':
        this.#events.push({ kind: 'drop-batch', lane: effect.lane, ref: effect.ref });
        return;
      case 'evidence':
        this.#events.push({ kind: 'evidence', evidence: effect.evidence });
        return;
      default:
        return assertNever(effect);
    }
  }

  #send(to: ReplicaIndex, message: Message): void {
    // Skipped when the peer does not drain: the core retries whatever it still needs.
    this.#transport.send(to, encodeMessage(message));
  }

  #sendApplication(to: ReplicaIndex | undefined, body: Uint8Array): void {
    const payload = wrapApplication(body);
    for (let peer = 0; peer < this.#transport.replicas; peer++) {
      if (this.#open[peer] && (to === undefined || to === peer))
        this.#transport.send(peer, payload);
    }
  }

  #checkBatch(effect: Extract<Effect, { kind: 'check-batch' }>): void {
    // The core keeps its own copy for those who fetch; this one changes hands.
    const payload = effect.batch.payload.slice();
    this.#transfer.push(payload.buffer);
    this.#events.push({
      kind: 'check-batch',
      lane: effect.batch.lane,
      ref: effect.ref,
      payload,
    });
  }

  #pushStatus(nowMs: number): void {
    if (!this.#activeSinceStatus || nowMs - this.#statusAtMs < STATUS_EVERY_MS) return;
    this.#activeSinceStatus = false;
    this.#statusAtMs = nowMs;
    const status: CoreStatus = this.#core.status();
    this.#events.push({ kind: 'status', status });
  }

  #flush(): void {
    if (this.#events.length === 0) return;
    const events = this.#events;
    const transfer = this.#transfer;
    this.#events = [];
    this.#transfer = [];
    this.#port.postMessage(events, transfer);
  }

  #waitUs(): number {
    const nowMs = clockMs();
    let untilMs = Math.min(this.#core.nextTickMs(), nowMs + WAIT_MS_MAX);
    if (this.#activeSinceStatus) untilMs = Math.min(untilMs, this.#statusAtMs + STATUS_EVERY_MS);
    return Math.max(0, Math.ceil((untilMs - nowMs) * 1_000));
  }
}

/**
 * Wall-clock milliseconds that never step back while the process lives: ordered time is taken from it,
 * and so are the core's deadlines.
 */
export function clockMs(): number {
  return Math.floor(performance.timeOrigin + performance.now());
}

function plainError(error: unknown): { code: string; message: string } {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
    return { code, message: error.message };
  }
  return { code: 'unknown', message: String(error) };
}
