/** Rules A1 to A7: whose check of a batch's signatures counts, and for how long it is waited for. */
import { expect } from 'chai';
import { checkerOf } from '../../../consensus/core/attest.ts';
import {
  type BatchRef,
  type CheckExtent,
  type CoreLimits,
  faultsTolerated,
  NO_SHARED_CHECKS,
} from '../../../consensus/core/index.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

/** Of seven, two lie. Lane 3: seq 1 is checked by 4 and 5, seq 2 by 6 and 0, seq 3 by 1 and 2. */
const REPLICAS = 7;
const LANE = 3;
const LIMITS = { sharedCheckBytesMin: 8, attestAfterMs: 20, attestAfterMsMax: 50 };
const TEXT = 'long enough';

function soloOf(self: number, limits: Partial<CoreLimits> = LIMITS, replicas = REPLICAS): Solo {
  const solo = createSolo(self, replicas, limits);
  solo.openAll();
  return solo;
}

/** What the orderer was asked of the batches so far. */
function asked(solo: Solo): CheckExtent[] {
  return solo.effects.flatMap((effect) => (effect.kind === 'check-batch' ? [effect.extent] : []));
}

function attest(solo: Solo, from: number, ref: BatchRef, lane = LANE): void {
  solo.message(from, { kind: 'attest', lane, ref });
}

/** Through its owner's ring, and read. */
function readBatch(solo: Solo, after = EMPTY, text = TEXT): BatchRef {
  const ref = solo.batch(LANE, after, text, 'none');
  expect(asked(solo).at(-1)).to.equal('form');
  solo.checked(LANE, ref, true, false);
  return ref;
}

/** Does it hold the batch for valid? Then it votes for it. */
function votesFor(solo: Solo, ref: BatchRef): boolean {
  solo.propose(solo.content(1, { [LANE]: ref }));
  return solo.votes().includes(1);
}

describe('the checkers of a batch', () => {
  it('are f others than its owner, all different, and everybody in turn', () => {
    for (let replicas = 4; replicas <= 31; replicas++) {
      const faults = faultsTolerated(replicas);
      const turns = new Array<number>(replicas).fill(0);
      const lane = replicas % 3;
      for (let seq = 1; seq <= replicas - 1; seq++) {
        const checkers = Array.from({ length: faults }, (_, k) =>
          checkerOf(lane, seq, k, { replicas, faults }),
        );
        expect(new Set(checkers).size).to.equal(faults);
        expect(checkers).to.not.include(lane);
        for (const checker of checkers) turns[checker]!++;
      }
      turns.splice(lane, 1);
      expect(new Set(turns), 'each as often as another').to.eql(new Set([faults]));
    }
  });

  it('follow the rule, for any seq that a peer may name', () => {
    const of = (seq: number) =>
      [0, 1].map((k) => checkerOf(LANE, seq, k, { replicas: 7, faults: 2 }));
    expect([1, 2, 3, 4].map(of)).to.eql([
      [4, 5],
      [6, 0],
      [1, 2],
      [4, 5],
    ]);
    for (const checker of of(Number.MAX_SAFE_INTEGER)) expect(checker).to.be.within(0, 6);
  });
});

