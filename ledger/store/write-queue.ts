/**
 * Group commit: calls that arrive while the disk is busy are merged, in order, into one atomic
 * LevelDB batch, synced when any of them asks for it. What nobody waits for goes with the next
 * call, or by itself a little later.
 *
 * After a failed write nothing more is written: LevelDB's log may end in half a record, and what
 * followed it would be lost when the log is read again. Opening the ledger again cuts that off.
 */
import { LedgerError } from '../errors.ts';
import { type Database, type Operation, writeError } from './database.ts';
import { STORE_LIMITS } from './limits.ts';

export interface WriteJob {
  operations: Operation[];
  /** Bytes of keys and values. */
  bytes: number;
  /** `later`: not synced, and nobody waits for it. */
  durability: 'synced' | 'later';
  /**
   * Runs when the batch is stored, before the call's promise settles, in the order of the calls.
   */
  stored: () => void;
}

/** How long what nobody waits for waits for another call. */
const LATER_MS = 20;

interface WaitingJob extends WriteJob {
  resolve: () => void;
  reject: (error: LedgerError) => void;
}

export class WriteQueue {
  private readonly database: Database;
  private readonly location: string;
  private readonly waiting: WaitingJob[] = [];
  private waitingBytes = 0;
  /** Settles when nothing is waiting or being written; undefined when idle. */
  private draining: Promise<void> | undefined;
  /** Everything is to be written, whether anybody waits for it or not. */
  private overdue = false;
  private laterTimer: NodeJS.Timeout | undefined;
  /** The first failed write; every later call is answered with it. */
  private failed: LedgerError | undefined;

  constructor(database: Database, location: string) {
    this.database = database;
    this.location = location;
  }

  get failure(): LedgerError | undefined {
    return this.failed;
  }

  /** Throws `overloaded`, or the failure, before the caller changes any state. */
  requireRoom(bytes: number): void {
    if (this.failed !== undefined) throw this.failed;
    if (
      this.waiting.length >= STORE_LIMITS.waitingCallsMax ||
      (this.waiting.length > 0 && this.waitingBytes + bytes > STORE_LIMITS.waitingBytesMax)
    ) {
      throw new LedgerError(
        'overloaded',
        `${this.waiting.length} calls with ${this.waitingBytes} bytes wait for the disk: await earlier calls before the next`,
      );
    }
  }

  push(job: WriteJob): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ ...job, resolve, reject });
      this.waitingBytes += job.bytes;
      if (isAwaited(job)) {
        this.draining ??= this.drain();
      } else if (this.draining === undefined) this.drainLater();
    });
  }

  /** Settles when all that was pushed is stored or failed. */
  async idle(): Promise<void> {
    for (;;) {
      if (this.waiting.length > 0) this.drainAll();
      if (this.draining === undefined) return;
      await this.draining;
    }
  }

  private drainLater(): void {
    this.laterTimer ??= setTimeout(() => this.drainAll(), LATER_MS);
  }

  private drainAll(): void {
    this.overdue = true;
    this.draining ??= this.drain();
  }

  private async drain(): Promise<void> {
    // One microtask later, so that calls of the same turn share the first batch.
    await Promise.resolve();
    clearTimeout(this.laterTimer);
    this.laterTimer = undefined;
    while (this.waiting.length > 0 && (this.overdue || this.waiting.some(isAwaited))) {
      const group = this.takeGroup();
      try {
        if (this.failed === undefined) await this.write(group);
      } catch (error) {
        this.failed = writeError(error, this.location);
      }
      for (const job of group) {
        if (this.failed === undefined) {
          job.stored();
          job.resolve();
        } else {
          job.reject(this.failed);
        }
      }
    }
    this.draining = undefined;
    this.overdue = false;
    if (this.waiting.length > 0) this.drainLater();
  }

  /** A chained batch takes operations as they are; of an array abstract-level copies each, at four times the cost. */
  private write(group: readonly WaitingJob[]): Promise<void> {
    const batch = this.database.batch();
    for (const { operations } of group) {
      for (const operation of operations) {
        if (operation.type === 'put') batch.put(operation.key, operation.value);
        else batch.del(operation.key);
      }
    }
    return batch.write({ sync: group.some(isAwaited) });
  }

  private takeGroup(): WaitingJob[] {
    let bytes = 0;
    let count = 0;
    for (const job of this.waiting) {
      if (count > 0 && bytes + job.bytes > STORE_LIMITS.batchBytesMax) break;
      bytes += job.bytes;
      count += 1;
    }
    this.waitingBytes -= bytes;
    return this.waiting.splice(0, count);
  }
}

function isAwaited({ durability }: WriteJob): boolean {
  return durability === 'synced';
}
