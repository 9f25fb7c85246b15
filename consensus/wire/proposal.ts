/**
 * The content of a slot.
 *
 *   body        timeMs u64 | per lane: seq u64, digest 32
 *   standalone  flags u8 (bit 0: cut) | slot u64 | body
 *
 * A cell carries the body; its slot and flags are the cell's own.
 */
import type { Proposal } from '../core/types.ts';
import { type Decoded, malformed, ok, readU64, writeU64 } from './bytes.ts';
import {
  appendFrontier,
  type KnownTips,
  nextFrontier,
  readFrontier,
  TIP_BYTES,
  writeFrontier,
} from './frontier.ts';
import type { ByteReader, ByteWriter } from './stream.ts';

const FLAG_CUT = 1;
const TIME_BYTES = 8;
const HEAD_BYTES = 1 + 8;

export function proposalBodyBytes(replicas: number): number {
  return TIME_BYTES + replicas * TIP_BYTES;
}

/** Of a standalone proposal. */
export function proposalBytes(replicas: number): number {
  return HEAD_BYTES + proposalBodyBytes(replicas);
}

export function proposalFlags(proposal: Proposal): number {
  return proposal.cut ? FLAG_CUT : 0;
}

/** Body of a proposal cell; also part of standalone proposals and of the decided log. */
export function writeProposalBody(bytes: Uint8Array, offset: number, proposal: Proposal): void {
  writeU64(bytes, offset, proposal.timeMs);
  writeFrontier(bytes, offset + TIME_BYTES, proposal.frontier);
}

/** Reads a body at `offset`; the caller has checked the length. Keeps nothing of `bytes`. */
export function decodeProposalBody(
  slot: number,
  flags: number,
  bytes: Uint8Array,
  offset: number,
  replicas: number,
  known?: KnownTips,
): Decoded<Proposal> {
  if ((flags & ~FLAG_CUT) !== 0) return malformed('unknown proposal flags');
  const timeMs = readU64(bytes, offset);
  if (timeMs === undefined) return malformed('proposal time exceeds 2^53 - 1');
  const frontier = readFrontier(bytes, offset + TIME_BYTES, replicas, known);
  if (frontier.kind === 'malformed') return frontier;
  return ok({ slot, timeMs, cut: (flags & FLAG_CUT) !== 0, frontier: frontier.value });
}

export function writeProposal(writer: ByteWriter, proposal: Proposal): void {
  writer.u8(proposalFlags(proposal)).u64(proposal.slot).u64(proposal.timeMs);
  appendFrontier(writer, proposal.frontier);
}

export function readProposal(reader: ByteReader, replicas: number): Proposal {
  const cut = reader.flags(FLAG_CUT) === FLAG_CUT;
  const slot = reader.u64();
  const timeMs = reader.u64();
  return { slot, timeMs, cut, frontier: nextFrontier(reader, replicas) };
}
