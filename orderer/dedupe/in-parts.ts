import { STORE_LIMITS } from '../../ledger/store/index.ts';

/** A slot may hold more transactions than the ledger looks up at once. */
export async function inParts<T>(
  txIds: readonly string[],
  look: (part: readonly string[]) => Promise<readonly T[]>,
): Promise<T[]> {
  const found: T[] = [];
  for (let from = 0; from < txIds.length; from += STORE_LIMITS.lookupIdsMax) {
    found.push(...(await look(txIds.slice(from, from + STORE_LIMITS.lookupIdsMax))));
  }
  return found;
}
