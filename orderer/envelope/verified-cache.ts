/**
 * Envelopes found valid lately, by SHA-256 of all their bytes. A client may submit one envelope to
 * several replicas, so that it comes back in other replicas' batches: the second check costs a hash
 * then, not a signature.
 *
 * Holds positive answers of the check without clock only, and those never change while the
 * channel's configuration does not; so the cache changes how long an answer takes, never the
 * answer. One cache belongs to one configuration.
 */
import { hash } from 'node:crypto';
import { LruMap } from '../lru.ts';
import type { CheckedTransaction } from './transaction.ts';

type Entry = Omit<CheckedTransaction, 'bytes' | 'txIdBytes'>;

export class VerifiedCache {
  readonly #entries: LruMap<string, Entry>;

  constructor(entriesMax: number) {
    this.#entries = new LruMap(entriesMax);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Name under which these bytes are kept. */
  key(bytes: Uint8Array): string {
    return hash('sha256', bytes, 'binary');
  }

  get(key: string, bytes: Uint8Array): CheckedTransaction | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    return { ...entry, bytes, txIdBytes: Buffer.from(entry.txId, 'hex') };
  }

  add(key: string, transaction: CheckedTransaction): void {
    const { txId, sizeBytes, notBeforeMs, notAfterMs } = transaction;
    this.#entries.set(key, { txId, sizeBytes, notBeforeMs, notAfterMs });
  }
}
