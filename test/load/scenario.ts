/** The load scenario: pre-signed transactions from concurrent clients, optionally a replica killed in mid-load. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createGateway } from '../../orderer/gateway.ts';
import type { Gateway } from '../../orderer/service.ts';
import type { TestNetwork } from '../support/network.ts';
import { residentBytes } from '../support/process-stats.ts';
import { type LoadResult, quantile, runLoad } from './driver.ts';

export interface ScenarioOptions {
  readonly transactions: number;
  readonly payloadBytes: number;
  readonly clients: number;
  readonly inFlight: number;
  /** Rest after each transaction of a client. */
  readonly pauseMs?: number;
  /** kill -9 this replica when half of the transactions are certified. */
  readonly kill?: number;
  /** Called with how many are certified. */
  readonly onCommitted?: (done: number) => void;
}

export interface ScenarioResult extends LoadResult {
  /** Peak resident memory of each replica that lived to the end, bytes. */
  readonly residentBytesPeak: readonly number[];
}

export async function runScenario(
  network: TestNetwork,
  options: ScenarioOptions,
): Promise<ScenarioResult> {
  const { envelopes } = presign(network, options);
  let killed = false;
  const result = await runLoad({
    urls: network.urls,
    channel: 'main',
    envelopes,
    clients: options.clients,
    inFlight: options.inFlight,
    pauseMs: options.pauseMs ?? 0,
    onCommitted: (done) => {
      options.onCommitted?.(done);
      if (options.kill === undefined || killed || done < options.transactions / 2) return;
      killed = true;
      network.process(options.kill).kill('SIGKILL');
    },
  });
  const alive = network.created.replicas.filter(({ number }) => number !== options.kill);
  return {
    ...result,
    residentBytesPeak: alive.map(({ number }) => residentBytes(network.process(number).pid).peak),
  };
}

/** Signed with the network's user key on libsodium: signing is not what is measured. */
function presign(network: TestNetwork, options: ScenarioOptions): { envelopes: Uint8Array[] } {
  const signer = signerOf(network);
  const envelopes = Array.from({ length: options.transactions }, (_, i) => {
    const data = new Uint8Array(options.payloadBytes).fill(i & 0xff);
    new DataView(data.buffer).setUint32(0, i);
    return signer.wrap(data);
  });
  return { envelopes };
}

/** Signs with the network's user key. */
export function signerOf(network: TestNetwork, channel = network.created.config.channel): Gateway {
  const { mspId, certificateFile, keyFile } = network.created.user;
  return createGateway({
    channel,
    mspId,
    certificatePem: readFileSync(certificateFile, 'utf8'),
    privateKeyPem: readFileSync(keyFile, 'utf8'),
  });
}

export interface AuditSource {
  readonly kind: 'url' | 'data';
  readonly at: string;
}

export interface AuditOptions {
  /** False: links and hashes only. */
  readonly signatures?: boolean;
  readonly from?: number;
}

/** Runs `sluice verify` over the sources; throws with its report unless every chain is good and the same. */
export async function audit(
  sources: readonly AuditSource[],
  { signatures = true, from = 0 }: AuditOptions = {},
): Promise<AuditResult> {
  const sluice = fileURLToPath(new URL('../../scripts/sluice.js', import.meta.url));
  const args = sources.flatMap(({ kind, at }) => [`--${kind}`, at]);
  if (!signatures) args.push('--no-signatures');
  args.push('--from', String(from));
  const child = promisify(execFile)(process.execPath, [sluice, 'verify', '--json', ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
  const { stdout } = await child.catch((error: Error & { stdout?: string }) => {
    throw new Error(`sluice verify: ${error.message}\n${error.stdout?.slice(0, REPORT_CHARS_MAX)}`);
  });
  return JSON.parse(stdout) as AuditResult;
}

/** Of a bad report; the first findings are what one wants to see. */
const REPORT_CHARS_MAX = 4_000;

/** The part of the auditor's report that tests look at. */
export interface AuditResult {
  readonly verdict: string;
  /** Of the whole chain, genesis included. */
  readonly transactions: number;
  readonly signatures: number;
  readonly sources: readonly { readonly name: string; readonly tipHash: string }[];
}

export function describeResult(name: string, options: ScenarioOptions, r: ScenarioResult): string {
  const mib = r.residentBytesPeak.map((bytes) => (bytes / 2 ** 20).toFixed(0)).join(', ');
  const ms = (q: number): string => quantile(r.latenciesMs, q).toFixed(1);
  return (
    `${name}: ${options.transactions} x ${options.payloadBytes} B, ${options.clients} clients x ` +
    `${options.inFlight} in flight: ${(options.transactions / r.seconds).toFixed(0)} tx/s, submit to ` +
    `certified block p50 ${ms(0.5)} ms, p99 ${ms(0.99)} ms, ${r.retries} retries, peak resident ${mib} MiB`
  );
}
