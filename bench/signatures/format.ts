/** What a transaction is, in a measurement: how clients make it, and how replicas look at it. */
import type { BatchCheck, SubmittedCheck } from '../../orderer/envelope/index.ts';

export interface TransactionFormat {
  /** Signed by clients, each another one than all before. */
  make(count: number, payloadBytes: number): Uint8Array[];
  /** What clients have handed in here: all of it, signatures included. */
  checkOwn(transactions: readonly Uint8Array[]): Promise<boolean>;
  /** A peer's batch; `signatures` false: all but those. */
  checkPeers(
    lane: number,
    transactions: readonly Uint8Array[],
    signatures: boolean,
  ): Promise<boolean>;
}

/** The part of the orderer's `EnvelopeChecker` that is used. */
export interface Checker {
  checkSubmitted(envelopes: readonly Uint8Array[], nowMs: number): Promise<SubmittedCheck[]>;
  checkBatch(
    envelopes: readonly Uint8Array[],
    options: { readonly lane: number; readonly signatures: boolean },
  ): Promise<BatchCheck>;
}

/** Fabric's envelopes, certificates and all, looked at by the code that does it in a real replica. */
export class EnvelopeFormat implements TransactionFormat {
  readonly #replica: number;
  readonly #checker: Checker;
  readonly #wrap: (payload: Uint8Array) => Uint8Array;
  #made = 0;

  constructor(
    options: { replica: number },
    dependencies: { checker: Checker; wrap: (payload: Uint8Array) => Uint8Array },
  ) {
    this.#replica = options.replica;
    this.#checker = dependencies.checker;
    this.#wrap = dependencies.wrap;
  }

  make(count: number, payloadBytes: number): Uint8Array[] {
    return Array.from({ length: count }, () =>
      this.#wrap(numberedPayload(this.#replica, this.#made++, payloadBytes)),
    );
  }

  async checkOwn(transactions: readonly Uint8Array[]): Promise<boolean> {
    const checks = await this.#checker.checkSubmitted(transactions, Date.now());
    return checks.every(({ kind }) => kind === 'checked');
  }

  async checkPeers(
    lane: number,
    transactions: readonly Uint8Array[],
    signatures: boolean,
  ): Promise<boolean> {
    const { kind } = await this.#checker.checkBatch(transactions, { lane, signatures });
    return kind === 'valid';
  }
}

const NUMBERS_BYTES = 8;

/** Distinct for each pair of numbers; throws RangeError when these have no room. */
export function numberedPayload(replica: number, number: number, bytes: number): Uint8Array {
  if (bytes < NUMBERS_BYTES) throw new RangeError(`a payload has at least ${NUMBERS_BYTES} bytes`);
  const payload = new Uint8Array(bytes).fill(0x5a);
  const view = new DataView(payload.buffer);
  view.setUint32(0, replica, true);
  view.setUint32(4, number, true);
  return payload;
}
