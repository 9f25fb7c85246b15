/** W1: what makes a follower wish for another leader, and what does not. */
import { expect } from 'chai';
import type { BatchRef } from '../../../consensus/core/index.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

const LIMITS = { viewTimeoutMs: 300, heartbeatMs: 50, leaderGoneMs: 50 };
const BATCH_TIMEOUT_MS = 2_000;

function follower(limits = {}): Solo {
  const solo = createSolo(3, 4, { ...LIMITS, ...limits });
  solo.openAll();
  return solo;
}

/** Time passes in steps of a heartbeat; the leader of view 0 lives, and says that it holds so much. */
function liveWithLeader(solo: Solo, ms: number, held = solo.content(1, {}).frontier): void {
  for (let passed = 0; passed < ms; passed += LIMITS.heartbeatMs) {
    solo.standing(0, { held });
    solo.live(Math.min(LIMITS.heartbeatMs, ms - passed));
  }
}

const wish = (solo: Solo) => solo.state.views.wish;

describe('a follower', () => {
  it('wishes for another leader when this one is silent', () => {
    const solo = follower();
    solo.live(290);
    expect(wish(solo)).to.equal(0);
    solo.live(60);
    expect(wish(solo)).to.equal(1);
    // It says so, and does nothing else.
    expect(solo.cells('progress').at(-1)).to.include({ view: 0, wish: 1, changing: false });
    expect(solo.sent('view-change')).to.have.length(0);
    expect(solo.core.status()).to.include({ view: 0, changing: false });
  });

  it('sleeps on while nobody shares its wish', () => {
    const solo = follower();
    solo.live(350);
    expect(wish(solo)).to.equal(1);
    let wakes = 0;
    for (const endMs = solo.nowMs + 1_000; solo.nowMs < endMs; wakes++) {
      solo.tick(solo.core.nextTickMs() - solo.nowMs);
    }
    expect(wakes).to.be.at.most(50);
  });

  it('is content as long as heartbeats come, or proposals', () => {
    const solo = follower();
    liveWithLeader(solo, 3_000);
    expect(wish(solo)).to.equal(0);
    for (let slot = 1; slot <= 20; slot++) {
      solo.propose(solo.content(slot, {}));
      solo.voteAll(solo.content(slot, {}));
      solo.apply();
      solo.live(200);
      expect(wish(solo)).to.equal(0);
    }
  });

  it('does not take another for the leader', () => {
    const solo = follower();
    for (let i = 0; i < 10; i++) {
      solo.standing(1, {});
      solo.standing(2, {});
      solo.live(50);
    }
    expect(wish(solo)).to.equal(1);
  });

  it('withdraws its wish when the leader is heard again', () => {
    const solo = follower();
    solo.live(400);
    expect(wish(solo)).to.equal(1);
    solo.standing(0, {});
    expect(wish(solo)).to.equal(0);
    expect(solo.cells('progress').at(-1)).to.include({ view: 0, wish: 0 });
  });

  it('has little patience with a leader whose session is closed', () => {
    const solo = follower();
    solo.step({ kind: 'session', peer: 0, open: false });
    solo.live(40);
    expect(wish(solo)).to.equal(0);
    solo.live(30);
    expect(wish(solo)).to.equal(1);
    solo.step({ kind: 'session', peer: 0, open: true });
    expect(wish(solo)).to.equal(0);
  });

  it('blames nobody when it is itself cut off from a quorum', () => {
    const solo = follower();
    for (const peer of [0, 1]) solo.step({ kind: 'session', peer, open: false });
    solo.live(10_000);
    expect(wish(solo)).to.equal(0);
    expect(solo.core.nextTickMs()).to.be.above(solo.nowMs);
  });

  it('blames nobody for a pause of its own', () => {
    const solo = follower();
    solo.standing(0, {});
    solo.tick(60_000);
    expect(wish(solo)).to.equal(0);
    // Nor for many of them with a little life in between.
    for (let i = 0; i < 3; i++) solo.tick(60_000);
    expect(wish(solo)).to.equal(0);
    solo.live(300);
    expect(wish(solo)).to.equal(1);
  });

  it('does not wish while its clock goes backwards', () => {
    const solo = follower();
    for (let i = 0; i < 100; i++) solo.tick(-1_000);
    expect(wish(solo)).to.equal(0);
  });

  it('wishes when a known slot is not decided', () => {
    const solo = follower();
    solo.propose(solo.content(1, {}));
    liveWithLeader(solo, 290);
    expect(wish(solo)).to.equal(0);
    liveWithLeader(solo, 60);
    expect(wish(solo)).to.equal(1);
    // Decided after all.
    solo.voteAll(solo.content(1, {}));
    solo.tick(1);
    expect(wish(solo)).to.equal(0);
  });

  it('gives each slot its own time', () => {
    const solo = follower();
    for (let slot = 1; slot <= 5; slot++) {
      solo.propose(solo.content(slot, {}));
      liveWithLeader(solo, 200);
      solo.propose(solo.content(slot + 1, {}));
      solo.voteAll(solo.content(slot, {}));
      solo.apply();
      expect(wish(solo)).to.equal(0);
    }
  });

  it('does not blame the leader for being behind the others itself, unless nobody helps', () => {
    const solo = follower();
    solo.propose(solo.content(1, {}));
    for (const from of [1, 2]) solo.progress(from, 1);
    for (let i = 0; i < 5; i++) {
      solo.progress(0, 1);
      solo.live(50);
    }
    expect(wish(solo)).to.equal(0);
    // Those who claim to have it may lie, and then nothing would ever move.
    for (let i = 0; i < 15; i++) {
      solo.progress(0, 1);
      solo.live(50);
    }
    expect(wish(solo)).to.equal(1);
  });

  it('wishes when a batch waits for a proposal', () => {
    const solo = follower();
    const tip = solo.batch(2, EMPTY, 'a');
    const held = solo.content(1, { 2: tip }).frontier;
    liveWithLeader(solo, 800);
    expect(wish(solo), 'the leader may still be judging it').to.equal(0);
    liveWithLeader(solo, 290, held);
    expect(wish(solo), 'it has had it for less than its time').to.equal(0);
    liveWithLeader(solo, 60, held);
    expect(wish(solo)).to.equal(1);
    solo.propose(solo.content(1, { 2: tip }));
    expect(wish(solo)).to.equal(0);
  });

  it('wishes four timeouts after a batch came that its leader does not admit to hold', () => {
    const solo = follower();
    solo.batch(2, EMPTY, 'a');
    liveWithLeader(solo, 1_190);
    expect(wish(solo)).to.equal(0);
    liveWithLeader(solo, 60);
    expect(wish(solo)).to.equal(1);
  });

  it('wishes when its own batch does', () => {
    const solo = follower();
    solo.step({ kind: 'submit', payload: Buffer.from('a') });
    const own = solo.state.lanes[3]!.tip;
    liveWithLeader(solo, 350, solo.content(1, { 3: own }).frontier);
    expect(wish(solo)).to.equal(1);
  });

  it('is content while a lane moves, and when there is no room for more', () => {
    const solo = follower({ pipelineSlotsMax: 1 });
    let tip = solo.batch(2, EMPTY, '0');
    for (let slot = 1; slot <= 5; slot++) {
      const content = solo.content(slot, { 2: tip });
      solo.propose(content);
      tip = solo.batch(2, tip, `${slot}`);
      liveWithLeader(solo, 200);
      solo.voteAll(content);
      solo.apply();
      expect(wish(solo)).to.equal(0);
    }
  });

  it('wishes when a batch is left out of proposal after proposal, however full the pipeline always is', () => {
    const solo = follower({ pipelineSlotsMax: 2 });
    const censored = solo.batch(1, EMPTY, 'censored');
    const held = solo.content(1, { 1: censored }).frontier;
    let tip = EMPTY;
    const next = (slot: number) => {
      tip = solo.batch(2, tip, `${slot}`);
      const content = solo.content(slot, { 2: tip });
      solo.propose(content);
      return content;
    };
    let [first, second] = [next(1), next(2)];
    let slot = 3;
    for (; wish(solo) === 0 && slot < 40; slot++) {
      liveWithLeader(solo, 50, held);
      // The next is there before this one is decided, so there never is room.
      const third = next(slot);
      solo.voteAll(first);
      solo.apply();
      [first, second] = [second, third];
    }
    expect(wish(solo)).to.equal(1);
    // Two that it may have sent before it had the batch, and then viewTimeoutMs.
    expect(slot).to.be.within(8, 11);
  });

  it('expects no proposal of an untrusted lane that q do not hold', () => {
    const solo = follower();
    const tip = solo.batch(2, solo.batch(2, EMPTY, 'a'), 'b');
    solo.state.lanes[2]!.faulty = true;
    liveWithLeader(solo, 1_000);
    expect(wish(solo)).to.equal(0);
    const held = [EMPTY, EMPTY, tip, EMPTY];
    for (const from of [1, 2]) solo.progress(from, 0, held);
    liveWithLeader(solo, 350, held);
    expect(wish(solo)).to.equal(1);
  });

  it('wishes when what was executed is not cut', () => {
    const solo = follower();
    const content = solo.content(1, { 2: solo.batch(2, EMPTY, 'a') });
    solo.propose(content);
    solo.voteAll(content);
    solo.apply();
    liveWithLeader(solo, BATCH_TIMEOUT_MS + 250);
    expect(wish(solo)).to.equal(0);
    liveWithLeader(solo, 100);
    expect(wish(solo)).to.equal(1);
    const cut = { ...solo.content(2, { 2: content.frontier[2]! }), cut: true };
    solo.propose(cut);
    solo.voteAll(cut);
    solo.tick(1);
    expect(wish(solo)).to.equal(0);
  });

  /** As many bytes lie above the stable checkpoint as may, the last of them not cut; answers the tip of lane 2. */
  function fillUp(solo: Solo): BatchRef {
    let tip = EMPTY;
    for (const [index, bytes] of [25, 25, 25, 10].entries()) {
      tip = solo.batch(2, tip, 'x'.repeat(bytes));
      const content = solo.content(index + 1, { 2: tip });
      const cut = { ...content, cut: index < 3 };
      solo.propose(cut);
      solo.voteAll(cut);
      solo.apply();
    }
    expect(solo.state.retained.unstableBytes).to.equal(85);
    return tip;
  }

  it('does not blame a leader that may not propose before a checkpoint is stable', () => {
    const solo = follower({ checkpointBytes: 20 });
    const next = solo.batch(2, fillUp(solo), 'next');
    const held = solo.content(1, { 2: next }).frontier;
    liveWithLeader(solo, BATCH_TIMEOUT_MS + 1_000, held);
    expect(wish(solo)).to.equal(0);
    const { state } = solo.state.checkpoints.open.at(-1)!;
    for (const from of [1, 2]) solo.signCheckpoint(from, state!);
    expect(solo.core.status().stableSlot).to.equal(3);
    liveWithLeader(solo, 350, held);
    expect(wish(solo), 'it may now, and leaves the batch').to.equal(1);
  });

  it('gives it all of BatchTimeout for a cut then', () => {
    const solo = follower({ checkpointBytes: 20 });
    fillUp(solo);
    liveWithLeader(solo, BATCH_TIMEOUT_MS + 1_000);
    const { state } = solo.state.checkpoints.open.at(-1)!;
    for (const from of [1, 2]) solo.signCheckpoint(from, state!);
    liveWithLeader(solo, BATCH_TIMEOUT_MS + 250);
    expect(wish(solo)).to.equal(0);
    liveWithLeader(solo, 150);
    expect(wish(solo)).to.equal(1);
  });

  it('asks for nothing to be cut when nothing was executed', () => {
    const solo = follower();
    solo.propose(solo.content(1, {}));
    solo.voteAll(solo.content(1, {}));
    solo.apply();
    liveWithLeader(solo, 5_000);
    expect(wish(solo)).to.equal(0);
  });
});

