/**
 * What is known of each slot, in a ring of 2W records that are reused. The window (`window.ts`) is
 * half of it; the other half is kept to answer those who are a little behind.
 */
import { assert } from './assert.ts';
import { DIGEST24_BYTES, equalAt } from './bytes.ts';
import type {
  Digest24,
  Prepare,
  PreparedCertificate,
  Proposal,
  ReplicaIndex,
  Slot,
  View,
} from './types.ts';

/** One digest per replica: who said what. */
export interface DigestTable {
  /** How many have spoken. */
  count: number;
  readonly seen: Uint8Array;
  readonly digests: Uint8Array;
}

export const VOTED_LONG_AGO_MS = 0;

export type PrepareState = 'unchecked' | 'valid' | 'invalid';

/** A slot in one view. Reset when the record moves to another slot or view. */
export interface Round {
  view: View;
  /** The first content that the leader showed; it never changes within the view. */
  proposal: Proposal | undefined;
  /** Digest of `proposal`; meaningless without. Digests are never written into, so votes and certificates share it. */
  digest: Digest24;
  /** The leader showed a second content; reported once. */
  equivocated: boolean;
  /** Never to be voted for in this view (V9). */
  refused: boolean;
  /** This replica voted for `digest`. Implies `proposal !== undefined && !refused`. */
  voted: boolean;
  /** VOTED_LONG_AGO_MS: before this process began. */
  votedAtMs: number;
  readonly votes: DigestTable;
  readonly commits: DigestTable;
  readonly prepares: (Prepare | undefined)[];
  readonly prepareStates: PrepareState[];
  /** Signers that were found to have signed two digests. */
  readonly equivocators: Uint8Array;
  /** This replica has broadcast its PREPARE. */
  slowStarted: boolean;
  /** When this replica last sent its PREPARE to each peer; -Infinity: never. */
  readonly preparedToMs: Float64Array;
}

/** What this replica voted for in some view, with the content. */
export interface OwnVote {
  readonly view: View;
  readonly digest: Digest24;
  readonly proposal: Proposal;
}

export interface SlotState {
  slot: Slot;
  /** In the current view. */
  readonly round: Round;
  /** The own vote of the highest view, and the highest certificate seen: what a VIEW-CHANGE reports (W2). */
  vote: OwnVote | undefined;
  prepared: PreparedCertificate | undefined;
  /** The decided content, whatever view and path it came from; once set, it stays. */
  decided: Proposal | undefined;
  decidedDigest: Digest24;
  decidedPath: 'fast' | 'slow' | 'fetched';
  /** View whose votes or COMMITs decided it; undefined when others told, who do not say which. */
  decidedView: View | undefined;
}

export interface SlotRing {
  readonly replicas: number;
  readonly records: (SlotState | undefined)[];
}

export function createSlotRing(replicas: number, windowSlots: number): SlotRing {
  return { replicas, records: new Array<SlotState | undefined>(2 * windowSlots).fill(undefined) };
}

export function findSlot(ring: SlotRing, slot: Slot): SlotState | undefined {
  const record = ring.records[slot % ring.records.length];
  return record !== undefined && record.slot === slot ? record : undefined;
}

/**
 * The slot's record, taking the place of the one that lay there. The caller has checked the window.
 */
export function claimSlot(ring: SlotRing, slot: Slot, view: View): SlotState {
  const index = slot % ring.records.length;
  let record = ring.records[index];
  if (record === undefined) {
    record = createRecord(ring.replicas, slot, view);
    ring.records[index] = record;
  } else if (record.slot !== slot) {
    assert(record.slot < slot, 'a slot record never goes back');
    resetRecord(record, slot, view);
  }
  assert(record.round.view === view, 'one round per slot: the current view');
  return record;
}

/** A view begins: nothing that was said in a lower one counts in it. */
export function resetRounds(ring: SlotRing, view: View): void {
  for (const record of ring.records) {
    if (record !== undefined && record.round.view !== view) resetRound(record.round, view);
  }
}

