/** Evidence of a replica's fault as one flat line of a log: digests in hex, batches by sequence number and digest. */
import type { Evidence } from '../consensus/core/index.ts';
import { toHex } from '../ledger/format/index.ts';

export function evidenceFields(evidence: Evidence): object {
  const { kind, ...rest } = evidence;
  return { fault: kind, ...(readable(rest) as object) };
}

function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, readable(one)]));
}
