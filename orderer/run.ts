/**
 * One run of one channel: from the block at which the replicas agreed to begin until the process stops.
 * Wires consensus (worker), lane, delivery and certification; knows nothing of HTTP.
 */
import type { BatchRef, CoreLimits, CoreStatus } from '../consensus/core/index.ts';
import type { Delivery } from '../consensus/runtime/protocol.ts';
import { ConsensusRuntime } from '../consensus/runtime/runtime.ts';
import { decodeEnvelopeList } from '../consensus/wire/index.ts';
import {
  type BlockHeader,
  type ConsenterKey,
  parseEnvelope,
  type Sha256,
} from '../ledger/format/index.ts';
import { type Ledger, STORE_LIMITS } from '../ledger/store/index.ts';
import type { WaitMode } from '../rdma/contract.ts';
import { BatchBook } from './batch-book.ts';
import { AppliedGate } from './chain/applied-gate.ts';
import { BlockBuilder } from './chain/block-builder.ts';
import { Certifier } from './chain/certifier.ts';
import { DeliverySequencer, type StoredBlock } from './chain/sequencer.ts';
import { BlockCutter } from './cutter/index.ts';
import { Deduplicator } from './dedupe/index.ts';
import type { CheckedTransaction, EnvelopeChecker } from './envelope/index.ts';
import { asError } from './errors.ts';
import { evidenceFields } from './evidence.ts';
import { LaneFeeder, type LaneFeederOptions } from './lane-feeder.ts';
import { ORDERER_LIMITS } from './limits.ts';
import type { Log } from './log.ts';
import type { RunBase } from './run-base.ts';
import type { VerifyPool } from './signature/index.ts';

/** A block without its quorum for this long makes the replica ask the others for their signatures. */
const SIGNATURE_RETRY_MS = 250;

export interface RunOptions {
  readonly channel: string;
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  readonly batchSize: {
    readonly maxMessageCount: number;
    readonly absoluteMaxBytes: number;
    readonly preferredMaxBytes: number;
  };
  readonly batchTimeoutMs: number;
  readonly limits: CoreLimits;
  readonly lane: LaneFeederOptions;
  readonly waitMode: WaitMode;
  readonly spinUs: number;
  readonly incarnation: string;
  /** Ed25519 seed of the consenter key. */
  readonly signingSeed: Uint8Array;
  /** Signs with the consenter key, on this thread. */
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export interface RunDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly pool: VerifyPool;
  readonly checker: EnvelopeChecker;
  readonly log: Log;
  /** The block and its certificate are in the ledger. In block order. */
  readonly onCertified: (block: StoredBlock, signaturesMetadata: Uint8Array) => void;
  readonly onDropped: (transaction: CheckedTransaction, why: 'expired' | 'duplicate') => void;
  /** What a peer wrote into a ring broke it: its session must be opened anew. */
  readonly onTransportFault: (peer: number, reason: string) => void;
  readonly onFatal: (error: Error) => void;
}

export class Run {
  readonly #options: RunOptions;
  readonly #dependencies: RunDependencies;
  readonly #book = new BatchBook();
  readonly #feeder: LaneFeeder;
  readonly #sequencer: DeliverySequencer;
  readonly #certifier: Certifier;
  /** Stored here and not certified yet, by number. */
  readonly #uncertified = new Map<number, StoredBlock>();
  /** Certificates in the ledger whose turn has not come: certificates complete in any order. */
  readonly #attached = new Map<number, { stored: StoredBlock; metadata: Uint8Array }>();
  #nextAnnounced: number;
  #runtime!: ConsensusRuntime;
  #storing = 0;
  readonly #gate: AppliedGate;
  readonly #faultLines: number[];
  #executedSlot: number;
  #path: 'fast' | 'slow' = 'fast';
  #retryTimer: NodeJS.Timeout | undefined;
  #attaching: Promise<void> = Promise.resolve();
  #stopped = false;

