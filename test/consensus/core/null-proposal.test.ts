/** W5, W6, E6: slots that nobody needs, and outcomes in general, as they are voted for and executed. */
import { expect } from 'chai';
import { CoreError, nullProposal } from '../../../consensus/core/index.ts';
import { START_MS } from '../support/replica.ts';
import { voteReport } from '../support/signed.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

/** Replica 3, in view 1, in which these were reported by all. */
function inViewOne(reports: (solo: Solo) => ReturnType<typeof voteReport>[]): Solo {
  const solo = createSolo(3);
  solo.openAll();
  solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(1, reports(solo)) });
  return solo;
}

describe('a null outcome', () => {
  // Slot 2 is reported, slot 1 is not.
  const gap = (solo: Solo) => [voteReport(2, 0, solo.digest(solo.content(2, {})))];

  it('is voted for without asking anybody', () => {
    const solo = inViewOne(gap);
    expect(solo.cells('vote').map(({ slot, view }) => [slot, view])).to.eql([[1, 1]]);
    expect(solo.cells('vote')[0]?.digest).to.eql(solo.digest(nullProposal(1, 4)));
    expect(solo.sent('fetch-proposal').map(({ slot }) => slot)).to.eql([2]);
  });

  it('changes nothing: neither frontier nor time, nor is anything cut or delivered', () => {
    const solo = inViewOne(gap);
    solo.voteAll(nullProposal(1, 4), 1);
    const [delivered] = solo.effects.filter(({ kind }) => kind === 'deliver');
    const timeMs = START_MS - 1;
    expect(delivered).to.deep.include({ slot: 1, timeMs, cut: false, batches: [] });
    expect(solo.state.executed.frontier.every((tip) => tip.seq === 0)).to.equal(true);
  });

  it('lets time go on where the slot before it stood', () => {
    const solo = inViewOne((core) => {
      // Proposed before its predecessor was: its time is lower.
      const late = core.digest(core.content(1, {}, START_MS + 9));
      return [voteReport(1, 0, late), voteReport(2, 0, core.digest(core.content(2, {})))];
    });
    for (const content of [solo.content(1, {}, START_MS + 9), solo.content(2, {})]) {
      solo.message(0, { kind: 'proposal', proposal: content });
      solo.voteAll(content, 1);
    }
    const times = solo.effects.flatMap((effect) =>
      effect.kind === 'deliver' ? [effect.timeMs] : [],
    );
    expect(times).to.eql([START_MS + 9, START_MS + 9]);
  });
});

describe('an outcome', () => {
  const one = (solo: Solo) => [voteReport(1, 0, solo.digest(solo.content(1, {})))];

  it('is voted for when its content comes; no other content is taken', () => {
    const solo = inViewOne(one);
    solo.message(0, { kind: 'proposal', proposal: solo.content(1, {}, START_MS + 1) });
    solo.message(0, { kind: 'proposal', proposal: solo.content(5, {}) });
    expect(solo.votes()).to.eql([]);
    solo.message(2, { kind: 'proposal', proposal: solo.content(1, {}) });
    expect(solo.votes()).to.eql([1]);
    solo.message(2, { kind: 'proposal', proposal: solo.content(1, {}) });
    expect(solo.core.status().ignored).to.include({
      'another content than asked for': 1,
      'content not asked for': 2,
    });
  });

  it('is asked for again, of another one who reported it, every fetchRetryMs', () => {
    const solo = inViewOne(one);
    const asked = () =>
      solo.effects.flatMap((effect) =>
        effect.kind === 'send' && effect.message.kind === 'fetch-proposal' ? [effect.to] : [],
      );
    solo.live(500);
    expect(new Set(asked())).to.eql(new Set([0, 1, 2]));
    expect(asked().length).to.be.at.most(11);
  });

  it('is given to those who ask, as long as it is held', () => {
    const solo = createSolo(3);
    solo.openAll();
    const content = solo.content(1, {});
    solo.propose(content);
    const ask = (slot: number, digest: Uint8Array) =>
      solo.message(2, { kind: 'fetch-proposal', slot, digest });
    ask(1, solo.digest(content));
    expect(solo.sent('proposal').map(({ proposal }) => proposal)).to.eql([content]);
    ask(1, new Uint8Array(24));
    ask(2, solo.digest(content));
    expect(solo.sent('proposal')).to.have.length(1);
    expect(solo.core.status().ignored['fetch of a proposal that is not held']).to.equal(2);
  });

  it('is given from the log of decided slots when the record is another slot by now', () => {
    const solo = createSolo(3, 4, { windowSlots: 4, pipelineSlotsMax: 2, fetchSlotsMax: 4 });
    solo.openAll();
    for (let slot = 1; slot <= 12; slot++) {
      solo.propose(solo.content(slot, {}));
      solo.voteAll(solo.content(slot, {}));
      solo.apply();
      if (slot % 2 > 0) continue;
      for (const from of [0, 1]) solo.signCheckpoint(from, solo.checkpointState(slot));
    }
    const digest = solo.digest(solo.content(2, {}));
    solo.message(2, { kind: 'fetch-proposal', slot: 2, digest });
    expect(solo.sent('proposal').map(({ proposal }) => proposal.slot)).to.eql([2]);
  });

  it('is voted for again when it is executed here already', () => {
    const solo = createSolo(3);
    solo.openAll();
    solo.propose(solo.content(1, {}));
    solo.voteAll(solo.content(1, {}));
    expect(solo.delivered()).to.eql([1]);
    solo.message(1, { kind: 'new-view', newView: solo.signed.newViewOf(1, one(solo)) });
    expect(solo.cells('vote').map(({ slot, view }) => [slot, view])).to.eql([
      [1, 0],
      [1, 1],
    ]);
    expect(solo.delivered()).to.eql([1]);
  });

  it('that contradicts a decided slot halts the replica', () => {
    const solo = createSolo(3);
    solo.openAll();
    solo.propose(solo.content(1, {}));
    solo.voteAll(solo.content(1, {}));
    const other = voteReport(1, 0, solo.digest(nullProposal(1, 4)));
    const newView = solo.signed.newViewOf(1, [other]);
    expect(() => solo.message(1, { kind: 'new-view', newView }))
      .to.throw(CoreError, 'contradicts decided slot 1')
      .with.property('code', 'safety_violation');
  });

  it('is not proposed again, and fresh slots wait until all outcomes are executed', () => {
    const solo = createSolo(1);
    solo.openAll();
    const content = solo.content(1, {});
    solo.propose(content);
    solo.carryTo(1);
    for (const from of [2, 3]) {
      const viewChange = solo.signed.viewChange(from, 1, one(solo));
      solo.message(from, { kind: 'view-change', viewChange });
    }
    expect(solo.core.status()).to.include({ view: 1, changing: false });
    expect(solo.cells('vote').at(-1)).to.include({ slot: 1, view: 1 });
    solo.batch(2, EMPTY, 'a');
    expect(solo.cells('proposal')).to.eql([]);
    solo.voteAll(content, 1);
    expect(solo.cells('proposal').map(({ proposal, view }) => [proposal.slot, view])).to.eql([
      [2, 1],
    ]);
  });

  it('cannot be proposed by the leader of the view', () => {
    const solo = inViewOne(one);
    solo.propose(solo.content(1, {}, START_MS + 1), 1);
    expect(solo.votes()).to.eql([]);
    const reason = 'proposal of a slot that the NEW-VIEW has settled';
    expect(solo.core.status().ignored[reason]).to.equal(1);
  });
});
