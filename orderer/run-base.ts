/** Where a run begins in consensus: its name, first slot and lower bound of time (docs/protocol.md, "Start"). */
import { createHash } from 'node:crypto';
import { decodeCertificate, decodeOrdererBlockMetadata } from '../ledger/format/index.ts';
import type { Ledger } from '../ledger/store/index.ts';
import { decodeConsenterMetadata } from './chain/consenter-metadata.ts';

/**
 * Slots of a run start at a multiple of this above the newest block's slot: far beyond anything that the
 * last run may have voted on after that block, so a signature of one run never speaks of another's slot.
 */
const RUN_SLOT_STRIDE = 2 ** 20;

/** Slot and time that a run starts from, read from the newest block. */
export interface RunBase {
  readonly runId: Uint8Array;
  readonly firstSlot: number;
  readonly baseTimeMs: number;
}

/** Rules in docs/protocol.md, "Start". Throws when the tip is not a block that Sluice wrote. */
export async function readRunBase(
  channel: string,
  ledger: Ledger,
  genesisTimeMs: number,
): Promise<RunBase> {
  const tip = ledger.tip();
  const runId = createHash('sha256')
    .update('sluice/run/1')
    .update(channel)
    .update('\0')
    .update(BigInt(tip.number).toString())
    .update('\0')
    .update(tip.hash)
    .digest();
  if (tip.number === 0) return { runId, firstSlot: 1, baseTimeMs: genesisTimeMs };
  const block = await ledger.storedBlock(tip.number);
  const certificate = decodeCertificate(block?.metadata[0] ?? new Uint8Array());
  const value =
    certificate.kind === 'ok' ? decodeOrdererBlockMetadata(certificate.value.value) : certificate;
  const consensus =
    value.kind === 'ok' ? decodeConsenterMetadata(value.value.consenterMetadata) : value;
  if (consensus.kind === 'malformed') {
    throw new Error(
      `block ${tip.number} of channel ${channel} does not say where its run stood: ${consensus.reason}`,
    );
  }
  const { slot, timeMs } = consensus.value;
  const firstSlot = (Math.floor(slot / RUN_SLOT_STRIDE) + 1) * RUN_SLOT_STRIDE;
  return { runId, firstSlot, baseTimeMs: timeMs };
}
