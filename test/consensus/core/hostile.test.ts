/**
 * One core against three peers who say anything that has an encoding, in any order: it never throws, and what it keeps stays
 * bounded.
 */
import { expect } from 'chai';
import {
  type BatchRef,
  type Cell,
  CoreError,
  type Input,
  type Message,
  type Proposal,
  type SlotReport,
} from '../../../consensus/core/index.ts';
import { findSlot } from '../../../consensus/core/slots.ts';
import {
  decodeCell,
  decodeMessage,
  encodeCell,
  encodeMessage,
} from '../../../consensus/wire/index.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

const LIMITS = {
  windowSlots: 8,
  pipelineSlotsMax: 3,
  fetchSlotsMax: 8,
  laneAdvanceBatchesMax: 3,
  laneBatchesHeldMax: 16,
  ownBatchesPendingMax: 8,
  wantsMax: 8,
  verifiedSignaturesMax: 64,
  decidedLogSlotsMax: 16,
  retainedBytesMax: 4_000,
  sharedCheckBytesMin: 1,
  heartbeatMs: 5,
  viewTimeoutMs: 20,
  leaderGoneMs: 10,
};
const REPLICAS = 4;

/** Mulberry32. */
function randomOf(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Three peers who know what the core knows, and say something that is close to it, or far. */
class Peers {
  readonly solo: Solo;
  readonly #below: (limit: number) => number;
  /** Batches and contents that came up, to be named again. */
  readonly #refs: { lane: number; ref: BatchRef }[] = [];
  readonly #contents: Proposal[] = [];

  /** Some let the core work for a while, others drive it from view to view. */
  readonly #isCalm: boolean;

  constructor(solo: Solo, seed: number) {
    this.solo = solo;
    this.#below = randomOf(seed);
    this.#isCalm = seed % 3 > 0;
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)] as T;
  }

  get #peer(): number {
    const { leader } = this.solo.core.status();
    if (leader !== this.solo.state.self && this.#below(2) === 0) return leader;
    const peer = this.#below(REPLICAS - 1);
    return peer >= this.solo.state.self ? peer + 1 : peer;
  }

  get #slot(): number {
    const { executedSlot, stableSlot } = this.solo.core.status();
    const near = executedSlot + this.#below(6) - 1;
    const odd = [0, 1, stableSlot, stableSlot + 9, executedSlot + 17, 2 ** 40, 2 ** 53 - 1];
    return Math.max(0, this.#below(8) > 0 ? near : this.#pick(odd));
  }

  /** Where peers stand, or say that they do. */
  get #view(): number {
    const { view } = this.solo.core.status();
    const odd = [0, view + 1, view + 2, view + 7, Math.max(0, view - 1)];
    return this.#below(this.#isCalm ? 100 : 5) > 0 ? view : this.#pick(odd);
  }

  /** f + 1 of them, a correct one among those, are never for the last view that there is. */
  get #anyView(): number {
    return this.#below(20) === 0 ? 2 ** 32 - 1 : this.#view;
  }

  /** Of what the leader has shown, mostly. */
  #digestFor(slot: number): Uint8Array {
    const shown = findSlot(this.solo.state.slots, slot)?.round.proposal;
    return shown !== undefined && this.#below(5) > 0 ? this.solo.digest(shown) : this.#digest;
  }

  get #digest(): Uint8Array {
    const content = this.#pick(this.#contents);
    const isKnown = content !== undefined && this.#below(4) > 0;
    return isKnown ? this.solo.digest(content) : new Uint8Array(24).fill(this.#below(256));
  }

  #tip(lane: number): BatchRef {
    const known = this.#refs.filter((one) => one.lane === lane);
    const { executed, tip } = this.solo.state.lanes[lane]!;
    const odd = { seq: 1 + this.#below(2 ** 20), digest: new Uint8Array(32).fill(7) };
    return this.#pick([EMPTY, executed, tip, tip, this.#pick(known)?.ref ?? EMPTY, odd]);
  }

  #content(slot = this.#slot): Proposal {
    if (this.#contents.length > 0 && this.#below(4) === 0) return this.#pick(this.#contents);
    const { executed } = this.solo.state;
    const timeMs = executed.timeMs + this.#below(5) - 1;
    const isQuiet = this.#below(3) > 0;
    const frontier = executed.frontier.map((tip, lane) => (isQuiet ? tip : this.#tip(lane)));
    const content = { slot, timeMs, cut: this.#below(2) === 0, frontier };
    this.#contents.push(content);
    if (this.#contents.length > 40) this.#contents.shift();
    return content;
  }

  #batch(lane: number) {
    const after = this.#below(3) > 0 ? this.solo.state.lanes[lane]!.tip : this.#tip(lane);
    const payload = Buffer.from(`${this.#below(50)}`);
    const previous = after.seq === 0 ? EMPTY.digest : after.digest;
    const batch = { lane, seq: after.seq + 1, previous, payload };
    const digest = this.solo.state.digests.batch(lane, batch.seq, previous, payload);
    this.#refs.push({ lane, ref: { seq: batch.seq, digest } });
    if (this.#refs.length > 60) this.#refs.shift();
    return batch;
  }

  #cell(from: number): Cell {
    const view = this.#anyView;
    const slot = this.#slot;
    switch (this.#below(4)) {
      case 0:
        return { kind: 'proposal', view, proposal: this.#content() };
      case 1:
        return { kind: 'vote', view, slot, digest: this.#digestFor(slot) };
      case 2:
        return { kind: 'commit', view, slot, digest: this.#digestFor(slot) };
      default: {
        const held = this.solo.state.lanes.map(({ lane }) => this.#tip(lane));
        const flags = { changing: this.#below(5) === 0, mute: this.#below(10) === 0 };
        const [at, other] = [this.#view, this.#view];
        const views = { view: Math.min(at, other), wish: Math.max(at, other) };
        const appliedSlot = this.#slot;
        return { kind: 'progress', appliedSlot, held, ...views, ...flags, beat: from };
      }
    }
  }

  #reports(view: number): SlotReport[] {
    if (view === 0) return [];
    const { state } = this.solo;
    const { slot: base } = state.checkpoints.stable;
    const reports: SlotReport[] = [];
    for (let slot = base + 1; slot <= base + 10; slot++) {
      if (this.#below(3) > 0) continue;
      const vote = { view: this.#below(Math.min(view, 50)), digest: this.#digest };
      const isCertified = this.#below(8) === 0;
      const prepared = isCertified
        ? this.solo.signed.prepared(this.#below(Math.min(view, 50)), slot, this.#digest)
        : undefined;
      reports.push({ slot, vote, prepared });
    }
    return reports;
  }

  #change(signer: number, view: number) {
    const { certificate } = this.solo.state.checkpoints.stable;
    const lives = Array.from({ length: REPLICAS }, () => (this.#below(40) === 0 ? 1 : 0));
    return this.solo.signed.viewChange(signer, view, this.#reports(view), certificate, lives);
  }

  #certificate() {
    const { solo } = this;
    // Signed by q, so one of them correct: of a slot that the run can have reached.
    const state = solo.checkpointState(solo.state.executed.slot + this.#below(20));
    return this.#below(25) > 0
      ? undefined
      : solo.signed.certificate({ ...state, frontier: solo.state.executed.frontier });
  }

  #message(from: number): Message {
    const { solo } = this;
    const view = this.#view;
    switch (this.#below(14)) {
      case 0:
      case 1: {
        const shown = findSlot(solo.state.slots, this.#slot)?.round.proposal;
        const prepare = solo.signed.prepare(from, shown ?? this.#content(), view);
        return { kind: 'prepare', request: this.#below(2) === 0, prepare };
      }
      case 2: {
        const lane = this.#below(REPLICAS);
        const ref = this.#tip(lane);
        if (ref.seq === 0) return { kind: 'batch', batch: this.#batch(lane) };
        return { kind: 'fetch-batch', lane, ref, after: this.#below(ref.seq) };
      }
      case 3:
        return { kind: 'batch', batch: this.#batch(this.#below(REPLICAS)) };
      case 4: {
        const fromSlot = this.#slot;
        return {
          kind: 'fetch-decided',
          fromSlot,
          toSlot: Math.min(fromSlot + this.#below(100), 2 ** 53 - 1),
        };
      }
      case 5:
        return { kind: 'decided', proposal: this.#content() };
      case 6:
        return { kind: 'fetch-proposal', slot: this.#slot, digest: this.#digest };
      case 7: {
        const outcomes = [...solo.state.views.outcomes.keys()];
        return { kind: 'proposal', proposal: this.#content(this.#pick(outcomes) ?? this.#slot) };
      }
      case 8:
        return { kind: 'view-change', viewChange: this.#change(from, view) };
      case 9: {
        const { view: present } = solo.core.status();
        const of = present + this.#below(2);
        const without = this.#below(REPLICAS);
        const changes = [0, 1, 2, 3].filter((signer) => signer !== without);
        const made = changes.map((signer) => this.#change(signer, of));
        const by = this.#below(6) === 0 ? from : of % REPLICAS;
        return { kind: 'new-view', newView: solo.signed.newView(of, made, by) };
      }
      case 10: {
        const state = this.#below(2) === 0 ? this.#opened() : this.#state();
        return { kind: 'checkpoint', checkpoint: solo.signed.checkpoint(from, state) };
      }
      case 11:
        return { kind: 'fetch-checkpoint', life: this.#below(3), ready: this.#below(3) === 0 };
      case 12: {
        const lane = this.#below(REPLICAS);
        const { seq, digest } = this.#tip(lane);
        return { kind: 'attest', lane, ref: { seq: Math.max(1, seq), digest } };
      }
      default: {
        const certificate = this.#certificate();
        const namedSlot = this.#slot;
        return { kind: 'stable-checkpoint', certificate, namedSlot, life: this.#below(3) };
      }
    }
  }

  /** A state that this core has, too. */
  #opened() {
    const { open } = this.solo.state.checkpoints;
    return this.#pick(open)?.state ?? this.#state();
  }

  #state() {
    return this.solo.checkpointState(Math.min(this.#slot, 2 ** 52));
  }

  /** What comes out of the transport: decoded, so everything has an encoding. */
  #said(): Input {
    const from = this.#peer;
    const roll = this.#below(20);
    if (roll < 9) {
      const frame = encodeCell(this.#cell(from));
      const cell = decodeCell(frame, REPLICAS);
      if (cell.kind === 'ok') return { kind: 'cell', from, cell: cell.value };
      return { kind: 'malformed', from, reason: cell.reason };
    }
    if (roll < 16) {
      const message = decodeMessage(encodeMessage(this.#message(from)), REPLICAS);
      if (message.kind === 'ok') return { kind: 'message', from, message: message.value };
      return { kind: 'malformed', from, reason: message.reason };
    }
    if (roll < 19) return { kind: 'lane-batch', from, batch: this.#batch(from) };
    if (this.#below(3) > 0) return { kind: 'malformed', from, reason: `noise ${this.#below(100)}` };
    return { kind: 'session', peer: from, open: this.#below(4) > 0 };
  }

  speak(): void {
    const { solo } = this;
    const { lanes, self } = solo.state;
    const own = lanes[self]!;
    if (this.#below(10) === 0) solo.tick(this.#below(30));
    if (this.#below(20) === 0 && own.tip.seq - own.executed.seq < LIMITS.ownBatchesPendingMax - 1) {
      solo.step({ kind: 'submit', payload: Buffer.from('own') });
    }
    solo.step(this.#said());
  }
}

/** The orderer: answers late, and finds some batches invalid. */
class Orderer {
  readonly #below: (limit: number) => number;
  #at = 0;

  constructor(below: (limit: number) => number) {
    this.#below = below;
  }

  answer(solo: Solo): void {
    for (const until = solo.effects.length; this.#at < until; this.#at++) {
      const effect = solo.effects[this.#at]!;
      if (effect.kind === 'check-batch') {
        const { batch, ref, extent } = effect;
        const valid = this.#below(8) > 0;
        solo.checked(batch.lane, ref, valid, extent !== 'form');
      } else if (effect.kind === 'transfer') {
        // It finishes what was delivered first.
        solo.apply();
        solo.step({ kind: 'transferred', slot: effect.state.slot });
      }
    }
    solo.apply();
  }
}

function checkBounds(solo: Solo): void {
  const { state } = solo;
  const { windowSlots: w, laneBatchesHeldMax, wantsMax } = LIMITS;
  expect(state.slots.records.length).to.equal(2 * w);
  expect(state.wants.length).to.be.at.most(wantsMax);
  expect(state.signatures.size).to.be.at.most(LIMITS.verifiedSignaturesMax);
  expect(state.views.outcomes.size).to.be.at.most(2 * w);
  expect(state.checkpoints.open.length).to.be.at.most(2 * w);
  expect(state.catchUp.answers.size).to.be.at.most(LIMITS.fetchSlotsMax + 1);
  expect(state.leader.cutSlots.length).to.be.at.most(2 * w);
  expect(state.decidedLog.slots.length).to.equal(LIMITS.decidedLogSlotsMax);
  expect(state.counters.ignored.size).to.be.below(80);
  for (const lane of state.lanes) {
    // What a slot names is taken beyond that (L6).
    expect(lane.heldBatches).to.be.at.most(laneBatchesHeldMax + wantsMax + LIMITS.wantsMax);
    expect(lane.deadBatches).to.be.at.most(laneBatchesHeldMax);
    expect(lane.deadBytes).to.be.at.most(state.limits.laneBytesHeldMax);
  }
  for (const peer of state.peers) {
    expect(peer.early.size).to.be.at.most(3 * w);
    expect(peer.checkpoints.length).to.be.at.most(4);
    expect(peer.evidenceEmitted).to.be.at.most(64);
    expect(peer.malformedReasons.size).to.be.at.most(32);
  }
}

const SEEDS = Number(process.env.SEEDS ?? 4);
const FIRST_SEED = Number(process.env.FIRST_SEED ?? 1);
const STEPS = 800;

describe('whatever peers say', function () {
  this.timeout(Math.max(20_000, SEEDS * 5_000));

  for (const entry of ['begin', 'join'] as const) {
    it(`a core does not throw, and keeps within its bounds: ${entry}`, () => {
      let views = 0;
      let slots = 0;
      let votes = 0;
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        const below = randomOf(seed + 1_000);
        const orderer = new Orderer(below);
        const solo = createSolo(seed % REPLICAS, REPLICAS, LIMITS, { kind: entry });
        const peers = new Peers(solo, seed);
        solo.openAll();
        for (let step = 0; step < STEPS; step++) {
          try {
            peers.speak();
            if (below(3) === 0) orderer.answer(solo);
          } catch (error) {
            // Three of three lie: they can prove two truths to it, and it must notice.
            if (error instanceof CoreError && error.code === 'safety_violation') break;
            throw new Error(`seed ${seed}, step ${step}`, { cause: error });
          }
        }
        checkBounds(solo);
        views += solo.core.status().viewChanges;
        slots += solo.core.status().executedSlot;
        votes += solo.votes().length;
      }
      if (entry === 'begin') expect(votes).to.be.above(SEEDS);
      // Not for lack of anything happening.
      expect(views).to.be.above(0);
      expect(slots).to.be.above(SEEDS);
    });
  }
});
