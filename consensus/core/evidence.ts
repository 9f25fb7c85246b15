/** Faults of peers: counted always, reported as effects a bounded number of times. */
import type { CoreState, PeerState } from './state.ts';
import type { Evidence, ReplicaIndex } from './types.ts';

/** A peer that never stops must not fill the log; its count in `status` goes on. */
const EVIDENCE_PER_PEER_MAX = 64;
const MALFORMED_REASONS_MAX = 32;

export function reportEvidence(state: CoreState, evidence: Evidence): void {
  const peer = state.peers[evidence.peer] as PeerState;
  peer.faults++;
  if (peer.evidenceEmitted >= EVIDENCE_PER_PEER_MAX) return;
  peer.evidenceEmitted++;
  state.effects.push({ kind: 'evidence', evidence });
}

/** Undecodable input: each reason is reported once per peer. */
export function reportMalformed(state: CoreState, from: ReplicaIndex, reason: string): void {
  const peer = state.peers[from] as PeerState;
  if (peer.malformedReasons.has(reason) || peer.malformedReasons.size >= MALFORMED_REASONS_MAX) {
    peer.faults++;
    return;
  }
  peer.malformedReasons.add(reason);
  reportEvidence(state, { kind: 'malformed', peer: from, reason });
}