const NO_DIGEST: Digest24 = new Uint8Array(DIGEST24_BYTES);

function createRecord(replicas: number, slot: Slot, view: View): SlotState {
  return {
    slot,
    round: {
      view,
      proposal: undefined,
      digest: NO_DIGEST,
      equivocated: false,
      refused: false,
      voted: false,
      votedAtMs: 0,
      votes: createTable(replicas),
      commits: createTable(replicas),
      prepares: new Array<Prepare | undefined>(replicas).fill(undefined),
      prepareStates: new Array<PrepareState>(replicas).fill('unchecked'),
      equivocators: new Uint8Array(replicas),
      slowStarted: false,
      preparedToMs: new Float64Array(replicas).fill(-Infinity),
    },
    vote: undefined,
    prepared: undefined,
    decided: undefined,
    decidedDigest: NO_DIGEST,
    decidedPath: 'fast',
    decidedView: undefined,
  };
}

function resetRecord(record: SlotState, slot: Slot, view: View): void {
  record.slot = slot;
  record.decided = undefined;
  record.decidedView = undefined;
  record.vote = undefined;
  record.prepared = undefined;
  resetRound(record.round, view);
}

function resetRound(round: Round, view: View): void {
  round.view = view;
  round.proposal = undefined;
  round.equivocated = false;
  round.refused = false;
  round.voted = false;
  round.slowStarted = false;
  // One loop: `fill` leaves the compiled code six times for a handful of values.
  round.votes.count = 0;
  round.commits.count = 0;
  for (let replica = 0; replica < round.prepares.length; replica++) {
    round.votes.seen[replica] = 0;
    round.commits.seen[replica] = 0;
    round.prepares[replica] = undefined;
    round.prepareStates[replica] = 'unchecked';
    round.equivocators[replica] = 0;
    round.preparedToMs[replica] = -Infinity;
  }
}

export function createTable(replicas: number): DigestTable {
  return {
    count: 0,
    seen: new Uint8Array(replicas),
    digests: new Uint8Array(replicas * DIGEST24_BYTES),
  };
}

/** Notes what `replica` said. The first word stands: `different` changes nothing. */
export function noteDigest(
  table: DigestTable,
  replica: ReplicaIndex,
  digest: Digest24,
): 'new' | 'same' | 'different' {
  const offset = replica * DIGEST24_BYTES;
  if (table.seen[replica] === 1) {
    return equalAt(table.digests, offset, digest) ? 'same' : 'different';
  }
  table.seen[replica] = 1;
  table.count++;
  for (let i = 0; i < DIGEST24_BYTES; i++) table.digests[offset + i] = digest[i] as number;
  return 'new';
}

export function hasDigest(table: DigestTable, replica: ReplicaIndex, digest: Digest24): boolean {
  return table.seen[replica] === 1 && equalAt(table.digests, replica * DIGEST24_BYTES, digest);
}

/** A copy of what `replica` said. */
export function digestOf(table: DigestTable, replica: ReplicaIndex): Digest24 {
  return table.digests.slice(replica * DIGEST24_BYTES, (replica + 1) * DIGEST24_BYTES);
}

/** Have so many said `digest`? Until so many have spoken at all, nothing is compared. */
export function isSaidBy(table: DigestTable, digest: Digest24, quorum: number): boolean {
  return table.count >= quorum && countDigest(table, digest) >= quorum;
}

/** How many said `digest`. */
export function countDigest(table: DigestTable, digest: Digest24): number {
  let count = 0;
  for (let replica = 0; replica < table.seen.length; replica++) {
    if (hasDigest(table, replica, digest)) count++;
  }
  return count;
}

/** Has anybody said something else than `digest`? */
export function hasOtherDigest(table: DigestTable, digest: Digest24): boolean {
  for (let replica = 0; replica < table.seen.length; replica++) {
    if (table.seen[replica] === 1 && !hasDigest(table, replica, digest)) return true;
  }
  return false;
}
