/** Load from outside: at a rate that does not wait for answers, or as much as is answered. */
import type { SubmitClient } from './client.ts';

export interface LoadResult {
  /** Submission to certified block, for each transaction, milliseconds. */
  readonly latenciesMs: number[];
  readonly seconds: number;
  /** Processor time of the load generator, which shares the machine. */
  readonly clientCpuSeconds: number;
}

export interface Rate {
  readonly transactionsPerSecond: number;
  /** Transactions in one request. */
  readonly bulk: number;
}

export interface Closed {
  readonly bulk: number;
  /** Requests under way, at each replica. */
  readonly inFlight: number;
  readonly replicas: number;
}

/**
 * Requests leave when they are due, whatever became of those before; a latency counts from then on, so that a service that
 * stands still does not hide behind a client that waits for it.
 */
export async function runRate(
  client: SubmitClient,
  envelopes: readonly Uint8Array[],
  { transactionsPerSecond, bulk }: Rate,
): Promise<LoadResult> {
  const intervalMs = (1_000 * bulk) / transactionsPerSecond;
  const latenciesMs: number[] = [];
  const requests: Promise<void>[] = [];
  return await timed(latenciesMs, async (startMs) => {
    for (let from = 0, i = 0; from < envelopes.length; from += bulk, i++) {
      const dueMs = startMs + i * intervalMs;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const part = envelopes.slice(from, from + bulk);
      requests.push(submitTimed(client, part, i, dueMs, latenciesMs));
    }
    await Promise.all(requests);
  });
}

export async function runClosed(
  client: SubmitClient,
  envelopes: readonly Uint8Array[],
  { bulk, inFlight, replicas }: Closed,
): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  let next = 0;
  const lane = async (home: number): Promise<void> => {
    while (next < envelopes.length) {
      const part = envelopes.slice(next, next + bulk);
      next += part.length;
      await submitTimed(client, part, home, performance.now(), latenciesMs);
    }
  };
  return await timed(latenciesMs, async () => {
    const lanes = Array.from({ length: replicas * inFlight }, (_, i) => lane(i % replicas));
    await Promise.all(lanes);
  });
}

async function submitTimed(
  client: SubmitClient,
  envelopes: readonly Uint8Array[],
  home: number,
  sinceMs: number,
  latenciesMs: number[],
): Promise<void> {
  await client.submit(envelopes, home);
  const tookMs = performance.now() - sinceMs;
  for (let i = 0; i < envelopes.length; i++) latenciesMs.push(tookMs);
}

async function timed(
  latenciesMs: number[],
  run: (startMs: number) => Promise<void>,
): Promise<LoadResult> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await run(startMs);
  const seconds = (performance.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { latenciesMs, seconds, clientCpuSeconds: (user + system) / 1e6 };
}
