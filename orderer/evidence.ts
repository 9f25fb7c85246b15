/**
 * Evidence of a replica's fault as one line of a log: digests and signatures in hex, batches by sequence number and
 * digest. What is signed is complete, so that it proves the fault to whoever has the consenters' keys.
 */
import type { Evidence } from '../consensus/core/index.ts';
import { toHex } from '../ledger/format/index.ts';

/** A peer has a hand in what a reason quotes. */
const TEXT_LENGTH_MAX = 256;

export function evidenceFields(evidence: Evidence): object {
  const { kind, ...rest } = evidence;
  return { fault: kind, ...(readable(rest) as object) };
}

function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === 'string') return value.slice(0, TEXT_LENGTH_MAX);
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      // Of a message with a signer, that is `peer`, which the log names by its number.
      .filter(([key]) => key !== 'signer')
      .map(([key, one]) => [key, readable(one)]),
  );
}
