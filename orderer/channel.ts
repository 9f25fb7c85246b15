/**
 * One channel of this replica: start-up, run, submissions, receipts, reads. Implements `ChannelService`.
 */
import { join } from 'node:path';
import {
  decodeBlock,
  encodeBlockHeader,
  faultsOf,
  headerHash,
  quorumOf,
  type Sha256,
  toHex,
} from '../ledger/format/index.ts';
import type { Ledger } from '../ledger/store/index.ts';
import { Bootstrap } from '../rdma/bootstrap.ts';
import type { StoredBlock } from './chain/sequencer.ts';
import type { EnvelopeChecker } from './envelope/index.ts';
import { asError, refusal } from './errors.ts';
import { orderingObstacle } from './health.ts';
import { ENVELOPE_FRAMING_BYTES_MAX, ORDERER_LIMITS } from './limits.ts';
import type { Log } from './log.ts';
import { Run, type RunOptions } from './run.ts';
import { readRunBase } from './run-base.ts';
import type {
  Accepted,
  CertifiedBlock,
  ChannelHealth,
  ChannelInfo,
  ChannelService,
  Gateway,
  Receipt,
  Refusal,
  TransactionLocation,
} from './service.ts';
import type { VerifyPool } from './signature/index.ts';
import { StartupSync } from './startup/sync.ts';
import { ReceiptWaiters } from './waiters.ts';

export interface ChannelOptions extends RunOptions {
  readonly genesisTimeMs: number;
  readonly startGraceMs: number;
  /** Accepted submissions that are not in a certified block yet. */
  readonly pendingTransactionsMax: number;
}

export interface ChannelDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly pool: VerifyPool;
  readonly checker: EnvelopeChecker;
  readonly gateway: Gateway | undefined;
  readonly log: Log;
  /** Frames of the start-up exchange and of the session bootstrap, over the links. */
  readonly sendStart: (peer: number, body: Uint8Array) => void;
  readonly sendBootstrap: (peer: number, body: Uint8Array) => boolean;
  readonly dropLink: (peer: number, reason: string) => void;
  readonly onFatal: (error: Error) => void;
}

export interface LinkInfo {
  readonly pairSecret: Uint8Array;
  readonly peerIncarnation: string;
}

/** How often a replica that cannot start yet asks the others again. */
const START_RETRY_MS = 500;

export class ChannelOrderer implements ChannelService {
  readonly channel: string;
  readonly envelopeBytesMax: number;
  readonly gateway: Gateway | undefined;
  readonly #options: ChannelOptions;
  readonly #dependencies: ChannelDependencies;
  readonly #startup: StartupSync;
  readonly #waiters = new ReceiptWaiters();
  readonly #heightListeners = new Set<(height: number) => void>();
  /** Own submissions between acceptance and certificate. */
  readonly #pending = new Set<string>();
  /** Links that came up before the run: their sessions are opened when it starts. */
  readonly #links = new Map<number, LinkInfo>();
  readonly #earlyFrames = new Map<number, Uint8Array[]>();
  #bootstrap: Bootstrap | undefined;
  #run: Run | undefined;
  /** Settles, never rejects, when a run that is being started has started or failed. */
  #starting: Promise<void> = Promise.resolve();
  #fatal: Error | undefined;
  #stopping = false;
  #heightAnnounced = false;
  /** Header hash of the newest certified block, hex. */
  #tipHash = '';

