/**
 * One channel of this replica: start-up, run, submissions, receipts, reads. Implements `ChannelService`.
 */
import { join } from 'node:path';
import { type Sha256, toHex } from '../ledger/format/index.ts';
import type { Ledger } from '../ledger/store/index.ts';
import { Backpressure } from './backpressure.ts';
import { channelInfo } from './channel-info.ts';
import type { CheckedTransaction, EnvelopeChecker } from './envelope/index.ts';
import { asError, refusal } from './errors.ts';
import { OrderingHealth, type OrderingState } from './health.ts';
import { ENVELOPE_FRAMING_BYTES_MAX, ORDERER_LIMITS } from './limits.ts';
import type { Log } from './log.ts';
import { Receipts } from './receipts.ts';
import { Run } from './run.ts';
import { readRunBase } from './run-base.ts';
import type { RunOptions } from './run-options.ts';
import type {
  Accepted,
  CertifiedBlock,
  ChannelHealth,
  ChannelInfo,
  ChannelService,
  Gateway,
  Receipt,
  Refusal,
  SubmissionOptions,
  TransactionLocation,
} from './service.ts';
import { type LinkInfo, Sessions } from './sessions.ts';
import type { VerifyPool } from './signature/index.ts';
import type { EnteredRun } from './startup/options.ts';
import type { RunLog } from './startup/run-log.ts';
import { RUN_RECORD_FILE } from './startup/run-record.ts';
import { StartupSync } from './startup/sync.ts';
import { encodeStartMessage } from './startup/wire.ts';

export interface ChannelOptions extends RunOptions {
  readonly genesisTimeMs: number;
  readonly startGraceMs: number;
  /** Accepted submissions that are not in a certified block yet. */
  readonly pendingTransactionsMax: number;
  /** Where the consensus log of the channel is, whether it is written or not. */
  readonly runLog: RunLog;
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
  readonly sendWrites: (peer: number, frames: Uint8Array, onTaken: () => void) => void;
  readonly dropLink: (peer: number, reason: string) => void;
  readonly onFatal: (error: Error) => void;
  /** The consensus thread of a run has been started. */
  readonly onRun: () => void;
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
  readonly #sessions: Sessions;
  readonly #receipts: Receipts;
  readonly #backpressure: Backpressure;
  readonly #health = new OrderingHealth();
  readonly #heightListeners = new Set<(height: number) => void>();
  #run: Run | undefined;
  /** Settles, never rejects, when a run that is being started has started or failed. */
  #starting: Promise<void> = Promise.resolve();
  /** Own transactions of a run that was left, for the next one. */
  #unfinished: CheckedTransaction[] = [];
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
    this.#sessions = new Sessions(options, dependencies);
    this.#receipts = new Receipts(dependencies);
    const { pendingTransactionsMax: transactionsMax } = options;
    const { pendingTransactionsMin, pendingMsMax: waitMs } = ORDERER_LIMITS;
    const transactionsMin = Math.min(pendingTransactionsMin, transactionsMax);
    this.#backpressure = new Backpressure({ waitMs, transactionsMin, transactionsMax });
    this.#startup = this.#createStartup();
    dependencies.ledger.onFailure((error) => this.#fail(error));
  }

  async begin(): Promise<void> {
    await this.#refreshTip();
    this.#startup.begin();
  }

  onLinkUp(peer: number, info: LinkInfo): void {
    this.#startup.onLink(peer, true);
    this.#run?.onLink(peer, true);
    this.#sessions.onLinkUp(peer, info);
  }

  onLinkDown(peer: number): void {
    this.#startup.onLink(peer, false);
    this.#run?.onLink(peer, false);
    this.#sessions.onLinkDown(peer);
  }

  onStartFrame(peer: number, body: Uint8Array): void {
    this.#startup.onFrame(peer, body);
  }

  onBootstrapFrame(peer: number, body: Uint8Array): void {
    this.#sessions.onFrame(peer, body);
  }

  /** A copy is made: the frame lies in the link's buffer. */
  onWritesFrame(peer: number, frames: Uint8Array): void {
    this.#run?.onWrites(peer, Uint8Array.from(frames));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#sessions.close();
    await this.#startup.close();
    await this.#starting;
    await this.#run?.stop();
    this.#receipts.abandon();
    await this.#dependencies.ledger.close();
  }

