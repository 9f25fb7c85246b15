/**
 * What becomes of blocks between disk and certificate: they are signed, their certificates gathered, stored and
 * told in block order; meanwhile the stream is held back when they become too many (`AppliedGate`).
 */
import { type ConsenterKey, type Sha256, txIdOf } from '../../ledger/format/index.ts';
import type { Ledger } from '../../ledger/store/index.ts';
import { asError } from '../errors.ts';
import { ORDERER_LIMITS } from '../limits.ts';
import type { VerifyPool } from '../signature/index.ts';
import { AppliedGate } from './applied-gate.ts';
import { Certifier } from './certifier.ts';
import type { StoredBlock } from './sequencer.ts';

/** A block without its quorum for this long makes the replica ask the others for their signatures. */
const SIGNATURE_RETRY_MS = 250;

export interface CertificationOptions {
  readonly self: number;
  readonly consenters: readonly ConsenterKey[];
  readonly sign: (message: Uint8Array) => Uint8Array;
  /** Last slot before the run, or of the checkpoint from which it goes on. */
  readonly slot: number;
}

export interface CertificationDependencies {
  readonly ledger: Ledger;
  readonly sha256: Sha256;
  readonly pool: VerifyPool;
  /** To every connected replica when `to` is undefined. */
  readonly send: (body: Uint8Array, to?: number) => void;
  /** The block and its certificate are in the ledger. In block order. */
  readonly onCertified: (block: StoredBlock, signaturesMetadata: Uint8Array) => void;
  /** `appliedSlot` or `uncertified` may have changed. */
  readonly onProgress: () => void;
  readonly onFault: (peer: number, reason: string) => void;
  readonly onFatal: (error: Error) => void;
}

export class Certification {
  readonly #dependencies: CertificationDependencies;
  readonly #certifier: Certifier;
  readonly #gate: AppliedGate;
  /** Stored here and not certified yet, by number. */
  readonly #uncertified = new Map<number, StoredBlock>();
  /** Certificates in the ledger whose turn has not come: certificates complete in any order. */
  readonly #attached = new Map<number, { stored: StoredBlock; metadata: Uint8Array }>();
  #nextAnnounced: number;
  #attaching: Promise<void> = Promise.resolve();
  #retryTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: CertificationOptions, dependencies: CertificationDependencies) {
    const { ledger, pool, send, onFault } = dependencies;
    this.#dependencies = dependencies;
    this.#nextAnnounced = ledger.certifiedHeight();
    this.#gate = new AppliedGate(ORDERER_LIMITS, options.slot, this.#nextAnnounced);
    this.#certifier = new Certifier(options, ledger.storedHeight(), {
      pool,
      send: (body, to) => {
        if (!this.#stopped) send(body, to);
      },
      onCertified: (number, metadata) => this.#onCertified(number, metadata),
      certificate: async (number) =>
        number < ledger.certifiedHeight() ? ledger.certificate(number) : undefined,
      onFault,
    });
  }

  /** Last slot that consensus may count as applied. */
  get appliedSlot(): number {
    return this.#gate.slot;
  }

  get uncertified(): number {
    return this.#uncertified.size;
  }

  /** Reads the blocks that an earlier run stored and that have no certificate yet. Before anything else. */
  async load(): Promise<void> {
    const { ledger } = this.#dependencies;
    const end = ledger.storedHeight();
    for (let number = ledger.certifiedHeight(); number < end; number++) {
      const block = await ledger.storedBlock(number);
      const header = await ledger.header(number);
      if (block === undefined || header === undefined) throw new Error(`no block ${number}`);
      const stored = { block, headerHash: header.hash, txIds: block.data.map(txIdOf) };
      const certificate = await ledger.certificate(number);
      this.#gate.stored(number, dataBytes(stored));
      if (certificate === undefined) this.#uncertified.set(number, stored);
      else this.#attached.set(number, { stored, metadata: certificate });
    }
  }

  /** Signs what `load` found: once, whether these blocks are cut again from the stream or not. */
  begin(): void {
    for (const stored of this.#uncertified.values()) this.#certifier.onStored(stored);
    this.#armRetry();
  }

  /** These blocks are on disk; in block order. */
  onStored(blocks: readonly StoredBlock[]): void {
    for (const stored of blocks) {
      const { number } = stored.block.header;
      this.#uncertified.set(number, stored);
      this.#gate.stored(number, dataBytes(stored));
      this.#certifier.onStored(stored);
    }
    this.#armRetry();
  }

  /** The block came from another replica with its certificate, and is on disk. */
  onFetched(stored: StoredBlock, metadata: Uint8Array): void {
    const { number } = stored.block.header;
    this.#gate.stored(number, dataBytes(stored));
    this.#attached.set(number, { stored, metadata });
    this.#certifier.onFetched(number + 1);
    this.#announce();
  }

  /** Everything up to the slot is on disk. */
  onApplied(slot: number, height: number): void {
    this.#gate.applied(slot, height);
    this.#dependencies.onProgress();
  }

  /** The stream goes on after this slot. */
  resume(slot: number, height: number): void {
    this.#gate.resume(slot, height);
  }

  onMessage(from: number, body: Uint8Array): void {
    if (!this.#stopped) this.#certifier.onMessage(from, body);
  }

  onSession(peer: number): void {
    this.#certifier.requestMissing(peer);
  }

  /** Resolves when no certificate is being written any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#retryTimer);
    await this.#attaching;
  }

  #onCertified(number: number, metadata: Uint8Array): void {
    const stored = this.#uncertified.get(number);
    this.#uncertified.delete(number);
    if (stored === undefined) throw new Error(`block ${number} was certified before it was stored`);
    if (this.#stopped) return;
    const attached = this.#dependencies.ledger.attachCertificate(number, metadata);
    this.#attaching = Promise.all([this.#attaching, attached]).then(
      () => {
        this.#attached.set(number, { stored, metadata });
        this.#announce();
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
      this.#attached.delete(this.#nextAnnounced);
      this.#gate.certified(this.#nextAnnounced++);
      this.#dependencies.onCertified(next.stored, next.metadata);
    }
    this.#dependencies.onProgress();
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

function dataBytes({ block }: StoredBlock): number {
  return block.data.reduce((sum, envelope) => sum + envelope.length, 0);
}