describe("clients' signatures", () => {
  it('are left to the checkers, and their batch is valid when f + 1 have attested it', () => {
    const solo = soloOf(1);
    const ref = readBatch(solo);
    attest(solo, 4, ref);
    expect(votesFor(solo, ref), 'the owner and one are f').to.equal(false);
    attest(solo, 5, ref);
    expect(solo.votes()).to.eql([1]);
    solo.live(100);
    expect(asked(solo), 'nothing is checked a second time').to.eql(['form']);
  });

  it('may be attested before the batch is here, and before it is read', () => {
    const solo = soloOf(1);
    attest(solo, 4, solo.refOf(LANE, EMPTY, TEXT));
    const ref = solo.batch(LANE, EMPTY, TEXT, 'none');
    attest(solo, 5, ref);
    expect(votesFor(solo, ref), 'it has to be read all the same').to.equal(false);
    solo.checked(LANE, ref, true, false);
    expect(solo.votes()).to.eql([1]);
    expect(solo.core.nextTickMs()).to.be.above(solo.nowMs);
  });

  it('are checked here when attestations are late, and only then', () => {
    const solo = soloOf(1);
    const ref = readBatch(solo);
    attest(solo, 4, ref);
    solo.live(19);
    expect(asked(solo)).to.eql(['form']);
    solo.live(1);
    expect(asked(solo)).to.eql(['form', 'late']);
    solo.live(1_000);
    expect(asked(solo), 'asked once').to.eql(['form', 'late']);
    expect(votesFor(solo, ref)).to.equal(false);
    solo.checked(LANE, ref);
    expect(solo.votes()).to.eql([1]);
    expect(solo.sent('attest'), 'it is no checker').to.eql([]);
  });

  it('are waited for longer when that has taken long, within bounds, and less again', () => {
    const solo = soloOf(1);
    // Seq 3, 6, 9 of lane 3 are checked by this replica itself, the others are not.
    const readOf = (seq: number): BatchRef => {
      const after = { seq: seq - 1, digest: new Uint8Array(32).fill(seq) };
      const ref = solo.batch(LANE, seq === 1 ? EMPTY : after, TEXT, 'none');
      solo.checked(LANE, ref, true, false);
      return ref;
    };
    const isTurn = (seq: number): boolean => seq % 3 === 0;
    const waits: number[] = [];
    for (let seq = 1; seq <= 30; seq++) {
      if (isTurn(seq)) continue;
      const ref = readOf(seq);
      waits.push(solo.state.unattested[0]!.lateMs - solo.state.timerMs);
      solo.live(1_000);
      // Too late.
      for (const from of [0, 2, 4, 5, 6]) attest(solo, from, ref);
    }
    expect(waits[0]).to.equal(20);
    expect(waits.at(-1)).to.equal(50);
    expect(waits).to.eql([...waits].sort((a, b) => a - b));
    for (let seq = 31; seq <= 90; seq++) {
      if (isTurn(seq)) continue;
      const ref = readOf(seq);
      for (const from of [0, 2, 4, 5, 6]) attest(solo, from, ref);
      solo.live(60);
    }
    readOf(91);
    expect(solo.state.unattested[0]!.lateMs - solo.state.timerMs).to.equal(20);
  });

  it('are not left to a checker that was late three times and says nothing, until it does', () => {
    const solo = soloOf(1);
    // 4 and 5 are the checkers; 5 attests at once.
    const batchOf = (seq: number): BatchRef => {
      const after = { seq: seq - 1, digest: new Uint8Array(32).fill(seq) };
      const ref = solo.batch(LANE, seq === 1 ? EMPTY : after, TEXT, 'none');
      attest(solo, 5, ref);
      return ref;
    };
    for (const seq of [1, 4, 7]) {
      const ref = batchOf(seq);
      expect(asked(solo).at(-1)).to.equal('form');
      solo.checked(LANE, ref, true, false);
      solo.live(100);
      expect(asked(solo).at(-1)).to.equal('late');
    }
    const ref = batchOf(10);
    expect(asked(solo).at(-1), 'it has missed three').to.equal('all');
    attest(solo, 4, ref);
    batchOf(13);
    expect(asked(solo).at(-1), 'it speaks again').to.equal('form');
  });

  it('that are late may still be attested', () => {
    const solo = soloOf(1);
    const ref = readBatch(solo);
    solo.live(20);
    for (const from of [4, 5]) attest(solo, from, ref);
    expect(votesFor(solo, ref)).to.equal(true);
    solo.checked(LANE, ref);
    expect(solo.evidence()).to.eql([]);
  });

  it('count for what was found here, whatever others have attested', () => {
    const solo = soloOf(1);
    const ref = readBatch(solo);
    solo.live(20);
    for (const from of [4, 5]) attest(solo, from, ref);
    expect(solo.state.lanes[LANE]!.tip.seq).to.equal(1);
    solo.checked(LANE, ref, false);
    expect(solo.state.lanes[LANE]!.tip.seq).to.equal(0);
    expect(solo.accusations()).to.eql(['invalid-batch 3']);
  });

  it('of a batch whose form is bad matter to nobody', () => {
    const solo = soloOf(1);
    const ref = solo.batch(LANE, EMPTY, TEXT, 'none');
    solo.checked(LANE, ref, false, false);
    for (const from of [4, 5, 6]) attest(solo, from, ref);
    expect(votesFor(solo, ref)).to.equal(false);
    expect(solo.accusations()).to.include('invalid-batch 3');
    solo.live(100);
    expect(asked(solo)).to.eql(['form']);
  });

  it('are checked at once by a checker, who tells all', () => {
    const solo = soloOf(4);
    const ref = solo.batch(LANE, EMPTY, TEXT, 'none');
    expect(asked(solo)).to.eql(['all']);
    const said = solo.checked(LANE, ref);
    const to = said.flatMap((effect) => (effect.kind === 'send' ? [effect.to] : []));
    expect(to).to.eql([0, 1, 2, 3, 5, 6]);
    expect(solo.sent('attest')).to.eql([{ kind: 'attest', lane: LANE, ref }]);
    expect(votesFor(solo, ref), 'it needs nobody else').to.equal(true);
  });

  it('that a checker has found bad are attested by nobody', () => {
    const solo = soloOf(4);
    solo.batch(LANE, EMPTY, TEXT, false);
    expect(solo.sent('attest')).to.eql([]);
    expect(solo.accusations()).to.eql(['invalid-batch 3']);
  });
});

