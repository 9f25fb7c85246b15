/**
 * What is hashed and signed. Every text starts with its own tag and the run,
 * so that none passes for another.
 */
import { copyShort, writeU16, writeU32, writeU64 } from '../wire/bytes.ts';
import { cellBodyBytes, laneFrameHeader, proposalFlags, writeProposalBody } from '../wire/index.ts';
import { asciiBytes, DIGEST24_BYTES, DIGEST32_BYTES, joinBytes } from './bytes.ts';
import type {
  BatchSeq,
  CoreCrypto,
  Digest24,
  Digest32,
  Proposal,
  ReplicaIndex,
  Slot,
  View,
} from './types.ts';

export interface Digests {
  /** `frameSha256`: SHA-256 of the lane frame when the transport has computed it. */
  batch(
    lane: ReplicaIndex,
    seq: BatchSeq,
    previous: Digest32,
    payload: Uint8Array,
    frameSha256?: Uint8Array,
  ): Digest32;
  proposal(proposal: Proposal): Digest24;
  /** The bytes that a PREPARE's signature covers. */
  prepare(
    signer: ReplicaIndex,
    incarnation: Uint8Array,
    view: View,
    slot: Slot,
    digest: Digest24,
  ): Uint8Array;
}

const FLAGS_BYTES = 1;
const SLOT_BYTES = 8;
const LANE_BYTES = 2;

/**
 * The start of a hash as a small array of its own: what `sha256`
 * returns may be a much larger object.
 */
function short(hash: Uint8Array, length: number): Uint8Array {
  return copyShort(hash, 0, length);
}

/** The texts to hash are built in place, in one buffer each that is used again. */
export function createDigests(runId: Uint8Array, replicas: number, crypto: CoreCrypto): Digests {
  const batchPrefix = joinBytes(asciiBytes('sluice/batch/1'), runId);
  const batchText = joinBytes(batchPrefix, new Uint8Array(LANE_BYTES + DIGEST32_BYTES));
  const proposalPrefix = joinBytes(asciiBytes('sluice/proposal/1'), runId);
  const proposalBytes = SLOT_BYTES + FLAGS_BYTES + cellBodyBytes('proposal', replicas);
  const proposalText = joinBytes(proposalPrefix, new Uint8Array(proposalBytes));
  const preparePrefix = joinBytes(asciiBytes('sluice/prepare/1'), runId);
  return {
    batch(lane, seq, previous, payload, frameSha256) {
      const frame = frameSha256 ?? crypto.sha256(laneFrameHeader(seq, previous), payload);
      writeU16(batchText, batchPrefix.length, lane);
      batchText.set(frame, batchPrefix.length + LANE_BYTES);
      return short(crypto.sha256(batchText), DIGEST32_BYTES);
    },
    proposal(proposal) {
      const at = proposalPrefix.length;
      writeU64(proposalText, at, proposal.slot);
      proposalText[at + SLOT_BYTES] = proposalFlags(proposal);
      writeProposalBody(proposalText, at + SLOT_BYTES + FLAGS_BYTES, proposal);
      return short(crypto.sha256(proposalText), DIGEST24_BYTES);
    },
    prepare(signer, incarnation, view, slot, digest) {
      const head = new Uint8Array(LANE_BYTES + 8 + 4 + SLOT_BYTES);
      writeU16(head, 0, signer);
      head.set(incarnation, 2);
      writeU32(head, 10, view);
      writeU64(head, 14, slot);
      return joinBytes(preparePrefix, head, digest);
    },
  };
}
