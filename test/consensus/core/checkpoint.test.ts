import { expect } from 'chai';
import { CoreError } from '../../../consensus/core/index.ts';
import { createSolo, EMPTY, type Solo } from '../support/solo.ts';

const LIMITS = { windowSlots: 4, pipelineSlotsMax: 2, fetchSlotsMax: 4 };

/** Replica 1, with slots up to this one executed, a checkpoint every second, and everything applied. */
function executed(upTo: number, limits = {}): Solo {
  const solo = createSolo(1, 4, { ...LIMITS, ...limits });
  solo.openAll();
  decide(solo, 1, upTo);
  return solo;
}

function decide(solo: Solo, from: number, upTo: number): void {
  for (let slot = from; slot <= upTo; slot++) {
    solo.propose(solo.content(slot, {}));
    solo.voteAll(solo.content(slot, {}));
    solo.apply();
  }
}

describe('checkpoints', () => {
  it('come after so many slots, cut the block, and are signed once everything is on disk', () => {
    const solo = createSolo(1, 4, LIMITS);
    solo.openAll();
    for (const slot of [1, 2]) {
      solo.propose(solo.content(slot, {}));
      solo.voteAll(solo.content(slot, {}));
    }
    const told = solo.effects.flatMap((effect) =>
      effect.kind === 'deliver' ? [[effect.slot, effect.cut, effect.checkpoint]] : [],
    );
    expect(told).to.eql([
      [1, false, false],
      [2, true, true],
    ]);
    expect(solo.sent('checkpoint')).to.have.length(0);
    solo.apply();
    const [sent] = solo.sent('checkpoint');
    expect(sent?.checkpoint.state).to.eql(solo.checkpointState(2));
    expect(solo.core.status().stableSlot).to.equal(0);
  });

  it('come after so many bytes, too', () => {
    const solo = createSolo(1, 4, { ...LIMITS, checkpointBytes: 10 });
    solo.openAll();
    let tip = EMPTY;
    for (let slot = 1; slot <= 3; slot++) {
      tip = solo.batch(2, tip, slot === 2 ? 'x' : 'a long text');
      solo.propose(solo.content(slot, { 2: tip }));
      solo.voteAll(solo.content(slot, { 2: tip }));
    }
    const told = solo.effects.flatMap((effect) =>
      effect.kind === 'deliver' ? [effect.checkpoint] : [],
    );
    expect(told).to.eql([true, false, true]);
  });

  it('are stable when q have signed the same, and the window and the log move on', () => {
    const solo = executed(3);
    solo.signCheckpoint(0, solo.checkpointState(2));
    expect(solo.core.status().stableSlot).to.equal(0);
    solo.propose(solo.content(5, {}));
    expect(solo.core.status().ignored['cell beyond the window']).to.equal(1);
    const { verified } = solo.crypto.counts;
    solo.signCheckpoint(2, solo.checkpointState(2));
    expect(solo.core.status().stableSlot).to.equal(2);
    expect(solo.crypto.counts.verified - verified, 'signatures are checked once q agree').to.equal(
      3,
    );
    const log = solo.log();
    expect(log.map(({ kind }) => kind)).to.eql(['checkpoint', 'vote']);
    expect(log[0]).to.have.nested.property('certificate.state.slot', 2);
    decide(solo, 4, 6);
    expect(solo.delivered()).to.eql([1, 2, 3, 4, 5, 6]);
  });

  it('do not become stable by lies, and liars are accused once the truth is out', () => {
    const solo = executed(2);
    const other = solo.checkpointState(2, 7);
    solo.signCheckpoint(0, other);
    solo.signCheckpoint(3, { ...solo.checkpointState(2), height: 9 });
    solo.signCheckpoint(3, solo.checkpointState(2));
    expect(solo.core.status().ignored['CHECKPOINT already known']).to.equal(1);
    solo.signCheckpoint(2, solo.checkpointState(2));
    expect(solo.core.status().stableSlot).to.equal(0);
    const certificate = solo.signed.certificate(solo.checkpointState(2), [1, 2, 3]);
    solo.showStable(2, certificate, 2);
    expect(solo.core.status().stableSlot).to.equal(2);
    expect(solo.accusations()).to.have.members([
      'invalid-checkpoint 0: it signed another state',
      'invalid-checkpoint 3: it signed another state',
    ]);
  });

  it('count a signature that does not verify for nothing', () => {
    const solo = executed(2);
    const good = solo.signed.checkpoint(0, solo.checkpointState(2));
    const signature = good.signature.slice();
    signature[1]! ^= 1;
    solo.message(0, { kind: 'checkpoint', checkpoint: { ...good, signature } });
    solo.message(3, { kind: 'checkpoint', checkpoint: good });
    solo.signCheckpoint(2, solo.checkpointState(2));
    expect(solo.core.status().stableSlot).to.equal(0);
    expect(solo.accusations()).to.eql(['invalid-checkpoint 0: its signature does not verify']);
    // Dropped, so that a good one can take its place.
    solo.signCheckpoint(0, solo.checkpointState(2));
    expect(solo.core.status().stableSlot).to.equal(2);
  });

  it('that are older, or repeated, are answered with what is stable; not every time', () => {
    const solo = executed(4);
    for (const slot of [2, 4])
      for (const from of [0, 2]) solo.signCheckpoint(from, solo.checkpointState(slot));
    expect(solo.core.status().stableSlot).to.equal(4);
    solo.signCheckpoint(3, solo.checkpointState(2));
    expect(solo.sent('stable-checkpoint').map(({ certificate }) => certificate?.state.slot)).to.eql(
      [4],
    );
    // It has passed the slot: its own CHECKPOINT was under way when the q-th came.
    solo.progress(3, 5);
    solo.signCheckpoint(3, solo.checkpointState(4));
    expect(solo.sent('stable-checkpoint')).to.have.length(1);
    expect(solo.core.status().ignored['CHECKPOINT that is stable']).to.equal(1);
  });

  it('keep few of one peer, however many it signs', () => {
    const solo = executed(0);
    for (let slot = 10; slot < 100; slot++) solo.signCheckpoint(2, solo.checkpointState(slot));
    expect(solo.state.peers[2]!.checkpoints.map(({ state }) => state.slot)).to.eql([
      96, 97, 98, 99,
    ]);
  });

  it('are sent again until one is stable, and to whom a session opens', () => {
    const solo = executed(2);
    const before = solo.sent('checkpoint').length;
    solo.live(3_000);
    expect(solo.sent('checkpoint').length - before).to.be.within(2, 5);
    const [last] = solo
      .step({ kind: 'session', peer: 3, open: false })
      .concat(solo.step({ kind: 'session', peer: 3, open: true }))
      .flatMap((effect) =>
        effect.kind === 'send' && effect.message.kind === 'checkpoint' ? [effect] : [],
      );
    expect(last?.to).to.equal(3);
  });

  it('halt a replica whose own state is another than the one that q signed', () => {
    const solo = executed(2);
    const certificate = solo.signed.certificate(solo.checkpointState(2, 5), [0, 2, 3]);
    expect(() => solo.showStable(0, certificate, 2))
      .to.throw(CoreError, 'quorum')
      .with.property('code', 'safety_violation');
    // Also when it gets there later.
    const late = createSolo(1, 4, LIMITS);
    late.openAll();
    late.showStable(0, certificate, 2);
    const commitAll = (slot: number) => {
      late.propose(late.content(slot, {}));
      const digest = late.digest(late.content(slot, {}));
      for (const from of [0, 2, 3]) late.cell(from, { kind: 'commit', view: 0, slot, digest });
      late.apply();
    };
    commitAll(1);
    expect(() => commitAll(2)).to.throw(CoreError, 'quorum');
  });

  it('refuse a certificate that does not verify, and look at one in a while of each peer', () => {
    const solo = executed(1);
    const { state, signatures } = solo.signed.certificate(solo.checkpointState(2));
    const lie = { ...state, height: 8 };
    for (let i = 0; i < 3; i++) {
      const certificate = { state: lie, signatures };
      solo.showStable(3, certificate, 2);
    }
    const few = { state, signatures: signatures.slice(1) };
    solo.showStable(2, few, 2);
    expect(solo.core.status().stableSlot).to.equal(0);
    expect(solo.accusations()).to.eql([
      'invalid-checkpoint 3: its certificate does not verify',
      'invalid-checkpoint 2: its certificate does not verify',
    ]);
  });

  it('trust their own orderer to tell once, and only what was delivered', () => {
    const solo = executed(2);
    const again = () =>
      solo.step({ kind: 'checkpointed', slot: 2, height: 3, tipHash: new Uint8Array(32) });
    expect(again).to.throw(CoreError, 'told twice');
    solo.step({ kind: 'checkpointed', slot: 1, height: 3, tipHash: new Uint8Array(32) });
    expect(solo.core.status().ignored['checkpoint that is passed']).to.equal(1);
  });

  it('answer a question with what is stable and how far the run has come', () => {
    const solo = executed(3);
    solo.message(2, { kind: 'fetch-checkpoint', life: 0, ready: false });
    for (const from of [0, 2]) solo.signCheckpoint(from, solo.checkpointState(2));
    solo.message(2, { kind: 'fetch-checkpoint', life: 0, ready: false });
    const told = solo
      .sent('stable-checkpoint')
      .map(({ certificate, namedSlot }) => [certificate?.state.slot, namedSlot]);
    expect(told).to.eql([
      [undefined, 3],
      [2, 3],
    ]);
  });
});