describe('attestations', () => {
  it('of one replica count once', () => {
    const solo = soloOf(1);
    const ref = readBatch(solo);
    for (let i = 0; i < 9; i++) attest(solo, 4, ref);
    attest(solo, LANE, ref);
    expect(votesFor(solo, ref)).to.equal(false);
    const { ignored } = solo.core.status();
    expect(ignored['second attestation of a replica for one place']).to.equal(9);
  });

  it('of another batch of the same number do not count, and the first of a replica is kept', () => {
    const solo = soloOf(1);
    const other = solo.refOf(LANE, EMPTY, 'another one');
    attest(solo, 4, other);
    const ref = readBatch(solo);
    attest(solo, 4, ref);
    attest(solo, 5, ref);
    expect(votesFor(solo, ref)).to.equal(false);
    attest(solo, 6, ref);
    expect(solo.votes(), 'whoever attests it has checked it').to.eql([1]);
    expect(solo.evidence()).to.eql([]);
  });

  it('by f liars let nothing through that no correct replica has checked', () => {
    const solo = soloOf(1);
    // The owner is one of the two.
    const ref = readBatch(solo, EMPTY, 'unsigned, all of it');
    for (let i = 0; i < 3; i++) for (const from of [LANE, 4]) attest(solo, from, ref);
    solo.live(20);
    expect(asked(solo)).to.eql(['form', 'late']);
    solo.checked(LANE, ref, false);
    expect(votesFor(solo, ref)).to.equal(false);
    expect(solo.accusations()[0]).to.equal('invalid-batch 3');
  });

  it('are kept for the next batches of a lane only, and until they are executed', () => {
    const solo = soloOf(1, { ...LIMITS, laneBatchesHeldMax: 20, ownBatchesPendingMax: 10 });
    const digest = new Uint8Array(32).fill(1);
    const { attested } = solo.state.lanes[LANE]!;
    for (let seq = 1; seq <= 100; seq++) attest(solo, 4, { seq, digest });
    expect(attested.size).to.equal(20);
    const ref = readBatch(solo);
    for (const from of [5, 6]) attest(solo, from, ref);
    const content = solo.content(1, { [LANE]: ref });
    solo.propose(content);
    solo.voteAll(content);
    expect(solo.delivered()).to.eql([1]);
    expect([...attested.keys()][0]).to.equal(2);
    attest(solo, 5, ref);
    const { ignored } = solo.core.status();
    expect(ignored['attestation of a batch that is executed or far ahead']).to.equal(81);
  });

  it("of the owner are what comes through its ring: what it hands out may be anybody else's", () => {
    const solo = soloOf(1);
    const batch = { lane: LANE, seq: 1, previous: EMPTY.digest, payload: Buffer.from(TEXT) };
    solo.message(LANE, { kind: 'batch', batch });
    expect(asked(solo)).to.eql(['all']);
    expect(solo.state.lanes[LANE]!.attested.size).to.equal(0);
    // Nor does it help one that was read already.
    const next = soloOf(1);
    const ref = readBatch(next);
    next.state.lanes[LANE]!.attested.clear();
    next.message(LANE, { kind: 'batch', batch });
    for (const from of [4, 5]) attest(next, from, ref);
    expect(votesFor(next, ref)).to.equal(false);
  });
});

