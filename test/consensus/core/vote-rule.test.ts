import { expect } from 'chai';
import { START_MS } from '../support/replica.ts';
import { createSolo, EMPTY } from '../support/solo.ts';

describe('the vote rule', () => {
  const refusals: [
    string,
    (solo: ReturnType<typeof createSolo>) => Parameters<typeof solo.propose>[0],
  ][] = [
    ['time runs backwards', (solo) => solo.content(1, {}, START_MS - 2)],
    [
      'tip changes its digest',
      (solo) => {
        const tip = solo.batch(2, EMPTY, 'a');
        solo.propose(solo.content(1, { 2: tip }));
        return solo.content(2, { 2: { seq: 1, digest: new Uint8Array(32).fill(1) } });
      },
    ],
    [
      'tip goes back',
      (solo) => {
        const tip = solo.batch(2, EMPTY, 'a');
        solo.propose(solo.content(1, { 2: tip }));
        return solo.content(2, {});
      },
    ],
    [
      'lane advances too far',
      (solo) => solo.content(1, { 2: { seq: 4, digest: new Uint8Array(32).fill(1) } }),
    ],
    [
      'tip does not continue the frontier',
      (solo) => {
        const tip = solo.batch(2, EMPTY, 'a');
        const other = solo.batch(2, solo.batch(2, EMPTY, 'b'), 'c');
        solo.propose(solo.content(1, { 2: tip }));
        return solo.content(2, { 2: other });
      },
    ],
    ['invalid batch', (solo) => solo.content(1, { 2: solo.batch(2, EMPTY, 'a', false) })],
    [
      'lane advances by too many bytes',
      (solo) => solo.content(1, { 2: solo.batch(2, solo.batch(2, EMPTY, '12345678'), '12345') }),
    ],
    [
      'batch in this lane that its owner did not make',
      (solo) => solo.content(1, { 1: { seq: 1, digest: new Uint8Array(32).fill(1) } }),
    ],
  ];
  it('does not accuse a leader whose slot was decided otherwise in a later view', () => {
    const solo = createSolo(1);
    solo.openAll();
    const later = solo.content(1, {}, START_MS + 9);
    for (const from of [2, 3]) solo.progress(from, 1);
    solo.tick(25);
    for (const from of [2, 3]) solo.message(from, { kind: 'decided', proposal: later });
    expect(solo.delivered()).to.eql([1]);
    // What it goes on from itself, cut off: times below that of `later`.
    solo.propose(solo.content(2, {}, START_MS + 1));
    expect(solo.evidence()).to.eql([]);
    expect(solo.votes()).to.eql([]);
  });

  for (const [reason, lie] of refusals) {
    it(`accuses the leader: ${reason}`, () => {
      const limits = { laneAdvanceBatchesMax: 3, laneAdvanceBytesMax: 12, batchBytesMax: 12 };
      const solo = createSolo(1, 4, limits);
      solo.openAll();
      const proposal = lie(solo);
      const votes = solo.votes().length;
      solo.propose(proposal);
      const bad = solo.evidence().find(({ kind }) => kind === 'bad-proposal');
      expect(bad).to.deep.include({ peer: 0, slot: proposal.slot, reason });
      expect(solo.votes()).to.have.length(votes);
    });
  }

  it('votes once, for what it saw first', () => {
    const solo = createSolo(1);
    solo.openAll();
    const tip = solo.batch(2, EMPTY, 'a');
    solo.propose(solo.content(1, { 2: tip }));
    solo.propose(solo.content(1, {}));
    solo.propose(solo.content(1, {}, START_MS + 1));
    expect(solo.votes()).to.eql([1]);
    expect(solo.evidence().map(({ kind }) => kind)).to.eql(['proposal-equivocation']);
  });

  it('takes proposals from the leader only, in the window, of its view', () => {
    const solo = createSolo(1, 4, { windowSlots: 8, pipelineSlotsMax: 4, fetchSlotsMax: 8 });
    solo.openAll();
    solo.cell(2, { kind: 'proposal', view: 0, proposal: solo.content(1, {}) });
    solo.cell(0, { kind: 'proposal', view: 1, proposal: solo.content(1, {}) });
    solo.propose(solo.content(9, {}));
    expect(solo.votes()).to.eql([]);
    expect(solo.core.status().ignored).to.include({
      'proposal from another than the leader': 1,
      'cell beyond the window': 1,
    });
    // Not lost: it may be of a view that this replica is late for (W7).
    expect(solo.state.peers[0]!.early.size).to.equal(1);
  });

  it('votes in slot order, whatever order the cells are read in', () => {
    const solo = createSolo(1);
    solo.openAll();
    solo.propose(solo.content(3, {}));
    solo.propose(solo.content(2, {}));
    expect(solo.votes()).to.eql([]);
    solo.propose(solo.content(1, {}));
    expect(solo.votes()).to.eql([1, 2, 3]);
  });

  it('waits for the verdict of the orderer', () => {
    const solo = createSolo(1);
    solo.openAll();
    const tip = solo.batch(2, EMPTY, 'a', 'none');
    solo.propose(solo.content(1, { 2: tip }));
    expect(solo.votes()).to.eql([]);
    solo.checked(2, tip);
    expect(solo.votes()).to.eql([1]);
  });

  it('reports a second vote of a peer and counts the first', () => {
    const solo = createSolo(1);
    solo.openAll();
    const content = solo.content(1, {});
    solo.propose(content);
    const vote = (digest: Uint8Array) => solo.cell(2, { kind: 'vote', view: 0, slot: 1, digest });
    vote(solo.digest(content));
    vote(new Uint8Array(24));
    expect(solo.evidence().map(({ kind }) => kind)).to.eql(['vote-equivocation']);
    for (const from of [0, 3]) {
      solo.cell(from, { kind: 'vote', view: 0, slot: 1, digest: solo.digest(content) });
    }
    expect(solo.delivered()).to.eql([1]);
  });
});
