/**
 * One run of one channel, as long as this process takes part in it. Wires consensus (worker), lane, delivery,
 * certification and state transfer; knows nothing of HTTP.
 */
import type { CheckpointState, CoreStatus } from '../consensus/core/index.ts';
import type { Delivery } from '../consensus/runtime/protocol.ts';
import { ConsensusRuntime } from '../consensus/runtime/runtime.ts';
import { faultsOf } from '../ledger/format/index.ts';
import { Batches } from './batches.ts';
import { Certification } from './chain/certification.ts';
import { DeliverySequencer } from './chain/sequencer.ts';
import { BlockCutter } from './cutter/index.ts';
import { Deduplicator, inParts } from './dedupe/index.ts';
import type { CheckedTransaction } from './envelope/index.ts';
import { evidenceFields } from './evidence.ts';
import { FaultLog } from './fault-log.ts';
import { QuorumWatch } from './health.ts';
import type { RunBase } from './run-base.ts';
import type { RunDependencies, RunEntry, RunOptions } from './run-options.ts';
import { BlockFetch } from './startup/block-fetch.ts';
import { takeCertifiedRun, takeFetched } from './startup/fetched-blocks.ts';
import { StateTransfer } from './transfer.ts';
import { ViewLog } from './view-log.ts';

/** Waits of a state transfer for one peer's blocks, and between rounds in which nobody had any. */
const FETCH_ANSWER_MS = 2_000;
const FETCH_RETRY_MS = 100;
/** How often a replica that has joined looks whether it may vote again. */
const MEMBER_CHECK_MS = 250;

