/**
 * The last executed proposals as bytes, for those who fetch: one buffer,
 * record of slot s at s mod size.
 */
import {
  cellBodyBytes,
  decodeProposalBody,
  proposalFlags,
  writeProposalBody,
} from '../wire/index.ts';
import { assert } from './assert.ts';
import type { Proposal, Slot } from './types.ts';

export interface DecidedLog {
  readonly replicas: number;
  /** Slot of each record; -1: none. */
  readonly slots: Float64Array;
  /** Per record: flags, then the proposal body. */
  readonly bytes: Uint8Array;
  readonly recordBytes: number;
}

export function createDecidedLog(replicas: number, slotsMax: number): DecidedLog {
  const recordBytes = 1 + cellBodyBytes('proposal', replicas);
  return {
    replicas,
    slots: new Float64Array(slotsMax).fill(-1),
    bytes: new Uint8Array(slotsMax * recordBytes),
    recordBytes,
  };
}

export function logDecided(log: DecidedLog, proposal: Proposal): void {
  const index = proposal.slot % log.slots.length;
  const at = index * log.recordBytes;
  log.slots[index] = proposal.slot;
  log.bytes[at] = proposalFlags(proposal);
  writeProposalBody(log.bytes, at + 1, proposal);
}

/** Undefined when the log does not hold the slot (any more). */
export function findDecided(log: DecidedLog, slot: Slot): Proposal | undefined {
  const index = slot % log.slots.length;
  if (log.slots[index] !== slot) return undefined;
  const at = index * log.recordBytes;
  const flags = log.bytes[at] as number;
  const decoded = decodeProposalBody(slot, flags, log.bytes, at + 1, log.replicas);
  assert(decoded.kind === 'ok', 'the decided log holds what was encoded');
  return decoded.value;
}
