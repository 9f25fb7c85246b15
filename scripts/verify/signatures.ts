/**
 * Where signatures are checked: in this thread, or spread over worker threads. @noble takes milliseconds for each, so this is nearly
 * all of an audit's time.
 */
import { Worker } from 'node:worker_threads';
import type { ConsenterKey } from '../../ledger/format/index.ts';
import { verifySignatureNoble } from '../../ledger/signature/index.ts';
import { VERIFY_LIMITS } from './limits.ts';

export type SignatureKey = Pick<ConsenterKey, 'algorithm' | 'publicKey'>;

export interface SignatureJob {
  readonly key: SignatureKey;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** One message to a worker and its answer: one boolean a job. */
export interface WorkerRequest {
  readonly id: number;
  readonly jobs: readonly SignatureJob[];
}
export interface WorkerAnswer {
  readonly id: number;
  readonly valid: readonly boolean[];
}

export interface SignatureVerifier {
  verify(job: SignatureJob): Promise<boolean>;
  /** Resolves when another block's worth may be handed in: what bounds the memory. */
  ready(): Promise<void>;
  /** Signatures checked so far. */
  readonly checked: number;
  close(): Promise<void>;
}

/** Checks in this thread, at once. */
export function createInlineVerifier(): SignatureVerifier {
  let checked = 0;
  return {
    get checked() {
      return checked;
    },
    async verify({ key, message, signature }) {
      checked++;
      return verifySignatureNoble(key, message, signature);
    },
    ready: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

interface Pending {
  readonly job: SignatureJob;
  readonly resolve: (valid: boolean) => void;
  readonly reject: (error: Error) => void;
}

interface Lane {
  readonly worker: Worker;
  /** Requests on their way: id to the jobs that wait for the answer. */
  readonly requests: Map<number, readonly Pending[]>;
  inFlight: number;
}

/** A copy with its own small buffer: posting a view would copy the whole block behind it. */
function detached({ key, message, signature }: SignatureJob): SignatureJob {
  const { algorithm, publicKey } = key;
  return {
    key: { algorithm, publicKey: publicKey.slice() },
    message: message.slice(),
    signature: signature.slice(),
  };
}

/** Checks in worker threads. A worker that dies rejects everything that waits. */
export class VerifierPool implements SignatureVerifier {
  readonly #lanes: readonly Lane[];
  readonly #queue: Pending[] = [];
  readonly #waiting: (() => void)[] = [];
  /** Jobs handed in and not answered, queued ones included. */
  #inFlight = 0;
  #checked = 0;
  #nextId = 0;
  #failure: Error | undefined;
  #flushScheduled = false;

  constructor(threads: number) {
    this.#lanes = Array.from({ length: threads }, () => this.#startLane());
  }

  get checked(): number {
    return this.#checked;
  }

  verify(job: SignatureJob): Promise<boolean> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    this.#inFlight++;
    if (!this.#flushScheduled) {
      this.#flushScheduled = true;
      queueMicrotask(() => this.#flush());
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
    });
  }

  ready(): Promise<void> {
    if (this.#failure !== undefined || this.#inFlight < VERIFY_LIMITS.signaturesInFlightMax) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  async close(): Promise<void> {
    this.#fail(new Error('the verifier is closed'));
    await Promise.all(this.#lanes.map(({ worker }) => worker.terminate()));
  }

  #startLane(): Lane {
    const worker = new Worker(new URL('./signature-worker.js', import.meta.url));
    const lane: Lane = { worker, requests: new Map(), inFlight: 0 };
    worker.on('message', (answer: WorkerAnswer) => this.#settle(lane, answer));
    worker.on('error', (error) => this.#fail(error));
    worker.on('exit', (code) => {
      if (code !== 0) this.#fail(new Error(`a signature worker exited with code ${code}`));
    });
    return lane;
  }

  #settle(lane: Lane, { id, valid }: WorkerAnswer): void {
    const jobs = lane.requests.get(id) ?? [];
    lane.requests.delete(id);
    lane.inFlight -= jobs.length;
    this.#inFlight -= jobs.length;
    this.#checked += jobs.length;
    jobs.forEach(({ resolve }, position) => {
      resolve(valid[position] === true);
    });
    this.#flush();
    if (this.#inFlight < VERIFY_LIMITS.signaturesInFlightMax) this.#wake();
  }

  #wake(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  /** The first failure stays: everything that waits or comes later gets it. */
  #fail(error: Error): void {
    this.#failure ??= error;
    for (const lane of this.#lanes) {
      for (const jobs of lane.requests.values()) for (const job of jobs) job.reject(this.#failure);
      lane.requests.clear();
    }
    for (const job of this.#queue.splice(0)) job.reject(this.#failure);
    this.#wake();
  }

  /** Keeps each worker supplied with two messages: one in work, one waiting. */
  #flush(): void {
    this.#flushScheduled = false;
    const { signaturesPerMessageMax } = VERIFY_LIMITS;
    while (this.#queue.length > 0) {
      const lane = this.#lanes.reduce((a, b) => (b.inFlight < a.inFlight ? b : a));
      if (lane.inFlight > signaturesPerMessageMax) return;
      // A short queue is shared out, so that no worker idles while another has a long message.
      const share = Math.ceil(this.#queue.length / this.#lanes.length);
      const jobs = this.#queue.splice(0, Math.min(share, signaturesPerMessageMax));
      const id = this.#nextId++;
      lane.requests.set(id, jobs);
      lane.inFlight += jobs.length;
      const request: WorkerRequest = { id, jobs: jobs.map(({ job }) => detached(job)) };
      lane.worker.postMessage(request);
    }
  }
}
