/** A transaction as the orderer handles it: the envelope's bytes and what was read from them. */

export interface CheckedTransaction {
  readonly bytes: Uint8Array;
  /** Lower-case hex, 64 characters. */
  readonly txId: string;
  /** Payload and signature: what block limits count (Fabric: blockcutter messageSizeBytes). */
  readonly sizeBytes: number;
  /**
   * The writer's certificate is valid from and until, both included: held against the ordered time.
   */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The certificate of the transaction's writer was valid at this time. */
export function isWithinValidity(
  transaction: Pick<CheckedTransaction, 'notBeforeMs' | 'notAfterMs'>,
  timeMs: number,
): boolean {
  return timeMs >= transaction.notBeforeMs && timeMs <= transaction.notAfterMs;
}
