import { expect } from 'chai';
import { CoreError } from '../../../consensus/core/index.ts';
import { START_MS } from '../support/replica.ts';
import { createSolo, EMPTY } from '../support/solo.ts';

describe('catching up', () => {
  it('believes f + 1 peers that say the same, and no fewer', () => {
    const solo = createSolo(1);
    solo.openAll();
    const content = solo.content(1, {});
    solo.message(0, { kind: 'decided', proposal: content });
    for (const from of [0, 2]) solo.progress(from, 1);
    solo.tick(25);
    solo.message(0, { kind: 'decided', proposal: solo.content(1, {}, START_MS + 5) });
    solo.message(0, { kind: 'decided', proposal: content });
    solo.message(2, { kind: 'decided', proposal: content });
    expect(solo.delivered()).to.eql([]);
    solo.message(3, { kind: 'decided', proposal: content });
    expect(solo.delivered()).to.eql([1]);
    expect(solo.evidence().map(({ kind, peer }) => [kind, peer])).to.eql([['malformed', 0]]);
  });

  it('delivers what is decided even if the own orderer finds it invalid', () => {
    const solo = createSolo(1);
    solo.openAll();
    const tip = solo.batch(2, EMPTY, 'a', false);
    const content = solo.content(1, { 2: tip });
    solo.propose(content);
    expect(solo.votes()).to.eql([]);
    for (const from of [0, 2, 3]) {
      solo.cell(from, { kind: 'commit', view: 0, slot: 1, digest: solo.digest(content) });
    }
    expect(solo.delivered()).to.eql([1]);
  });

  it('gives nothing to a lane whose decided tip does not continue the executed one', () => {
    const solo = createSolo(1);
    solo.openAll();
    for (const from of [0, 2]) solo.progress(from, 2);
    const here = solo.batch(2, EMPTY, 'here');
    const there = solo.batch(2, solo.batch(2, EMPTY, 'there'), 'and on');
    const lane3 = solo.batch(3, EMPTY, 'other lane');
    solo.tick(25);
    for (const from of [0, 2]) {
      solo.message(from, { kind: 'decided', proposal: solo.content(2, { 2: there, 3: lane3 }) });
      solo.message(from, { kind: 'decided', proposal: solo.content(1, { 2: here }) });
    }
    const deliveries = solo.effects.flatMap((effect) =>
      effect.kind === 'deliver' ? [effect.batches.map(({ lane, ref }) => [lane, ref.seq])] : [],
    );
    expect(deliveries).to.eql([[[2, 1]], [[3, 1]]]);
    expect(solo.effects.filter(({ kind }) => kind === 'drop-batch')).to.have.length(2);
    expect(solo.state.executed.frontier[2]).to.eql(here);
    // The lane goes on from what was executed.
    const next = solo.batch(2, here, 'goes on');
    expect(solo.state.lanes[2]!.tip).to.eql(next);
  });

  it('halts when one slot is decided in two ways', () => {
    const solo = createSolo(1);
    solo.openAll();
    const tip = solo.batch(2, EMPTY, 'a', 'none');
    const content = solo.content(1, { 2: tip });
    solo.propose(content);
    for (const from of [0, 2]) solo.progress(from, 1);
    solo.tick(25);
    const other = solo.content(1, {});
    solo.message(2, { kind: 'decided', proposal: other });
    expect(solo.delivered()).to.eql([]);
    for (const from of [0, 2, 3]) {
      solo.cell(from, { kind: 'commit', view: 0, slot: 1, digest: solo.digest(content) });
    }
    expect(() => solo.message(3, { kind: 'decided', proposal: other }))
      .to.throw(CoreError, 'decided twice')
      .with.property('code', 'safety_violation');
  });
});
