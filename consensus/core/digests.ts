/** What is hashed and signed. Every text starts with its own tag and the run, so that none passes for another. */
import { encodeProposalBody, laneFrameHeader } from '../wire/index.ts';
import { asciiBytes, DIGEST24_BYTES, joinBytes } from './bytes.ts';
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

export function createDigests(runId: Uint8Array, crypto: CoreCrypto): Digests {
  const batchPrefix = joinBytes(asciiBytes('sluice/batch/1'), runId);
  const proposalPrefix = joinBytes(asciiBytes('sluice/proposal/1'), runId);
  const preparePrefix = joinBytes(asciiBytes('sluice/prepare/1'), runId);
  return {
    batch(lane, seq, previous, payload, frameSha256) {
      const frame = frameSha256 ?? crypto.sha256(laneFrameHeader(seq, previous), payload);
      return crypto.sha256(batchPrefix, u16(lane), frame);
    },
    proposal(proposal) {
      const body = encodeProposalBody(proposal);
      // timeMs, then cut, then frontier: the body with the flag put between.
      const head = new Uint8Array(8 + 8 + 1);
      head.set(u64(proposal.slot), 0);
      head.set(body.subarray(0, 8), 8);
      head[16] = proposal.cut ? 1 : 0;
      return crypto.sha256(proposalPrefix, head, body.subarray(8)).subarray(0, DIGEST24_BYTES);
    },
    prepare(signer, incarnation, view, slot, digest) {
      return joinBytes(preparePrefix, u16(signer), incarnation, u32(view), u64(slot), digest);
    },
  };
}

function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  new DataView(bytes.buffer).setUint16(0, value, true);
  return bytes;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}
