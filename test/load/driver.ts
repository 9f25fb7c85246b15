/**
 * Load over HTTP: pre-signed envelopes from several concurrent clients, each with its home replica, every
 * one waiting for the certified block of each transaction. Retryable answers go to the next replica.
 */
import { Agent, request } from 'node:http';

export interface LoadOptions {
  /** API addresses of the replicas. */
  readonly urls: readonly string[];
  readonly channel: string;
  readonly envelopes: readonly Uint8Array[];
  readonly clients: number;
  /** Transactions that one client has under way at once. */
  readonly inFlight: number;
  /** Rest after each transaction. */
  readonly pauseMs: number;
  /** Called as transactions are certified; for progress and for faults in mid-load. */
  readonly onCommitted?: (done: number) => void;
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
const RETRYABLE = new Set([202, 429, 502, 503, 504]);
const ATTEMPTS_MAX = 60;
const REQUEST_TIMEOUT_MS = 15_000;

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const latencies = new Float64Array(options.envelopes.length);
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  let next = 0;
  let done = 0;
  let retries = 0;
  const txIds: string[] = [];
  const startedMs = performance.now();
  const lane = async (client: number): Promise<void> => {
    while (next < options.envelopes.length) {
      const index = next++;
      const envelope = options.envelopes[index];
      if (envelope === undefined) return;
      const sentMs = performance.now();
      const receipt = await submitUntilCommitted(options, agent, client, envelope);
      retries += receipt.attempts;
      txIds.push(receipt.txId);
      latencies[index] = performance.now() - sentMs;
      options.onCommitted?.(++done);
      if (options.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
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
  return { seconds, latenciesMs: latencies.sort(), retries, txIds };
}

async function submitUntilCommitted(
  options: LoadOptions,
  agent: Agent,
  client: number,
  envelope: Uint8Array,
): Promise<{ attempts: number; txId: string }> {
  let last = '';
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const url = options.urls[(client + attempt) % options.urls.length] ?? '';
    const answer = await post(agent, url, options.channel, envelope);
    if (answer.status === 200) {
      const { txId } = JSON.parse(answer.body) as { txId: string };
      return { attempts: attempt, txId };
    }
    if (answer.status !== undefined && !RETRYABLE.has(answer.status)) {
      throw new Error(
        `${url} answered ${answer.status}, which a client cannot retry: ${answer.body}`,
      );
    }
    last = `${url}: ${answer.status ?? 'no answer'} ${answer.body}`;
    await new Promise((resolve) => setTimeout(resolve, 20 * Math.min(attempt + 1, 10)));
  }
  throw new Error(`a transaction was not committed in ${ATTEMPTS_MAX} attempts; last: ${last}`);
}

function post(
  agent: Agent,
  url: string,
  channel: string,
  envelope: Uint8Array,
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve) => {
    const outgoing = request(
      `${url}/v1/channels/${channel}/transactions?wait=commit&timeoutMs=10000`,
      {
        method: 'POST',
        agent,
        timeout: REQUEST_TIMEOUT_MS,
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

/** Value at quantile `q` (0..1) of sorted values. */
export function quantile(sorted: Float64Array, q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}
