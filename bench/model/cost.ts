/** What a slot costs a replica, reckoned from what it does and what each thing costs; and the same for other ways of voting. */
import { LAYOUT } from '../../rdma/layout.ts';
import type { OperationCosts } from './operations.ts';
import { CELL_KINDS, type CellKind, type Counts, cellBytes } from './tally.ts';

/**
 * `all-to-all`: as it is. `gathered`: votes travel as they do, and the native poll hands all of a slot to JavaScript as one record
 * with a bit for each voter. `collector`: every replica writes one cell to the slot's collector, with its digest and a MAC for each
 * reader, and the collector relays to each reader one cell with the MACs that are meant for it; who may believe what stays the same.
 */
export const VOTINGS = ['all-to-all', 'gathered', 'collector'] as const;
export type Voting = (typeof VOTINGS)[number];

/** Of one replica for one slot. */
export interface Work {
  readonly counts: Counts;
  /** Its core's, without hashes and signatures. */
  readonly coreUs: number;
  /** Of that, for one vote. */
  readonly voteUs: number;
}

export interface Costs extends OperationCosts {
  /** A turn of the loop that brings nothing. */
  readonly turn: number;
}

/** Microseconds of processor time for one slot and replica. */
export interface CpuParts {
  readonly turns: number;
  readonly writing: number;
  /** In the transport, and by JavaScript until the core has them. */
  readonly reading: number;
  readonly decoding: number;
  readonly batches: number;
  readonly messages: number;
  readonly hashes: number;
  readonly signatures: number;
  /** Of a collector, in its share of the slots. */
  readonly collecting: number;
  readonly core: number;
}

export function cpuParts(work: Work, costs: Costs, voting: Voting): CpuParts {
  const parts = partsAllToAll(work, costs);
  const gain = work.counts.read.vote;
  if (voting === 'all-to-all' || gain === 0) return parts;
  // One record, one look at it by the core, whatever the number of voters.
  const records = Math.min(1, gain);
  const fewer = gain - records;
  const gathered: CpuParts = {
    ...parts,
    reading: parts.reading - fewer * costs.dispatch,
    decoding: parts.decoding - fewer * costs.decodeCell.vote,
    core: parts.core - fewer * work.voteUs,
  };
  return voting === 'gathered' ? gathered : partsCollected(gathered, work, costs);
}

export function cpuUs(parts: CpuParts): number {
  return Object.values(parts).reduce((sum, us) => sum + us, 0);
}

function partsAllToAll({ counts, coreUs }: Work, costs: Costs): CpuParts {
  let writing = 0;
  let reading = 0;
  let decoding = 0;
  for (const kind of CELL_KINDS) {
    writing += counts.written[kind] * costs.writeCell[kind];
    reading += counts.read[kind] * costs.readCell[kind];
    decoding += counts.read[kind] * costs.decodeCell[kind];
  }
  const { writeBatch, readBatch, sendMessage, readMessage, hash, hashPerByte, sign, verify } =
    costs;
  return {
    turns: counts.turns * costs.turn,
    writing,
    reading,
    decoding,
    batches: counts.batchesWritten * writeBatch.small + counts.batchesRead * readBatch.small,
    messages: counts.messagesSent * sendMessage + counts.messagesRead * readMessage,
    hashes: counts.hashes * hash + counts.hashedBytes * hashPerByte,
    signatures: counts.signed * sign + counts.verified * verify,
    collecting: 0,
    core: coreUs,
  };
}

/** Of a slot's cost all-to-all, what cells of this kind take, without what the core thinks of them. */
export function cellsUs({ counts }: Work, costs: Costs, kind: CellKind): number {
  const { writeCell, readCell, decodeCell } = costs;
  const readUs = readCell[kind] + decodeCell[kind];
  return counts.written[kind] * writeCell[kind] + counts.read[kind] * readUs;
}

/** MACs are as many as before, at each end; what is saved is cells. */
function partsCollected(gathered: CpuParts, { counts }: Work, costs: Costs): CpuParts {
  const { replicas, sealVote, writeCell, readCell, dispatch } = costs;
  const peers = replicas - 1;
  const callUs = Math.max(0, writeCell.vote - peers * sealVote);
  const nativeUs = Math.max(0, readCell.vote - dispatch);
  const { written, read } = counts;
  const writeOneUs = callUs + sealVote + peers * sealVote;
  const relayBytes = peers * gatheredCellBytes(replicas);
  const collectUs =
    peers * nativeUs + callUs + peers * sealVote + 2 * relayBytes * costs.copyPerByte;
  return {
    ...gathered,
    writing: gathered.writing + written.vote * (writeOneUs - writeCell.vote),
    // One cell is found and copied instead of so many; a MAC costs at most what sealing a vote does.
    reading:
      gathered.reading + (read.vote / peers) * (nativeUs + peers * sealVote - peers * nativeUs),
    collecting: collectUs / replicas,
  };
}

/** A vote's cell with a MAC for each peer instead of one. */
export function gatheredCellBytes(replicas: number): number {
  const { CELL_OVERHEAD_BYTES, VOTE_CELL_BYTES, MAC_BYTES, CELL_ALIGN } = LAYOUT;
  const bodyBytes = VOTE_CELL_BYTES - CELL_OVERHEAD_BYTES;
  const bytes = CELL_OVERHEAD_BYTES + bodyBytes + (replicas - 1) * MAC_BYTES;
  return Math.ceil(bytes / CELL_ALIGN) * CELL_ALIGN;
}

export interface Traffic {
  readonly writes: number;
  readonly bytes: number;
}

/** What a replica writes to its peers for one slot, on the average over its turns as a collector. */
export function trafficOf(
  { written, writesOut, bytesOut }: Counts,
  replicas: number,
  voting: Voting,
): Traffic {
  if (voting !== 'collector') return { writes: writesOut, bytes: bytesOut };
  const peers = replicas - 1;
  // All but the collector write one cell; the collector relays one to each: a share of 1 / n of the slots.
  const writes = (2 * peers) / replicas;
  const bytes = writes * gatheredCellBytes(replicas);
  return {
    writes: writesOut + written.vote * (writes - peers),
    bytes: bytesOut + written.vote * (bytes - peers * cellBytes('vote', replicas)),
  };
}

/** What one replica's processor does more for a transaction of a large batch than for a slot of a small one, on the average. */
export function batchUs({ replicas, writeBatch, readBatch }: OperationCosts): number {
  const write = writeBatch.large - writeBatch.small;
  const read = readBatch.large - readBatch.small;
  return (write + (replicas - 1) * read) / replicas;
}