describe('wishes', () => {
  it('of f + 1 carry a replica away, the leader, too', () => {
    for (const self of [0, 3]) {
      const solo = createSolo(self, 4, LIMITS);
      solo.openAll();
      solo.standing(1, { wish: 1 });
      expect(solo.core.status().changing, 'one is not enough').to.equal(false);
      solo.standing(2, { wish: 1 });
      expect(solo.core.status()).to.include({ view: 1, changing: true });
      expect(solo.sent('view-change')).to.have.length(1);
      expect(solo.cells('progress').at(-1)).to.include({ view: 1, wish: 1, changing: true });
    }
  });

  it('count its own', () => {
    const solo = follower();
    solo.live(400);
    solo.standing(1, { wish: 1 });
    expect(solo.core.status()).to.include({ view: 1, changing: true });
  });

  it('lead to the highest view that f + 1 are for', () => {
    const solo = follower();
    solo.standing(1, { wish: 9 });
    expect(solo.core.status().view).to.equal(0);
    solo.standing(2, { view: 4, wish: 4 });
    expect(solo.core.status()).to.include({ view: 4, changing: true });
  });

  it('are withdrawn by a later word, and not taken back by an earlier one', () => {
    const solo = follower();
    solo.standing(1, { wish: 1 });
    solo.standing(1, { wish: 0 });
    solo.standing(2, { wish: 1 });
    expect(solo.core.status().changing).to.equal(false);
    solo.standing(2, { view: 3 });
    solo.standing(2, { view: 1 });
    solo.standing(1, { wish: 2 });
    expect(solo.core.status().view).to.equal(2);
  });

  it('of a VIEW-CHANGE count as those of a cell', () => {
    const solo = follower();
    for (const from of [1, 2]) {
      solo.message(from, { kind: 'view-change', viewChange: solo.signed.viewChange(from, 1) });
    }
    expect(solo.core.status()).to.include({ view: 1, changing: true });
  });
});

