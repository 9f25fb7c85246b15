/**
 * Load over HTTP: pre-signed envelopes from several concurrent clients, each with its home replica, every
 * one waiting for the certified block of each transaction. Retryable answers go to the next replica.
 */
import { Agent, request } from 'node:http';

export interface SubmitOptions {
  /** API addresses of the replicas. */
  readonly urls: readonly string[];
  readonly channel: string;
  /** For so long one transaction is tried, and one answer waited for. */
  readonly patienceMs?: number;
  readonly answerMs?: number;
  /** Rest after the first attempt that failed; grows with each, to ten times as much. */
  readonly retryMs?: number;
  /** Nothing is tried again from then on. */
  readonly signal?: AbortSignal;
}

export interface LoadOptions extends SubmitOptions {
  /** A generator that ends when it is told to makes a load without end. */
  readonly envelopes: Iterable<Uint8Array>;
  readonly clients: number;
  /** Transactions that one client has under way at once. */
  readonly inFlight: number;
  /** Rest after each transaction. */
  readonly pauseMs: number;
  /** Called as transactions are certified; for progress and for faults in mid-load. */
  readonly onCommitted?: (done: number, receipt: Receipt) => void;
}

/** The part of the receipt that tests look at. */
export interface Receipt {
  readonly txId: string;
  readonly blockNumber: number;
  readonly index: number;
}

export interface LoadResult {
  readonly seconds: number;
  /** Submit to receipt, milliseconds, sorted. Retries are inside. */
  readonly latenciesMs: Float64Array;
  /** Answers and connection errors that were tried again. */
  readonly retries: number;
  /** Of every receipt, in no order. */
  readonly txIds: readonly string[];
}

/** Status codes that say "again": the rest of the errors would be a finding. */
export const RETRYABLE: ReadonlySet<number> = new Set([202, 429, 502, 503, 504]);
const PATIENCE_MS = 60_000;
const ANSWER_MS = 10_000;
/** A replica that waits for a commit says so in time; this one does not answer at all. */
const SILENCE_MS = 5_000;
const RETRY_MS = 20;
const RETRY_GROWTH_MAX = 10;

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const latencies: number[] = [];
  const agent = createAgent();
  const envelopes = options.envelopes[Symbol.iterator]();
  let retries = 0;
  const txIds: string[] = [];
  const startedMs = performance.now();
  const lane = async (client: number): Promise<void> => {
    for (let next = envelopes.next(); next.done !== true; next = envelopes.next()) {
      const sentMs = performance.now();
      const { attempts, receipt } = await submitUntilCommitted(options, agent, client, next.value);
      retries += attempts;
      latencies.push(performance.now() - sentMs);
      options.onCommitted?.(txIds.push(receipt.txId), receipt);
      if (options.pauseMs > 0) await rest(options.pauseMs);
    }
  };
  try {
    const lanes: Promise<void>[] = [];
    for (let client = 0; client < options.clients; client++) {
      for (let i = 0; i < options.inFlight; i++) lanes.push(lane(client));
    }
    await Promise.all(lanes);
  } finally {
    agent.destroy();
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  return { seconds, latenciesMs: Float64Array.from(latencies).sort(), retries, txIds };
}

export function createAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
}

/** The first attempt goes to replica `home`. Throws for an answer that a client cannot retry. */
export async function submitUntilCommitted(
  options: SubmitOptions,
  agent: Agent,
  home: number,
  envelope: Uint8Array,
): Promise<{ attempts: number; receipt: Receipt }> {
  const { urls, patienceMs = PATIENCE_MS, retryMs = RETRY_MS, signal } = options;
  const endMs = performance.now() + patienceMs;
  let last = '';
  for (let attempt = 0; attempt === 0 || performance.now() < endMs; attempt++) {
    const url = urls[(home + attempt) % urls.length] ?? '';
    const answer = await post(agent, url, options, envelope);
    if (answer.status === 200) {
      return { attempts: attempt, receipt: JSON.parse(answer.body) as Receipt };
    }
    if (answer.status !== undefined && !RETRYABLE.has(answer.status)) {
      throw new Error(
        `${url} answered ${answer.status}, which a client cannot retry: ${answer.body}`,
      );
    }
    if (signal?.aborted === true) throw new Error('given up');
    last = `${url}: ${answer.status ?? 'no answer'} ${answer.body}`;
    await rest(retryMs * Math.min(attempt + 1, RETRY_GROWTH_MAX));
  }
  throw new Error(`a transaction was not committed in ${patienceMs} ms; last: ${last}`);
}

function post(
  agent: Agent,
  url: string,
  { channel, answerMs = ANSWER_MS }: SubmitOptions,
  envelope: Uint8Array,
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve) => {
    const outgoing = request(
      `${url}/v1/channels/${channel}/transactions?wait=commit&timeoutMs=${answerMs}`,
      {
        method: 'POST',
        agent,
        timeout: answerMs + SILENCE_MS,
        headers: {
          'content-type': 'application/octet-stream',
          'content-length': envelope.length,
        },
      },
      (incoming) => {
        let body = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (chunk: string) => {
          body += chunk;
        });
        incoming.on('end', () => resolve({ status: incoming.statusCode, body }));
        incoming.on('error', () => resolve({ status: undefined, body }));
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')));
    outgoing.on('error', (error) => resolve({ status: undefined, body: error.message }));
    outgoing.end(envelope);
  });
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Value at quantile `q` (0..1) of sorted values. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