export class Run {
  readonly #options: RunOptions;
  readonly #dependencies: RunDependencies;
  readonly #batches: Batches;
  readonly #sequencer: DeliverySequencer;
  readonly #certification: Certification;
  readonly #fetch: BlockFetch;
  readonly #transfer: StateTransfer;
  #runtime: ConsensusRuntime | undefined;
  /** What is to be told to the worker before its handle is here. */
  #early: ((runtime: ConsensusRuntime) => void)[] = [];
  #resumed: Promise<void> = Promise.resolve();
  #storing = 0;
  readonly #faults: FaultLog;
  readonly #quorum: QuorumWatch;
  readonly #views: ViewLog;
  #executedSlot: number;
  #path: 'fast' | 'slow' = 'fast';
  #diskFull: string | undefined;
  #memberTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  private constructor(options: RunOptions, base: RunBase, dependencies: RunDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    const { consenters, self } = options;
    this.#faults = new FaultLog(consenters.length, dependencies.log);
    this.#quorum = new QuorumWatch(consenters.length, self);
    this.#views = new ViewLog(dependencies.log);
    this.#executedSlot = base.firstSlot - 1;
    this.#batches = this.#createBatches();
    this.#certification = this.#createCertification(base);
    this.#sequencer = this.#createSequencer();
    this.#fetch = this.#createFetch();
    this.#transfer = new StateTransfer({
      drained: () => this.#sequencer.drained(),
      fetch: (height, isOver) => this.#fetch.run(height, isOver),
      interrupt: () => this.#fetch.interrupt(),
      install: (state) => this.#install(state),
      onDone: ({ slot, height }) => {
        dependencies.log.info({ slot, height }, 'caught up with a checkpoint of the others');
        this.#tell((runtime) => runtime.transferred(slot));
      },
      onFatal: dependencies.onFatal,
    });
  }

  /** Rejects when the ledger does not fit the run, before this replica has said anything in it. */
  static async start(
    options: RunOptions,
    base: RunBase,
    entry: RunEntry,
    dependencies: RunDependencies,
  ): Promise<Run> {
    const run = new Run(options, base, dependencies);
    await run.#certification.load();
    // A log may go on from a later point, of which it tells.
    if (entry !== 'restore') {
      const { firstSlot, baseHeight: height, baseHash: tipHash } = base;
      run.#resumeAt({ slot: firstSlot - 1, height, tipHash });
    }
    try {
      run.#attach(await run.#startRuntime(base, entry));
      await run.#resumed;
    } catch (error) {
      await run.stop();
      throw error;
    }
    run.#certification.begin();
    if (entry === 'join') run.#watchMember();
    return run;
  }

  /** Transport calls for the session bootstrap. */
  get runtime(): ConsensusRuntime {
    if (this.#runtime === undefined) throw new Error('the run has not started');
    return this.#runtime;
  }

  get status(): CoreStatus | undefined {
    return this.#runtime?.status;
  }

  get executedSlot(): number {
    return this.#executedSlot;
  }

  /** Path of the last commit. */
  get path(): 'fast' | 'slow' {
    return this.#path;
  }

  /** What the worker said of a disk without room; undefined while there is some. */
  get diskFull(): string | undefined {
    return this.#diskFull;
  }

  /** Who is connected, and for how long too few have been. */
  get quorum(): Pick<QuorumWatch, 'connected' | 'lostForMs'> {
    return this.#quorum;
  }

  /** For how long it has been fetching a checkpoint, milliseconds; undefined while it does not. */
  get transferringForMs(): number | undefined {
    const { sinceMs } = this.#transfer;
    return sinceMs === undefined ? undefined : performance.now() - sinceMs;
  }

  /** Faults of a peer that were seen outside of consensus: bad signatures of blocks, bad blocks. */
  faultsOf(peer: number): number {
    return this.#faults.count(peer);
  }

  hasRoom(bytes: number): boolean {
    return this.#batches.hasRoom(bytes);
  }

  submit(transaction: CheckedTransaction): void {
    this.#batches.push(transaction);
  }

  onLink(peer: number, up: boolean): void {
    this.#fetch.onLink(peer, up);
  }

  onWrites(peer: number, frames: Uint8Array<ArrayBuffer>): void {
    if (!this.#stopped) this.#runtime?.writes(peer, frames);
  }

  onBlocks(peer: number, fromNumber: number, blocks: readonly Uint8Array[]): void {
    this.#fetch.onBlocks(peer, fromNumber, blocks);
  }

  /**
   * Stops consensus, then waits for what is decided already to be stored. Answers the own transactions that were not
   * ordered here, for the run that comes after this one.
   */
  async stop(): Promise<CheckedTransaction[]> {
    this.#stopped = true;
    clearInterval(this.#memberTimer);
    await this.#runtime?.stop();
    await this.#transfer.stop();
    await this.#sequencer.drained();
    await this.#certification.stop();
    return this.#batches.stop();
  }

  #attach(runtime: ConsensusRuntime): void {
    this.#runtime = runtime;
    const early = this.#early;
    this.#early = [];
    for (const call of early) call(runtime);
  }

  #tell(call: (runtime: ConsensusRuntime) => void): void {
    if (this.#stopped) return;
    if (this.#runtime === undefined) this.#early.push(call);
    else call(this.#runtime);
  }

  #startRuntime(base: RunBase, entry: RunEntry): Promise<ConsensusRuntime> {
    const { consenters, channel, self, wal, batchTimeoutMs, limits } = this.#options;
    const { provider, rdma, waitMode, spinUs, signingSeed, incarnation } = this.#options;
    const { log, sendWrites, onTransportFault, onFatal } = this.#dependencies;
    return ConsensusRuntime.start(
      {
        ...base,
        channel,
        self,
        replicas: consenters.length,
        entry,
        wal,
        batchTimeoutMs,
        limits,
        provider,
        rdma,
        waitMode,
        spinUs,
        signingSeed,
        incarnation,
        consenterKeys: consenters.map(({ publicKey }) => publicKey),
      },
      {
        onSession: (peer, open) => this.#onSession(peer, open),
        onOwnBatch: (ref) => this.#batches.onOwnBatch(ref),
        onCheckBatch: (lane, ref, payload, extent) => {
          if (extent === 'restored') this.#batches.restore(lane, ref, payload);
          else void this.#batches.check(lane, ref, payload, extent);
        },
        onDropBatch: (lane, ref) => this.#batches.drop(lane, ref),
        onDeliver: (delivery) => this.#onDeliver(delivery),
        onTransfer: (state) => {
          log.warn({ slot: state.slot, height: state.height }, 'fell behind: fetching blocks');
          this.#transfer.to(state);
        },
        onRestored: (checkpoint, torn) => {
          if (torn !== undefined) log.warn({ torn }, 'a crash cut off the end of the log');
          this.#executedSlot = checkpoint.slot;
          this.#resumeAt(checkpoint);
        },
        onDisk: (state, message) => this.#onDisk(state, message),
        onView: (status) => this.#views.note(status),
        onApplication: (from, body) => this.#certification.onMessage(from, body),
        onEvidence: (evidence) => log.warn(evidenceFields(evidence), 'a replica misbehaved'),
        onWrites: sendWrites,
        onTransportFault,
        onFatal,
      },
    );
  }

  #resumeAt(point: { slot: number; height: number; tipHash: Uint8Array }): void {
    this.#resumed = this.#sequencer.resume(point);
    this.#resumed.then(
      () => this.#certification.resume(point.slot, point.height),
      // Whoever waits for it is told.
      () => {},
    );
  }

  #createBatches(): Batches {
    const { self, lane } = this.#options;
    const { checker, ledger, onFatal } = this.#dependencies;
    return new Batches(
      { self, lane },
      {
        checker,
        faults: this.#faults,
        submit: (payload) => this.#tell((runtime) => runtime.submit(payload)),
        onChecked: (lane, ref, valid, signatures) =>
          this.#tell((runtime) => runtime.batchChecked(lane, ref, valid, signatures)),
        isStored: (txId) => ledger.hasTransactionNow(txId),
        onFatal,
      },
    );
  }

  #createCertification(base: RunBase): Certification {
    const { self, consenters, sign } = this.#options;
    const { ledger, sha256, pool, onCertified, onFatal } = this.#dependencies;
    return new Certification(
      { self, consenters, sign, slot: base.firstSlot - 1 },
      {
        ledger,
        sha256,
        pool,
        send: (body, to) => this.#tell((runtime) => runtime.sendApplication(body, to)),
        onCertified,
        onProgress: () => this.#reportApplied(),
        onFault: (peer, reason) => this.#faults.blame(peer, { reason }, 'bad block signature'),
        onFatal,
      },
    );
  }

  #createSequencer(): DeliverySequencer {
    const { ledger, sha256, onDropped, onFatal } = this.#dependencies;
    return new DeliverySequencer({
      cutter: new BlockCutter(this.#options.batchSize),
      deduplicator: new Deduplicator(
        {},
        {
          hasTransactions: (txIds) => inParts(txIds, (part) => ledger.hasTransactions(part)),
          blocksOf: (txIds) => inParts(txIds, (part) => ledger.blocksOfTransactions(part)),
        },
      ),
      ledger,
      sha256,
      store: async (blocks) => {
        this.#storing += blocks.length;
        await ledger.appendBlocks(
          blocks.map(({ block, txIds }) => ({ block, txIds, isOwn: true })),
        );
        this.#storing -= blocks.length;
      },
      onStored: (blocks) => this.#certification.onStored(blocks),
      onApplied: (slot, height) => this.#certification.onApplied(slot, height),
      onCheckpoint: ({ slot, height, tipHash }) =>
        this.#tell((runtime) => runtime.checkpointed(slot, height, tipHash)),
      onDropped,
      onFatal,
    });
  }

  #createFetch(): BlockFetch {
    const { ledger, sha256, pool, isConnected, askBlocks } = this.#dependencies;
    const { consenters, self } = this.#options;
    return new BlockFetch(
      {
        replicas: consenters.length,
        faults: faultsOf(consenters.length),
        self,
        answerMs: FETCH_ANSWER_MS,
        retryMs: FETCH_RETRY_MS,
      },
      {
        isConnected,
        ask: askBlocks,
        storedHeight: () => ledger.storedHeight(),
        isInRun: (peer) => this.#quorum.isOpen(peer),
        takeCertified: async (fromNumber, blocks) => {
          const certified = { ledger, consenters, sha256, pool };
          const taken = await takeCertifiedRun(fromNumber, blocks, certified);
          for (const stored of taken) {
            this.#certification.onFetched(stored, stored.block.metadata[0] ?? new Uint8Array());
          }
          return taken.length;
        },
        take: async (number, bytes, isVouched) => {
          const fetched = { ledger, consenters, sha256, isVouched };
          const taken = await takeFetched(number, bytes, fetched);
          if (taken.kind !== 'stored') return taken;
          const { stored, metadata } = taken;
          if (metadata === undefined) this.#certification.onStored([stored]);
          else this.#certification.onFetched(stored, metadata);
          return taken;
        },
        onFault: (peer, reason) =>
          this.#faults.blame(peer, { reason }, 'a replica gave no good blocks; others are asked'),
      },
    );
  }

  #onSession(peer: number, open: boolean): void {
    this.#quorum.onSession(peer, open);
    if (open) this.#certification.onSession(peer);
  }

  #onDisk(state: 'full' | 'ok', message: string): void {
    this.#diskFull = state === 'full' ? message : undefined;
    const { log } = this.#dependencies;
    if (state === 'full') log.error({ reason: message }, 'the disk is full: ordering stands still');
    else log.info({}, 'the disk has room again: ordering goes on');
  }

  #onDeliver(delivery: Delivery): void {
    const { slot, timeMs, cut, checkpoint, path } = delivery;
    this.#executedSlot = slot;
    this.#path = path === 'fast' ? 'fast' : 'slow';
    const transactions = this.#batches.deliver(delivery.batches);
    if (transactions === undefined) return;
    this.#sequencer.push({ slot, timeMs, cut, checkpoint, transactions });
  }

  async #install({ slot, height, tipHash, frontier }: CheckpointState): Promise<void> {
    await this.#sequencer.resume({ slot, height, tipHash });
    this.#certification.resume(slot, height);
    this.#executedSlot = slot;
    this.#batches.passed(frontier);
  }

  #reportApplied(): void {
    const { appliedSlot, uncertified } = this.#certification;
    const blocks = uncertified + this.#storing;
    this.#tell((runtime) => runtime.applied(appliedSlot, blocks));
  }

  #watchMember(): void {
    this.#memberTimer = setInterval(() => {
      if (this.status?.mute !== false) return;
      clearInterval(this.#memberTimer);
      this.#dependencies.onMember();
    }, MEMBER_CHECK_MS);
  }
}