  info(): ChannelInfo {
    const { self, consenters, limits, wal } = this.#options;
    return channelInfo({
      channel: this.channel,
      self,
      consenters,
      durability: wal === undefined ? 'memory' : 'wal',
      windowSlots: limits.windowSlots,
      height: this.#dependencies.ledger.certifiedHeight(),
      tipHash: this.#tipHash,
      transactionsPending: this.#receipts.pending,
      stopped: this.#fatal !== undefined || this.#stopping,
      run: this.#run,
    });
  }

  health(): ChannelHealth {
    const reason = this.#absence() ?? this.#health.obstacle(this.#orderingState());
    return { channel: this.channel, canOrder: reason === undefined, reason: reason ?? 'ordering' };
  }

  async submit(
    envelopes: readonly Uint8Array[],
    { canWait = false }: SubmissionOptions = {},
  ): Promise<(Accepted | Refusal)[]> {
    const bytes = envelopes.reduce((sum, envelope) => sum + envelope.length, 0);
    const refused = this.#notReady() ?? this.#full(bytes) ?? this.#behind(canWait);
    if (refused !== undefined) return envelopes.map(() => refused);
    const checks = await this.#dependencies.checker.checkSubmitted(envelopes, Date.now());
    return Promise.all(
      checks.map((check) => (check.kind === 'refused' ? check : this.#accept(check.transaction))),
    );
  }

  committed(
    txIds: readonly string[],
    signal: AbortSignal,
    onReceipt?: (index: number, receipt: Receipt) => void,
  ): Promise<readonly (Receipt | undefined)[]> {
    return this.#receipts.committed(txIds, signal, onReceipt);
  }

  transaction(txId: string): Promise<TransactionLocation | undefined> {
    return this.#receipts.transaction(txId);
  }

  block(number: number): Promise<CertifiedBlock | undefined> {
    return this.#receipts.block(number);
  }

  onHeight(listener: (height: number) => void): () => void {
    this.#heightListeners.add(listener);
    return () => this.#heightListeners.delete(listener);
  }

  /** Queues what was checked; what is in a block already has to be looked up. */
  #accept(transaction: CheckedTransaction): Accepted | Refusal | Promise<Accepted | Refusal> {
    const { txId, bytes } = transaction;
    if (this.#receipts.isPending(txId)) return { kind: 'accepted', txId, duplicate: true };
    // Stopped meanwhile? The ledger may be closed already.
    const refused = this.#notReady();
    if (refused !== undefined) return refused;
    if (this.#dependencies.ledger.hasTransactionNow(txId)) return this.#receipts.stored(txId);
    const full = this.#full(bytes.length);
    if (full !== undefined) return full;
    this.#receipts.accepted(txId);
    this.#run?.submit(transaction);
    return { kind: 'accepted', txId, duplicate: false };
  }

  #createStartup(): StartupSync {
    const { channel, self, consenters, startGraceMs, runLog, wal } = this.#options;
    const { ledger, sha256, sendStart, log } = this.#dependencies;
    return new StartupSync(
      {
        channel,
        self,
        consenters,
        graceMs: startGraceMs,
        retryMs: START_RETRY_MS,
        runRecordFile: join(ledger.directory, RUN_RECORD_FILE),
        runLog,
        durability: wal === undefined ? 'memory' : 'wal',
      },
      {
        ledger,
        sha256,
        send: sendStart,
        onGrown: async () => {
          await this.#refreshTip();
          await this.#receipts.recheck();
        },
        onEnter: (entered) => {
          this.#starting = this.#startRun(entered);
        },
        onLeave: () => this.#leaveRun(),
        onBlocks: (peer, fromNumber, blocks) => this.#run?.onBlocks(peer, fromNumber, blocks),
        onFatal: (error) => this.#fail(error),
        log,
      },
    );
  }

  /** After blocks came in whole, certificate included, instead of from the run. */
  async #refreshTip(): Promise<void> {
    const { ledger } = this.#dependencies;
    const tip = await ledger.header(ledger.certifiedHeight() - 1);
    this.#tipHash = toHex(tip?.hash ?? new Uint8Array());
    this.#announceHeight();
  }

  async #startRun({ run: key, entry }: EnteredRun): Promise<void> {
    const { ledger, log, sendStart } = this.#dependencies;
    try {
      const base = await readRunBase(this.channel, key, ledger, this.#options.genesisTimeMs);
      const run = await Run.start(this.#options, base, entry, {
        ...this.#dependencies,
        askBlocks: (peer, fromNumber) =>
          sendStart(peer, encodeStartMessage({ kind: 'fetch', fromNumber })),
        isConnected: (peer) => this.#startup.isConnected(peer),
        onCertified: (block, metadata) => {
          this.#tipHash = toHex(block.headerHash);
          const own = this.#receipts.onCertified(block, metadata);
          this.#backpressure.noteOrdered(own, performance.now());
          this.#announceHeight();
        },
        onDropped: ({ txId }, why) => {
          this.#receipts.dropped(txId);
          if (why === 'expired') log.warn({ txId }, 'certificate not valid at the ordered time');
        },
        onTransportFault: (peer, reason) => this.#sessions.restart(peer, reason),
        onMember: () => {
          log.info({}, 'takes part in ordering again');
          this.#startup.onMember();
        },
        onFatal: (error) => this.#fail(error),
      });
      this.#run = run;
      this.#dependencies.onRun();
      if (this.#stopping) return;
      this.#sessions.open(run.runtime);
      for (const transaction of this.#unfinished) run.submit(transaction);
      this.#unfinished = [];
      const { height, generation } = key;
      log.info({ entry, generation, block: height - 1, firstSlot: base.firstSlot }, 'run started');
    } catch (error) {
      this.#fail(asError(error));
    }
  }

  async #leaveRun(): Promise<void> {
    await this.#starting;
    const run = this.#run;
    this.#run = undefined;
    this.#sessions.close();
    this.#unfinished.push(...((await run?.stop()) ?? []));
    this.#sessions.renewLinks();
  }

  /** Why there is no run to speak of. */
  #absence(): string | undefined {
    if (this.#fatal !== undefined) return `stopped by an error: ${this.#fatal.message}`;
    if (this.#stopping) return 'the replica is shutting down';
    if (!this.#startup.started) return this.#startup.reason;
    return this.#run === undefined ? 'starting: the consensus thread is coming up' : undefined;
  }

  #orderingState(): OrderingState {
    const run = this.#run;
    return {
      status: run?.status,
      replicas: this.#options.consenters.length,
      connected: run?.quorum.connected ?? 1,
      quorumLostForMs: run?.quorum.lostForMs,
      transferringForMs: run?.transferringForMs,
      diskFull: run?.diskFull,
    };
  }

  #notReady(): Refusal | undefined {
    const { retryAfterMs } = ORDERER_LIMITS;
    if (this.#stopping) return refusal('shutting_down', undefined, { retryAfterMs });
    const reason = this.#absence() ?? this.#health.refusal(this.#orderingState());
    return reason === undefined ? undefined : refusal('not_ready', reason, { retryAfterMs });
  }

  #full(bytes: number): Refusal | undefined {
    const { retryAfterMs } = ORDERER_LIMITS;
    const { pending } = this.#receipts;
    if (pending < this.#options.pendingTransactionsMax && this.#run?.hasRoom(bytes) === true) {
      return undefined;
    }
    return refusal('overloaded', `${pending} transactions wait to be ordered`, { retryAfterMs });
  }

  /** Asked once for what comes together: a request is taken whole when there is room for any of it. */
  #behind(canWait: boolean): Refusal | undefined {
    const { pending } = this.#receipts;
    if (pending < this.#backpressure.limit(performance.now(), canWait)) return undefined;
    const { retryAfterMs } = ORDERER_LIMITS;
    const what = `${pending} transactions wait to be ordered, all that this replica orders in a second`;
    return refusal('overloaded', what, { retryAfterMs });
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

  #fail(error: Error): void {
    if (this.#fatal !== undefined || this.#stopping) return;
    this.#fatal = error;
    this.#dependencies.log.error({ err: error }, 'the channel stopped ordering');
    this.#dependencies.onFatal(error);
  }
}
