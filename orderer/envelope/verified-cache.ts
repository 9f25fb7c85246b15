/**
 * Envelopes found valid lately: SHA-256 of all their bytes, by transaction id. A client may submit one envelope to
 * several replicas, so that it comes back in other replicas' batches: the second check costs a hash
 * then, not a signature.
 *
 * Holds positive answers of the check without clock only, and those never change while the
 * channel's configuration does not; so the cache changes how long an answer takes, never the
 * answer. One cache belongs to one configuration.
 */
import { bytesEqual } from '../../ledger/format/index.ts';
import { sha256 } from '../../rdma/index.ts';
import { LruMap } from '../lru.ts';
import type { CheckedTransaction } from './transaction.ts';

type Named = Pick<CheckedTransaction, 'txId' | 'bytes'>;

export class VerifiedCache {
  readonly #hashes: LruMap<string, Uint8Array>;

  constructor(entriesMax: number) {
    this.#hashes = new LruMap(entriesMax);
  }

  get size(): number {
    return this.#hashes.size;
  }

  /** Were these very bytes added? */
  has({ txId, bytes }: Named): boolean {
    const hash = this.#hashes.get(txId);
    return hash !== undefined && bytesEqual(hash, sha256(bytes));
  }

  add({ txId, bytes }: Named): void {
    this.#hashes.set(txId, sha256(bytes));
  }
}
