/**
 * One core of n, its peers played by the test: whatever they say is well-formed and may be a lie.
 */

import { coreOf } from '../../../consensus/core/core.ts';
import type {
  BatchRef,
  Cell,
  CoreLimits,
  Effect,
  Evidence,
  Message,
  Proposal,
} from '../../../consensus/core/index.ts';
import { DEFAULT_LIMITS } from '../../../consensus/core/index.ts';
import { createState } from '../../../consensus/core/state.ts';
import { testCrypto } from './crypto.ts';
import { RUN_ID, START_MS } from './replica.ts';

export const EMPTY: BatchRef = { seq: 0, digest: new Uint8Array(32) };

export function createSolo(self: number, replicas = 4, limits: Partial<CoreLimits> = {}) {
  const crypto = testCrypto(self);
  const state = createState(optionsOf(self, replicas, limits), crypto);
  const core = coreOf(state);
  const effects: Effect[] = [];
  const solo = {
    state,
    core,
    crypto,
    /** Everything said so far. */
    effects,
    nowMs: START_MS,
    step(input: Parameters<typeof core.step>[0]): Effect[] {
      const said = core.step(input, solo.nowMs);
      effects.push(...said);
      return said;
    },
    openAll(): void {
      for (let peer = 0; peer < replicas; peer++) {
        if (peer !== self) solo.step({ kind: 'session', peer, open: true });
      }
    },
    tick(afterMs: number): Effect[] {
      solo.nowMs += afterMs;
      return solo.step({ kind: 'tick' });
    },
    cell: (from: number, cell: Cell) => solo.step({ kind: 'cell', from, cell }),
    message: (from: number, message: Message) => solo.step({ kind: 'message', from, message }),
    /** The next batch of a peer's lane after `after`; said and checked. */
    batch(lane: number, after: BatchRef, text: string, verdict: boolean | 'none' = true): BatchRef {
      const payload = Buffer.from(text);
      const batch = { lane, seq: after.seq + 1, previous: after.digest, payload };
      const ref = { seq: batch.seq, digest: refDigest(lane, batch.seq, batch.previous, payload) };
      solo.step({ kind: 'lane-batch', from: lane, batch });
      if (verdict !== 'none') solo.step({ kind: 'batch-checked', lane, ref, valid: verdict });
      return ref;
    },
    refOf: (lane: number, after: BatchRef, text: string): BatchRef => ({
      seq: after.seq + 1,
      digest: refDigest(lane, after.seq + 1, after.digest, Buffer.from(text)),
    }),
    /** Content of a slot with these tips. */
    content(slot: number, tips: Record<number, BatchRef>, timeMs = START_MS): Proposal {
      const frontier = Array.from({ length: replicas }, (_, lane) => tips[lane] ?? EMPTY);
      return { slot, timeMs, cut: false, frontier };
    },
    propose(proposal: Proposal): Effect[] {
      return solo.cell(0, { kind: 'proposal', view: 0, proposal });
    },
    digest: (proposal: Proposal) => state.digests.proposal(proposal),
    ...readingsOf(effects),
    prepareOf(
      signer: number,
      proposal: Proposal,
      incarnation = new Uint8Array(8).fill(signer + 1),
    ) {
      const digest = solo.digest(proposal);
      const text = state.digests.prepare(signer, incarnation, 0, proposal.slot, digest);
      const signature = testCrypto(signer).sign(text);
      return { view: 0, slot: proposal.slot, digest, signer, incarnation, signature };
    },
  };
  return solo;

  function refDigest(lane: number, seq: number, previous: Uint8Array, payload: Uint8Array) {
    return state.digests.batch(lane, seq, previous, payload);
  }
}

function optionsOf(self: number, replicas: number, limits: Partial<CoreLimits>) {
  return {
    self,
    replicas,
    runId: RUN_ID,
    firstSlot: 1,
    baseTimeMs: START_MS - 1,
    batchTimeoutMs: 2_000,
    limits: { ...DEFAULT_LIMITS, ...limits },
  };
}

/** What has been said, read in the ways that tests ask for. */
function readingsOf(effects: readonly Effect[]) {
  return {
    evidence: (): Evidence[] =>
      effects.flatMap((effect) => (effect.kind === 'evidence' ? [effect.evidence] : [])),
    votes: (): number[] =>
      effects.flatMap((effect) =>
        effect.kind === 'write-cell' && effect.cell.kind === 'vote' ? [effect.cell.slot] : [],
      ),
    delivered: (): number[] =>
      effects.flatMap((effect) => (effect.kind === 'deliver' ? [effect.slot] : [])),
  };
}