  constructor(options: ChannelOptions, dependencies: ChannelDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.channel = options.channel;
    this.envelopeBytesMax = options.batchSize.absoluteMaxBytes + ENVELOPE_FRAMING_BYTES_MAX;
    this.gateway = dependencies.gateway;
    this.#startup = new StartupSync(
      {
        self: options.self,
        consenters: options.consenters,
        graceMs: options.startGraceMs,
        retryMs: START_RETRY_MS,
        runRecordFile: join(dependencies.ledger.directory, 'last-run'),
      },
      {
        ledger: dependencies.ledger,
        sha256: dependencies.sha256,
        send: dependencies.sendStart,
        onGrown: () => this.#refreshTip(),
        onStart: () => {
          this.#starting = this.#startRun();
        },
        onFatal: (error) => this.#fail(error),
        log: dependencies.log,
      },
    );
  }

  async begin(): Promise<void> {
    await this.#refreshTip();
    this.#startup.begin();
  }

  onLinkUp(peer: number, info: LinkInfo): void {
    this.#links.set(peer, info);
    this.#earlyFrames.delete(peer);
    this.#startup.onLink(peer, true);
    this.#bootstrap?.onLinkUp(peer, info);
  }

  onLinkDown(peer: number): void {
    this.#links.delete(peer);
    this.#earlyFrames.delete(peer);
    this.#startup.onLink(peer, false);
    this.#bootstrap?.onLinkDown(peer);
  }

  onStartFrame(peer: number, body: Uint8Array): void {
    this.#startup.onFrame(peer, body);
  }

  onBootstrapFrame(peer: number, body: Uint8Array): void {
    if (this.#bootstrap !== undefined) return this.#bootstrap.onFrame(peer, body);
    // The peer's run has started, ours has not: one handshake's frames are kept.
    const frames = this.#earlyFrames.get(peer) ?? [];
    if (frames.length < ORDERER_LIMITS.earlyBootstrapFramesMax) frames.push(body);
    this.#earlyFrames.set(peer, frames);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    // The run closes all sessions at once; links that end meanwhile concern nobody any more.
    this.#bootstrap = undefined;
    await this.#startup.close();
    await this.#starting;
    await this.#run?.stop();
    this.#waiters.abandon();
    await this.#dependencies.ledger.close();
  }

  info(): ChannelInfo {
    const { ledger } = this.#dependencies;
    const { consenters, self } = this.#options;
    const status = this.#run?.status;
    const height = ledger.certifiedHeight();
    const executedSlot = this.#run?.executedSlot ?? 0;
    return {
      channel: this.channel,
      height,
      tipHash: this.#tipHash,
      replica: consenters[self]?.number ?? 0,
      replicas: consenters.length,
      faultsTolerated: faultsOf(consenters.length),
      quorum: quorumOf(consenters.length),
      view: status?.view ?? 0,
      leader: consenters[status?.leader ?? 0]?.number ?? 0,
      path: this.#run?.path ?? 'fast',
      executedSlot,
      transactionsPending: this.#pending.size,
      peers: consenters.flatMap((consenter, index) => {
        if (index === self) return [];
        const peer = status?.peers.find((candidate) => candidate.peer === index);
        const applied = peer?.appliedSlot;
        return [
          {
            replica: consenter.number,
            connected: peer?.open ?? false,
            lagSlots: applied === undefined ? undefined : Math.max(0, executedSlot - applied),
            faults: peer?.faults ?? 0,
          },
        ];
      }),
    };
  }

  health(): ChannelHealth {
    const reason = this.#unhealthy();
    return { channel: this.channel, canOrder: reason === undefined, reason: reason ?? 'ordering' };
  }

  async submit(envelope: Uint8Array): Promise<Accepted | Refusal> {
    const refused = this.#notReady() ?? this.#full(envelope.length);
    if (refused !== undefined) return refused;
    const { checker } = this.#dependencies;
    const checked = await checker.checkSubmitted(envelope, Date.now());
    if (checked.kind === 'refused') return checked;
    const { txId } = checked.transaction;
    if (this.#pending.has(txId)) return { kind: 'accepted', txId, duplicate: true };
    // Stopped meanwhile? The ledger may be closed already.
    const late = this.#notReady();
    if (late !== undefined) return late;
    const { ledger } = this.#dependencies;
    if (ledger.hasTransactionNow(txId)) return this.#stored(txId);
    const full = this.#full(envelope.length);
    if (full !== undefined) return full;
    this.#pending.add(txId);
    this.#run?.submit(checked.transaction);
    return { kind: 'accepted', txId, duplicate: false };
  }

  /** The answer to a transaction that is in a stored block already. */
  async #stored(txId: string): Promise<Accepted | Refusal> {
    const { ledger } = this.#dependencies;
    const stored = await ledger.transaction(txId);
    // In a block that waits for its certificate: nothing to queue, and waiting for it works.
    if (stored === undefined || stored.blockNumber >= ledger.certifiedHeight()) {
      return { kind: 'accepted', txId, duplicate: true };
    }
    return refusal('duplicate_transaction', undefined, { location: { txId, ...stored } });
  }

  async committed(txId: string, signal: AbortSignal): Promise<Receipt | undefined> {
    if (this.#waiters.count >= ORDERER_LIMITS.receiptWaitersMax) return undefined;
    // What is pending here has no certificate yet, and settles the waiter when it gets it.
    if (this.#pending.has(txId)) return this.#waiters.wait(txId, signal);
    // Registered before the ledger is asked, or a certificate in between would be missed.
    const settled = new AbortController();
    const waiting = this.#waiters.wait(txId, AbortSignal.any([signal, settled.signal]));
    const receipt = await this.#receiptFromLedger(txId);
    if (receipt === undefined) return waiting;
    settled.abort();
    return receipt;
  }

  async transaction(txId: string): Promise<TransactionLocation | undefined> {
    const { ledger } = this.#dependencies;
    const location = await ledger.transaction(txId);
    if (location === undefined || location.blockNumber >= ledger.certifiedHeight())
      return undefined;
    return { txId, ...location };
  }

  async block(number: number): Promise<CertifiedBlock | undefined> {
    const { ledger } = this.#dependencies;
    if (number >= ledger.certifiedHeight()) return undefined;
    const bytes = await ledger.block(number);
    return bytes === undefined ? undefined : { number, bytes };
  }

  onHeight(listener: (height: number) => void): () => void {
    this.#heightListeners.add(listener);
    return () => this.#heightListeners.delete(listener);
  }

  /** After blocks came in whole, certificate included, instead of from the run. */
  async #refreshTip(): Promise<void> {
    const { ledger } = this.#dependencies;
    const tip = await ledger.header(ledger.certifiedHeight() - 1);
    this.#tipHash = toHex(tip?.hash ?? new Uint8Array());
    this.#announceHeight();
  }

  async #startRun(): Promise<void> {
    const { ledger, log, sha256, pool, checker } = this.#dependencies;
    try {
      const base = await readRunBase(this.channel, ledger, this.#options.genesisTimeMs);
      const run = await Run.start(this.#options, base, {
        ledger,
        sha256,
        pool,
        checker,
        log,
        onCertified: (block, metadata) => this.#onCertified(block, metadata),
        onDropped: ({ txId }, why) => {
          this.#pending.delete(txId);
          if (why === 'expired') log.warn({ txId }, 'certificate not valid at the ordered time');
        },
        onTransportFault: (peer, reason) => this.#bootstrap?.restart(peer, reason),
        onFatal: (error) => this.#fail(error),
      });
      this.#run = run;
      if (this.#stopping) return await run.stop();
      this.#openSessions(run);
      log.info({ block: ledger.tip().number, firstSlot: base.firstSlot }, 'run started');
    } catch (error) {
      this.#fail(asError(error));
    }
  }

  #openSessions(run: Run): void {
    const { sendBootstrap, dropLink, log } = this.#dependencies;
    this.#bootstrap = new Bootstrap(
      { channel: this.channel, incarnation: this.#options.incarnation, self: this.#options.self },
      { transport: run.runtime, sendLink: sendBootstrap, dropLink, log },
    );
    for (const [peer, info] of this.#links) {
      this.#bootstrap.onLinkUp(peer, info);
      for (const frame of this.#earlyFrames.get(peer) ?? []) this.#bootstrap.onFrame(peer, frame);
    }
    this.#earlyFrames.clear();
  }

  #unhealthy(): string | undefined {
    if (this.#fatal !== undefined) return `stopped by an error: ${this.#fatal.message}`;
    if (this.#stopping) return 'the replica is shutting down';
    if (!this.#startup.started || this.#run === undefined) return this.#startup.reason;
    const { self, consenters } = this.#options;
    return orderingObstacle(this.#run.status, self, consenters);
  }

  #notReady(): Refusal | undefined {
    const { retryAfterMs } = ORDERER_LIMITS;
    if (this.#stopping) return refusal('shutting_down', undefined, { retryAfterMs });
    const reason = this.#unhealthy();
    return reason === undefined ? undefined : refusal('not_ready', reason, { retryAfterMs });
  }

  #full(bytes: number): Refusal | undefined {
    const { retryAfterMs } = ORDERER_LIMITS;
    const hasRoom =
      this.#pending.size < this.#options.pendingTransactionsMax && this.#run?.hasRoom(bytes);
    if (hasRoom === true) return undefined;
    const detail = `${this.#pending.size} transactions wait to be ordered`;
    return refusal('overloaded', detail, { retryAfterMs });
  }

  #onCertified(stored: StoredBlock, metadata: Uint8Array): void {
    const header = encodeBlockHeader(stored.block.header);
    const blockHash = toHex(stored.headerHash);
    this.#tipHash = blockHash;
    const blockNumber = stored.block.header.number;
    for (const [index, txId] of stored.txIds.entries()) {
      if (txId === undefined) continue;
      this.#pending.delete(txId);
      if (!this.#waiters.has(txId)) continue;
      this.#waiters.settle(txId, {
        txId,
        blockNumber,
        index,
        blockHash,
        header,
        certificate: metadata,
      });
    }
    this.#announceHeight();
  }

  /** Blocks often become certified in bursts: listeners hear once per turn. */
  #announceHeight(): void {
    if (this.#heightAnnounced) return;
    this.#heightAnnounced = true;
    queueMicrotask(() => {
      this.#heightAnnounced = false;
      const height = this.#dependencies.ledger.certifiedHeight();
      for (const listener of this.#heightListeners) listener(height);
    });
  }

  async #receiptFromLedger(txId: string): Promise<Receipt | undefined> {
    const location = await this.transaction(txId);
    if (location === undefined) return undefined;
    const stored = await this.block(location.blockNumber);
    const decoded = stored === undefined ? undefined : decodeBlock(stored.bytes);
    if (decoded?.kind !== 'ok') return undefined;
    const { header, metadata } = decoded.value;
    return {
      ...location,
      blockHash: toHex(headerHash(header, this.#dependencies.sha256)),
      header: encodeBlockHeader(header),
      certificate: metadata[0] ?? new Uint8Array(),
    };
  }

  #fail(error: Error): void {
    if (this.#fatal !== undefined || this.#stopping) return;
    this.#fatal = error;
    this.#dependencies.log.error({ err: error }, 'the channel stopped ordering');
    this.#dependencies.onFatal(error);
  }
}
