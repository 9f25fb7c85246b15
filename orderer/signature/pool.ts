/**
 * Checks signatures on worker threads, so that 50 microseconds each never stand between a client
 * and the event loop; a few that come alone are checked at once, since the way to a thread and back
 * costs several times as much.
 *
 * Strictly first come, first served: items are dispatched in the order in which `verify` was
 * called, and the promises settle in that order too, whichever thread is faster. A caller with many
 * items keeps the queue fair by handing them in by parts (`envelope/check.ts` does).
 */
import { Worker } from 'node:worker_threads';
import { OrdererError } from '../errors.ts';
import { ORDERER_LIMITS } from '../limits.ts';
import { JOB_OVERHEAD_BYTES, jobItemBytes, readVerdict, writeJob } from './job.ts';
import { hasPlausibleLengths, type VerifyItem, verifySignature } from './verify.ts';

export interface VerifyPoolOptions {
  /** Worker threads; one checks ~16,000 signatures per second over 1 KB messages. */
  readonly threads: number;
  /** Signatures waiting or under way. */
  readonly queueMax: number;
  /** Bytes of their messages; ORDERER_LIMITS.verifyQueueBytesMax when absent. */
  readonly queueBytesMax?: number;
  /** The program that the threads run; `worker.js` beside this file when absent. */
  readonly workerFile?: URL;
  /** Signatures that the calling thread may check itself in a millisecond, when no others wait; 0 when absent. */
  readonly herePerMs?: number;
  /** Nice value of the threads; that of who starts them when absent. */
  readonly nice?: number | undefined;
}

export interface VerifyPoolStats {
  /** Threads alive. */
  readonly threads: number;
  readonly restarts: number;
  readonly itemsQueued: number;
  readonly bytesQueued: number;
  readonly callsWaiting: number;
  readonly itemsVerified: number;
}

/** One `verify` call. */
interface Call {
  readonly items: readonly VerifyItem[];
  readonly bytes: number;
  readonly verdicts: boolean[];
  /** Items handed to a thread or settled by their lengths. */
  dispatched: number;
  /** Items without a verdict; 0 means ready to settle. */
  missing: number;
  error: OrdererError | undefined;
  readonly resolve: (verdicts: boolean[]) => void;
  readonly reject: (error: OrdererError) => void;
}

interface JobEntry {
  readonly call: Call;
  readonly index: number;
}

interface Thread {
  worker: Worker;
  /** Posted and not answered, oldest first: a thread answers in order. */
  jobs: (readonly JobEntry[])[];
  lastError: unknown;
}

/** Largest call that the calling thread checks itself, and for how long it saves up what it did not. */
const HERE_ITEMS_MAX = 4;
const HERE_BURST_MS = 8;

/** A thread holds no state between jobs: these suffice and keep a replica small. */
const THREAD_MEMORY = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 32 };

