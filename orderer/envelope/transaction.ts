/** A transaction as the orderer handles it: the envelope's bytes and what was read from them. */

/** In which the writer's certificate is valid, milliseconds since 1970, both ends included. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface CheckedTransaction {
  readonly bytes: Uint8Array;
  /** Lower-case hex, 64 characters. */
  readonly txId: string;
  /** Payload and signature: what block limits count (Fabric: blockcutter messageSizeBytes). */
  readonly sizeBytes: number;
  /** Held against the ordered time. All transactions of a writer share it: a number of its own for each waits in the heap. */
  readonly validity: Validity;
}

/** The certificate of the transaction's writer was valid at this time. */
export function isWithinValidity(
  { validity }: Pick<CheckedTransaction, 'validity'>,
  timeMs: number,
): boolean {
  return timeMs >= validity.notBeforeMs && timeMs <= validity.notAfterMs;
}
