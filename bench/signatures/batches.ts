/** Transactions gathered into batches as `orderer/lane-feeder.ts` does it when more wait than fit. */
import { encodedListBytes } from '../../consensus/wire/index.ts';

export interface BatchBounds {
  readonly transactionsMax: number;
  readonly bytesMax: number;
}

/** In order; each batch holds one transaction at least. */
export function batchesOf(
  transactions: readonly Uint8Array[],
  { transactionsMax, bytesMax }: BatchBounds,
): Uint8Array[][] {
  const batches: Uint8Array[][] = [];
  let batch: Uint8Array[] = [];
  let contentBytes = 0;
  for (const transaction of transactions) {
    const bytes = encodedListBytes(batch.length + 1, contentBytes + transaction.length);
    if (batch.length > 0 && (batch.length >= transactionsMax || bytes > bytesMax)) {
      batches.push(batch);
      batch = [];
      contentBytes = 0;
    }
    batch.push(transaction);
    contentBytes += transaction.length;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
