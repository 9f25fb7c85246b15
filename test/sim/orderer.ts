/**
 * A small deterministic orderer over one core: checks peers' batches, keeps their transactions, turns deliveries
 * into stored blocks, feeds its own lane with what clients submit, and installs checkpoints.
 */
import type { Batch, BatchRef, CheckExtent, Effect, Input } from '../../consensus/core/index.ts';
import { Book } from './batch-book.ts';
import { ChainBuilder, type ChainTip, GENESIS_HASH, GENESIS_HEIGHT, leadsTo } from './chain.ts';
import { isEqual } from './crypto.ts';
import type { Block, SimulatedLedger } from './disk.ts';
import type { Actor, EventQueue } from './event-queue.ts';
import { LaneFeeder } from './lane-feeder.ts';
import type { Protocol } from './protocol.ts';
import type { Random } from './random.ts';
import type { ParsedTransaction, Transactions } from './transactions.ts';

type Delivery = Extract<Effect, { kind: 'deliver' }>;
type Transfer = Extract<Effect, { kind: 'transfer' }>;

export interface OrdererOptions {
  readonly self: number;
  readonly start: ChainTip;
  readonly blockTransactionsMax: number;
  readonly batchTransactionsMax: number;
  readonly ownBatchesPendingMax: number;
  /** What looking at the signatures of a batch takes at most. */
  readonly signatureCheckMs: number;
  /** It spreads what no client has signed, and finds everything valid. */
  readonly isLying: boolean;
}

export interface OrdererDependencies {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly wire: Protocol['wire'];
  readonly ledger: SimulatedLedger;
  readonly transactions: Transactions;
  readonly step: (input: Input) => void;
  /** Blocks `from` to `to - 1` of another replica; undefined when it has none to give, or is not there. */
  readonly fetchBlocks: (from: number, to: number) => readonly Block[] | undefined;
  readonly isCertifiable: () => boolean;
  readonly onSlot: (delivery: Delivery, transactions: readonly ParsedTransaction[]) => void;
  readonly onBroken: (rule: string) => void;
}

interface Applying {
  readonly slot: number;
  /** Number of the ledger write to wait for; 0: none. */
  readonly write: number;
  readonly checkpoint: boolean;
  readonly tip: ChainTip;
}

const CHECKED = 0;
const APPLY = 1;
const FLUSH = 2;
const CERTIFIED = 3;
const FETCH = 4;

/** Its lane goes no further behind one of these, so there must be others before. */
const UNSIGNED_CHANCE = 0.2;
const READ_MS_MAX = 0.3;
const FETCH_MS_MAX = 15;
const FETCH_RETRY_MS_MAX = 60;
const CERTIFY_RETRY_MS = 40;

export class Orderer implements Actor {
  readonly #options: OrdererOptions;
  readonly #dependencies: OrdererDependencies;
  readonly #chain: ChainBuilder;
  readonly #feeder: LaneFeeder;
  readonly book = new Book();
  readonly #applying: Applying[] = [];
  #applyScheduled = false;
  #appliedSlot = -1;
  /** Stored and not certified. */
  #uncertified = 0;
  /** Blocks below this number are lasting, and what they hold is settled. */
  #settled: number;
  #transfer: Transfer['state'] | undefined;
  #fetchScheduled = false;
  /** Its process has ended: what is still scheduled is void. */
  #stopped = false;

