/**
 * What is hashed and signed. Every text starts with its own tag and the run,
 * so that none passes for another.
 */
import { writeU16, writeU32, writeU64 } from '../wire/bytes.ts';
import {
  cellBodyBytes,
  encodeCheckpointState,
  laneFrameHeader,
  type NewViewBody,
  newViewBodyOf,
  proposalFlags,
  type ViewChangeBody,
  viewChangeBodyOf,
  writeProposalBody,
} from '../wire/index.ts';
import { asciiBytes, DIGEST24_BYTES, DIGEST32_BYTES, joinBytes } from './bytes.ts';
import type {
  BatchSeq,
  CheckpointState,
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
  prepare(signer: ReplicaIndex, view: View, slot: Slot, digest: Digest24): Uint8Array;
  checkpoint(state: CheckpointState): Digest32;
  /** The bytes that a CHECKPOINT's signature covers, with the digest of its state. */
  checkpointText(signer: ReplicaIndex, stateDigest: Digest32): Uint8Array;
  /** The bytes that a VIEW-CHANGE's signature covers; it names its signer itself. */
  viewChange(change: ViewChangeBody): Uint8Array;
  /** The bytes that a NEW-VIEW's signature covers; the view names the leader. */
  newView(newView: NewViewBody): Uint8Array;
}

const FLAGS_BYTES = 1;
const SLOT_BYTES = 8;
/** Of a lane's number and of a signer's. */
const INDEX_BYTES = 2;
const VIEW_BYTES = 4;

/** The texts to hash are built in place, in one buffer each that is used again. */
export function createDigests(runId: Uint8Array, replicas: number, crypto: CoreCrypto): Digests {
  const batchPrefix = joinBytes(asciiBytes('sluice/batch/1'), runId);
  const batchText = joinBytes(batchPrefix, new Uint8Array(INDEX_BYTES + DIGEST32_BYTES));
  const proposalPrefix = joinBytes(asciiBytes('sluice/proposal/1'), runId);
  const proposalBytes = SLOT_BYTES + FLAGS_BYTES + cellBodyBytes('proposal', replicas);
  const proposalText = joinBytes(proposalPrefix, new Uint8Array(proposalBytes));
  const preparePrefix = joinBytes(asciiBytes('sluice/prepare/2'), runId);
  const checkpointPrefix = joinBytes(asciiBytes('sluice/checkpoint/1'), runId);
  const checkpointSignaturePrefix = joinBytes(asciiBytes('sluice/checkpoint-signature/1'), runId);
  const viewChangePrefix = joinBytes(asciiBytes('sluice/view-change/1'), runId);
  const newViewPrefix = joinBytes(asciiBytes('sluice/new-view/1'), runId);
  return {
    batch(lane, seq, previous, payload, frameSha256) {
      const frame = frameSha256 ?? crypto.sha256(laneFrameHeader(seq, previous), payload);
      writeU16(batchText, batchPrefix.length, lane);
      batchText.set(frame, batchPrefix.length + INDEX_BYTES);
      return crypto.sha256(batchText);
    },
    proposal(proposal) {
      const at = proposalPrefix.length;
      writeU64(proposalText, at, proposal.slot);
      proposalText[at + SLOT_BYTES] = proposalFlags(proposal);
      writeProposalBody(proposalText, at + SLOT_BYTES + FLAGS_BYTES, proposal);
      return crypto.sha256(proposalText, undefined, DIGEST24_BYTES);
    },
    prepare(signer, view, slot, digest) {
      const head = new Uint8Array(INDEX_BYTES + VIEW_BYTES + SLOT_BYTES);
      writeU16(head, 0, signer);
      writeU32(head, INDEX_BYTES, view);
      writeU64(head, INDEX_BYTES + VIEW_BYTES, slot);
      return joinBytes(preparePrefix, head, digest);
    },
    checkpoint(state) {
      return crypto.sha256(checkpointPrefix, encodeCheckpointState(state));
    },
    checkpointText(signer, stateDigest) {
      const head = new Uint8Array(INDEX_BYTES);
      writeU16(head, 0, signer);
      return joinBytes(checkpointSignaturePrefix, head, stateDigest);
    },
    viewChange(change) {
      return joinBytes(viewChangePrefix, crypto.sha256(viewChangeBodyOf(change)));
    },
    newView(newView) {
      return joinBytes(newViewPrefix, crypto.sha256(newViewBodyOf(newView)));
    },
  };
}
