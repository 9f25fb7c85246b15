/** Load that runs until it is told to stop, and remembers every transaction that a client has a receipt for. */
import type { Gateway } from '../../orderer/service.ts';
import { type LoadOptions, type LoadResult, type Receipt, runLoad } from '../load/driver.ts';

export type Pace = Pick<LoadOptions, 'clients' | 'inFlight' | 'pauseMs'>;

/** Some ten submissions a second for each client: enough to have work under way at any moment. */
export const STEADY: Pace = { clients: 4, inFlight: 2, pauseMs: 50 };

const PAYLOAD_BYTES = 256;

export class ChaosLoad {
  /** Receipts by transaction id, of all loads and probes. */
  readonly acknowledged: Map<string, Receipt>;
  readonly #signer: Gateway;
  #stopping = false;
  readonly #abandoned = new AbortController();
  #failure: unknown;
  #committed = 0;
  readonly #result: Promise<LoadResult | undefined>;

  constructor(
    options: Pick<LoadOptions, 'urls' | 'channel' | 'answerMs'> & Pace,
    signer: Gateway,
    acknowledged: Map<string, Receipt>,
  ) {
    this.#signer = signer;
    this.acknowledged = acknowledged;
    const load = runLoad({
      ...options,
      signal: this.#abandoned.signal,
      envelopes: this.#envelopes(),
      onCommitted: (done, receipt) => {
        this.#committed = done;
        acknowledged.set(receipt.txId, receipt);
      },
    });
    this.#result = load.catch((error: unknown) => {
      this.#failure ??= error;
      this.#stopping = true;
      return undefined;
    });
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Transactions that have a receipt. Throws when a client met what it cannot retry. */
  get committed(): number {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#committed;
  }

  /** Sends nothing new, waits for every receipt. Throws when a client met what it cannot retry. */
  async stop(): Promise<LoadResult> {
    this.#stopping = true;
    const result = await this.#result;
    if (result === undefined) throw this.#failure;
    return result;
  }

  /** After a failed test: nothing is waited for. */
  abandon(): void {
    this.#stopping = true;
    this.#failure ??= new Error('the load was abandoned');
    this.#abandoned.abort();
  }

  *#envelopes(): Generator<Uint8Array, undefined> {
    for (let i = 0; !this.#stopping; i++) {
      const data = new Uint8Array(PAYLOAD_BYTES).fill(i & 0xff);
      new DataView(data.buffer).setUint32(0, i);
      yield this.#signer.wrap(data);
    }
  }
}
