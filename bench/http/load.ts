/** Load from outside: at a rate that does not wait for answers, or as much as is answered. */
import type { SubmitClient } from './client.ts';

export interface LoadResult {
  /** Submission to certified block, for each transaction, milliseconds. */
  readonly latenciesMs: number[];
  /** Transactions that an overloaded replica has turned away. */
  readonly refused: number;
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
  const done = { latenciesMs: [] as number[], refused: 0 };
  const requests: Promise<void>[] = [];
  const offer = async (part: readonly Uint8Array[], home: number, dueMs: number): Promise<void> => {
    if (await client.offer(part, home)) noteTook(done.latenciesMs, part.length, dueMs);
    else done.refused += part.length;
  };
  return await timed(done, async (startMs) => {
    for (let from = 0, i = 0; from < envelopes.length; from += bulk, i++) {
      const dueMs = startMs + i * intervalMs;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const part = envelopes.slice(from, from + bulk);
      requests.push(offer(part, i, dueMs));
    }
    await Promise.all(requests);
  });
}

export async function runClosed(
  client: SubmitClient,
  envelopes: readonly Uint8Array[],
  { bulk, inFlight, replicas }: Closed,
): Promise<LoadResult> {
  const done = { latenciesMs: [] as number[], refused: 0 };
  let next = 0;
  const lane = async (home: number): Promise<void> => {
    while (next < envelopes.length) {
      const part = envelopes.slice(next, next + bulk);
      next += part.length;
      const sinceMs = performance.now();
      await client.submit(part, home);
      noteTook(done.latenciesMs, part.length, sinceMs);
    }
  };
  return await timed(done, async () => {
    const lanes = Array.from({ length: replicas * inFlight }, (_, i) => lane(i % replicas));
    await Promise.all(lanes);
  });
}

export interface Streams {
  /** Envelopes under way, on the one stream to each replica. */
  readonly inFlight: number;
  readonly replicas: number;
}

/** As much as is answered, a stream to each replica. */
export async function runStreams(
  client: SubmitClient,
  envelopes: readonly Uint8Array[],
  { inFlight, replicas }: Streams,
): Promise<LoadResult> {
  const done = { latenciesMs: [] as number[], refused: 0 };
  let next = 0;
  const run = (home: number): Promise<void> => {
    const sentMs: number[] = [];
    let answered = 0;
    const fill = (): void => {
      const part = envelopes.slice(next, next + inFlight - (sentMs.length - answered));
      next += part.length;
      const nowMs = performance.now();
      for (const _ of part) sentMs.push(nowMs);
      if (part.length > 0) stream.send(part);
      else if (answered === sentMs.length) stream.end();
    };
    const stream = client.openStream(home, {
      onCommitted: (item) => {
        answered++;
        noteTook(done.latenciesMs, 1, sentMs[item] ?? Number.NaN);
      },
      onTold: fill,
    });
    fill();
    return stream.ended;
  };
  return await timed(done, async () => {
    await Promise.all(Array.from({ length: replicas }, (_, home) => run(home)));
  });
}

/** `runRate` with a stream to each replica: nobody is turned away, a service that does not keep up makes them wait. */
export async function runStreamRate(
  client: SubmitClient,
  envelopes: readonly Uint8Array[],
  { transactionsPerSecond, bulk }: Rate,
  replicas: number,
): Promise<LoadResult> {
  const intervalMs = (1_000 * bulk) / transactionsPerSecond;
  const done = { latenciesMs: [] as number[], refused: 0 };
  return await timed(done, async (startMs) => {
    const dueMs = Array.from({ length: replicas }, () => [] as number[]);
    const streams = dueMs.map((due, home) =>
      client.openStream(home, {
        onCommitted: (item) => noteTook(done.latenciesMs, 1, due[item] ?? Number.NaN),
        onTold: () => {},
      }),
    );
    for (let from = 0, i = 0; from < envelopes.length; from += bulk, i++) {
      const at = startMs + i * intervalMs;
      const waitMs = at - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const part = envelopes.slice(from, from + bulk);
      for (const _ of part) dueMs[i % replicas]?.push(at);
      streams[i % replicas]?.send(part);
    }
    for (const stream of streams) stream.end();
    await Promise.all(streams.map(({ ended }) => ended));
  });
}

/** All of a request have taken the same time. */
function noteTook(latenciesMs: number[], count: number, sinceMs: number): void {
  const tookMs = performance.now() - sinceMs;
  for (let i = 0; i < count; i++) latenciesMs.push(tookMs);
}

async function timed(
  done: { readonly latenciesMs: number[]; readonly refused: number },
  run: (startMs: number) => Promise<void>,
): Promise<LoadResult> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await run(startMs);
  const seconds = (performance.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return { ...done, seconds, clientCpuSeconds: (user + system) / 1e6 };
}
