/** Where a run begins in consensus: its name, first slot and lower bound of time (docs/protocol.md, "Start"). */
import { createHash } from 'node:crypto';
import { decodeCertificate, decodeOrdererBlockMetadata } from '../ledger/format/index.ts';
import type { Ledger } from '../ledger/store/index.ts';
import { decodeConsenterMetadata } from './chain/consenter-metadata.ts';
import { requireHolds } from './chain/replay.ts';
import type { RunKey } from './startup/decide.ts';

/**
 * Slots of a run start at a multiple of this above the newest block's slot: far beyond anything that the
 * last run may have voted on after that block, so no block's slot ever comes twice on a chain.
 */
const RUN_SLOT_STRIDE = 2 ** 20;

/** Name, slot and time that a run starts from, and the chain at its beginning. */
export interface RunBase {
  readonly runId: Uint8Array;
  readonly firstSlot: number;
  readonly baseTimeMs: number;
  readonly baseHeight: number;
  readonly baseHash: Uint8Array;
}

/** Part of every digest and signature of the run: nothing of another channel or run means anything in it (B7). */
export function runIdOf(channel: string, run: RunKey): Uint8Array {
  const hash = createHash('sha256').update('sluice/run/2');
  for (const part of [channel, run.height, run.tipHash, run.generation]) {
    hash.update('\0').update(String(part));
  }
  return new Uint8Array(hash.digest());
}

/**
 * Reads what the run's first block but one says, wherever the ledger's tip is by now. Throws OrdererError
 * `ledger_behind` or `safety_violation` when the ledger does not hold that block, and Error when Sluice did not
 * write it.
 */
export async function readRunBase(
  channel: string,
  run: RunKey,
  ledger: Ledger,
  genesisTimeMs: number,
): Promise<RunBase> {
  const baseHash = new Uint8Array(Buffer.from(run.tipHash, 'hex'));
  await requireHolds(ledger, { height: run.height, tipHash: baseHash });
  const base = { runId: runIdOf(channel, run), baseHeight: run.height, baseHash };
  const number = run.height - 1;
  if (number === 0) return { ...base, firstSlot: 1, baseTimeMs: genesisTimeMs };
  const block = await ledger.storedBlock(number);
  const certificate = decodeCertificate(block?.metadata[0] ?? new Uint8Array());
  const value =
    certificate.kind === 'ok' ? decodeOrdererBlockMetadata(certificate.value.value) : certificate;
  const consensus =
    value.kind === 'ok' ? decodeConsenterMetadata(value.value.consenterMetadata) : value;
  if (consensus.kind === 'malformed') {
    throw new Error(
      `block ${number} of channel ${channel} does not say where its run stood: ${consensus.reason}`,
    );
  }
  const { slot, timeMs } = consensus.value;
  const firstSlot = (Math.floor(slot / RUN_SLOT_STRIDE) + 1) * RUN_SLOT_STRIDE;
  return { ...base, firstSlot, baseTimeMs: timeMs };
}