export class VerifyPool {
  readonly #queueMax: number;
  readonly #queueBytesMax: number;
  readonly #workerFile: URL;
  readonly #herePerMs: number;
  readonly #nice: number | undefined;
  /** Signatures that may be checked on this thread now, and when that was reckoned. */
  #hereLeft = 0;
  #hereAtMs = 0;
  #threads: Thread[] = [];
  /** Admitted calls in order of submission; settles from the front. */
  readonly #calls: Call[] = [];
  /** Admitted calls with items that no thread has yet; a suffix of `#calls`. */
  readonly #undispatched: Call[] = [];
  /** Calls that wait for room, in order of submission. */
  readonly #waiting: Call[] = [];
  /** Job buffers of the standard size that came back. */
  readonly #spareBuffers: ArrayBuffer[] = [];
  #itemsQueued = 0;
  #bytesQueued = 0;
  #itemsVerified = 0;
  #restarts = 0;
  #restartsLeft: number;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: VerifyPoolOptions) {
    const { threads, queueMax } = options;
    if (!Number.isInteger(threads) || threads < 1 || threads > ORDERER_LIMITS.verifyThreadsMax) {
      throw new OrdererError(
        'bad_limits',
        `threads is ${threads}: give 1 to ${ORDERER_LIMITS.verifyThreadsMax}`,
      );
    }
    if (!Number.isInteger(queueMax) || queueMax < 1) {
      throw new OrdererError('bad_limits', `queueMax is ${queueMax}: give a positive integer`);
    }
    this.#queueMax = queueMax;
    this.#queueBytesMax = options.queueBytesMax ?? ORDERER_LIMITS.verifyQueueBytesMax;
    this.#workerFile = options.workerFile ?? new URL('./worker.js', import.meta.url);
    this.#herePerMs = options.herePerMs ?? 0;
    this.#nice = options.nice;
    this.#restartsLeft = threads;
    for (let i = 0; i < threads; i++) this.#threads.push(this.#startThread());
  }

  /**
   * Checks the signatures; verdicts in the order of the items. The caller must not change the bytes
   * before the promise settles.
   *
   * Rejects with OrdererError: `overloaded` when the queue is full (with `whenFull: 'wait'` it
   * waits for room instead, and rejects only when too many wait), `closed`, or `worker_failed` when
   * the thread died that had a part of the items. A rejection says nothing about any signature.
   */
  verify(
    items: readonly VerifyItem[],
    options: { readonly whenFull?: 'reject' | 'wait' } = {},
  ): Promise<boolean[]> {
    if (this.#closing !== undefined) return Promise.reject(closedError());
    if (this.#threads.length === 0) {
      return Promise.reject(failedError('every verify thread has died', undefined));
    }
    if (items.length === 0) return Promise.resolve([]);
    if (this.#mayCheckHere(items.length)) return Promise.resolve(this.#checkHere(items));
    const { promise, resolve, reject } = deferred<boolean[]>();
    let bytes = 0;
    for (const item of items) bytes += item.message.length;
    const verdicts = new Array<boolean>(items.length).fill(false);
    const missing = items.length;
    const call: Call = {
      items,
      bytes,
      verdicts,
      dispatched: 0,
      missing,
      error: undefined,
      resolve,
      reject,
    };
    if (this.#waiting.length === 0 && this.#hasRoom(call)) {
      this.#admit(call);
      this.#pump();
    } else if (
      options.whenFull === 'wait' &&
      this.#waiting.length < ORDERER_LIMITS.verifyWaitersMax
    ) {
      this.#waiting.push(call);
    } else {
      reject(overloadedError(this.#itemsQueued, this.#bytesQueued));
    }
    return promise;
  }

  /** Takes no more, answers everything taken, then ends the threads. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  stats(): VerifyPoolStats {
    return {
      threads: this.#threads.length,
      restarts: this.#restarts,
      itemsQueued: this.#itemsQueued,
      bytesQueued: this.#bytesQueued,
      callsWaiting: this.#waiting.length,
      itemsVerified: this.#itemsVerified,
    };
  }

  async #close(): Promise<void> {
    if (this.#calls.length > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    const threads = this.#threads;
    this.#threads = [];
    await Promise.all(threads.map((thread) => thread.worker.terminate()));
  }

  /** Order is kept: whoever came before has been answered. */
  #mayCheckHere(count: number): boolean {
    if (count > HERE_ITEMS_MAX || this.#calls.length > 0 || this.#waiting.length > 0) return false;
    const nowMs = performance.now();
    const earned = (nowMs - this.#hereAtMs) * this.#herePerMs;
    this.#hereLeft = Math.min(HERE_BURST_MS * this.#herePerMs, this.#hereLeft + earned);
    this.#hereAtMs = nowMs;
    if (this.#hereLeft < count) return false;
    this.#hereLeft -= count;
    return true;
  }

  #checkHere(items: readonly VerifyItem[]): boolean[] {
    this.#itemsVerified += items.length;
    return items.map(
      ({ key, message, signature }) =>
        hasPlausibleLengths(key, signature) && verifySignature(key, message, signature),
    );
  }

  /** A call larger than the whole queue gets in when it has the queue for itself. */
  #hasRoom(call: Call): boolean {
    if (this.#itemsQueued === 0) return true;
    return (
      this.#itemsQueued + call.items.length <= this.#queueMax &&
      this.#bytesQueued + call.bytes <= this.#queueBytesMax
    );
  }

  #admit(call: Call): void {
    this.#itemsQueued += call.items.length;
    this.#bytesQueued += call.bytes;
    this.#calls.push(call);
    this.#undispatched.push(call);
  }

  /** Gives work to every thread that has room for it. */
  #pump(): void {
    for (let round = 0; round < ORDERER_LIMITS.verifyJobsPerThreadMax; round++) {
      for (const thread of this.#threads) {
        if (thread.jobs.length > round) continue;
        const entries = this.#takeEntries();
        if (entries.length > 0) this.#post(thread, entries);
      }
    }
    this.#settleFront();
  }

  /**
   * The next items in order, as many as fit one job; settles on the way those whose lengths are
   * wrong.
   */
  #takeEntries(): JobEntry[] {
    const entries: JobEntry[] = [];
    let bytes = JOB_OVERHEAD_BYTES;
    for (let call = this.#undispatched[0]; call !== undefined; call = this.#undispatched[0]) {
      while (call.dispatched < call.items.length && call.error === undefined) {
        const item = call.items[call.dispatched] as VerifyItem;
        if (hasPlausibleLengths(item.key, item.signature)) {
          bytes += jobItemBytes(item);
          const full = entries.length >= ORDERER_LIMITS.verifyJobItemsMax;
          const tooLong = entries.length > 0 && bytes > ORDERER_LIMITS.verifyJobBytesMax;
          if (full || tooLong) return entries;
          entries.push({ call, index: call.dispatched });
        } else {
          call.missing--;
        }
        call.dispatched++;
      }
      this.#undispatched.shift();
    }
    return entries;
  }

  #post(thread: Thread, entries: readonly JobEntry[]): void {
    const items = entries.map(({ call, index }) => call.items[index] as VerifyItem);
    let bytes = JOB_OVERHEAD_BYTES;
    for (const item of items) bytes += jobItemBytes(item);
    const buffer =
      bytes <= ORDERER_LIMITS.verifyJobBytesMax
        ? (this.#spareBuffers.pop() ?? new ArrayBuffer(ORDERER_LIMITS.verifyJobBytesMax))
        : new ArrayBuffer(bytes);
    writeJob(buffer, items);
    thread.jobs.push(entries);
    // Only a thread at work keeps the process alive.
    thread.worker.ref();
    thread.worker.postMessage(buffer, [buffer]);
  }

  #onAnswer(thread: Thread, buffer: ArrayBuffer): void {
    const entries = thread.jobs.shift();
    if (entries === undefined) throw new OrdererError('misuse', 'a verify thread answered unasked');
    for (const [position, { call, index }] of entries.entries()) {
      call.verdicts[index] = readVerdict(buffer, position);
      call.missing--;
    }
    this.#itemsVerified += entries.length;
    const spareMax = this.#threads.length * ORDERER_LIMITS.verifyJobsPerThreadMax;
    if (
      buffer.byteLength === ORDERER_LIMITS.verifyJobBytesMax &&
      this.#spareBuffers.length < spareMax
    ) {
      this.#spareBuffers.push(buffer);
    }
    if (thread.jobs.length === 0) thread.worker.unref();
    this.#pump();
  }

  #settleFront(): void {
    for (let call = this.#calls[0]; call !== undefined; call = this.#calls[0]) {
      if (call.error === undefined && call.missing > 0) break;
      this.#calls.shift();
      this.#itemsQueued -= call.items.length;
      this.#bytesQueued -= call.bytes;
      if (call.error === undefined) call.resolve(call.verdicts);
      else call.reject(call.error);
    }
    let admitted = false;
    for (let call = this.#waiting[0]; call !== undefined; call = this.#waiting[0]) {
      if (!this.#hasRoom(call)) break;
      this.#waiting.shift();
      this.#admit(call);
      admitted = true;
    }
    if (admitted) this.#pump();
    else if (this.#calls.length === 0) this.#onIdle?.();
  }

  #startThread(): Thread {
    const worker = new Worker(this.#workerFile, {
      name: 'sluice-verify',
      workerData: { nice: this.#nice },
      resourceLimits: THREAD_MEMORY,
    });
    const thread: Thread = { worker, jobs: [], lastError: undefined };
    worker.unref();
    worker.on('message', (buffer: ArrayBuffer) => this.#onAnswer(thread, buffer));
    worker.on('error', (error) => {
      thread.lastError = error;
    });
    worker.on('exit', (exitCode) => this.#onExit(thread, exitCode));
    return thread;
  }

  /** A thread ended by itself: what it had is rejected, and it is started again once. */
  #onExit(thread: Thread, exitCode: number): void {
    const position = this.#threads.indexOf(thread);
    if (position < 0) return;
    const error = failedError(`a verify thread died (exit code ${exitCode})`, thread.lastError);
    for (const entries of thread.jobs) for (const { call } of entries) call.error ??= error;
    if (this.#restartsLeft > 0) {
      this.#restartsLeft--;
      this.#restarts++;
      this.#threads[position] = this.#startThread();
    } else {
      this.#threads.splice(position, 1);
    }
    if (this.#threads.length === 0) {
      for (const call of [...this.#calls, ...this.#waiting]) call.error ??= error;
      for (const call of this.#waiting.splice(0)) call.reject(error);
      this.#undispatched.length = 0;
    }
    this.#pump();
  }
}

function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: OrdererError) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: OrdererError) => void = () => {};
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

function closedError(): OrdererError {
  return new OrdererError('closed', 'the verify pool is closed: no signature is checked any more');
}

function failedError(what: string, cause: unknown): OrdererError {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new OrdererError(
    'worker_failed',
    `${what}${reason}; the signatures it had were not checked, hand them in again`,
    { cause },
  );
}

function overloadedError(items: number, bytes: number): OrdererError {
  return new OrdererError(
    'overloaded',
    `${items} signatures over ${bytes} bytes wait to be checked already: try again later`,
  );
}
