/**
 * Transactions as small as a signed one can be, so that what is measured is agreement and signatures, not certificates:
 *
 *   client's Ed25519 key, 32 bytes | signature over the payload, 64 bytes | payload
 */
import { createHash } from 'node:crypto';
import {
  ED25519_PUBLIC_KEY_BYTES,
  ED25519_SIGNATURE_BYTES,
  type Ed25519KeyPair,
  ed25519KeyPair,
  signEd25519,
} from '../../consensus/runtime/ed25519.ts';
import { ORDERER_LIMITS } from '../../orderer/limits.ts';
import type { VerifyItem, VerifyPool } from '../../orderer/signature/index.ts';
import { numberedPayload, type TransactionFormat } from './format.ts';

export const RECORD_OVERHEAD_BYTES = ED25519_PUBLIC_KEY_BYTES + ED25519_SIGNATURE_BYTES;
/** All replicas know them, as they know a channel's members. */
const CLIENTS = 64;
/** As `EnvelopeChecker` hands a batch to the pool: two such parts at a time, so that no batch fills its queue. */
const PART_ITEMS = Math.floor(ORDERER_LIMITS.batchVerifyItemsMax / 2);

export class RecordFormat implements TransactionFormat {
  readonly #replica: number;
  readonly #pool: Pick<VerifyPool, 'verify'>;
  readonly #clients: readonly Ed25519KeyPair[];
  readonly #known: ReadonlySet<string>;
  #made = 0;

  constructor(options: { replica: number }, dependencies: { pool: Pick<VerifyPool, 'verify'> }) {
    this.#replica = options.replica;
    this.#pool = dependencies.pool;
    this.#clients = Array.from({ length: CLIENTS }, (_, client) =>
      ed25519KeyPair(createHash('sha256').update(`client ${client} of the bench`).digest()),
    );
    this.#known = new Set(this.#clients.map(({ publicKey }) => nameOf(publicKey)));
  }

  make(count: number, payloadBytes: number): Uint8Array[] {
    return Array.from({ length: count }, () => {
      const number = this.#made++;
      const client = this.#clients[number % CLIENTS] as Ed25519KeyPair;
      const payload = numberedPayload(this.#replica, number, payloadBytes);
      const record = new Uint8Array(RECORD_OVERHEAD_BYTES + payloadBytes);
      record.set(client.publicKey);
      record.set(signEd25519(client.secretKey, payload), ED25519_PUBLIC_KEY_BYTES);
      record.set(payload, RECORD_OVERHEAD_BYTES);
      return record;
    });
  }

  async checkOwn(transactions: readonly Uint8Array[]): Promise<boolean> {
    const items = this.#read(transactions);
    if (items === undefined) return false;
    // A client would be told to come again: after a replica was kept from its core, batches of peers fill the queue.
    const verdicts = await this.#pool.verify(items, { whenFull: 'wait' });
    return verdicts.every(Boolean);
  }

  async checkPeers(
    _lane: number,
    transactions: readonly Uint8Array[],
    signatures: boolean,
  ): Promise<boolean> {
    const items = this.#read(transactions);
    if (items === undefined || !signatures) return items !== undefined;
    let before: Promise<boolean[]> = Promise.resolve([]);
    for (let from = 0; from < items.length; from += PART_ITEMS) {
      const part = this.#pool.verify(items.slice(from, from + PART_ITEMS), { whenFull: 'wait' });
      const verdicts = await before;
      if (!verdicts.every(Boolean)) return false;
      before = part;
    }
    return (await before).every(Boolean);
  }

  /** Undefined when one of them is no transaction, whatever its signature is. */
  #read(transactions: readonly Uint8Array[]): VerifyItem[] | undefined {
    const items: VerifyItem[] = [];
    for (const bytes of transactions) {
      if (bytes.length <= RECORD_OVERHEAD_BYTES) return undefined;
      const key = bytes.subarray(0, ED25519_PUBLIC_KEY_BYTES);
      if (!this.#known.has(nameOf(key))) return undefined;
      items.push({
        key: { algorithm: 'ed25519', bytes: key },
        signature: bytes.subarray(ED25519_PUBLIC_KEY_BYTES, RECORD_OVERHEAD_BYTES),
        message: bytes.subarray(RECORD_OVERHEAD_BYTES),
      });
    }
    return items;
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}
