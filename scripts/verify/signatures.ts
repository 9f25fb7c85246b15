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

/** Checks in `threads` worker threads. A worker that dies rejects everything that waits. */
export function createVerifierPool(threads: number): SignatureVerifier {
  const queue: Pending[] = [];
  const waiting: (() => void)[] = [];
  let inFlight = 0;
  let checked = 0;
  let nextId = 0;
  let failure: Error | undefined;
  let flushScheduled = false;
  const lanes: Lane[] = Array.from({ length: threads }, () => startLane());

  function startLane(): Lane {
    const worker = new Worker(new URL('./signature-worker.js', import.meta.url));
    const lane: Lane = { worker, requests: new Map(), inFlight: 0 };
    worker.on('message', (answer: WorkerAnswer) => settle(lane, answer));
    worker.on('error', fail);
    worker.on('exit', (code) => {
      if (code !== 0) fail(new Error(`a signature worker exited with code ${code}`));
    });
    return lane;
  }

  function settle(lane: Lane, { id, valid }: WorkerAnswer): void {
    const jobs = lane.requests.get(id) ?? [];
    lane.requests.delete(id);
    lane.inFlight -= jobs.length;
    inFlight -= jobs.length;
    checked += jobs.length;
    jobs.forEach(({ resolve }, position) => {
      resolve(valid[position] === true);
    });
    flush();
    if (inFlight < VERIFY_LIMITS.signaturesInFlightMax) wake();
  }

  function wake(): void {
    for (const resume of waiting.splice(0)) resume();
  }

  function fail(error: Error): void {
    failure ??= error;
    for (const lane of lanes) {
      for (const jobs of lane.requests.values()) for (const job of jobs) job.reject(failure);
      lane.requests.clear();
    }
    for (const job of queue.splice(0)) job.reject(failure);
    wake();
  }

  /** Keeps each worker supplied with two messages: one in work, one waiting. */
  function flush(): void {
    flushScheduled = false;
    const { signaturesPerMessageMax } = VERIFY_LIMITS;
    while (queue.length > 0) {
      const lane = lanes.reduce((a, b) => (b.inFlight < a.inFlight ? b : a));
      if (lane.inFlight > signaturesPerMessageMax) return;
      // A short queue is shared out, so that no worker idles while another has a long message.
      const share = Math.ceil(queue.length / lanes.length);
      const jobs = queue.splice(0, Math.min(share, signaturesPerMessageMax));
      const id = nextId++;
      lane.requests.set(id, jobs);
      lane.inFlight += jobs.length;
      const request: WorkerRequest = { id, jobs: jobs.map(({ job }) => detached(job)) };
      lane.worker.postMessage(request);
    }
  }

  return {
    get checked() {
      return checked;
    },
    verify(job) {
      if (failure !== undefined) return Promise.reject(failure);
      inFlight++;
      if (!flushScheduled) {
        flushScheduled = true;
        queueMicrotask(flush);
      }
      return new Promise((resolve, reject) => {
        queue.push({ job, resolve, reject });
      });
    },
    ready() {
      if (failure !== undefined || inFlight < VERIFY_LIMITS.signaturesInFlightMax) {
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        waiting.push(resolve);
      });
    },
    async close() {
      failure ??= new Error('the verifier is closed');
      await Promise.all(lanes.map(({ worker }) => worker.terminate()));
      fail(failure);
    },
  };
}