describe('batches that are not shared', () => {
  it('are small ones: checked by all, attested by nobody', () => {
    const solo = soloOf(4);
    const ref = solo.batch(LANE, EMPTY, 'short', 'none');
    expect(asked(solo)).to.eql(['all']);
    solo.checked(LANE, ref);
    expect(solo.sent('attest')).to.eql([]);
  });

  it('are all of them without a fault to tolerate, or when the channel says so', () => {
    for (const solo of [
      soloOf(1, { ...LIMITS, sharedCheckBytesMin: NO_SHARED_CHECKS }, 7),
      soloOf(1, LIMITS, 3),
    ]) {
      const lane = solo.state.replicas - 1;
      solo.batch(lane, EMPTY, TEXT);
      expect(asked(solo)).to.eql(['all']);
      expect(solo.sent('attest')).to.eql([]);
    }
  });

  it('are those of which a checker is not connected', () => {
    const solo = soloOf(1);
    solo.step({ kind: 'session', peer: 5, open: false });
    solo.batch(LANE, EMPTY, TEXT, 'none');
    expect(asked(solo)).to.eql(['all']);
    solo.batch(LANE, solo.refOf(LANE, EMPTY, TEXT), TEXT, 'none');
    expect(asked(solo).at(-1)).to.equal('form');
  });

  it('are those that were fetched', () => {
    const solo = soloOf(1);
    const ref = solo.refOf(LANE, EMPTY, TEXT);
    solo.propose(solo.content(1, { [LANE]: ref }));
    solo.tick(5);
    const batch = { lane: LANE, seq: 1, previous: EMPTY.digest, payload: Buffer.from(TEXT) };
    solo.message(0, { kind: 'batch', batch });
    expect(asked(solo)).to.eql(['all']);
    solo.checked(LANE, ref);
    expect(solo.votes()).to.eql([1]);
  });

  it('are those from the own log, which nobody attests again', () => {
    const before = soloOf(4);
    const ref = before.batch(LANE, EMPTY, TEXT);
    before.propose(before.content(1, { [LANE]: ref }));
    const entry = { kind: 'restore', records: before.log() } as const;
    const after = createSolo(4, REPLICAS, LIMITS, entry);
    after.openAll();
    expect(asked(after)).to.eql(['restored']);
    after.checked(LANE, ref);
    expect(after.state.lanes[LANE]!.tip.seq).to.equal(1);
    expect(after.sent('attest')).to.eql([]);
  });
});

describe('a decided batch', () => {
  /** All others have voted for a slot with it. */
  const decide = (solo: Solo, ref: BatchRef): void => {
    const content = solo.content(1, { [LANE]: ref });
    solo.propose(content);
    for (const from of [2, 3, 4, 5, 6]) {
      solo.cell(from, { kind: 'commit', view: 0, slot: 1, digest: solo.digest(content) });
    }
  };

  it('is executed when it is read: a quorum has found it valid', () => {
    const solo = soloOf(1);
    const ref = solo.batch(LANE, EMPTY, TEXT, 'none');
    decide(solo, ref);
    expect(solo.delivered(), 'not before').to.eql([]);
    solo.checked(LANE, ref, true, false);
    expect(solo.delivered()).to.eql([1]);
    expect(solo.votes(), 'without a vote of its own').to.eql([]);
    solo.live(100);
    expect(asked(solo), 'and nobody has to look again').to.eql(['form']);
  });

  it('is executed while it is late, and the verdict comes too late', () => {
    const solo = soloOf(1);
    const ref = readBatch(solo);
    solo.live(20);
    expect(asked(solo)).to.eql(['form', 'late']);
    decide(solo, ref);
    expect(solo.delivered()).to.eql([1]);
    solo.checked(LANE, ref, false);
    expect(solo.evidence()).to.eql([]);
    expect(solo.core.status().ignored['second verdict on a batch']).to.equal(1);
  });

  it('is no reason to suspect a leader while its checkers are waited for', () => {
    const solo = soloOf(1, { ...LIMITS, attestAfterMs: 5_000, attestAfterMsMax: 5_000 });
    const ref = readBatch(solo);
    solo.propose(solo.content(1, { [LANE]: ref }));
    for (let i = 0; i < 40; i++) {
      solo.tick(25);
      solo.standing(0, {});
    }
    expect(solo.core.status().wishReason).to.equal(undefined);
  });
});
