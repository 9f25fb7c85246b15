/** W7: cells of views that this replica has not entered yet. */
import { expect } from 'chai';
import { createSolo, EMPTY } from '../support/solo.ts';

const LIMITS = { windowSlots: 8, pipelineSlotsMax: 4, fetchSlotsMax: 8 };

function follower() {
  const solo = createSolo(3, 4, LIMITS);
  solo.openAll();
  return solo;
}

describe('cells of a view to come', () => {
  it('are read when the view is entered', () => {
    const solo = follower();
    const content = solo.content(1, { 2: solo.batch(2, EMPTY, 'a') });
    solo.propose(content, 1);
    solo.voteAll(content, 1);
    expect(solo.votes()).to.eql([]);
    solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(1) });
    expect(solo.votes()).to.eql([1]);
    expect(solo.delivered()).to.eql([1]);
    expect(solo.state.peers.map(({ early }) => early.size)).to.eql([0, 0, 0, 0]);
  });

  it('are kept one for each place, the newest, of the highest view', () => {
    const solo = follower();
    const vote = (view: number, slot: number, fill: number) =>
      solo.cell(2, { kind: 'vote', view, slot, digest: new Uint8Array(24).fill(fill) });
    vote(2, 1, 1);
    vote(2, 9, 2);
    vote(1, 1, 3);
    const { early } = solo.state.peers[2]!;
    expect([...early.values()]).to.eql([
      { kind: 'vote', view: 2, slot: 9, digest: new Uint8Array(24).fill(2) },
    ]);
    vote(3, 1, 4);
    expect([...early.values()].map(({ view }) => view)).to.eql([3]);
  });

  it('are bounded by three for each slot of the window, whatever is written', () => {
    const solo = follower();
    const digest = new Uint8Array(24);
    for (let slot = 0; slot < 1_000; slot++) {
      for (const kind of ['vote', 'commit'] as const) {
        solo.cell(2, { kind, view: 1 + (slot % 7), slot, digest });
      }
      solo.cell(2, { kind: 'proposal', view: 2 ** 32 - 1, proposal: solo.content(slot, {}) });
    }
    expect(solo.state.peers[2]!.early.size).to.equal(3 * LIMITS.windowSlots);
    // Those of views that are passed over go, those of views to come stay.
    solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(5) });
    const views = [...solo.state.peers[2]!.early.values()].map(({ view }) => view);
    expect(Math.min(...views)).to.be.above(5);
  });

  it('wait, too, while this replica is on its way to the view', () => {
    const solo = follower();
    solo.carryTo(1);
    expect(solo.core.status().changing).to.equal(true);
    const content = solo.content(1, {});
    solo.propose(content, 1);
    // What it is leaving is left.
    solo.propose(solo.content(1, {}), 0);
    expect(solo.votes()).to.eql([]);
    solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(1) });
    expect(solo.votes()).to.eql([1]);
    expect(solo.core.status().ignored['word of another view']).to.equal(1);
  });

  it('are forgotten with the session that they came in', () => {
    const solo = follower();
    solo.propose(solo.content(1, {}), 1);
    solo.step({ kind: 'session', peer: 1, open: false });
    solo.step({ kind: 'session', peer: 1, open: true });
    expect(solo.state.peers[1]!.early.size).to.equal(0);
  });
});