  constructor(options: OrdererOptions, dependencies: OrdererDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#settled = options.start.height;
    const { ledger } = dependencies;
    this.#chain = new ChainBuilder(ledger, options.blockTransactionsMax, options.start);
    this.#feeder = new LaneFeeder(options, {
      ledger,
      submit: (envelopes) => {
        const payload = dependencies.wire.encodeEnvelopeList(this.#spoiled(envelopes));
        dependencies.step({ kind: 'submit', payload });
      },
      envelope: (txId) => dependencies.transactions.envelope(txId),
    });
    ledger.onSynced = () => this.#onSynced();
  }

  #spoiled(envelopes: readonly Uint8Array[]): readonly Uint8Array[] {
    const { random, transactions } = this.#dependencies;
    if (!this.#options.isLying || !random.chance(UNSIGNED_CHANCE)) return envelopes;
    return envelopes.map((_, index) => transactions.forged(index));
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Transactions that this replica has promised to order and that are in no stored block yet. */
  get promised(): ReadonlySet<number> {
    return this.#feeder.promised;
  }

  get isTransferring(): boolean {
    return this.#transfer !== undefined;
  }

  /** A client's transaction. False when it is refused. */
  submit(txId: number): boolean {
    if (!this.#feeder.accept(txId)) return false;
    this.#later(FLUSH, 0.2);
    return true;
  }

  #later(kind: number, withinMs: number, payload?: unknown): void {
    const { queue, random } = this.#dependencies;
    queue.schedule(queue.nowMs + random.next() * withinMs, this, kind, 0, 0, payload);
  }

  onEvent(kind: number, _a: number, _b: number, payload: unknown): void {
    if (this.#stopped) return;
    switch (kind) {
      case CHECKED:
        return this.#dependencies.step(payload as Input);
      case APPLY:
        return this.#apply();
      case FLUSH:
        return this.#feeder.flush();
      case CERTIFIED:
        return this.#certified();
      case FETCH:
        this.#fetchScheduled = false;
        return this.#fetch();
      default:
        throw new RangeError(`orderer event ${kind}`);
    }
  }

  /** What parses has a good form; what no client has issued has a bad signature. */
  checkBatch(batch: Batch, ref: BatchRef, extent: CheckExtent): void {
    const { lane } = batch;
    const { self, signatureCheckMs, isLying } = this.#options;
    const transactions = this.#parse(batch.payload);
    const signatures = extent !== 'form';
    const isSigned = transactions?.every(({ genuine }) => genuine) ?? false;
    const valid = isLying || (signatures ? isSigned : transactions !== undefined);
    if (extent === 'restored' && !valid) {
      this.#dependencies.onBroken('a batch of the own log is not valid');
    }
    // Late, it has been in the book, and may have been delivered.
    if (extent !== 'late') this.book.put(lane, ref, transactions ?? []);
    if (lane === self) this.#feeder.restored(ref, transactions ?? []);
    const takesMs = extent === 'all' || extent === 'late' ? signatureCheckMs : READ_MS_MAX;
    this.#later(CHECKED, takesMs, { kind: 'batch-checked', lane, ref, valid, signatures });
  }

  #parse(payload: Uint8Array): ParsedTransaction[] | undefined {
    const { wire, transactions } = this.#dependencies;
    const list = wire.decodeEnvelopeList(payload);
    if (list.kind === 'malformed') return undefined;
    const parsed: ParsedTransaction[] = [];
    for (const bytes of list.value) {
      const transaction = transactions.parse(bytes);
      if (transaction === undefined) return undefined;
      parsed.push(transaction);
    }
    return parsed;
  }

  /** The core has written a batch of the own lane. */
  ownBatch(batch: Batch, ref: BatchRef): void {
    const transactions = this.#parse(batch.payload) ?? [];
    this.book.put(this.#options.self, ref, transactions);
    this.#feeder.written(ref, transactions);
    this.#later(FLUSH, 0.2);
  }

  dropBatch(lane: number, ref: BatchRef): void {
    this.book.take(lane, ref);
    if (lane !== this.#options.self) return;
    this.#feeder.dropped(ref);
    this.#later(FLUSH, 0.2);
  }

  deliver(delivery: Delivery): void {
    const { onBroken, onSlot } = this.#dependencies;
    if (this.#transfer !== undefined) onBroken('a delivery during a transfer');
    const transactions: ParsedTransaction[] = [];
    for (const { lane, ref } of delivery.batches) {
      const taken = this.book.take(lane, ref);
      if (taken === undefined)
        onBroken(`delivered a batch of lane ${lane} that is not in the book`);
      if (lane === this.#options.self) this.#feeder.delivered(ref);
      for (const transaction of taken ?? []) transactions.push(transaction);
    }
    onSlot(delivery, transactions);
    let write = 0;
    for (const block of this.#chain.order(transactions, delivery.cut)) {
      write = Math.max(write, this.#store(block));
    }
    if (delivery.checkpoint && !this.#chain.isEmpty) onBroken('a checkpoint that cuts nothing');
    const { slot, checkpoint } = delivery;
    this.#applying.push({ slot, write, checkpoint, tip: this.#chain.tip });
    this.#scheduleApply();
    this.#later(FLUSH, 0.2);
  }

  /** Returns the number of the write to wait for; 0 when the ledger has the block already. */
  #store(block: Block): number {
    const { ledger, onBroken } = this.#dependencies;
    if (block.number >= ledger.height) return ledger.store(block);
    const stored = ledger.blockAt(block.number);
    if (stored !== undefined && !isEqual(stored.hash, block.hash)) {
      onBroken(`block ${block.number} is stored, and was cut again differently`);
    }
    this.#settle(block);
    this.#settled = block.number + 1;
    return 0;
  }

  #settle(block: Block): void {
    this.#chain.stored(block);
    this.#feeder.stored(block.txIds);
  }

  #onSynced(): void {
    if (this.#stopped) return;
    if (this.#applying.length > 0) this.#apply();
    else if (this.#transfer !== undefined) this.#fetch();
  }

  #scheduleApply(): void {
    if (this.#applyScheduled) return;
    this.#applyScheduled = true;
    this.#later(APPLY, 0.1);
  }

  /** Reports every slot whose blocks are on disk. */
  #apply(): void {
    this.#applyScheduled = false;
    const { ledger, step } = this.#dependencies;
    let slot = -1;
    for (let next = this.#applying[0]; next !== undefined; next = this.#applying[0]) {
      if (next.write > ledger.synced) break;
      this.#applying.shift();
      slot = next.slot;
      if (next.write > 0) this.#settleStored(next);
      if (!next.checkpoint) continue;
      const { height, hash } = next.tip;
      step({ kind: 'checkpointed', slot, height, tipHash: hash });
      if (this.#stopped) return;
    }
    if (slot >= 0) {
      this.#appliedSlot = slot;
      step({ kind: 'applied', slot, blocksUncertified: this.#uncertified });
    }
    if (this.#transfer !== undefined) this.#fetchLater(FETCH_MS_MAX);
  }

  /** Blocks of this slot, and of those before it, have become lasting. */
  #settleStored({ tip }: Applying): void {
    const { ledger } = this.#dependencies;
    for (; this.#settled < tip.height; this.#settled++) {
      const block = ledger.blockAt(this.#settled);
      if (block === undefined) break;
      this.#settle(block);
      this.#uncertified++;
      this.#later(CERTIFIED, 3);
    }
  }

  #certified(): void {
    const { isCertifiable, step } = this.#dependencies;
    if (!isCertifiable()) return this.#later(CERTIFIED, CERTIFY_RETRY_MS);
    this.#uncertified--;
    if (this.#appliedSlot < 0) return;
    step({ kind: 'applied', slot: this.#appliedSlot, blocksUncertified: this.#uncertified });
  }

  /** Installs a checkpoint: first what was delivered has to be applied. */
  transfer(state: Transfer['state']): void {
    this.#transfer = state;
    this.#fetchLater(FETCH_MS_MAX);
  }

  #fetchLater(withinMs: number): void {
    if (this.#fetchScheduled) return;
    this.#fetchScheduled = true;
    this.#later(FETCH, withinMs);
  }

  /** Does the next thing that the transfer needs; whatever it has to wait for calls it again. */
  #fetch(): void {
    const state = this.#transfer;
    const { ledger, fetchBlocks, onBroken } = this.#dependencies;
    if (state === undefined || this.#applying.length > 0 || !ledger.isIdle) return;
    const target: ChainTip = { height: state.height, hash: state.tipHash };
    const have = this.#ledgerTip(Math.min(ledger.height, state.height));
    if (ledger.height >= state.height) {
      if (!leadsTo([], have, target)) onBroken('the ledger contradicts a stable checkpoint');
      return this.#finishTransfer();
    }
    const blocks = fetchBlocks(ledger.height, state.height);
    if (blocks === undefined || !leadsTo(blocks, have, target)) {
      return this.#fetchLater(FETCH_RETRY_MS_MAX);
    }
    for (const block of blocks) ledger.store(block);
  }

  #ledgerTip(height: number): ChainTip {
    if (height === GENESIS_HEIGHT) return { height, hash: GENESIS_HASH };
    const block = this.#dependencies.ledger.blockAt(height - 1) as Block;
    return { height, hash: block.hash };
  }

  #finishTransfer(): void {
    const state = this.#transfer as Transfer['state'];
    this.#transfer = undefined;
    this.#chain.jump({ height: state.height, hash: state.tipHash });
    this.#settled = state.height;
    this.#feeder.jumped();
    this.#appliedSlot = state.slot;
    this.#dependencies.step({ kind: 'transferred', slot: state.slot });
    this.#later(FLUSH, 0.2);
  }
}
