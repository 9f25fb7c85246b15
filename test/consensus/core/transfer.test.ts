/** T1 to T3: what the peers have forgotten is taken over. */
import { expect } from 'chai';
import { CoreError } from '../../../consensus/core/index.ts';
import { START_MS } from '../support/replica.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

const LIMITS = { windowSlots: 4, pipelineSlotsMax: 2, fetchSlotsMax: 4 };

/** Replica 1 has heard of a stable checkpoint at slot 6, far ahead. */
function behind(): Solo {
  const solo = createSolo(1, 4, LIMITS);
  solo.openAll();
  showStable(solo, 6);
  return solo;
}

function showStable(solo: Solo, slot: number): void {
  const certificate = solo.signed.certificate(solo.checkpointState(slot), [0, 2, 3]);
  solo.showStable(0, certificate, slot);
}

const transfers = (solo: Solo) =>
  solo.effects.flatMap((effect) => (effect.kind === 'transfer' ? [effect.state.slot] : []));

describe('a transfer', () => {
  it('begins when a stable checkpoint is ahead and nothing has moved for a while', () => {
    const solo = behind();
    expect(transfers(solo)).to.eql([6]);
    const near = createSolo(1, 4, LIMITS);
    near.openAll();
    showStable(near, 2);
    expect(transfers(near), 'it may get there by itself').to.eql([]);
    near.live(30);
    expect(transfers(near)).to.eql([2]);
    expect(near.core.status().transferring).to.equal(true);
  });

  it('is not needed by one that gets there by itself', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    for (const slot of [1, 2]) solo.propose(solo.content(slot, {}));
    showStable(solo, 2);
    for (const slot of [1, 2]) {
      const digest = solo.digest(solo.content(slot, {}));
      for (const from of [0, 2, 3]) solo.cell(from, { kind: 'commit', view: 0, slot, digest });
    }
    solo.apply();
    solo.live(1_000);
    expect(transfers(solo)).to.eql([]);
    expect(solo.core.status()).to.include({ executedSlot: 2, stableSlot: 2, transferring: false });
  });

  it('stops execution until it is done; then the replica stands at the checkpoint', () => {
    const solo = behind();
    const tip = solo.batch(2, EMPTY, 'passed over');
    for (let slot = 1; slot <= 3; slot++) solo.propose(solo.content(slot, { 2: tip }));
    solo.step({ kind: 'submit', payload: Buffer.from('own') });
    const frontier = [EMPTY, EMPTY, tip, EMPTY];
    expect(solo.delivered()).to.eql([]);
    solo.step({ kind: 'transferred', slot: 6 });
    const status = solo.core.status();
    expect(status).to.include({ executedSlot: 6, appliedSlot: 6, transferring: false });
    expect(solo.state.executed.timeMs).to.equal(START_MS);
    expect(solo.log()[0]).to.have.nested.property('certificate.state.slot', 6);
    // The next slot builds on it.
    solo.propose({ ...solo.content(7, {}), frontier });
    expect(solo.votes().at(-1)).to.equal(7);
    solo.voteAll({ ...solo.content(7, {}), frontier });
    expect(solo.delivered()).to.eql([7]);
  });

  it('drops the batches that the checkpoint has passed, and goes on after them', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    solo.step({ kind: 'submit', payload: Buffer.from('own 1') });
    solo.step({ kind: 'submit', payload: Buffer.from('own 2') });
    const own = solo.state.lanes[1]!.batches;
    const [first, second] = [...own.values()].map(({ ref }) => ref);
    const frontier = [EMPTY, first!, EMPTY, EMPTY];
    const state = { ...solo.checkpointState(6), frontier };
    const certificate = solo.signed.certificate(state, [0, 2, 3]);
    solo.showStable(0, certificate, 6);
    solo.step({ kind: 'transferred', slot: 6 });
    const dropped = solo.effects.flatMap((effect) =>
      effect.kind === 'drop-batch' ? [effect.ref.seq] : [],
    );
    expect(dropped).to.eql([1]);
    expect([...own.keys()]).to.eql([2]);
    expect(solo.state.lanes[1]!.tip).to.eql(second);
    // A checkpoint on another fork of its lane leaves nothing of it.
    const other = { seq: 5, digest: new Uint8Array(32).fill(5) };
    const next = { ...solo.checkpointState(12), frontier: [EMPTY, other, EMPTY, EMPTY] };
    const then = solo.signed.certificate(next, [0, 2, 3]);
    solo.tick(60);
    solo.showStable(0, then, 12);
    solo.live(30);
    solo.step({ kind: 'transferred', slot: 12 });
    expect(own.size).to.equal(0);
    solo.step({ kind: 'submit', payload: Buffer.from('own again') });
    expect([...own.keys()]).to.eql([6]);
  });

  it('is done one at a time', () => {
    const solo = behind();
    solo.tick(60);
    showStable(solo, 12);
    solo.live(200);
    expect(transfers(solo)).to.eql([6]);
    expect(() => solo.step({ kind: 'transferred', slot: 12 }))
      .to.throw(CoreError, 'no such transfer')
      .with.property('code', 'invalid_input');
    solo.step({ kind: 'transferred', slot: 6 });
    solo.live(30);
    expect(transfers(solo)).to.eql([6, 12]);
  });

  it('makes late answers of the orderer pointless, not wrong', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    for (const slot of [1, 2]) {
      solo.propose(solo.content(slot, {}));
      solo.voteAll(solo.content(slot, {}));
    }
    showStable(solo, 12);
    solo.live(30);
    solo.step({ kind: 'transferred', slot: 12 });
    solo.apply();
    expect(solo.core.status().ignored).to.include({
      'checkpoint that is passed': 1,
      'applied slot that is passed': 2,
    });
    expect(solo.core.status().appliedSlot).to.equal(12);
  });

  it('is asked for when the answers do not come: the checkpoint may be news', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    for (const from of [0, 2]) solo.progress(from, 2);
    solo.live(40);
    expect(solo.sent('fetch-decided')).to.have.length(1);
    expect(solo.sent('fetch-checkpoint')).to.have.length(0);
    solo.live(60);
    expect(solo.sent('fetch-checkpoint')).to.have.length(1);
    // Far behind, it asks at once.
    const far = createSolo(1, 4, LIMITS);
    far.openAll();
    for (const from of [0, 2]) far.progress(from, 100);
    expect(far.sent('fetch-checkpoint')).to.have.length(1);
  });

  it('is what a replica reports when nothing helps', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    for (const from of [0, 2]) solo.progress(from, 2);
    solo.live(39 * 50);
    expect(solo.core.status().behind).to.equal(false);
    solo.live(100);
    expect(solo.core.status().behind).to.equal(true);
    showStable(solo, 2);
    solo.live(60);
    solo.step({ kind: 'transferred', slot: 2 });
    solo.tick(1);
    expect(solo.core.status().behind).to.equal(false);
  });

  it('lets a leader go on from there', () => {
    const solo = createSolo(0, 4, LIMITS);
    solo.openAll();
    solo.step({ kind: 'submit', payload: Buffer.from('a') });
    const certificate = solo.signed.certificate(solo.checkpointState(6), [1, 2, 3]);
    solo.showStable(1, certificate, 6);
    solo.step({ kind: 'transferred', slot: 6 });
    expect(solo.cells('proposal').map(({ proposal }) => proposal.slot)).to.eql([1, 7]);
  });
});