  private constructor(
    options: RunOptions,
    base: RunBase,
    tip: { header: BlockHeader; hash: Uint8Array },
    dependencies: RunDependencies,
  ) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#gate = new AppliedGate(ORDERER_LIMITS, base.firstSlot - 1);
    this.#faultLines = options.consenters.map(() => 0);
    this.#executedSlot = base.firstSlot - 1;
    this.#nextAnnounced = dependencies.ledger.certifiedHeight();
    this.#feeder = new LaneFeeder(options.lane, {
      submit: (payload) => this.#runtime.submit(payload),
      onBatch: (ref, transactions) => {
        this.#book.expect(options.self, ref);
        this.#book.put(options.self, ref, transactions);
      },
    });
    this.#certifier = this.#createCertifier(tip.header.number + 1);
    this.#sequencer = this.#createSequencer(tip);
  }

  static async start(
    options: RunOptions,
    base: RunBase,
    dependencies: RunDependencies,
  ): Promise<Run> {
    const { ledger } = dependencies;
    const { hash, ...header } = ledger.tip();
    const run = new Run(options, base, { header, hash }, dependencies);
    run.#runtime = await ConsensusRuntime.start(
      {
        channel: options.channel,
        self: options.self,
        replicas: options.consenters.length,
        runId: base.runId,
        firstSlot: base.firstSlot,
        baseTimeMs: base.baseTimeMs,
        batchTimeoutMs: options.batchTimeoutMs,
        limits: options.limits,
        waitMode: options.waitMode,
        spinUs: options.spinUs,
        signingSeed: options.signingSeed,
        consenterKeys: options.consenters.map(({ publicKey }) => publicKey),
        incarnation: options.incarnation,
      },
      {
        onSession: (peer, open) => run.#onSession(peer, open),
        onOwnBatch: (ref) => run.#feeder.written(ref),
        onCheckBatch: (lane, ref, payload) => void run.#checkBatch(lane, ref, payload),
        onDropBatch: (lane, ref) => run.#dropBatch(lane, ref),
        onDeliver: (delivery) => run.#onDeliver(delivery),
        onApplication: (from, body) => run.#certifier.onMessage(from, body),
        onEvidence: (evidence) =>
          dependencies.log.warn(evidenceFields(evidence), 'a replica misbehaved'),
        onTransportFault: dependencies.onTransportFault,
        onFatal: dependencies.onFatal,
      },
    );
    try {
      await run.#resumeUncertified();
    } catch (error) {
      await run.stop();
      throw error;
    }
    return run;
  }

  /** Transport calls for the session bootstrap. */
  get runtime(): ConsensusRuntime {
    return this.#runtime;
  }

  get status(): CoreStatus | undefined {
    return this.#runtime.status;
  }

  get executedSlot(): number {
    return this.#executedSlot;
  }

  /** Path of the last commit. */
  get path(): 'fast' | 'slow' {
    return this.#path;
  }

  hasRoom(bytes: number): boolean {
    return this.#feeder.hasRoom(bytes);
  }

  submit(transaction: CheckedTransaction): void {
    this.#feeder.push(transaction);
  }

  /** Stops consensus, then waits for what is decided already to be stored. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
    await this.#runtime.stop();
    await this.#sequencer.drained();
    await this.#attaching;
  }

  #createCertifier(storedHeight: number): Certifier {
    const { self, consenters, sign } = this.#options;
    const { pool, ledger } = this.#dependencies;
    return new Certifier({ self, consenters, sign }, storedHeight, {
      pool,
      send: (body, to) => {
        if (!this.#stopped) this.#runtime.sendApplication(body, to);
      },
      onCertified: (number, metadata) => this.#onCertified(number, metadata),
      certificate: async (number) =>
        number < ledger.certifiedHeight() ? ledger.certificate(number) : undefined,
      onFault: (peer, reason) => this.#warn(peer, { reason }, 'bad block signature'),
    });
  }

  #createSequencer(tip: { header: BlockHeader; hash: Uint8Array }): DeliverySequencer {
    const { ledger, sha256, onDropped, onFatal } = this.#dependencies;
    return new DeliverySequencer({
      cutter: new BlockCutter(this.#options.batchSize),
      deduplicator: new Deduplicator(
        {},
        { hasTransactions: (txIds) => hasTransactions(ledger, txIds) },
      ),
      builder: new BlockBuilder(tip, sha256),
      store: async (blocks) => {
        this.#storing += blocks.length;
        await ledger.appendBlocks(blocks.map(({ block, txIds }) => ({ block, txIds: [...txIds] })));
        this.#storing -= blocks.length;
      },
      onStored: (blocks) => this.#onStored(blocks),
      onApplied: (slot) => {
        this.#gate.applied(slot);
        this.#reportApplied();
      },
      onDropped,
      onFatal,
    });
  }

  /** Blocks of the last run that have no certificate yet: this run's replicas sign them again. */
  async #resumeUncertified(): Promise<void> {
    const { ledger } = this.#dependencies;
    const blocks: StoredBlock[] = [];
    for (let number = ledger.certifiedHeight(); number < ledger.storedHeight(); number++) {
      const block = await ledger.storedBlock(number);
      const header = await ledger.header(number);
      if (block === undefined || header === undefined) throw new Error(`no block ${number}`);
      blocks.push({ block, headerHash: header.hash, txIds: block.data.map(txIdOf) });
    }
    if (blocks.length > 0) this.#onStored(blocks);
  }

  #onSession(peer: number, open: boolean): void {
    if (open) this.#certifier.requestMissing(peer);
  }

  async #checkBatch(lane: number, ref: BatchRef, payload: Uint8Array): Promise<void> {
    this.#book.expect(lane, ref);
    const list = decodeEnvelopeList(payload);
    if (list.kind === 'malformed') {
      this.#warn(lane, { reason: list.reason }, 'malformed batch');
      return this.#runtime.batchChecked(lane, ref, false);
    }
    try {
      const checked = await this.#dependencies.checker.checkBatch(list.value, lane);
      if (this.#stopped) return;
      if (checked.kind === 'valid') this.#book.put(lane, ref, checked.transactions);
      else this.#warn(lane, { refusal: checked.refusal }, 'invalid batch');
      this.#runtime.batchChecked(lane, ref, checked.kind === 'valid');
    } catch (error) {
      // A full or closing pool says nothing about the batch, and a wrong answer would be lasting.
      if (!this.#stopped) this.#dependencies.onFatal(asError(error));
    }
  }

  /** A batch of the own lane that will never be ordered goes into a new one (docs/protocol.md, L7). */
  #dropBatch(lane: number, ref: BatchRef): void {
    const transactions = this.#book.take(lane, ref);
    if (lane !== this.#options.self || !this.#feeder.settled(ref)) return;
    for (const transaction of transactions ?? []) this.#feeder.push(transaction);
  }

  #onDeliver(delivery: Delivery): void {
    this.#executedSlot = delivery.slot;
    this.#path = delivery.path === 'fast' ? 'fast' : 'slow';
    const transactions: CheckedTransaction[] = [];
    for (const { lane, ref } of delivery.batches) {
      const batch = this.#book.take(lane, ref);
      if (batch === undefined) {
        return this.#dependencies.onFatal(
          new Error(
            `a quorum found batch ${ref.seq} of lane ${lane} valid and this replica did not: ` +
              'compare the version and the configuration of the replicas',
          ),
        );
      }
      transactions.push(...batch);
      if (lane === this.#options.self) this.#feeder.settled(ref);
    }
    const { slot, timeMs, cut } = delivery;
    this.#sequencer.push({ slot, timeMs, cut, transactions });
  }

  #onStored(blocks: readonly StoredBlock[]): void {
    for (const stored of blocks) {
      this.#uncertified.set(stored.block.header.number, stored);
      this.#gate.stored(dataBytes(stored));
      this.#certifier.onStored(stored);
    }
    this.#armRetry();
  }

  #onCertified(number: number, metadata: Uint8Array): void {
    const stored = this.#uncertified.get(number);
    this.#uncertified.delete(number);
    if (stored === undefined) throw new Error(`block ${number} was certified before it was stored`);
    const attached = this.#dependencies.ledger.attachCertificate(number, metadata);
    this.#attaching = Promise.all([this.#attaching, attached]).then(
      () => {
        this.#attached.set(number, { stored, metadata });
        this.#announce();
        this.#reportApplied();
      },
      (error: unknown) => this.#dependencies.onFatal(asError(error)),
    );
  }

  #announce(): void {
    for (
      let next = this.#attached.get(this.#nextAnnounced);
      next !== undefined;
      next = this.#attached.get(this.#nextAnnounced)
    ) {
      this.#attached.delete(this.#nextAnnounced++);
      this.#gate.certified(dataBytes(next.stored));
      this.#dependencies.onCertified(next.stored, next.metadata);
    }
  }

  #reportApplied(): void {
    if (this.#stopped) return;
    this.#runtime.applied(this.#gate.slot, this.#uncertified.size + this.#storing);
  }

  /** What one faulty peer does must not fill the disk with lines. */
  #warn(peer: number, data: object, message: string): void {
    const lines = (this.#faultLines[peer] ?? 0) + 1;
    this.#faultLines[peer] = lines;
    if (lines <= ORDERER_LIMITS.faultLinesMax)
      this.#dependencies.log.warn({ peer, ...data }, message);
  }

  #armRetry(): void {
    if (this.#retryTimer !== undefined || this.#uncertified.size === 0 || this.#stopped) return;
    const oldest = this.#uncertified.keys().next().value;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      if (oldest !== undefined && this.#uncertified.has(oldest)) this.#certifier.requestMissing();
      this.#armRetry();
    }, SIGNATURE_RETRY_MS);
  }
}

/** A slot may hold more transactions than the ledger looks up at once. */
async function hasTransactions(ledger: Ledger, txIds: readonly string[]): Promise<boolean[]> {
  const found: boolean[] = [];
  for (let from = 0; from < txIds.length; from += STORE_LIMITS.lookupIdsMax) {
    found.push(
      ...(await ledger.hasTransactions(txIds.slice(from, from + STORE_LIMITS.lookupIdsMax))),
    );
  }
  return found;
}

function dataBytes({ block }: StoredBlock): number {
  return block.data.reduce((sum, envelope) => sum + envelope.length, 0);
}

function txIdOf(envelope: Uint8Array): string | undefined {
  const parsed = parseEnvelope(envelope);
  return parsed.kind === 'ok' ? parsed.value.channelHeader.txId : undefined;
}
