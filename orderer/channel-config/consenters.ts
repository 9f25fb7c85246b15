/**
 * The replicas of a channel: rules about their list, and their keys in the form that
 * certificates are checked with.
 */

import type { ConsenterKey } from '../../ledger/format/index.ts';
import { parseCertificatePem } from '../msp/certificate.ts';
import { ConfigError } from './errors.ts';
import { CONFIG_LIMITS } from './limits.ts';
import type { ChannelConfig, Consenter, MspConfig } from './types.ts';

/** Undefined when the list is good; otherwise what is wrong with it. */
export function consentersProblem(
  consenters: readonly Consenter[],
  msps: readonly MspConfig[],
): string | undefined {
  const { consentersMax, consenterNumberMax } = CONFIG_LIMITS;
  if (consenters.length === 0 || consenters.length > consentersMax) {
    return `must list 1..${consentersMax} consenters, found ${consenters.length}`;
  }
  const ordering = new Set(msps.filter((msp) => msp.kind === 'orderer').map((msp) => msp.mspId));
  const numbers = new Set<number>();
  const keys = new Map<string, number>();
  for (const consenter of consenters) {
    const { number, port } = consenter;
    const name = `consenter ${number}`;
    if (!Number.isInteger(number) || number < 1 || number > consenterNumberMax) {
      return `id must be 1..${consenterNumberMax}, found ${number}`;
    }
    if (numbers.has(number)) return `id ${number} appears twice`;
    numbers.add(number);
    if (consenter.host === '') return `${name}: host is empty`;
    if (port < 1 || port > 65_535) return `${name}: port must be 1..65535, found ${port}`;
    if (!ordering.has(consenter.mspId)) {
      return `${name}: msp_id ${JSON.stringify(consenter.mspId)} is not an ordering organization of this channel`;
    }
    const key = keyOf(consenter);
    if (typeof key === 'string') return `${name}: identity ${key}`;
    const bytes = key.publicKey.join();
    const other = keys.get(bytes);
    if (other !== undefined) return `consenters ${other} and ${number} have the same key`;
    keys.set(bytes, number);
    for (const kind of ['clientTlsPem', 'serverTlsPem'] as const) {
      const certificate = parseCertificatePem(consenter[kind]);
      if (certificate.kind !== 'ok') return `${name}: ${kind}: ${certificate.reason}`;
    }
  }
  return undefined;
}

/** Keys that block certificates are checked with, in the order of `config.consenters`. */
export function consenterKeys(config: Pick<ChannelConfig, 'consenters'>): ConsenterKey[] {
  return config.consenters.map((consenter) => {
    const key = keyOf(consenter);
    if (typeof key !== 'string') return key;
    throw new ConfigError(
      'Channel/Orderer/Orderers',
      `consenter ${consenter.number}: identity ${key}`,
    );
  });
}

/** The sentence when there is no key to be had. */
function keyOf(consenter: Consenter): ConsenterKey | string {
  const certificate = parseCertificatePem(consenter.identityPem);
  if (certificate.kind !== 'ok') return `is not a certificate: ${certificate.reason}`;
  const key = certificate.value.publicKey;
  if (key === undefined) return 'has a key that is neither Ed25519 nor P-256';
  return { number: consenter.number, algorithm: key.algorithm, publicKey: key.bytes };
}
