/**
 * What lasts. A process has one disk; each channel has a log and a ledger on it. A crash loses
 * everything that was not synced, or all but the first so many writes of it, as it happens.
 */
import type { Actor, EventQueue } from './event-queue.ts';
import type { Random } from './random.ts';

export interface DiskProfile {
  readonly syncMs: number;
  readonly jitterMs: number;
  readonly spikeChance: number;
  readonly spikeMs: number;
}

/** The device beneath a process's logs and ledgers. */
export class Disk {
  profile: DiskProfile;
  /** Nothing is written before this time. */
  stalledUntilMs = -Infinity;
  /** No space: nothing is written until that has been mended. */
  isFull = false;
  readonly queue: EventQueue;
  readonly random: Random;
  /** Writers that wait for space. */
  readonly #waiting: (() => void)[] = [];

  constructor(profile: DiskProfile, dependencies: { queue: EventQueue; random: Random }) {
    this.profile = profile;
    this.queue = dependencies.queue;
    this.random = dependencies.random;
  }

  /** When a sync that begins now is done. */
  doneMs(): number {
    const { syncMs, jitterMs, spikeChance, spikeMs } = this.profile;
    const spike = this.random.chance(spikeChance) ? this.random.next() * spikeMs : 0;
    const beginMs = Math.max(this.queue.nowMs, this.stalledUntilMs);
    return beginMs + syncMs + this.random.next() * jitterMs + spike;
  }

  waitForSpace(retry: () => void): void {
    this.#waiting.push(retry);
  }

  mend(): void {
    this.isFull = false;
    this.stalledUntilMs = -Infinity;
    for (const retry of this.#waiting.splice(0)) retry();
  }
}

/**
 * Writes that become lasting in order, several with one sync: what waits while a sync runs goes
 * into the next one.
 */
abstract class SyncedWriter<T> implements Actor {
  readonly #disk: Disk;
  #waiting: T[] = [];
  #syncing: T[] = [];
  /** Writes handed in, and writes that are on disk. */
  #written = 0;
  #synced = 0;
  /** Goes up with each crash: what is under way then never ends. */
  #life = 0;
  onSynced: () => void = () => {};

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** It is on disk now. */
  protected abstract apply(write: T): void;

  get synced(): number {
    return this.#synced;
  }

  /** Nothing is on its way. */
  get isIdle(): boolean {
    return this.#synced === this.#written;
  }

  /** Returns its number: it is on disk once `synced` has come so far. */
  protected write(item: T): number {
    this.#waiting.push(item);
    this.#written++;
    if (this.#syncing.length === 0) this.#begin();
    return this.#written;
  }

  #begin(): void {
    if (this.#waiting.length === 0 || this.#syncing.length > 0) return;
    if (this.#disk.isFull) {
      const life = this.#life;
      this.#disk.waitForSpace(() => {
        if (life === this.#life) this.#begin();
      });
      return;
    }
    this.#syncing = this.#waiting;
    this.#waiting = [];
    this.#disk.queue.schedule(this.#disk.doneMs(), this, 0, this.#life);
  }

  onEvent(_kind: number, life: number): void {
    if (life !== this.#life) return;
    const done = this.#syncing;
    this.#syncing = [];
    for (const item of done) this.apply(item);
    this.#synced += done.length;
    this.#begin();
    this.onSynced();
  }

  /** Power is lost: some of what was being written may be there all the same. */
  crash(): void {
    const reached = this.#disk.random.below(this.#syncing.length + 1);
    for (const item of this.#syncing.slice(0, reached)) this.apply(item);
    this.#syncing = [];
    this.#waiting = [];
    this.#written = 0;
    this.#synced = 0;
    this.#life++;
    this.onSynced = () => {};
  }
}

type LogWrite =
  | { readonly kind: 'append'; readonly record: Uint8Array }
  | { readonly kind: 'rotate'; readonly records: readonly Uint8Array[] };

/** A replica's log of records. */
export class SimulatedLog extends SyncedWriter<LogWrite> {
  /** Lasting, in order. */
  #records: Uint8Array[] = [];

  append(record: Uint8Array): number {
    return this.write({ kind: 'append', record });
  }

  rotate(records: readonly Uint8Array[]): number {
    return this.write({ kind: 'rotate', records });
  }

  get records(): readonly Uint8Array[] {
    return this.#records;
  }

  protected override apply(write: LogWrite): void {
    if (write.kind === 'append') this.#records.push(write.record);
    else this.#records = [...write.records];
  }

  /** The disk is gone. */
  lose(): void {
    this.#records = [];
  }
}

export interface Block {
  readonly number: number;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
  /** Of the transactions, in order. */
  readonly txIds: readonly number[];
  readonly bytes: readonly Uint8Array[];
}

/** A replica's stored blocks, from block 1 on; block 0 is the same everywhere and not kept. */
export class SimulatedLedger extends SyncedWriter<Block> {
  readonly blocks: Block[] = [];
  readonly #heights = new Map<number, number>();
  /** A block has become lasting. */
  readonly #onStored: (block: Block) => void;

  constructor(disk: Disk, onStored: (block: Block) => void) {
    super(disk);
    this.#onStored = onStored;
  }

  store(block: Block): number {
    return this.write(block);
  }

  protected override apply(block: Block): void {
    this.blocks.push(block);
    for (const txId of block.txIds) this.#heights.set(txId, block.number);
    this.#onStored(block);
  }

  /** Number of blocks, block 0 included. */
  get height(): number {
    return this.blocks.length + 1;
  }

  blockAt(number: number): Block | undefined {
    return this.blocks[number - 1];
  }

  /** Number of the stored block that holds this transaction. */
  blockOf(txId: number): number | undefined {
    return this.#heights.get(txId);
  }

  lose(): void {
    this.blocks.length = 0;
    this.#heights.clear();
  }
}