describe('a view change that fails', () => {
  it('is given up after a time that doubles, and is halved again in a time of peace', () => {
    const solo = follower();
    let view = 0;
    const lasts: number[] = [];
    for (let i = 0; i < 4; i++) {
      view++;
      for (const from of [1, 2]) solo.standing(from, { view, wish: view, changing: true });
      const sinceMs = solo.nowMs;
      while (wish(solo) === view && solo.nowMs - sinceMs < 20_000) solo.live(10);
      lasts.push(solo.nowMs - sinceMs);
    }
    expect(lasts.map((ms) => Math.round(ms / 100))).to.eql([3, 6, 12, 24]);
    const newView = solo.signed.newViewOf(5);
    solo.message(1, { kind: 'new-view', newView });
    expect(solo.core.status()).to.include({ view: 5, changing: false });
    // Three doublings; its leader lives, and each ten timeouts of that take one back: 24 s, 12 s, 6 s.
    const steps: number[] = [];
    for (let passedMs = 0; passedMs < 50_000; passedMs += 20) {
      solo.nowMs += 20;
      solo.standing(1, { view: 5, beat: passedMs / 20 });
      const { failed } = solo.state.views;
      if (steps.at(-1) !== failed) steps.push(failed);
    }
    expect(steps).to.eql([3, 2, 1, 0]);
    // A leader that has led in peace leaves no trace.
    for (const from of [1, 2]) {
      solo.standing(from, { view: 6, wish: 6, changing: true, beat: 10_000 });
    }
    const sinceMs = solo.nowMs;
    while (wish(solo) === 6) solo.live(10);
    expect(solo.nowMs - sinceMs).to.be.within(290, 320);
  });

  it('adds patience after a view that was left soon, though it brought something', () => {
    const solo = follower();
    for (const from of [1, 2]) solo.standing(from, { view: 1, wish: 1, changing: true });
    solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(1) });
    solo.propose(solo.content(1, {}), 1);
    solo.voteAll(solo.content(1, {}), 1);
    solo.apply();
    for (const from of [1, 2]) solo.standing(from, { view: 2, wish: 2, changing: true });
    expect(solo.state.views.failed).to.equal(1);
  });

  it('never takes longer than viewTimeoutMsMax', () => {
    const solo = follower({ viewTimeoutMsMax: 700 });
    for (let view = 1; view <= 60; view++) {
      for (const from of [1, 2]) solo.standing(from, { view, wish: view, changing: true });
      solo.live(701);
      expect(wish(solo)).to.equal(view + 1);
    }
  });

  it('says its VIEW-CHANGE again and again, ever more rarely, and to whom a session opens', () => {
    const solo = follower();
    solo.carryTo(1);
    solo.live(5_000);
    expect(solo.sent('view-change').length).to.be.within(5, 9);
    solo.step({ kind: 'session', peer: 2, open: false });
    const said = solo.step({ kind: 'session', peer: 2, open: true });
    const sent = said.filter(
      (effect) => effect.kind === 'send' && effect.message.kind === 'view-change',
    );
    expect(sent).to.have.length(1);
  });
});
