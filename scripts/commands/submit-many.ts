/** `sluice submit --count`: many transactions with the same data, a request each or over one connection, and one summary. */
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { ClientError, type SluiceClient, transactionIdOf } from '../../api/client/index.ts';
import { EXIT, explain } from './connect.ts';
import { print, printable } from './printing.ts';

export interface ManyOptions {
  readonly wait: 'commit' | 'queued';
  readonly timeout: number;
  readonly replicas: number;
  readonly proof?: 'block' | 'certificate';
  readonly count: number;
  readonly concurrency?: number;
  readonly json?: boolean;
}

export const LANES_DEFAULT = 16;
export const IN_FLIGHT_DEFAULT = 512;
/** How often somebody who waits is told how far it is. */
const PROGRESS_MS = 5_000;
/** Signatures made in one go before what has arrived is looked at. */
const SIGNED_IN_A_ROW_MAX = 8;

interface Tally {
  readonly latenciesMs: number[];
  readonly failures: Map<string, { count: number; message: string; txId: string }>;
  worstExitCode: number;
}

/** One request each, so many at a time. */
export async function submitMany(
  client: SluiceClient,
  makeEnvelope: () => Uint8Array,
  options: ManyOptions,
): Promise<number> {
  const { wait, timeout: timeoutMs, replicas, proof = 'certificate', count } = options;
  return await measured(options, async (tally) => {
    let started = 0;
    async function lane(): Promise<void> {
      while (started < count) {
        started++;
        const envelope = makeEnvelope();
        const startedMs = performance.now();
        try {
          await client.submit(envelope, { wait, timeoutMs, replicas, proof });
          tally.latenciesMs.push(performance.now() - startedMs);
        } catch (error) {
          noteFailure(tally, transactionIdOf(envelope), error);
        }
      }
    }
    const lanes = Math.min(options.concurrency ?? LANES_DEFAULT, count);
    await Promise.all(Array.from({ length: lanes }, lane));
  });
}

/** All over one connection at a time. */
export async function submitStream(
  client: SluiceClient,
  makeEnvelope: () => Uint8Array,
  options: ManyOptions,
): Promise<number> {
  const { timeout: timeoutMs, concurrency: inFlightMax = IN_FLIGHT_DEFAULT, count } = options;
  /** By position: what is under way. */
  const underWay = new Map<number, { readonly txId: string; readonly sinceMs: number }>();
  async function* envelopes(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < count; index++) {
      if (index % SIGNED_IN_A_ROW_MAX === 0) await setImmediate();
      const envelope = makeEnvelope();
      underWay.set(index, { txId: transactionIdOf(envelope), sinceMs: performance.now() });
      yield envelope;
    }
  }
  return await measured(options, async (tally) => {
    for await (const result of client.submitStream(envelopes(), { inFlightMax, timeoutMs })) {
      const { txId = '', sinceMs = 0 } = underWay.get(result.index) ?? {};
      underWay.delete(result.index);
      if (result.kind === 'committed') tally.latenciesMs.push(performance.now() - sinceMs);
      else noteFailure(tally, txId, result.error);
    }
  });
}

async function measured(
  options: ManyOptions,
  run: (tally: Tally) => Promise<void>,
): Promise<number> {
  const tally: Tally = { latenciesMs: [], failures: new Map(), worstExitCode: EXIT.OK };
  const startedMs = performance.now();
  const progress = setInterval(() => {
    process.stderr.write(
      `sluice submit: ${tally.latenciesMs.length} of ${options.count} ${doneWord(options)}\n`,
    );
  }, PROGRESS_MS);
  try {
    await run(tally);
  } finally {
    clearInterval(progress);
  }
  printSummary(tally, performance.now() - startedMs, options);
  return tally.worstExitCode;
}

function doneWord({ wait }: ManyOptions): 'committed' | 'queued' {
  return wait === 'commit' ? 'committed' : 'queued';
}

function noteFailure(tally: Tally, txId: string, error: unknown): void {
  if (!(error instanceof ClientError)) throw error;
  const { message, exitCode } = explain(error);
  const { code } = error;
  const known = tally.failures.get(code);
  if (known === undefined) tally.failures.set(code, { count: 1, message, txId });
  else known.count++;
  tally.worstExitCode = Math.max(tally.worstExitCode, exitCode);
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function printSummary(tally: Tally, elapsedMs: number, options: ManyOptions): void {
  const sorted = tally.latenciesMs.sort((a, b) => a - b);
  const summary = {
    status: doneWord(options),
    count: sorted.length,
    perSecond: Math.round((sorted.length * 1000) / elapsedMs),
    p50Ms: Number(percentile(sorted, 0.5).toFixed(2)),
    p99Ms: Number(percentile(sorted, 0.99).toFixed(2)),
    elapsedMs: Math.round(elapsedMs),
    failures: [...tally.failures].map(([code, failure]) => ({ code, ...failure })),
  };
  if (options.json === true) {
    print(JSON.stringify(summary));
    return;
  }
  const { status, count, perSecond, p50Ms, p99Ms } = summary;
  print(`${count} of ${options.count} ${status} in ${(elapsedMs / 1000).toFixed(2)} s`);
  print(`  ${perSecond} per second, signing included; latency p50 ${p50Ms} ms, p99 ${p99Ms} ms`);
  for (const { count: times, message, txId } of summary.failures) {
    process.stderr.write(
      `sluice submit: ${times} failed: ${printable(message)} (first: ${txId})\n`,
    );
  }
}
